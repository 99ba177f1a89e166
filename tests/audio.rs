//! Audio files of every kind, good and bad.

#[path = "common/data.rs"]
mod data;

use std::f64::consts::TAU;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use data::test_data;
use genre_transfer::audio::{Audio, Container, Decoder, Note, sniff};
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

/// The recording in `bytes` and what is odd about it.
#[track_caller]
fn noted(bytes: &[u8]) -> (Audio, Vec<Note>) {
    let mut decoder = Decoder::of_bytes(bytes, Path::new("songs/a.wav")).unwrap();
    let mut samples = vec![];
    while decoder.read(&mut samples).unwrap() {}
    (Audio { samples, rate: decoder.rate() }, decoder.notes().to_vec())
}

/// The seconds that are missing in `bytes`, and of which one note says so; `strict` refuses it.
#[track_caller]
fn lost(bytes: &[u8]) -> Option<f64> {
    let (audio, notes) = noted(bytes);
    let [Note::CutShort { found, lost }] = &notes[..] else { panic!("{notes:?}") };
    assert!((found - audio.seconds()).abs() < 0.06, "{found} and {}", audio.seconds());
    let mut strict = Decoder::of_bytes(bytes, Path::new("songs/a.wav")).unwrap().strict(true);
    let refused = loop {
        if let Err(error) = strict.read(&mut vec![]) {
            break error.to_string();
        }
    };
    assert!(
        refused.contains("songs/a.wav: cut short") && refused.contains("‹strict›"),
        "{refused}"
    );
    *lost
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
        ("sine1k.m4a", Mp4, 44_100, 0.35),
        // AAC without stated padding comes in whole frames of 1024 samples.
        ("sine1k.aac", Adts, 44_100, 0.35),
        ("sine1k.aiff", Aiff, 22_050, 0.3),
        ("sine1k_mulaw.wav", Wav, 22_050, 0.3),
        ("sine1k_opus.ogg", Ogg, 48_000, 0.3),
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

/// Its code book is what a demuxer asserts that none is.
#[test]
fn what_makes_a_decoder_panic_is_refused() {
    let file = "fuzz/regressions/audio/vorbis-code-book.ogg";
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    refused(&bytes, &["the decoder of Ogg files panicked over it", "re-copy or convert it"]);
}

#[test]
fn text_named_wav_is_refused() {
    refused(b"hello world, this is text", &["begins with \"hello world,\"", "WAV, MP3", "convert"]);
}

#[test]
fn a_truncated_wav_is_read_as_far_as_it_goes() {
    let whole = wav(16, SampleFormat::Int, 2, &[7i16; 2_000]);
    assert!((lost(&whole[..whole.len() - 402]).unwrap() - 100.0 / 22_050.0).abs() < 1e-4);
    assert_eq!(noted(&whole[..whole.len() - 402]).0.samples.len(), 899);
}

#[test]
fn a_header_that_claims_gigabytes_costs_none() {
    let mut bytes = pcm16(&[7; 28]);
    let data = bytes.len() - 56;
    bytes[data - 4..data].copy_from_slice(&0x9000_0000u32.to_le_bytes());
    assert!(lost(&bytes).unwrap() > 50_000.0);
}

#[test]
fn truncated_compressed_files_say_how_much_is_missing() {
    for name in ["sine1k.flac", "sine1k.aiff", "sine1k_mulaw.wav", "sine1k.m4a", "sine1k.mp3"] {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let seconds = decode(&bytes).unwrap().seconds();
        let cut = &bytes[..bytes.len() - bytes.len() / 8];
        match decode(cut) {
            // The headers of an MP4 may stand at its end.
            Err(text) => {
                assert!(name == "sine1k.m4a" && text.contains("re-copy"), "{name}: {text}")
            }
            Ok(there) => {
                let missing = lost(cut).unwrap();
                let total = there.seconds() + missing;
                assert!((total - seconds).abs() < 0.1, "{name}: {} + {missing}", there.seconds());
            }
        }
    }
}

#[test]
fn an_ogg_without_its_last_page_is_refused_or_cut_short() {
    let bytes = std::fs::read(fixture("sine1k.ogg")).unwrap();
    let last = bytes.windows(4).rposition(|window| window == b"OggS").unwrap();
    refused(&bytes[..last], &["Ogg file ends in the middle", "re-copy"]);
    let Some(data) = test_data() else { return };
    let bytes = std::fs::read(data.join("cases/audio/flac-in-ogg.ogg")).unwrap();
    assert_eq!(lost(&bytes[..bytes.len() / 2]), None, "it does not say by how much");
}

/// Nothing is left out because of what a tag counts, and a file without one ends where it ends.
#[test]
fn the_tag_of_an_mp3_is_a_hint() {
    let whole = std::fs::read(fixture("sine1k.mp3")).unwrap();
    let all = decode(&whole).unwrap();
    assert_eq!(all.samples.len(), 13_230);
    let half = &whole[..whole.len() / 2];
    let missing = lost(half).unwrap();
    assert!((noted(half).0.seconds() + missing - 0.3).abs() < 0.06, "{missing}");
    let tag = whole.windows(4).position(|window| window == b"Info").unwrap();
    let mut few = whole.clone();
    few[tag + 8..tag + 12].copy_from_slice(&2u32.to_be_bytes());
    let (audio, notes) = noted(&few);
    assert!(audio.samples.starts_with(&all.samples) && notes.is_empty(), "{notes:?}");
    let untagged = [&whole[..tag], &[0; 4], &whole[tag + 4..]].concat();
    assert!(decode(&untagged).unwrap().samples.len() >= 13_230);
}

/// Tags, zeros and junk in front, and a second file behind.
#[test]
fn frames_of_mpeg_are_found_wherever_they_are() {
    let song = std::fs::read(fixture("sine1k.mp3")).unwrap();
    let wanted = decode(&song).unwrap().samples;
    let text = b"a sentence that somebody has put here. ".repeat(40);
    let mut ape = b"APETAGEX\xd0\x07\0\0\x2a\0\0\0\x01\0\0\0\0\0\0\xa0\0\0\0\0\0\0\0\0".to_vec();
    ape.extend([0xff; 10]);
    ape.extend(b"APETAGEX\xd0\x07\0\0\x2a\0\0\0\x01\0\0\0\0\0\0\x80\0\0\0\0\0\0\0\0");
    let id3 = b"ID3\x04\0\0\0\0\0\x05\xff\xfb\x90\x64\0".to_vec();
    for front in [vec![0; 3_000], text, ape.clone(), id3.clone(), [id3, ape].concat()] {
        let bytes = [front, song.clone(), [b"TAG", &[b' '; 125][..]].concat()].concat();
        let (audio, notes) = noted(&bytes);
        assert_eq!(audio.samples.len(), wanted.len());
        assert!(audio.samples == wanted && notes.is_empty(), "{notes:?}");
    }
    let (both, notes) = noted(&[song.clone(), song.clone()].concat());
    assert!(both.samples == [wanted.clone(), wanted].concat() && notes.is_empty());
    let gap = [song.clone(), b"junk ".repeat(1_000), song].concat();
    let (audio, notes) = noted(&gap);
    assert_eq!(audio.samples.len(), 2 * 13_230);
    assert!(matches!(notes[..], [Note::Junk { bytes: 5_000, .. }]), "{notes:?}");
}

/// A tag counts the frames of its whole file, whatever their forms.
#[test]
fn a_tagged_mp3_may_change_its_form() {
    let Some(cases) = test_data().map(|data| data.join("cases/audio2")) else { return };
    let song = std::fs::read(cases.join("mono-then-stereo.mp3")).unwrap();
    let mut tag = [&song[..4], &[0; 9], b"Info\0\0\0\x01", &1_048u32.to_be_bytes()].concat();
    tag.resize(104, 0);
    let (audio, notes) = noted(&[tag, song].concat());
    assert!((audio.seconds() - 30.14).abs() < 0.01 && notes.is_empty(), "{notes:?}");
}

#[test]
fn an_mp3_inside_a_wav_is_read() {
    let song = std::fs::read(fixture("sine1k.mp3")).unwrap();
    let format =
        [&[0x55, 0, 1, 0][..], &44_100u32.to_le_bytes(), &[0; 8], &[12, 0], &[0; 12]].concat();
    let chunk =
        |name: &[u8], body: &[u8]| [name, &(body.len() as u32).to_le_bytes(), body].concat();
    let body = [b"WAVE".to_vec(), chunk(b"fmt ", &format), chunk(b"data", &song)].concat();
    assert_eq!(decode(&chunk(b"RIFF", &body)).unwrap(), decode(&song).unwrap());
}

#[test]
fn another_song_in_the_same_ogg_follows() {
    let (one, other) =
        (std::fs::read(fixture("sine1k.ogg")), std::fs::read(fixture("sine1k_opus.ogg")));
    let (one, other) = (one.unwrap(), other.unwrap());
    let first = decode(&one).unwrap();
    let (both, notes) = noted(&[&one[..], &other].concat());
    assert_eq!((both.rate, notes), (44_100, vec![]));
    assert!((both.seconds() - first.seconds() - 0.3).abs() < 0.01, "{}", both.seconds());
    assert!(both.samples.starts_with(&first.samples));
    assert!(tone_and_rest(&both, 1_000.0).0 > 0.1);
}

/// The same samples in every container for samples as they are, with lengths that are right,
/// unknown, or what a killed program leaves.
#[test]
fn plain_samples_are_read_from_every_container() {
    let samples: Vec<i16> = (0..2_000).map(|i| (i * 7 % 1_000) as i16).collect();
    let wanted = decode(&pcm16(&samples)).unwrap();
    let little: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    let big: Vec<u8> = samples.iter().flat_map(|x| x.to_be_bytes()).collect();
    let format = pcm16(&[])[20..36].to_vec();
    let check = |bytes: &[u8], what: &str| {
        let (audio, notes) = noted(bytes);
        assert!(audio == wanted && notes.is_empty(), "{what}: {} {notes:?}", audio.samples.len());
    };
    for length in [0, 4_000, 0x7fff_ffffu32, 0x7fff_f000, u32::MAX, u32::MAX - 36] {
        let mut plain = pcm16(&samples);
        plain[4..8].copy_from_slice(&length.to_le_bytes());
        plain[40..44].copy_from_slice(&length.to_le_bytes());
        check(&plain, &format!("WAV of {length:#x}"));
        let aiff = [
            &b"FORM\0\0\0\0AIFCCOMM\0\0\0\x18\0\x01\0\0\0\0\0\x10\x40\x0d\xac\x44\0\0\0\0\0\0sowt\0\0SSND"[..],
            &if length == 4_000 { 4_008u32 } else { length }.to_be_bytes(), &[0; 8], &little,
        ];
        check(&aiff.concat(), &format!("AIFC of {length:#x}"));
    }
    for length in [4_000, u32::MAX] {
        let head = [28, length, 3, 22_050, 1, 0].map(u32::to_be_bytes).concat();
        check(&[b".snd", &head[..], &big].concat(), "AU");
    }
    let ds64 = [0, 4_000, 2_000].map(u64::to_le_bytes).concat();
    for magic in [b"RF64", b"BW64"] {
        let parts: [&[u8]; 10] = [
            magic,
            &[0xff; 4],
            b"WAVEds64",
            &28u32.to_le_bytes(),
            &ds64,
            &[0; 4],
            b"fmt \x10\0\0\0",
            &format,
            b"data\xff\xff\xff\xff",
            &little,
        ];
        check(&parts.concat(), "RF64");
    }
    let guid = |name: &[u8], tail: &[u8]| [name, tail].concat();
    let tail = b"\xf3\xac\xd3\x11\x8c\xd1\0\xc0\x4f\x8e\xdb\x8a";
    let parts = [
        guid(b"riff", b"\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0"),
        vec![0; 8],
        guid(b"wave", tail),
        guid(b"fmt ", tail),
        40u64.to_le_bytes().to_vec(),
        format.clone(),
        guid(b"data", tail),
        4_024u64.to_le_bytes().to_vec(),
        little.clone(),
    ];
    check(&parts.concat(), "W64");
    for length in [4_004, -1i64] {
        let description = [
            &22_050f64.to_be_bytes()[..],
            b"lpcm",
            &[2, 2, 1, 1, 16].map(u32::to_be_bytes).concat(),
        ];
        let parts: [&[u8]; 8] = [
            b"caff\0\x01\0\0desc",
            &32u64.to_be_bytes(),
            &description.concat()[..12],
            // A packet that claims two billion frames.
            &description.concat()[12..],
            b"data",
            &length.to_be_bytes(),
            &[0; 4],
            &little,
        ];
        check(&parts.concat(), "CAF");
    }
    let odd = [&pcm16(&samples)[..36], b"LIST\x07\0\0\0INFOabc", &pcm16(&samples)[36..]].concat();
    check(&odd, "a chunk of odd length without its padding");
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
}

#[test]
fn what_is_no_recording_is_named() {
    refused(b"<!DOCTYPE html><html><body>404</body></html>", &["a web page (HTML)", "re-copy"]);
    refused(b"{\"error\": 404}", &["a JSON document"]);
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
            "sine1k_mulaw.wav", "video_only.mp4", "sine1k_opus.ogg",
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

/// Recordings as people have them, and what a right reader makes of each: its seconds, within how
/// much, and what is noted.
#[test]
fn hard_recordings_are_read_whole() {
    let Some(cases) = test_data().map(|data| data.join("cases")) else { return };
    let table = |name: &str| std::fs::read_to_string(cases.join(name)).unwrap();
    let rows = table("EXPECTED.tsv") + &table("audio2/EXPECTED.tsv");
    let mut wrong = vec![];
    for row in rows.lines().filter(|row| row.starts_with("audio")) {
        let cells: Vec<&str> = row.split('\t').collect();
        let (name, right) = (cells[0], cells[2].trim_matches('"'));
        let read = Audio::open_with_notes(&cases.join(name), false);
        // "6.00 s", and perhaps "(0.1 s allowed)" or "(codec padding allowed)".
        let seconds =
            right.split(" s").next().and_then(|text| text.rsplit(' ').next()?.parse::<f64>().ok());
        let allowed = match right {
            _ if right.contains("padding allowed") => 0.05,
            _ if let Some(at) = right.find(" s allowed") => {
                right[..at].rsplit(['(', ' ']).next().unwrap().parse().unwrap()
            }
            _ => 0.002,
        };
        let is_right = match (&read, seconds) {
            (Ok((audio, _)), Some(seconds)) => (audio.seconds() - seconds).abs() <= allowed,
            (Ok((_, notes)), None) if right == "likewise" => !notes.is_empty(),
            (Ok((_, notes)), None) => {
                right.contains("named") != notes.is_empty() || name.ends_with("burst.m4a")
            }
            (Err(_), _) => right.contains("error"),
        };
        if !is_right {
            wrong.push(format!(
                "{name}: {right}: {:?}",
                read.map(|(audio, notes)| (audio.seconds(), notes))
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What comes before the first sample that is meant is cut off, to the sample.
#[test]
fn a_burst_is_where_it_was() {
    let Some(cases) = test_data().map(|data| data.join("cases/audio2")) else { return };
    let (plain, coded) =
        (Audio::open(&cases.join("burst.flac")), Audio::open(&cases.join("burst.m4a")));
    let (plain, coded) = (plain.unwrap(), coded.unwrap());
    assert_eq!(plain.samples.len(), coded.samples.len());
    let product = |shift: isize| -> f64 {
        let pairs = plain.samples[1_000..].iter().zip(&coded.samples[(1_000 + shift) as usize..]);
        pairs.map(|(a, b)| f64::from(a * b)).sum()
    };
    let best = (-60..=60).max_by(|a, b| product(*a).total_cmp(&product(*b))).unwrap();
    assert!(best.abs() <= 22, "{best} samples");
}

#[test]
fn an_inverted_channel_is_read_like_a_single_one() {
    let Some(cases) = test_data().map(|data| data.join("cases/audio2")) else { return };
    let read = |name: &str| Audio::open_with_notes(&cases.join(name), false).unwrap();
    let power = |audio: &Audio| audio.samples.iter().map(|x| x * x).sum::<f32>();
    let (mono, notes) = read("mono.flac");
    assert!(notes.is_empty());
    for name in ["inverted-0.999.flac", "half.flac"] {
        let (audio, notes) = read(name);
        assert!(matches!(notes[..], [Note::Inverted { .. }]), "{name}: {notes:?}");
        let ratio = power(&audio) / power(&mono);
        assert!((0.9..1.1).contains(&ratio), "{name}: {ratio}");
    }
    assert!(read("wide.flac").1.is_empty());
}

#[test]
fn pages_that_an_ogg_has_lost_are_missed() {
    let Some(cases) = test_data().map(|data| data.join("cases/audio")) else { return };
    for name in ["chained.ogg", "opus.opus", "flac-in-ogg.ogg"] {
        let bytes = std::fs::read(cases.join(name)).unwrap();
        let whole = noted(&bytes);
        assert!(whole.1.is_empty(), "{name}: {:?}", whole.1);
        let at = |from: usize| {
            from + bytes[from..].windows(4).position(|window| window == b"OggS").unwrap()
        };
        let from = at(bytes.len() / 4);
        let (audio, notes) = noted(&[&bytes[..from], &bytes[at(from + 1)..]].concat());
        let [Note::Gap { seconds, .. }] = notes[..] else { panic!("{name}: {notes:?}") };
        let missing = whole.0.seconds() - audio.seconds();
        assert!((seconds - missing).abs() < 0.1, "{name}: {seconds} of {missing}");
    }
}

/// Whatever is cut off is missed, but where nothing says how long the file should be.
#[test]
fn whatever_is_cut_is_said() {
    let Some(cases) = test_data().map(|data| data.join("cases/audio")) else { return };
    let endless = ["killed-recorder", "piped", "unknown-size", "total-samples-0", "layer2"];
    let mut faults = vec![];
    for path in std::fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if endless.iter().any(|endless| name.starts_with(endless)) {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let cut = &bytes[..bytes.len() * 6 / 10];
        if let Ok(mut decoder) = Decoder::of_bytes(cut, &path) {
            while decoder.read(&mut vec![]).unwrap() {}
            if !decoder.notes().iter().any(Note::is_damage) {
                faults.push(name.to_owned());
            }
        }
    }
    assert!(faults.is_empty(), "{faults:?}");
}

/// An element of EBML: its identifier, its length in eight bytes, its contents.
fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    [id, &(body.len() as u64 | 1 << 56).to_be_bytes(), body].concat()
}

/// The packets of the Opus fixture in a WebM, whose end says that `padding` nanoseconds are none.
fn webm(padding: u32) -> Vec<u8> {
    let ogg = std::fs::read(fixture("sine1k_opus.ogg")).unwrap();
    let at = ogg.windows(8).position(|window| window == b"OpusHead").unwrap();
    let head = &ogg[at..at + 19];
    let mut reader = opus_pure::OggOpusReader::new(Cursor::new(&ogg)).unwrap();
    let mut packets = vec![];
    while let Some(packet) = reader.read_packet().unwrap() {
        packets.push(packet.data);
    }
    let block = |(number, data): (usize, &Vec<u8>)| {
        [&[0x81][..], &(20 * number as u16).to_be_bytes(), &[0x80], data].concat()
    };
    let last = packets.len() - 1;
    let mut cluster = element(b"\xe7", &[0]);
    for packet in packets[..last].iter().enumerate() {
        cluster.extend(element(b"\xa3", &block(packet)));
    }
    let end = [
        element(b"\xa1", &block((last, &packets[last]))),
        [&b"\x75\xa2\x84"[..], &padding.to_be_bytes()].concat(),
    ];
    cluster.extend(element(b"\xa0", &end.concat()));
    let audio = [element(b"\xb5", &48_000f64.to_be_bytes()), element(b"\x9f", &[1])].concat();
    let track = [
        element(b"\xd7", &[1]),
        element(b"\x73\xc5", &[1]),
        element(b"\x83", &[2]),
        element(b"\x86", b"A_OPUS"),
        element(b"\x63\xa2", head),
        element(b"\xe1", &audio),
    ];
    let kind =
        [element(b"\x42\x82", b"webm"), element(b"\x42\x87", &[4]), element(b"\x42\x85", &[2])];
    let info = [
        element(b"\x2a\xd7\xb1", &1_000_000u32.to_be_bytes()),
        element(b"\x4d\x80", b"t"),
        element(b"\x57\x41", b"t"),
    ];
    let segment = [
        element(b"\x15\x49\xa9\x66", &info.concat()),
        element(b"\x16\x54\xae\x6b", &element(b"\xae", &track.concat())),
        element(b"\x1f\x43\xb6\x75", &cluster),
    ];
    let segment = element(b"\x18\x53\x80\x67", &segment.concat());
    [element(b"\x1a\x45\xdf\xa3", &kind.concat()), segment].concat()
}

#[test]
fn opus_in_webm_is_that_of_ogg() {
    let ogg = Audio::open(&fixture("sine1k_opus.ogg")).unwrap();
    let (whole, notes) = noted(&webm(0));
    assert!(notes.is_empty() && whole.samples.starts_with(&ogg.samples), "{notes:?}");
    let padding = (whole.samples.len() - ogg.samples.len()) as f64 / 48_000.0;
    let (same, notes) = noted(&webm((padding * 1e9) as u32));
    assert!(same == ogg && notes.is_empty(), "{} {notes:?}", same.samples.len());
    let bytes = webm(0);
    assert_eq!(lost(&bytes[..bytes.len() / 2]), None);
}

#[test]
fn six_channels_of_aac_are_mixed() {
    let config = rusty_aac::AacEncoderConfig { bitrate_bps: 256_000, ..Default::default() };
    let mut encoder = rusty_aac::AacEncoder::new(config);
    let tone = |i: usize| (TAU * 1_000.0 * i as f64 / 44_100.0).sin() as f32 * 0.3;
    let samples: Vec<f32> =
        (0..44_100).flat_map(|i| [tone(i), tone(i), 0.0, 0.0, 0.0, 0.0]).collect();
    encoder.push_pcm(&samples, 6, 44_100).unwrap();
    encoder.finish();
    let mut adts = vec![];
    while let Ok(packet) = encoder.next_packet() {
        let (object_type, sample_rate, channels, header_len) = (2, 44_100, 6, 7);
        let frame_length = 7 + packet.data.len();
        let header =
            rusty_aac::AdtsHeader { object_type, sample_rate, channels, frame_length, header_len };
        adts.extend(rusty_aac::write_adts_header(&header));
        adts.extend(packet.data);
    }
    let (audio, notes) = noted(&adts);
    assert!(audio.seconds() > 0.99 && notes.is_empty(), "{} {notes:?}", audio.seconds());
    let (tone, _) = tone_and_rest(&audio, 1_000.0);
    assert!((tone - 0.1).abs() < 0.01, "{tone}");
}
