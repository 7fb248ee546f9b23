//! Making a template known.

use super::Client;
use super::request::bytes;
use crate::error::Error;
use crate::settings::OnPreloadError;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::templates_client::TemplatesClient;
use mpfork_proto::{MAX_MESSAGE_BYTES, v1};
use mpfork_sys::limits::Rlimit;
use mpfork_sys::marker::{self, Notes};
use mpfork_transport::uncancelled;
use prost::Message as _;
use rustix::fs::{FileType, Mode, OFlags};
use sha2::{Digest as _, Sha256};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// An open program. What is executed is what was opened, whatever has its path by then.
#[derive(Debug, Clone)]
pub struct Program {
    file: Arc<OwnedFd>,
    path: PathBuf,
}

impl Program {
    /// Opens the program at a path.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn at(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = std::path::absolute(path.as_ref())
            .map_err(|error| Error::system("finding the program's absolute path", error))?;
        Self::open(&path, path.clone())
    }

    /// Opens the program that is running: its very file, even when another one has its path by now.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn own() -> Result<Self, Error> {
        let (own, path) = mpfork_sys::own_process::executable()
            .map_err(|error| Error::system("reading the program's own path", error))?;
        Self::open(&own, as_it_was(path))
    }

    fn open(from: &Path, path: PathBuf) -> Result<Self, Error> {
        // A named pipe must not hold this up: the daemon refuses what is no file.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match rustix::fs::open(from, flags, Mode::empty()) {
            Ok(file) => Ok(Self {
                file: Arc::new(file),
                path,
            }),
            Err(error) => {
                let doing = format!("opening the program {}", path.display());
                Err(Error::system(doing, error))
            }
        }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Of the whole file, read without moving the offset that others may share.
    fn sha256(&self) -> std::io::Result<Vec<u8>> {
        let file = File::from(self.file.try_clone()?);
        let (mut hash, mut bytes, mut at) = (Sha256::new(), vec![0; 1 << 16], 0);
        loop {
            let count = file.read_at(&mut bytes, at)?;
            if count == 0 {
                return Ok(hash.finalize().to_vec());
            }
            hash.update(&bytes[..count]);
            at += count as u64;
        }
    }

    pub(crate) fn is_file(&self) -> std::io::Result<bool> {
        let mode = rustix::fs::fstat(&self.file)?.st_mode;
        Ok(FileType::from_raw_mode(mode).is_file())
    }

    /// What its file says of itself; `None` where files do not.
    fn notes(&self) -> Result<Option<Notes>, Error> {
        let copy = self.file.try_clone();
        let read = copy.and_then(|copy| marker::read(&File::from(copy)));
        read.map_err(|error| self.refused(error.to_string()))
    }

    /// Whether it is a program that knows the protocol, as far as its file tells.
    pub(crate) fn expect_marked(&self) -> Result<(), Error> {
        match self.notes()? {
            Some(notes) if !notes.marked => Err(self.refused(marker::MISSING)),
            None if marker::EXPECTED => Err(self.refused(marker::NO_PROGRAM)),
            _ => Ok(()),
        }
    }

    /// As [`Self::expect_marked`], of the program that is running: what it was executed from stays what it
    /// is. Its code knows the protocol, its file may be a loader's.
    pub(crate) fn expect_own_marked(&self) -> Result<(), Error> {
        static MARKED: OnceLock<bool> = OnceLock::new();
        let marked = match MARKED.get() {
            Some(marked) => *marked,
            None => {
                let notes = self.notes()?;
                let marked = notes.map_or(!marker::EXPECTED, |notes| notes.marked);
                *MARKED.get_or_init(|| marked)
            }
        };
        match marked {
            true => Ok(()),
            false => Err(self.refused(
                "it has only loaded the program that is running, as /lib64/ld-linux-x86-64.so.2 does: \
                 execute that program itself",
            )),
        }
    }

    /// Whether executing it gives no more rights than its caller has: mpforkd refuses others too.
    pub(crate) fn expect_unprivileged(&self) -> Result<(), Error> {
        let status = rustix::fs::fstat(&self.file);
        let status = status.map_err(|error| self.refused(error.to_string()))?;
        #[allow(clippy::useless_conversion)] // not on every platform
        if u32::from(status.st_mode) & 0o6000 != 0 {
            return Err(self.refused("it is set-user-id or set-group-id"));
        }
        if mpfork_sys::own_process::has_capabilities(self.file.as_fd()) {
            return Err(self.refused("it has file capabilities"));
        }
        Ok(())
    }

    /// Whether it takes room for the arguments of workers.
    pub(crate) fn takes_room(&self) -> Result<bool, Error> {
        Ok(self.notes()?.is_some_and(|notes| notes.takes_room))
    }

    /// Whether it has the same code as another one.
    pub(crate) fn is_same(&self, other: &Self) -> Result<bool, Error> {
        let id = |program: &Self| -> Result<Option<Vec<u8>>, Error> {
            let notes = program.notes()?;
            Ok(notes
                .map(|notes| notes.build_id)
                .filter(|id| !id.is_empty()))
        };
        if let (Some(own), Some(others)) = (id(self)?, id(other)?) {
            return Ok(own == others);
        }
        let hash = |program: &Self| {
            let hash = program.sha256();
            hash.map_err(|error| program.refused(error.to_string()))
        };
        Ok(hash(self)? == hash(other)?)
    }

    fn refused(&self, why: impl Into<String>) -> Error {
        Error::BadProgram {
            program: self.path.clone(),
            why: why.into(),
        }
    }

    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The path of a running program whose file has been replaced: the system marks it.
