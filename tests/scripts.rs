//! The download script against local files and a local server, and the shipped models.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn fetch(url: &str, expected: &[u8], file: &Path) -> Output {
    Command::new(Path::new(ROOT).join("scripts/fetch-vggish.sh"))
        .arg(file)
        .env("VGGISH_URL", url)
        .env("VGGISH_SHA256", sha256(expected))
        .env("VGGISH_SIZE", expected.len().to_string())
        // A proxy would be asked for the local server, too.
        .env("no_proxy", "*")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// A folder with `remote.onnx` as the thing to download, and where it is to go.
struct Place {
    dir: TempDir,
    url: String,
    file: PathBuf,
    part: PathBuf,
}

fn place(remote: &[u8]) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("remote.onnx");
    fs::write(&source, remote).unwrap();
    let file = dir.path().join("models/vggish.onnx");
    fs::create_dir(dir.path().join("models")).unwrap();
    let part = dir.path().join("models/vggish.onnx.part");
    Place { url: format!("file://{}", source.display()), dir, file, part }
}

fn no_curl() -> bool {
    let missing = Command::new("curl").arg("--version").output().is_err();
    if missing {
        eprintln!("skipped: there is no curl");
    }
    missing
}

#[test]
fn help_names_the_licence_and_unknown_options_are_refused() {
    let script = || Command::new(Path::new(ROOT).join("scripts/fetch-vggish.sh"));
    let help = script().arg("--help").output().unwrap();
    assert!(help.status.success() && said(&help).contains("CC BY-NC-SA 4.0"), "{}", said(&help));
    assert_eq!(script().arg("--fast").output().unwrap().status.code(), Some(2));
}

#[test]
fn a_good_download_arrives_once() {
    if no_curl() {
        return;
    }
    let p = place(b"the weights");
    let output = fetch(&p.url, b"the weights", &p.file);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("CC BY-NC-SA 4.0"));
    assert_eq!(fs::read(&p.file).unwrap(), b"the weights");
    assert!(!p.part.exists());

    // The source is gone: a second call must not need it.
    fs::remove_file(p.dir.path().join("remote.onnx")).unwrap();
    let output = fetch(&p.url, b"the weights", &p.file);
    assert!(output.status.success() && said(&output).contains("already"), "{}", said(&output));
}

#[test]
fn a_wrong_file_is_refused_and_nothing_stays() {
    if no_curl() {
        return;
    }
    for (remote, expected, fault) in [
        ("the weightz", "the weights", "SHA-256"),
        ("short", "the weights", "5 bytes, not 11"),
        ("far too long for it", "the weights", "19 bytes, not 11"),
    ] {
        let p = place(remote.as_bytes());
        let output = fetch(&p.url, expected.as_bytes(), &p.file);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(fault), "{}", said(&output));
        assert!(!p.file.exists() && !p.part.exists());
    }
    let p = place(b"");
    fs::remove_file(p.dir.path().join("remote.onnx")).unwrap();
    assert_eq!(fetch(&p.url, b"the weights", &p.file).status.code(), Some(1));
    assert!(!p.file.exists());
}

#[test]
fn a_file_of_the_users_is_not_overwritten() {
    let p = place(b"the weights");
    fs::write(&p.file, "mine").unwrap();
    let output = fetch(&p.url, b"the weights", &p.file);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("move it away"), "{}", said(&output));
    assert_eq!(fs::read(&p.file).unwrap(), b"mine");
}

#[test]
fn what_is_left_of_a_download_is_used() {
    if no_curl() {
        return;
    }
    // The part differs from the source, so only going on from it gives these bytes.
    let p = place(b"the weights");
    fs::write(&p.part, "THE ").unwrap();
    let output = fetch(&p.url, b"THE weights", &p.file);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read(&p.file).unwrap(), b"THE weights");

    // Whole already: nothing to fetch. Longer than it can be: thrown away.
    for (part, expected) in [("THE WEIGHTS", "THE WEIGHTS"), ("the weights, and", "the weights")] {
        let p = place(b"the weights");
        fs::write(&p.part, part).unwrap();
        let output = fetch(&p.url, expected.as_bytes(), &p.file);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(fs::read(&p.file).unwrap(), expected.as_bytes());
    }
}

/// Answers one request for `body`, from the byte that is asked for, and hangs up after
/// `sent` bytes.
fn answer(listener: &TcpListener, body: &[u8], sent: usize) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut from = 0;
    for line in BufReader::new(&stream).lines().map(Result::unwrap).take_while(|l| !l.is_empty()) {
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap();
        }
    }
    let (length, total) = (body.len() - from, body.len());
    let status = if from == 0 {
        "HTTP/1.1 200 OK".to_string()
    } else {
        let last = total - 1;
        format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{last}/{total}")
    };
    let head = format!("{status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body[from..][..sent.min(length)]).unwrap();
}

#[test]
fn a_connection_that_breaks_is_taken_up_again() {
    if no_curl() {
        return;
    }
    let p = place(b"");
    let body = b"the weights, all of them";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/vggish.onnx", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        answer(&listener, body, 7);
        answer(&listener, body, body.len());
    });
    let output = fetch(&url, body, &p.file);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("run this again"), "{}", said(&output));
    assert!(!p.file.exists());
    assert_eq!(fs::read(&p.part).unwrap(), b"the wei");

    let output = fetch(&url, body, &p.file);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read(&p.file).unwrap(), body);
    server.join().unwrap();
}

#[test]
fn examples_that_do_not_exist_are_refused_before_anything_is_built() {
    let examples = || Command::new(Path::new(ROOT).join("examples/test.sh"));
    let help = examples().arg("--help").output().unwrap();
    assert!(help.status.success() && said(&help).contains("rust-tract"), "{}", said(&help));
    let refused = examples().arg("cobol").output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("\"cobol\""), "{}", said(&refused));
}

#[test]
fn the_models_are_those_their_readme_describes() {
    let models = Path::new(ROOT).join("models");
    let readme = fs::read_to_string(models.join("README.md")).unwrap();
    for name in ["yamnet.onnx", "musicnn_msd_vgg.onnx"] {
        let line = format!("sha256 {}  {name}", sha256(&fs::read(models.join(name)).unwrap()));
        assert!(readme.contains(&line), "{line}");
    }
}
