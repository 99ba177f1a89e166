//! Audio files of every kind, good and bad.

#[path = "common/data.rs"]
mod data;

use std::f64::consts::TAU;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use data::test_data;
use genre_transfer::audio::{Audio, Container, sniff};
use hound::{SampleFormat, WavSpec, WavWriter};
use proptest::prelude::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A WAV file made by `hound`'s writer, which shares no code with its reader.
fn wav<S: hound::Sample + Copy>(
    bits: u16,
    format: SampleFormat,
    channels: u16,
    samples: &[S],
) -> Vec<u8> {
    let spec =
        WavSpec { channels, sample_rate: 22_050, bits_per_sample: bits, sample_format: format };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
    samples.iter().for_each(|&x| writer.write_sample(x).unwrap());
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn pcm16(samples: &[i16]) -> Vec<u8> {
    wav(16, SampleFormat::Int, 1, samples)
}

fn decode(bytes: &[u8]) -> Result<Audio, String> {
    Audio::decode(bytes, Path::new("songs/a.wav")).map_err(|e| e.to_string())
}

/// Asserts that `bytes` are refused by a text that names the file and says all of `parts`.
#[track_caller]
fn refused(bytes: &[u8], parts: &[&str]) {
    let text = decode(bytes).expect_err("must be refused");
    for part in ["songs/a.wav: "].iter().chain(parts) {
        assert!(text.contains(part), "\"{part}\" is missing in \"{text}\"");
    }
}

/// The amplitude of `hz` in `audio`, and the root of the mean square of all the rest.
fn tone_and_rest(audio: &Audio, hz: f64) -> (f64, f64) {
    let phase = |i: usize| TAU * hz * i as f64 / f64::from(audio.rate);
    let n = audio.samples.len() as f64;
    let (mut sine, mut cosine, mut power) = (0.0, 0.0, 0.0);
    for (i, &x) in audio.samples.iter().enumerate() {
        let x = f64::from(x);
        sine += 2.0 / n * x * phase(i).sin();
        cosine += 2.0 / n * x * phase(i).cos();
        power += x * x / n;
    }
    let amplitude = sine.hypot(cosine);
    (amplitude, (power - amplitude * amplitude / 2.0).max(0.0).sqrt())
}

#[test]
fn every_kind_decodes_to_the_sine_it_was_made_of() {
    use Container::{Adts, Aiff, Flac, Mp3, Mp4, Ogg, Wav};
    for (name, kind, rate, most_seconds) in [
        ("sine1k.mp3", Mp3, 44_100, 0.3),
        ("sine1k.flac", Flac, 44_100, 0.3),
        ("sine1k.ogg", Ogg, 44_100, 0.3),
        // AAC without stated padding comes in whole frames of 1024 samples.
        ("sine1k.m4a", Mp4, 44_100, 0.35),
        ("sine1k.aac", Adts, 44_100, 0.35),
        ("sine1k.aiff", Aiff, 22_050, 0.3),
        ("sine1k_mulaw.wav", Wav, 22_050, 0.3),
    ] {
        let bytes = std::fs::read(fixture(name)).unwrap();
        assert_eq!(sniff(&bytes), Some(kind), "{name}");
        let audio = Audio::open(&fixture(name)).unwrap();
        assert_eq!(audio.rate, rate, "{name}");
        let seconds = audio.seconds();
        assert!((0.2999..most_seconds + 0.0001).contains(&seconds), "{name}: {seconds} s");
        let (tone, rest) = tone_and_rest(&audio, 1_000.0);
        assert!((tone - 0.125).abs() < 0.015, "{name}: amplitude {tone}");
        assert!(rest < 0.03, "{name}: {rest} besides the tone");
        assert!(tone_and_rest(&audio, 2_000.0).0 < 0.005, "{name}");
    }
}

#[test]
fn lossless_kinds_agree_sample_by_sample() {
    let flac = Audio::open(&fixture("sine1k.flac")).unwrap();
    assert_eq!(flac.samples.len(), 13_230);
    let pcm: Vec<i16> = flac.samples.iter().map(|x| (x * 32_768.0) as i16).collect();
    assert_eq!(decode(&pcm16(&pcm)).unwrap().samples, flac.samples);
}

#[test]
fn channels_are_mixed_to_their_mean() {
    let stereo = wav(16, SampleFormat::Int, 2, &[16_384i16, 0, -32_768, -32_768]);
    assert_eq!(decode(&stereo).unwrap().samples, [0.25, -1.0]);
    let six = wav(32, SampleFormat::Float, 6, &[0.6f32, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert!((decode(&six).unwrap().samples[0] - 0.1).abs() < 1e-7);
}

#[test]
fn a_chunk_of_odd_length_before_the_data_is_skipped() {
    let plain = pcm16(&[1_000; 50]);
    let (head, data) = plain.split_at(plain.len() - 108);
    assert!(data.starts_with(b"data"));
    let mut padded = [head, b"note\x03\0\0\0abc\0", data].concat();
    let riff_length = padded.len() as u32 - 8;
    padded[4..8].copy_from_slice(&riff_length.to_le_bytes());
    assert_eq!(decode(&padded).unwrap(), decode(&plain).unwrap());
}

#[test]
fn an_empty_file_is_refused() {
    refused(b"", &["empty (0 bytes)", "re-copy"]);
}

#[test]
fn text_named_wav_is_refused() {
    refused(b"hello world, this is text", &["begins with \"hello world,\"", "WAV, MP3", "convert"]);
}

#[test]
fn a_truncated_wav_is_refused_with_both_counts() {
    let whole = wav(16, SampleFormat::Int, 2, &[7i16; 2_000]);
    refused(&whole[..whole.len() - 402], &["promises 1000 samples", "holds 899", "re-copy"]);
    refused(&whole[..whole.len() - 1], &["promises 1000 samples", "holds 999"]);
}

#[test]
fn a_header_that_claims_gigabytes_costs_none() {
    let mut bytes = pcm16(&[7; 28]);
    let data = bytes.len() - 56;
    bytes[data - 4..data].copy_from_slice(&0xffff_fff0u32.to_le_bytes());
    refused(&bytes, &["promises 2147483640 samples", "holds 28"]);
}

#[test]
fn truncated_compressed_files_are_refused() {
    for name in
        ["sine1k.flac", "sine1k.aiff", "sine1k_mulaw.wav", "sine1k.m4a", "sine1k.mp3", "sine1k.ogg"]
    {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let text = decode(&bytes[..bytes.len() * 2 / 3]).expect_err(name);
        assert!(text.contains("songs/a.wav") && text.contains("re-copy"), "{name}: {text}");
    }
}

#[test]
fn an_ogg_without_its_last_page_is_refused() {
    let bytes = std::fs::read(fixture("sine1k.ogg")).unwrap();
    let last = bytes.windows(4).rposition(|window| window == b"OggS").unwrap();
    refused(&bytes[..last], &["Ogg file ends in the middle", "re-copy"]);
}

/// Without its tag an MP3 does not say how long it is, so what is there is taken.
#[test]
fn an_mp3_is_held_to_the_length_in_its_tag_only() {
    let whole = std::fs::read(fixture("sine1k.mp3")).unwrap();
    let half = &whole[..whole.len() / 2];
    refused(half, &["promises 13230 samples", "holds 4655"]);
    let tag = half.windows(4).position(|window| window == b"Info").unwrap();
    let untagged = [&half[..tag], &[0; 4], &half[tag + 4..]].concat();
    assert!((4_000..7_000).contains(&decode(&untagged).unwrap().samples.len()));
}

#[test]
fn a_wav_without_samples_is_refused() {
    refused(&pcm16(&[]), &["0 samples"]);
}

#[test]
fn samples_that_are_not_finite_are_refused_by_index() {
    let mut samples = vec![0.5f32; 22_050];
    samples[11_025] = f32::NAN;
    refused(&wav(32, SampleFormat::Float, 1, &samples), &["sample 11025 (0.500 s) is NaN"]);
    samples[11_025] = f32::NEG_INFINITY;
    refused(&wav(32, SampleFormat::Float, 1, &samples), &["sample 11025", "is -inf"]);
    // Finite, but not after a Fourier transform.
    samples[11_025] = -3e29;
    refused(&wav(32, SampleFormat::Float, 1, &samples), &["sample 11025", "is -3"]);
}

/// As `ffmpeg -f wav -` writes it, which cannot go back and say how long it has become.
#[test]
fn a_wav_from_a_pipe_ends_where_its_bytes_do() {
    let samples: Vec<i16> = (0..70_001).map(|i| (i % 1_000) as i16).collect();
    let mut bytes = pcm16(&samples);
    bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    bytes[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(&bytes[36..40], b"data");
    assert_eq!(decode(&bytes).unwrap(), decode(&pcm16(&samples)).unwrap());
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.wav");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let bytes = pcm16(&[1, -2, 3]);
    let writer = std::thread::spawn({
        let (pipe, bytes) = (pipe.clone(), bytes.clone());
        move || std::fs::write(pipe, bytes).unwrap()
    });
    assert_eq!(Audio::open(&pipe).unwrap(), decode(&bytes).unwrap());
    writer.join().unwrap();
}

#[test]
fn insane_rates_are_refused() {
    for rate in [0u32, 1, 2_000_000] {
        let mut bytes = pcm16(&[7; 100]);
        bytes[24..28].copy_from_slice(&rate.to_le_bytes());
        bytes[28..32].copy_from_slice(&(2 * rate).to_le_bytes());
        refused(&bytes, &[&format!("a sample rate of {rate} Hz"), "1000 to 1000000"]);
    }
}

#[test]
fn files_without_a_track_to_decode_are_refused() {
    let bytes = std::fs::read(fixture("video_only.mp4")).unwrap();
    refused(&bytes, &["MP4 file holds no audio track"]);
    let bytes = std::fs::read(fixture("sine1k_opus.ogg")).unwrap();
    refused(&bytes, &["Ogg file's codec cannot be decoded", "ffmpeg"]);
}

#[test]
fn a_missing_file_is_named() {
    let text = Audio::open(Path::new("no/such.wav")).unwrap_err().to_string();
    assert!(text.contains("no/such.wav"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn integer_samples_survive_at_every_depth(
        samples in prop::collection::vec(any::<i32>(), 1..200),
        bits in prop::sample::select(vec![8u16, 16, 24, 32]),
    ) {
        let samples: Vec<i32> = samples.iter().map(|x| x >> (32 - bits)).collect();
        let audio = decode(&wav(bits, SampleFormat::Int, 1, &samples)).unwrap();
        prop_assert_eq!(audio.rate, 22_050);
        let expected: Vec<f32> =
            samples.iter().map(|&x| (f64::from(x) / 2f64.powi(i32::from(bits) - 1)) as f32).collect();
        prop_assert_eq!(audio.samples, expected);
    }

    #[test]
    fn float_samples_survive(samples in prop::collection::vec(-2.0f32..2.0, 1..200)) {
        let audio = decode(&wav(32, SampleFormat::Float, 1, &samples)).unwrap();
        prop_assert_eq!(audio.samples, samples);
    }

    /// Damage anywhere gives an error or samples, never a panic.
    #[test]
    fn damaged_files_never_panic(
        name in prop::sample::select(vec![
            "sine1k.mp3", "sine1k.flac", "sine1k.ogg", "sine1k.m4a", "sine1k.aac", "sine1k.aiff",
            "sine1k_mulaw.wav", "video_only.mp4",
        ]),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        near_the_head: bool,
        kept in 0.0f64..1.5,
    ) {
        let mut bytes = std::fs::read(fixture(name)).unwrap();
        bytes.truncate((bytes.len() as f64 * kept) as usize);
        let reach = if near_the_head { bytes.len().min(256) } else { bytes.len() };
        for (at, value) in flips.iter().filter(|_| reach > 0) {
            bytes[at.index(reach)] = *value;
        }
        if let Ok(audio) = decode(&bytes) {
            prop_assert!(!audio.samples.is_empty() && audio.samples.iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
fn gtzan_decodes_whole_and_its_corrupt_file_is_refused() {
    let Some(data) = test_data() else { return };
    for genre in std::fs::read_dir(data.join("gtzan/genres_original")).unwrap() {
        for file in std::fs::read_dir(genre.unwrap().path()).unwrap() {
            let audio = Audio::open(&file.unwrap().path()).unwrap();
            assert_eq!(audio.rate, 22_050);
            assert!((29.0..31.0).contains(&audio.seconds()));
        }
    }
    let corrupt = data.join("gtzan/corrupt/jazz.00054.kaggle-corrupt.wav");
    let text = Audio::open(&corrupt).unwrap_err().to_string();
    assert!(text.contains("kaggle-corrupt") && text.contains("not an audio file"), "{text}");
    Audio::open(&data.join("gtzan/corrupt/jazz.00054.marsyas-good.wav")).unwrap();
}
