//! Where networks that come with the program lie.

use std::env;
use std::path::{Path, PathBuf};

/// The file of a pretrained network: in `models/` of the working folder, beside the program or in
/// `models/` there, or in the source tree that it was built from; where it ought to be if it is in
/// none of them.
pub(crate) fn pretrained(file: &str) -> PathBuf {
    let program = env::current_exe().ok();
    let beside = program.as_deref().and_then(Path::parent);
    let folders = [
        Some(PathBuf::from("models")),
        beside.map(Path::to_owned),
        beside.map(|folder| folder.join("models")),
        Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("models")),
    ];
    let mut files = folders.into_iter().flatten().map(|folder| folder.join(file));
    files.find(|file| file.is_file()).unwrap_or_else(|| Path::new("models").join(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_source_tree_are_found_and_others_named_where_they_belong() {
        assert!(pretrained("yamnet.onnx").is_file());
        assert_eq!(pretrained("none.onnx"), Path::new("models/none.onnx"));
    }
}
