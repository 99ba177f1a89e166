//! Pictures: PNG and JPEG.

use genre_transfer::features::Preprocessor;

use crate::scratch;

/// How a network of our own reads them, in two colour maps, and how a vision network does.
const READERS: [&str; 3] = [
    r#"{"kind": "picture", "colormap": "magma", "frames": 48, "rows": 32, "mels": 32,
        "patch_frames": 32, "patch_hop": 16}"#,
    r#"{"kind": "picture", "colormap": "gray_r", "frames": 48, "rows": 32, "mels": 16,
        "patch_frames": 32, "patch_hop": 16}"#,
    r#"{"kind": "image", "name": "fuzz", "channels": 3, "height": 32, "width": 32, "white": 255,
        "mean": [0, 0, 0], "deviation": [1, 1, 1], "patch_hop": 32}"#,
];

/// A picture in the eyes of one of them, which the last byte chooses.
pub fn read(data: &[u8]) {
    let choice = usize::from(*data.last().unwrap_or(&0)) % READERS.len();
    let reader = Preprocessor::parse(READERS[choice]).and_then(|found| Ok(found.reader()));
    let reader = reader.expect("a front end").expect("a reader");
    let path = scratch::file("picture", data);
    if let Ok((patches, seen)) = reader.picture(&path) {
        assert!(patches.values.iter().all(|value| !value.is_nan()), "a level that is none");
        let _ = seen.to_string();
    }
}
