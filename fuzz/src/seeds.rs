//! Inputs to begin with, besides the recordings in `tests/fixtures`: small, whole files of every
//! kind that a target reads.

use std::fs;
use std::path::Path;

use genre_transfer::features::FrontEnd;
use prost::Message;

use crate::{build, small_run};

/// Name and contents.
type Seed = (String, Vec<u8>);

/// Writes those of `target` into `folder`.
pub fn write(target: &str, folder: &Path) {
    let seeds = match target {
        "audio" | "audio-sealed" | "tags" => recordings(),
        "picture" => pictures(),
        "front-end" => front_ends(),
        "split" => named(&[("split.json", include_bytes!("../small-run/split.json"))]),
        "config" => configs(),
        "features" => tables(),
        "labels" => lists(),
        "playlist" => playlists(),
        "journal" => journals(),
        "run" => runs(),
        "onnx" => models(),
        "graph" | "export" => graphs(),
        _ => vec![],
    };
    fs::create_dir_all(folder).expect("a folder for seeds");
    for (name, bytes) in seeds {
        fs::write(folder.join(format!("seed-{name}")), bytes).expect("a seed to write");
    }
}

fn named(seeds: &[(&str, &[u8])]) -> Vec<Seed> {
    seeds.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect()
}

/// Bytes that look like nothing in particular, the same every time.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut step = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..count).map(|_| step()).collect()
}

fn le16(value: u16) -> [u8; 2] {
    value.to_le_bytes()
}

fn le32(value: usize) -> [u8; 4] {
    (value as u32).to_le_bytes()
}

fn be32(value: usize) -> [u8; 4] {
    (value as u32).to_be_bytes()
}

/// A WAV of this format tag and so many bits a sample, mono.
pub fn wav(tag: u16, bits: u16, rate: usize, data: &[u8]) -> Vec<u8> {
    let format = [
        &le16(tag)[..],
        &le16(1),
        &le32(rate),
        &le32(rate * usize::from(bits) / 8),
        &le16((bits / 8).max(1)),
        &le16(bits),
    ]
    .concat();
    wav_of(&format, data)
}

fn wav_of(format: &[u8], data: &[u8]) -> Vec<u8> {
    let chunks =
        [b"WAVEfmt ", &le32(format.len())[..], format, b"data", &le32(data.len()), data].concat();
    [b"RIFF", &le32(chunks.len())[..], &chunks].concat()
}

/// ADPCM in blocks of 256 bytes: Microsoft's (2) or IMA's (17).
fn adpcm(tag: u16) -> Vec<u8> {
    let per_block = if tag == 2 { 500u16 } else { 505 };
    let mut format =
        [&le16(tag)[..], &le16(1), &le32(8000), &le32(4096), &le16(256), &le16(4)].concat();
    if tag == 2 {
        format.extend([&le16(32)[..], &le16(per_block), &le16(7)].concat());
        for pair in
            [[256i16, 0], [512, -256], [0, 0], [192, 64], [240, 0], [460, -208], [392, -232]]
        {
            pair.iter().for_each(|value| format.extend(value.to_le_bytes()));
        }
    } else {
        format.extend([&le16(2)[..], &le16(per_block)].concat());
    }
    let mut data = noise(1024);
    data.chunks_mut(256).for_each(|block| block[..4].fill(0));
    wav_of(&format, &data)
}

