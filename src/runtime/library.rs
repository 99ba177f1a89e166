//! A shared library before the system maps it: one that is cut off would end the program with a
//! SIGBUS and not a word, at whatever page is missing.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use object::elf::{EM_386, EM_AARCH64, EM_ARM, EM_RISCV, EM_X86_64, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, FileKind};

/// Bytes read: the headers stand at the beginning.
const HEAD: u64 = 1 << 16;

/// A file that is no library for this machine, or not all of one.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoLibrary {
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it is no shared library")]
    Other,
    #[error("it is a library for {0}, not for this machine ({arch})", arch = std::env::consts::ARCH)]
    Foreign(&'static str),
    #[error("it is cut off: it has {has} of at least {needs} bytes; copy it again")]
    CutOff { has: u64, needs: u64 },
}

/// Checks that the file at `path` is a library for this machine and as long as it says.
pub(super) fn check(path: &Path) -> Result<(), NoLibrary> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(NoLibrary::Other);
    }
    let mut head = vec![];
    file.take(HEAD).read_to_end(&mut head)?;
    let kind = FileKind::parse(&*head).map_err(|_| NoLibrary::Other)?;
    match kind {
        FileKind::Elf64 if cfg!(target_os = "macos") || cfg!(windows) => {
            Err(NoLibrary::Foreign("Linux"))
        }
        FileKind::Elf64 => elf(&head, metadata.len()),
        FileKind::Elf32 => Err(NoLibrary::Foreign("32 bits")),
        FileKind::MachO64 | FileKind::MachOFat32 | FileKind::MachOFat64 => {
            if cfg!(target_os = "macos") { Ok(()) } else { Err(NoLibrary::Foreign("macOS")) }
        }
        FileKind::Pe64 => {
            if cfg!(windows) {
                Ok(())
            } else {
                Err(NoLibrary::Foreign("Windows"))
            }
        }
        _ => Err(NoLibrary::Other),
    }
}

/// The machine of an ELF file, and whether all is there that its headers speak of.
fn elf(head: &[u8], has: u64) -> Result<(), NoLibrary> {
    let cut_off = |needs| NoLibrary::CutOff { has, needs };
    let whole = size_of::<FileHeader64<Endianness>>() as u64;
    let header = FileHeader64::<Endianness>::parse(head).map_err(|_| cut_off(whole))?;
    let endian = header.endian().map_err(|_| NoLibrary::Other)?;
    let machine = header.e_machine(endian);
    let wanted = match std::env::consts::ARCH {
        "x86_64" => Some(EM_X86_64),
        "aarch64" => Some(EM_AARCH64),
        "riscv64" => Some(EM_RISCV),
        _ => None,
    };
    if wanted.is_some_and(|wanted| wanted != machine) {
        return Err(NoLibrary::Foreign(match machine {
            EM_X86_64 => "x86_64",
            EM_AARCH64 => "aarch64",
            EM_RISCV => "riscv64",
            EM_ARM | EM_386 => "32 bits",
            _ => "another machine",
        }));
    }
    let end =
        |at: u64, count: u16, size: u16| at.saturating_add(u64::from(count) * u64::from(size));
    let segments = end(header.e_phoff(endian), header.e_phnum(endian), header.e_phentsize(endian));
    let sections = end(header.e_shoff(endian), header.e_shnum(endian), header.e_shentsize(endian));
    let mut needs = segments.max(sections);
    // Where those lie beyond what was read, the file is no library that a linker has written.
    if let Ok(headers) = header.program_headers(endian, head) {
        let ends = headers
            .iter()
            .map(|segment| segment.p_offset(endian).saturating_add(segment.p_filesz(endian)));
        needs = ends.fold(needs, u64::max);
    } else if segments <= has {
        return Err(NoLibrary::Other);
    }
    if needs > has { Err(cut_off(needs)) } else { Ok(()) }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A small library that is on every Linux with glibc or musl: what this test runs with.
    fn libc() -> Vec<u8> {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mapped = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
        let path =
            mapped.into_iter().find(|path| path.contains("libc.so") || path.contains("libc-"));
        // Linked statically, this program itself will do.
        fs::read(path.unwrap_or("/proc/self/exe")).unwrap()
    }

    #[test]
    fn only_whole_libraries_for_this_machine_pass() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lib.so");
        let said = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            check(&path).err().map(|error| error.to_string()).unwrap_or_default()
        };
        let whole = libc();
        assert_eq!(said(&whole), "");
        let lengths = [64, 100, 1_000, 4_096, whole.len() / 2, whole.len() - 1];
        for length in lengths {
            let text = said(&whole[..length]);
            assert!(text.contains("is cut off") && text.contains(&length.to_string()), "{text}");
        }
        let mut foreign = whole.clone();
        let machine = if cfg!(target_arch = "x86_64") { EM_AARCH64 } else { EM_X86_64 };
        foreign[18..20].copy_from_slice(&machine.0.to_le_bytes());
        assert!(said(&foreign).contains("not for this machine"), "{}", said(&foreign));
        for other in [&b""[..], b"la", b"#!/bin/sh\necho not a library\n", &whole[..40]] {
            let text = said(other);
            assert!(text.contains("no shared library") || text.contains("cut off"), "{text}");
        }
        assert!(said(b"MZ\x90\0 and so on").contains("is no shared library"));
        assert!(said(&[&0xfeed_facfu32.to_le_bytes()[..], &[0; 60]].concat()).contains("macOS"));
        let folder = check(folder.path()).unwrap_err().to_string();
        assert!(folder.contains("no shared library"), "{folder}");
        assert!(check(&path.join("none")).unwrap_err().to_string().contains("cannot be read"));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        /// Whatever the headers say, there is an answer and no panic.
        #[test]
        fn damaged_headers_are_answered(at in 0usize..64, byte: u8, keep in 64usize..2_000) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("lib.so");
            let mut bytes = libc()[..keep].to_vec();
            bytes[at] = byte;
            fs::write(&path, bytes).unwrap();
            proptest::prop_assert!(check(&path).is_err());
        }
    }
}