fn as_it_was(path: PathBuf) -> PathBuf {
    const MARK: &[u8] = b" (deleted)";
    match path.as_os_str().as_bytes().strip_suffix(MARK) {
        Some(original) if !path.exists() => PathBuf::from(OsStr::from_bytes(original)),
        _ => path,
    }
}

/// What a template is made from.
#[derive(Debug, Clone)]
pub struct TemplateRequest {
    /// The program.
    pub program: Program,
    /// The template's own arguments, after the program's name.
    pub args: Vec<OsString>,
    /// The preloads to load, by name; all when absent.
    pub preloads: Option<Vec<String>>,
    /// The variables the preloads declare, with the values they are to have.
    pub env: Vec<(OsString, OsString)>,
    /// Limits of the zygote.
    pub rlimits: Vec<Rlimit>,
    /// What becomes of the zygote when a preload fails.
    pub on_preload_error: OnPreloadError,
}

impl TemplateRequest {
    /// All preloads of a program, and nothing else set.
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self {
            program,
            args: Vec::new(),
            preloads: None,
            env: Vec::new(),
            rlimits: Vec::new(),
            on_preload_error: OnPreloadError::Fail,
        }
    }

    /// Takes the values of these variables from the calling process, also of those that were given
    /// one before; those it does not have stay as they are.
    #[must_use]
    pub fn with_own_env<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        for name in names {
            if let Some(value) = std::env::var_os(name.as_ref()) {
                self.env.retain(|(given, _)| given != name.as_ref());
                self.env.push((name.as_ref().into(), value));
            }
        }
        self
    }

    fn to_proto(&self) -> v1::TemplateSpec {
        let env = self.env.iter().map(|(name, value)| v1::env_directive::Set {
            name: name.as_bytes().to_vec(),
            value: value.as_bytes().to_vec(),
        });
        let rlimits = self.rlimits.iter().map(|limit| v1::Rlimit {
            resource: limit.resource,
            soft: limit.soft,
            hard: limit.hard,
        });
        v1::TemplateSpec {
            program: None,
            program_sha256: Vec::new(),
            program_path: self.program.path.as_os_str().as_bytes().to_vec(),
            args: bytes(&self.args),
            preloads: self.preloads.clone().unwrap_or_default(),
            all_preloads: self.preloads.is_none(),
            env: env.collect(),
            rlimits: rlimits.collect(),
            on_preload_error: v1::OnPreloadError::from(self.on_preload_error).into(),
        }
    }
}

impl Client {
    /// Makes a template known and returns its digest, by which workers are then started in it. The
    /// same recipe gives the same digest.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn register_template(
        &self,
        request: &TemplateRequest,
    ) -> Result<v1::RegisterTemplateResponse, Error> {
        if !self.carries_descriptors() {
            return self.register_by_path(request).await;
        }
        let reservation = self.reserve(1).await?;
        let mut spec = request.to_proto();
        let length = spec.encoded_len();
        if length > MAX_MESSAGE_BYTES / 2 {
            return Err(Problem::limit("message bytes", length).into());
        }
        let program = request.program.file().try_clone_to_owned();
        let program = program.map_err(|error| Error::system("copying a descriptor", error))?;
        let client = self.clone();
        let call = async move {
            let queued = reservation.queue(vec![program]);
            let queued = queued.map_err(|error| client.unsent(error))?;
            spec.program = queued.descriptors.first().copied();
            let mut rpc = TemplatesClient::new(client.channel.clone());
            let request = v1::RegisterTemplateRequest { spec: Some(spec) };
            let answer = rpc.register_template(request).await;
            drop(queued);
            let answer = answer.map_err(|status| client.error(&status))?;
            Ok(answer.into_inner())
        };
        uncancelled(call).await.map_err(|_| self.aborted())?
    }

    /// The daemon opens the program itself, and takes it when it is the same one to the last byte.
    async fn register_by_path(
        &self,
        request: &TemplateRequest,
    ) -> Result<v1::RegisterTemplateResponse, Error> {
        let mut spec = request.to_proto();
        let hash = request.program.sha256();
        spec.program_sha256 = hash.map_err(|error| Error::system("reading the program", error))?;
        let mut rpc = TemplatesClient::new(self.channel.clone());
        let request = v1::RegisterTemplateRequest { spec: Some(spec) };
        let answer = rpc.register_template(request).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        Ok(answer.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_programs_path_is_the_one_it_had() {
        let path = |text: &str| PathBuf::from(text);
        assert_eq!(as_it_was(path("/no/such (deleted)")), path("/no/such"));
        assert_eq!(as_it_was(path("/no/such")), path("/no/such"));
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("odd (deleted)");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(as_it_was(odd.clone()), odd);
    }
}
