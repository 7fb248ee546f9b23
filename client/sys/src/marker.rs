//! The note by which a program's file says that it knows the protocol of zygotes: nobody executes as one
//! what does not have it. Such a program would do whatever it does, in a place where nobody expects it.
//!
//! Only ELF files have notes; elsewhere the time limit of the first answer must do.

use crate::notes::note;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// What is wrong with a program that lacks it, and what to do, for people.
pub const MISSING: &str = "it does not know the protocol of zygotes: link the crate mpfork, call \
     mpfork::freeze_support() first thing in main, and build it again";

/// What is wrong with a file that is no program at all, for people.
pub const NO_PROGRAM: &str = "it is no ELF program";

/// Whether this platform's programs have notes: what has none is no program of ours then.
pub const EXPECTED: bool = cfg!(all(unix, not(target_vendor = "apple")));

const NAME: [u8; 8] = *b"mpfork\0\0";
const KIND: u32 = 1;
const VERSION: u32 = 1;
/// The initialisers take the room for arguments.
const TAKES_ROOM: u32 = 1;

/// An ELF note: lengths of name and contents, kind, name, contents.
#[cfg(not(target_vendor = "apple"))]
#[repr(C, align(4))]
struct Note {
    name_length: u32,
    length: u32,
    kind: u32,
    name: [u8; 8],
    version: u32,
    flags: u32,
}

/// The platforms whose programs are ELF files.
#[cfg(all(unix, not(target_vendor = "apple")))]
#[used]
#[unsafe(link_section = ".note.mpfork")]
static NOTE: Note = Note {
    name_length: 7,
    length: 8,
    kind: KIND,
    name: NAME,
    version: VERSION,
    flags: if cfg!(all(target_os = "linux", target_env = "gnu")) {
        TAKES_ROOM
    } else {
        0
    },
};

/// Keeps the note in programs from which the linker drops what nothing refers to: called by everything
/// that makes a program one that knows the protocol.
pub fn keep() {
    #[cfg(all(unix, not(target_vendor = "apple")))]
    std::hint::black_box(&raw const NOTE);
}

/// What a program's file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notes {
    /// It knows the protocol.
    pub marked: bool,
    /// It takes room for the arguments of workers: see [`arguments`](crate::arguments).
    pub takes_room: bool,
    /// The ELF build id; empty where it has none.
    pub build_id: Vec<u8>,
}

/// More program headers, or longer notes, no program has.
const MOST_HEADERS: u16 = 512;
const MOST_BYTES: u64 = 1 << 20;

/// Reads the notes of a program's file, without touching the offset that others may share. `None` when
/// it is no ELF program of this machine's byte order, or its end is missing.
///
/// # Errors
/// When it can't be read.
pub fn read(program: &File) -> io::Result<Option<Notes>> {
    let mut head = [0; 64];
    let length = read_some(program, &mut head, 0)?;
    let head = Fields(&head[..length]);
    let order = if cfg!(target_endian = "little") { 1 } else { 2 };
    if head.bytes(0, 4) != Some(b"\x7fELF") || head.bytes(5, 1) != Some(&[order]) {
        return Ok(None);
    }
    let wide = match head.bytes(4, 1) {
        Some([1]) => false,
        Some([2]) => true,
        _ => return Ok(None),
    };
    let (offset, size, count) = if wide {
        (head.long(32), head.short(54), head.short(56))
    } else {
        (head.word(28).map(u64::from), head.short(42), head.short(44))
    };
    let (Some(offset), Some(size), Some(count)) = (offset, size, count) else {
        return Ok(None);
    };
    // An executable, be it one that may lie anywhere.
    if !matches!(head.short(16), Some(2 | 3)) || count == 0 {
        return Ok(None);
    }
    let end = program.metadata()?.len();
    let mut notes = Notes::default();
    for index in 0..count.min(MOST_HEADERS) {
        let mut header = [0; 56];
        let at = offset.saturating_add(u64::from(index) * u64::from(size));
        let length = read_some(program, &mut header, at)?;
        let Some((kind, at, length)) = part(Fields(&header[..length]), wide) else {
            return Ok(None);
        };
        match kind {
            PT_LOAD if at.checked_add(length).is_none_or(|to| to > end) => return Ok(None),
            PT_NOTE if length <= MOST_BYTES => notes.add(program, at, length)?,
            _ => {}
        }
    }
    Ok(Some(notes))
}

/// Kinds of program headers: what is mapped, and notes.
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;

/// A program header's kind, and what part of the file it speaks of: place and length.
fn part(header: Fields<'_>, wide: bool) -> Option<(u32, u64, u64)> {
    let (at, length) = if wide {
        (header.long(8)?, header.long(32)?)
    } else {
        (header.word(4)?.into(), header.word(16)?.into())
    };
    Some((header.word(0)?, at, length))
}

impl Notes {
    fn add(&mut self, program: &File, at: u64, length: u64) -> io::Result<()> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        let length = read_some(program, &mut bytes, at)?;
        let bytes = &bytes[..length];
        if let Some(contents) = note(bytes, &NAME[..7], KIND) {
            let contents = Fields(contents);
            self.marked |= contents.word(0).is_some_and(|version| version >= VERSION);
            self.takes_room |= contents
                .word(4)
                .is_some_and(|flags| flags & TAKES_ROOM != 0);
        }
        if let Some(id) = note(bytes, b"GNU\0", 3)
            && self.build_id.is_empty()
        {
            self.build_id = id.to_vec();
        }
        Ok(())
    }
}

/// As many bytes as there are.
fn read_some(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        let place = at.saturating_add(done as u64);
        if i64::try_from(place).is_err() {
            break;
        }
        match file.read_at(&mut bytes[done..], place) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Numbers of this machine's byte order at places in bytes.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(self, at: usize, length: usize) -> Option<&'a [u8]> {
        self.0.get(at..at.checked_add(length)?)
    }

    fn short(self, at: usize) -> Option<u16> {
        Some(u16::from_ne_bytes(self.bytes(at, 2)?.try_into().ok()?))
    }

    fn word(self, at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(self.bytes(at, 4)?.try_into().ok()?))
    }

    fn long(self, at: usize) -> Option<u64> {
        Some(u64::from_ne_bytes(self.bytes(at, 8)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_program_that_links_this_crate_says_so_and_another_does_not() {
        keep();
        let own = read(&File::open("/proc/self/exe").unwrap())
            .unwrap()
            .unwrap();
        assert!(own.marked);
        assert_eq!(own.takes_room, cfg!(target_env = "gnu"));
        let id = crate::image::build_id().unwrap_or_default();
        assert_eq!(own.build_id, id);
        let shell = read(&File::open("/bin/sh").unwrap()).unwrap().unwrap();
        assert!(!shell.marked && !shell.takes_room);
    }

    #[test]
    fn what_is_no_program_is_told_from_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let own = std::fs::read("/proc/self/exe").unwrap();
        for (content, expected) in [
            (&b""[..], None),
            (b"#!/bin/sh", None),
            (b"\x7fELF", None),
            (b"\x7fELF\x09\x01\x01", None),
            // Its notes are there, its end is not.
            (&own[..8192], None),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read(&File::open(&path).unwrap()).unwrap(), expected);
        }
        // Whatever its numbers say, it is read to the end, and nothing is found.
        for from in 16..64 {
            let mut bytes = own[..4096].to_vec();
            bytes[from..64].fill(0xff);
            std::fs::write(&path, bytes).unwrap();
            let notes = read(&File::open(&path).unwrap()).unwrap();
            assert_eq!(notes, None, "{from}");
        }
    }
}
