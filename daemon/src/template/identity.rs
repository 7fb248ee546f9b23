//! What a program *is*: its build id, or a hash of its code, so that a rebuilt program is another one
//! and a copied one is the same.

use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_sys::marker;
use object::read::ReadCache;
use object::{Object as _, ObjectKind, ObjectSegment as _};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What a program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// As hex with its kind in front.
    pub(crate) text: String,
    /// It says that it takes room for the arguments of its workers.
    pub(crate) takes_room: bool,
}

/// What a file's metadata says; while that stays the same so does the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileVersion {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileVersion {
    /// Of an open file.
    pub(crate) fn of(file: &File) -> std::io::Result<Self> {
        Ok(Self::from(&file.metadata()?))
    }
}

impl From<&std::fs::Metadata> for FileVersion {
    fn from(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

const REMEMBERED: usize = 256;

/// Reads identities, and remembers them by file version.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    known: Mutex<HashMap<FileVersion, Identity>>,
}

impl Identities {
    /// Checks that an open file is a program that may be executed as a zygote, and tells what it is.
    pub(crate) fn of(&self, program: &File, path: &Path) -> Result<Identity, Problem> {
        let refused = |detail: String| {
            Problem::new(
                Reason::ProgramRefused,
                format!("{} can't be a zygote: {detail}", path.display()),
            )
            .with("program", path.display())
            .with("detail", detail)
        };
        let metadata = program
            .metadata()
            .map_err(|error| refused(error.to_string()))?;
        if !metadata.is_file() {
            return Err(refused("it is no regular file".to_owned()));
        }
        if metadata.mode() & 0o111 == 0 {
            return Err(refused("it is not executable".to_owned()));
        }
        if metadata.mode() & 0o6000 != 0 {
            return Err(refused("it is set-user-id or set-group-id".to_owned()));
        }
        let mut capability = [0u8; 64];
        if rustix::fs::fgetxattr(program, "security.capability", &mut capability[..]).is_ok() {
            return Err(refused("it has file capabilities".to_owned()));
        }
        let version = FileVersion::from(&metadata);
        if let Some(identity) = self.lock().get(&version) {
            return Ok(identity.clone());
        }
        let identity = read(program).map_err(refused)?;
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(version, identity.clone());
        drop(known);
        Ok(identity)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<FileVersion, Identity>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The format of this platform's programs.
const FORMAT: &str = if cfg!(target_vendor = "apple") {
    "Mach-O"
} else {
    "ELF"
};

fn read(program: &File) -> Result<Identity, String> {
    let not_program = |error: object::Error| format!("it is no {FORMAT} program: {error}");
    // A descriptor of its own: the client may share the file's offset.
    let cache = ReadCache::new(Positioned::new(program));
    let image = object::File::parse(&cache).map_err(not_program)?;
    let native = image.format() == object::BinaryFormat::native_object();
    if !native || !matches!(image.kind(), ObjectKind::Executable | ObjectKind::Dynamic) {
        return Err(format!("it is no {FORMAT} program"));
    }
    let notes = marker::read(program).map_err(|error| format!("it can't be read: {error}"))?;
    match &notes {
        Some(notes) if !notes.marked => return Err(marker::MISSING.to_owned()),
        // One of the other byte order, say, or whose end is missing.
        None if marker::EXPECTED => return Err(marker::NO_PROGRAM.to_owned()),
        _ => {}
    }
    let takes_room = notes.is_some_and(|notes| notes.takes_room);
    let identity = |text| Identity { text, takes_room };
    if let Some(build_id) = image.build_id().map_err(not_program)?
        && build_id.len() >= 8
    {
        return Ok(identity(format!("build-id:{}", hex(build_id))));
    }
    if let Some(uuid) = image.mach_uuid().map_err(not_program)? {
        return Ok(identity(format!("uuid:{}", hex(&uuid))));
    }
    let mut hash = Sha256::new();
    for segment in image.segments() {
        let (offset, length) = segment.file_range();
        hash.update(segment.address().to_le_bytes());
        hash.update(length.to_le_bytes());
        hash_range(program, offset, length, &mut hash)
            .map_err(|error| format!("it can't be read: {error}"))?;
    }
    Ok(identity(format!("code:{}", hex(&hash.finalize()))))
}

/// Adds a part of a file to a hash.
pub(super) fn hash_range(
    file: &File,
    mut offset: u64,
    length: u64,
    hash: &mut Sha256,
) -> std::io::Result<()> {
    let mut buffer = vec![0u8; 1 << 16];
    let end = offset.saturating_add(length);
    while offset < end {
        let wanted = usize::try_from(end - offset).map_or(buffer.len(), |n| n.min(buffer.len()));
        let got = file.read_at(&mut buffer[..wanted], offset)?;
        if got == 0 {
            break;
        }
        hash.update(&buffer[..got]);
        offset += got as u64;
    }
    Ok(())
}

/// Reads at positions, without touching the offset that the file's descriptor may share.
struct Positioned<'a> {
    file: &'a File,
    position: u64,
}

impl<'a> Positioned<'a> {
    fn new(file: &'a File) -> Self {
        Self { file, position: 0 }
    }
}

impl std::io::Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl std::io::Seek for Positioned<'_> {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        let base = match to {
            std::io::SeekFrom::Start(position) => {
                self.position = position;
                return Ok(position);
            }
            std::io::SeekFrom::End(by) => (self.file.metadata()?.len(), by),
            std::io::SeekFrom::Current(by) => (self.position, by),
        };
        self.position = base
            .0
            .checked_add_signed(base.1)
            .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> File {
        File::open("/proc/self/exe").unwrap()
    }

    #[test]
    fn a_program_is_the_same_wherever_it_lies() {
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("copy");
        std::fs::copy("/proc/self/exe", &copy).unwrap();
        let identities = Identities::default();
        let here = identities.of(&own(), Path::new("here")).unwrap();
        let there = identities.of(&File::open(&copy).unwrap(), &copy).unwrap();
        assert_eq!(here, there);
        assert_eq!(here.takes_room, cfg!(target_env = "gnu"));
    }

    #[test]
    fn what_is_no_ordinary_program_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8], mode: u32| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let elf = std::fs::read("/bin/sh").unwrap();
        let own = std::fs::read("/proc/self/exe").unwrap();
        for (path, expected) in [
            (file("script", b"#!/bin/sh\n", 0o755), "no ELF"),
            (file("cut", &elf[..100], 0o755), "no ELF"),
            (file("half", &own[..8192], 0o755), "no ELF"),
            (file("plain", &elf, 0o644), "not executable"),
            (file("setuid", &elf, 0o4755), "set-user-id"),
            (directory.path().to_owned(), "regular"),
            // It does not link mpfork.
            (file("other", &elf, 0o755), "freeze_support"),
        ] {
            let problem = Identities::default()
                .of(&File::open(&path).unwrap(), &path)
                .unwrap_err();
            assert_eq!(problem.reason, Reason::ProgramRefused);
            assert!(problem.message.contains(expected), "{problem}");
        }
    }
}