/// Every kind of recording that `tests/fixtures` has not.
fn recordings() -> Vec<Seed> {
    let pcm = noise(400);
    let mut seeds = vec![
        ("u8.wav".to_owned(), wav(1, 8, 8000, &pcm)),
        ("s24.wav".to_owned(), wav(1, 24, 8000, &pcm)),
        ("f32.wav".to_owned(), wav(3, 32, 8000, &[0; 400])),
        ("alaw.wav".to_owned(), wav(6, 8, 8000, &pcm)),
        ("ms-adpcm.wav".to_owned(), adpcm(2)),
        ("ima-adpcm.wav".to_owned(), adpcm(17)),
    ];
    let au = [b".snd", &be32(24)[..], &be32(400), &be32(3), &be32(8000), &be32(1), &pcm].concat();
    seeds.push(("s16.au".to_owned(), au));
    for (name, kind, flags, packet, frames, bits) in [
        ("lpcm", b"lpcm", 2, 2, 1, 16),
        ("ulaw", b"ulaw", 0, 1, 1, 8),
        ("alac", b"alac", 0, 0, 4096, 16),
        ("ima4", b"ima4", 0, 34, 64, 0),
        ("aac", b"aac ", 0, 0, 1024, 0),
    ] {
        seeds.push((format!("{name}.caf"), caf(kind, [flags, packet, frames, 1, bits], &pcm)));
    }
    let w64 = |name: &[u8; 4], body: &[u8]| {
        let tail = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";
        [&name[..], tail, &(24 + body.len() as u64).to_le_bytes(), body].concat()
    };
    let format = [&le16(1)[..], &le16(1), &le32(8000), &le32(16_000), &le16(2), &le16(16)].concat();
    let w64 = [
        b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00".as_slice(),
        &1000u64.to_le_bytes(),
        b"wave\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a",
        &w64(b"fmt ", &format),
        &w64(b"data", &pcm),
    ]
    .concat();
    seeds.push(("s16.w64".to_owned(), w64));
    let layer_2: Vec<u8> = (0..4)
        .flat_map(|_| [&[0xff, 0xfd, 0x18, 0xc4][..], &noise(300)].concat().into_iter().take(104))
        .collect();
    seeds.push(("layer2.mp2".to_owned(), layer_2));
    let layer_1: Vec<u8> =
        (0..4).flat_map(|_| [&[0xff, 0xff, 0x14, 0xc4][..], &noise(28)].concat()).collect();
    seeds.push(("layer1.mp1".to_owned(), layer_1));
    for (codec, private) in [
        ("A_PCM/INT/LIT", vec![]),
        ("A_MPEG/L3", vec![]),
        ("A_AAC", vec![0x12, 0x08]),
        ("A_OPUS", [b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0".as_slice()].concat()),
        ("A_FLAC", flac_head()),
        ("A_VORBIS", vec![2, 30, 30]),
    ] {
        let name = codec.to_lowercase().replace('/', "-");
        seeds.push((format!("{name}.mka"), matroska(codec, &private, &pcm)));
    }
    for (kind, name) in [(b"alac", "alac"), (b"Opus", "opus"), (b"fLaC", "flac"), (b".mp3", "mp3")]
    {
        seeds.push((format!("{name}.mp4"), mp4(kind, &pcm)));
    }
    seeds.push(("constant.flac".to_owned(), flac()));
    seeds
}

/// A Core Audio file: flags, bytes and frames of a packet, channels, bits.
fn caf(kind: &[u8; 4], numbers: [usize; 5], data: &[u8]) -> Vec<u8> {
    let description = [
        &8000f64.to_be_bytes()[..],
        kind,
        &numbers.iter().flat_map(|number| be32(*number)).collect::<Vec<u8>>(),
    ]
    .concat();
    let chunk = |name: &[u8; 4], body: &[u8]| {
        [&name[..], &(body.len() as u64).to_be_bytes(), body].concat()
    };
    // Sizes of the packets: a count, frames, priming, remainder, a number of seven bits each.
    let table = [&4u64.to_be_bytes()[..], &256u64.to_be_bytes(), &[0; 8], &[100, 100, 100, 96]];
    let cookie =
        [&4096u32.to_be_bytes()[..], &[0, 16, 40, 10, 14, 1, 0, 255], &[0; 8], &be32(8000)];
    [
        b"caff\0\x01\0\0".to_vec(),
        chunk(b"desc", &description),
        chunk(b"kuki", &cookie.concat()),
        chunk(b"pakt", &table.concat()),
        chunk(b"data", &[&[0; 4], data].concat()),
    ]
    .concat()
}

/// A number of EBML of eight bytes, which any size is allowed to have.
fn ebml(id: &[u8], body: &[u8]) -> Vec<u8> {
    [id, &[0x40 | (body.len() >> 8) as u8, body.len() as u8], body].concat()
}

fn matroska(codec: &str, private: &[u8], data: &[u8]) -> Vec<u8> {
    let head = ebml(b"\x1a\x45\xdf\xa3", &ebml(b"\x42\x82", b"matroska"));
    let audio =
        [ebml(b"\xb5", &8000f64.to_be_bytes()), ebml(b"\x9f", &[1]), ebml(b"\x62\x64", &[16])];
    let track = [
        ebml(b"\xd7", &[1]),
        ebml(b"\x73\xc5", &[1]),
        ebml(b"\x83", &[2]),
        ebml(b"\x86", codec.as_bytes()),
        ebml(b"\x63\xa2", private),
        ebml(b"\xe1", &audio.concat()),
    ];
    let blocks = data
        .chunks(100)
        .enumerate()
        .map(|(at, packet)| ebml(b"\xa3", &[&[0x81, 0, at as u8 * 10, 0x80], packet].concat()));
    let cluster = [ebml(b"\xe7", &[0]), blocks.collect::<Vec<_>>().concat()];
    let segment = [
        ebml(b"\x15\x49\xa9\x66", &ebml(b"\x2a\xd7\xb1", &[0x0f, 0x42, 0x40])),
        ebml(b"\x16\x54\xae\x6b", &ebml(b"\xae", &track.concat())),
        ebml(b"\x1f\x43\xb6\x75", &cluster.concat()),
    ];
    [head, ebml(b"\x18\x53\x80\x67", &segment.concat())].concat()
}

/// STREAMINFO behind its mark: mono, 16 bits, 8 kHz, of unknown length.
fn flac_head() -> Vec<u8> {
    let rate_and_more = (8000u64 << 44) | (15 << 36);
    [
        b"fLaC\x80\0\0\x22".as_slice(),
        &[0x10, 0, 0x10, 0],
        &[0; 6],
        &rate_and_more.to_be_bytes(),
        &[0; 16],
    ]
    .concat()
}

/// Frames of one value each, of which 14 bytes stand for 4096 samples.
fn flac() -> Vec<u8> {
    let mut file = flac_head();
    for number in 0..3 {
        // The checksums are put right by `audio-sealed`.
        file.extend([0xff, 0xf8, 0xc4, 0x08, number, 0, 0, 0x12, 0x34, 0, 0]);
    }
    file
}

/// An MP4 with one track of this kind.
fn mp4(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let atom = |name: &[u8; 4], body: &[u8]| [&be32(8 + body.len())[..], name, body].concat();
    let full = |name: &[u8; 4], body: &[u8]| atom(name, &[&[0; 4], body].concat());
    let setup = match kind {
        b"alac" => full(
            b"alac",
            &[&be32(4096)[..], &[0, 16, 40, 10, 14, 1, 0, 255], &[0; 8], &be32(8000)].concat(),
        ),
        b"Opus" => atom(b"dOps", &[0, 1, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0]),
        b"fLaC" => full(b"dfLa", &flac_head()[4..]),
        _ => vec![],
    };
    let entry = [&[0; 6][..], &[0, 1], &[0; 8], &[0, 1, 0, 16], &[0; 4], &be32(8000 << 16), &setup];
    let sizes = [be32(0), be32(4), be32(100), be32(100), be32(100), be32(100)];
    let table = |offset: usize| {
        let parts = [
            full(b"stsd", &[&be32(1)[..], &atom(kind, &entry.concat())].concat()),
            full(b"stts", &[be32(1), be32(4), be32(1024)].concat()),
            full(b"stsc", &[be32(1), be32(1), be32(4), be32(1)].concat()),
            full(b"stsz", &sizes.concat()),
            full(b"stco", &[be32(1), be32(offset)].concat()),
        ];
        let media = [
            full(b"mdhd", &[be32(0), be32(0), be32(8000), be32(4096), [0x55, 0xc4, 0, 0]].concat()),
            full(b"hdlr", &[&[0; 4][..], b"soun", &[0; 13]].concat()),
            atom(b"minf", &[full(b"smhd", &[0; 4]), atom(b"stbl", &parts.concat())].concat()),
        ];
        let track = [
            full(
                b"tkhd",
                &[&be32(0)[..], &be32(0), &be32(1), &[0; 4], &be32(4096), &[0; 60]].concat(),
            ),
            atom(b"mdia", &media.concat()),
        ];
        let movie = [
            full(b"mvhd", &[&be32(0)[..], &be32(0), &be32(8000), &be32(4096), &[0; 80]].concat()),
            atom(b"trak", &track.concat()),
        ];
        [atom(b"ftyp", b"M4A \0\0\0\0M4A "), atom(b"moov", &movie.concat())].concat()
    };
    let head = table(0).len();
    [table(head + 8), atom(b"mdat", data)].concat()
}

/// PNG of every kind of colour, interlaced too.
fn pictures() -> Vec<Seed> {
    use png::{BitDepth::*, ColorType::*};
    let kinds = [
        ("grey", Grayscale, Eight),
        ("grey16", Grayscale, Sixteen),
        ("grey1", Grayscale, One),
        ("grey-alpha", GrayscaleAlpha, Eight),
        ("rgb", Rgb, Eight),
        ("rgba", Rgba, Eight),
        ("palette", Indexed, Four),
    ];
    let mut seeds = vec![];
    for (choice, (name, colour, depth)) in kinds.into_iter().enumerate() {
        let mut file = vec![];
        let mut encoder = png::Encoder::new(&mut file, 24, 16);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if colour == Indexed {
            encoder.set_palette(noise(48));
        }
        let row = (24 * colour.samples() * depth as usize).div_ceil(8);
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(&noise(16 * row)).expect("a picture");
        writer.finish().expect("its end");
        file.push(choice as u8);
        seeds.push((format!("{name}.png"), file));
    }
    seeds
}

fn front_ends() -> Vec<Seed> {
    let mut seeds = named(&[
        ("image.json", br#"{"kind":"image","name":"a","channels":3,"height":8,"width":6,"white":1.0,"mean":[0.485,0.456,0.406],"deviation":[0.229,0.224,0.225],"patch_hop":3}"#),
        ("samples.json", br#"{"kind":"samples","name":"b","sample_rate":16000,"patch_samples":400,"patch_hop_samples":200}"#),
        ("picture.json", br#"{"kind":"picture","colormap":"magma","frames":48,"rows":32,"mels":32,"patch_frames":32,"patch_hop":16}"#),
        ("small.json", include_bytes!("../small-run/preprocessor.json")),
    ]);
    for name in FrontEnd::PRESETS {
        let preset = FrontEnd::preset(name).expect("a preset");
        seeds.push((format!("{name}.json"), serde_json::to_vec(&preset).expect("JSON")));
    }
    seeds
}

fn configs() -> Vec<Seed> {
    let mut seeds = named(&[
        ("finetune.json", include_bytes!("../small-run/config.json")),
        ("cnn.toml", b"filters = [16, 32]\nconvolutions = 2\nkernel = 3\nresidual = true\nblock_pooling = \"max\"\nglobal_pooling = \"average-max\"\nkeep_bands = false\ndropout = 0.25\nhead = 64\nstem_stride = 2\n"),
        ("baseline.json", br#"{"command":"baseline","features":"30","model":"knn","seed":0}"#),
    ]);
    let config = genre_transfer::run::CnnConfig::default();
    seeds.push(("simple.toml".to_owned(), toml::to_string(&config).expect("TOML").into_bytes()));
    seeds
}

fn tables() -> Vec<Seed> {
    let names = genre_transfer::features::descriptors::names();
    let table = |comma: &str, point: &str| {
        let head = format!("filename{comma}length{comma}{}{comma}label\r\n", names.join(comma));
        let row = |name: &str, label: &str| {
            let values: Vec<String> = (0..names.len()).map(|at| format!("{at}{point}5")).collect();
            format!("{name}{comma}661794{comma}{}{comma}{label}\r\n", values.join(comma))
        };
        head + &row("blues.00000.0.wav", "blues") + &row("jazz.00001.1.wav", "jazz")
    };
    let utf16: Vec<u8> =
        format!("\u{feff}{}", table(",", ".")).encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        ("commas.csv".to_owned(), table(",", ".").into_bytes()),
        ("semicolons.csv".to_owned(), table(";", ",").into_bytes()),
        ("tabs.csv".to_owned(), table("\t", ".").into_bytes()),
        ("utf16.csv".to_owned(), utf16),
    ]
}

fn lists() -> Vec<Seed> {
    named(&[
        ("plain", b"\0path,genre,split,artist\na.wav,jazz,train,A\nb/c.mp3,rock,test,B\nd.ogg,jazz,train,\"C, D\"\n"),
        ("tags", b"\x01TRACK_ID\tPATH\tTAGS\n1\ta.wav\tgenre---rock\tmood---sad\n2\tb/c.mp3\tgenre---pop\n"),
        ("numbers", b"\0file;rock;jazz\na.wav;1;0\nd.ogg;1;1\n"),
        ("several", b"\0file_name,label\na.wav,rock|pop\nd.ogg,\"['a', 'b']\"\n"),
        ("lines", b"\x02{\"path\": \"a.wav\", \"genre\": \"jazz\", \"split\": \"train\"}\n{\"path\": \"d.ogg\", \"genre\": [\"a\", \"b\"]}\n"),
    ])
}

fn playlists() -> Vec<Seed> {
    named(&[
        ("m3u", b"\0#EXTM3U\r\n#EXTINF:1,A\r\na b.mp3\r\nhttp://example.com/x.mp3\r\nfile:///b%20c.mp3\r\n"),
        ("pls", b"\x02[playlist]\nFile1=a.mp3\nTitle1=A\nNumberOfEntries=1\n"),
        ("xspf", b"\x03<playlist><trackList><track><location>a%20b.mp3</location></track><track><location><![CDATA[c&amp;d]]></location></track></trackList></playlist>"),
    ])
}

fn journals() -> Vec<Seed> {
    // What `src/classify/catalogue` writes of a model with these three labels.
    let head = br#"{"model_sha256":"0123456789abcdef","columns":["path","genre","seconds","padded","silent","notes","error","set","outsider","min_confidence","probability_blues","probability_jazz","probability_rock","bytes","modified_ns","model_sha256"]}"#;
    let row = br#"{"path":"a.wav","genre":"jazz","seconds":3.5,"padded":false,"silent":false,"notes":"","error":null,"set":"jazz|rock","outsider":0.5,"min_confidence":0.25,"probability_blues":0.25,"probability_jazz":0.5,"probability_rock":0.25,"bytes":1,"modified_ns":2,"model_sha256":"0123456789abcdef"}"#;
    let csv = b"path,genre,seconds,padded,silent,notes,error,set,outsider,min_confidence,probability_blues,probability_jazz,probability_rock,bytes,modified_ns,model_sha256\na.wav,jazz,3.5,false,false,,,jazz,0.5,0.25,0.25,0.5,0.25,1,2,0123456789abcdef\n";
    vec![
        ("journal".to_owned(), [&b"\x06"[..], head, b"\n", row, b"\n"].concat()),
        ("cut".to_owned(), [&b"\x06"[..], head, b"\n", row, b"\n", &row[..40]].concat()),
        ("csv".to_owned(), [&b"\x01"[..], csv].concat()),
        ("json-lines".to_owned(), [&b"\x02"[..], row, b"\n"].concat()),
    ]
}

fn runs() -> Vec<Seed> {
    let history: (&str, &[u8]) = ("history.json", include_bytes!("../small-run/history.json"));
    let files = small_run::TEXTS.into_iter().chain([history]);
    let folded = files.map(|(name, bytes)| [format!("=== {name}\n").as_bytes(), bytes].concat());
    vec![("small".to_owned(), folded.collect::<Vec<_>>().concat())]
}

fn graphs() -> Vec<Seed> {
    (1..24).map(|number| (format!("{number}"), noise(8 * number).split_off(number))).collect()
}

fn models() -> Vec<Seed> {
    let encoded = |(name, bytes): Seed| (name, build::model(&bytes, true).encode_to_vec());
    graphs().into_iter().map(encoded).collect()
}
