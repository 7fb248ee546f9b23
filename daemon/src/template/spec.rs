//! A template's recipe and its digest.

use super::identity::{FileVersion, Identities, Identity, hex};
use crate::config::TemplateConfig;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{OnPreloadError, TemplateSpec};
use mpfork_sys::arguments::ROOM;
use mpfork_sys::limits::Rlimit;
use mpfork_transport::Connection;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most preloads, arguments, variables or limits one recipe may name.
const MOST: usize = 1_000;

/// What a zygote is made from.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// The open program.
    pub(crate) program: Arc<File>,
    /// Its path, for people and to notice a rebuilt one.
    pub(crate) path: PathBuf,
    pub(crate) version: FileVersion,
    pub(crate) args: Vec<CString>,
    /// `None`: all the program declares.
    /// Else sorted, each once.
    pub(crate) preloads: Option<Vec<String>>,
    /// As NAME=value, sorted.
    pub(crate) env: Vec<CString>,
    /// Sorted by resource.
    pub(crate) rlimits: Vec<Rlimit>,
    /// What becomes of the zygote when a preload fails.
    pub(crate) on_preload_error: OnPreloadError,
    /// Hex SHA-256 of all of it, the user, and the program's identity.
    pub(crate) digest: String,
    pub(crate) identity: Identity,
    /// How many arguments more than its own the zygote is executed with room for.
    pub(crate) room: usize,
}

/// Opens the program of a client that can't send it. It may be another one by now: what it must be is
/// told by the hash of the file, when there is one.
fn by_path(path: &[u8], sha256: &[u8]) -> Result<File, Problem> {
    let path = Path::new(OsStr::from_bytes(path));
    if !path.is_absolute() {
        let detail = "no descriptor is named, so this must be an absolute path";
        return Err(Problem::bad_request("spec.program_path", detail));
    }
    let program = open(path)?;
    if sha256.is_empty() {
        return Ok(program);
    }
    let refused = |detail: String| {
        let text = format!("can't take {}: {detail}", path.display());
        Problem::new(Reason::ProgramRefused, text)
            .with("program", path.display())
            .with("detail", detail)
    };
    let metadata = program.metadata();
    let metadata = metadata.map_err(|error| refused(error.to_string()))?;
    if !metadata.is_file() {
        return Err(refused("it is no regular file".to_owned()));
    }
    let mut hash = Sha256::new();
    super::identity::hash_range(&program, 0, metadata.len(), &mut hash)
        .map_err(|error| refused(error.to_string()))?;
    if hash.finalize().as_slice() != sha256 {
        return Err(refused(
            "it is another program than the client's".to_owned(),
        ));
    }
    Ok(program)
}

/// True for what could be a registered template's name.
pub(crate) fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Spec {
    /// From a client. Claims the program's descriptor before anything can fail; without one, the
    /// program is opened.
    pub(crate) fn from_wire(
        spec: TemplateSpec,
        connection: &Connection,
        identities: &Identities,
    ) -> Result<Self, Problem> {
        let program = match &spec.program {
            Some(reference) => File::from(connection.claim(reference)?),
            None => by_path(&spec.program_path, &spec.program_sha256)?,
        };
        let counts = [
            ("spec.args", spec.args.len()),
            ("spec.preloads", spec.preloads.len()),
            ("spec.env", spec.env.len()),
            ("spec.rlimits", spec.rlimits.len()),
        ];
        for (field, count) in counts {
            if count > MOST {
                return Err(Problem::bad_request(field, format!("more than {MOST}")));
            }
        }
        let args = spec
            .args
            .into_iter()
            .map(|arg| CString::new(arg).map_err(|_| nul("spec.args")))
            .collect::<Result<_, _>>()?;
        let mut names = HashSet::new();
        for set in &spec.env {
            if !names.insert(&set.name) {
                let name = String::from_utf8_lossy(&set.name);
                let detail = format!("{name:?} is set more than once");
                return Err(Problem::bad_request("spec.env", detail));
            }
        }
        let env = spec
            .env
            .iter()
            .map(|set| variable("spec.env", &set.name, &set.value))
            .collect::<Result<_, _>>()?;
        let rlimits = mpfork_driver::state::rlimits("spec.rlimits", &spec.rlimits)?;
        let on_preload_error = match OnPreloadError::try_from(spec.on_preload_error) {
            Ok(OnPreloadError::Unspecified) => OnPreloadError::Fail,
            Ok(known) => known,
            Err(_) => {
                let field = "spec.on_preload_error";
                return Err(Problem::bad_request(field, "unknown value"));
            }
        };
        let spec = Self::new(
            program,
            OsStr::from_bytes(&spec.program_path).into(),
            args,
            (!spec.all_preloads).then_some(spec.preloads),
            env,
            rlimits,
            identities,
        )?;
        Ok(spec.with(on_preload_error))
    }

    fn with(mut self, on_preload_error: OnPreloadError) -> Self {
        self.on_preload_error = on_preload_error;
        self.digest = self.digest();
        self
    }

    /// From the configuration; opens the program.
    pub(crate) fn from_config(
        config: &TemplateConfig,
        identities: &Identities,
    ) -> Result<Self, Problem> {
        let path = config.program.clone();
        let program = open(&path)?;
        let args = config
            .args
            .iter()
            .map(|arg| CString::new(arg.as_str()).map_err(|_| nul("args")))
            .collect::<Result<_, _>>()?;
        let env = config
            .env
            .iter()
            .map(|(name, value)| variable("env", name.as_bytes(), value.as_bytes()))
            .collect::<Result<_, _>>()?;
        let rlimits = config
            .rlimits
            .iter()
            .filter_map(|(name, limit)| super::rlimits::from_config(name, *limit))
            .collect();
        Self::new(
            program,
            path,
            args,
            config.preloads.clone(),
            env,
            rlimits,
            identities,
        )
    }

    /// The daemon's own program as the zygote of plain commands.
    pub(crate) fn builtin(identities: &Identities) -> Result<Self, Problem> {
        let internal = |error: std::io::Error| {
            Problem::new(
                Reason::Internal,
                format!("can't open the daemon's own program: {error}"),
            )
        };
        let program = File::open("/proc/self/exe").map_err(internal)?;
        let spec = Self::new(
            program,
            PathBuf::from("mpforkd-command"),
            Vec::new(),
            None,
            Vec::new(),
            Vec::new(),
            identities,
        )?;
        // No worker of it goes on with its main.
        Ok(Self { room: 0, ..spec })
    }

    fn new(
        program: File,
        path: PathBuf,
        args: Vec<CString>,
        mut preloads: Option<Vec<String>>,
        mut env: Vec<CString>,
        mut rlimits: Vec<Rlimit>,
        identities: &Identities,
    ) -> Result<Self, Problem> {
        let identity = identities.of(&program, &path)?;
        let version = FileVersion::of(&program).map_err(|error| {
            Problem::new(
                Reason::ProgramRefused,
                format!("{}: {error}", path.display()),
            )
        })?;
        // What makes no difference must not make another digest. The order of a resource's own limits
        // does: the last one holds.
        if let Some(names) = &mut preloads {
            names.sort();
            names.dedup();
        }
        env.sort();
        rlimits.sort_by_key(|limit| limit.resource);
        let mut spec = Self {
            program: Arc::new(program),
            path,
            version,
            args,
            preloads,
            env,
            rlimits,
            on_preload_error: OnPreloadError::Fail,
            digest: String::new(),
            room: if identity.takes_room { ROOM } else { 0 },
            identity,
        };
        spec.digest = spec.digest();
        Ok(spec)
    }

    /// Each part with its length in front, so that no two recipes read the same.
    fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(b"mpfork template 1");
        part(&nix::unistd::geteuid().as_raw().to_le_bytes());
        part(self.identity.text.as_bytes());
        let lists: [Vec<&[u8]>; 3] = [
            self.args.iter().map(|arg| arg.to_bytes()).collect(),
            self.preloads
                .iter()
                .flatten()
                .map(|name| name.as_bytes())
                .collect(),
            self.env.iter().map(|entry| entry.to_bytes()).collect(),
        ];
        part(&[u8::from(self.preloads.is_none())]);
        for list in lists {
            part(&(list.len() as u64).to_le_bytes());
            list.into_iter().for_each(&mut part);
        }
        for limit in &self.rlimits {
            part(&limit.resource.to_le_bytes());
            part(&limit.soft.to_le_bytes());
            part(&limit.hard.to_le_bytes());
        }
        // Added later: without it the digest is what it was.
        if self.on_preload_error != OnPreloadError::Fail {
            part(self.on_preload_error.as_str_name().as_bytes());
        }
        hex(&hash.finalize())
    }

    /// The program's file name, for people.
    pub(crate) fn file_name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// The zygote's arguments, the program's path first.
    pub(crate) fn argv(&self) -> Vec<CString> {
        // A path never has a NUL byte inside: it was opened, or came as bytes that are only shown.
        let name: Vec<u8> = self
            .path
            .as_os_str()
            .as_bytes()
            .iter()
            .copied()
            .filter(|byte| *byte != 0)
            .collect();
        let mut argv = vec![CString::new(name).unwrap_or_default()];
        argv.extend(self.args.iter().cloned());
        argv
    }
}

/// Opens a program. What is no file, such as a named pipe, is refused later, and does not block here.
fn open(path: &Path) -> Result<File, Problem> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let opened = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path);
    opened.map_err(|error| {
        Problem::new(
            Reason::ProgramRefused,
            format!("can't open {}: {error}", path.display()),
        )
        .with("program", path.display())
        .with("detail", error)
    })
}

fn nul(field: &str) -> Problem {
    Problem::bad_request(field, "a NUL byte inside")
}

fn variable(field: &str, name: &[u8], value: &[u8]) -> Result<CString, Problem> {
    if name.is_empty() || name.contains(&b'=') {
        return Err(Problem::bad_request(
            field,
            "a variable's name must not be empty nor hold an equals sign",
        ));
    }
    if name == mpfork_proto::link::LINK_ENV.as_bytes() {
        return Err(Problem::bad_request(
            field,
            format!("{} is the link's own", mpfork_proto::link::LINK_ENV),
        ));
    }
    let mut entry = name.to_vec();
    entry.push(b'=');
    entry.extend_from_slice(value);
    CString::new(entry).map_err(|_| nul(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn spec(change: impl Fn(&mut TemplateConfig)) -> Spec {
        let mut config = TemplateConfig {
            program: PathBuf::from("/proc/self/exe"),
            args: vec!["a".to_owned()],
            preloads: Some(vec!["p".to_owned()]),
            env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
            rlimits: BTreeMap::new(),
            warm: false,
            spares: None,
            compact: None,
        };
        change(&mut config);
        Spec::from_config(&config, &Identities::default()).unwrap()
    }

    #[test]
    fn the_digest_covers_the_recipe_and_nothing_else() {
        let digest = spec(|_| {}).digest;
        assert!(is_digest(&digest));
        assert_eq!(spec(|c| c.warm = true).digest, digest);
        assert_eq!(spec(|c| c.compact = Some(false)).digest, digest);
        let several = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            spec(|c| c.preloads = Some(names.clone())).digest
        };
        assert_eq!(several(&["q", "p", "q"]), several(&["p", "q"]));
        let changes: [fn(&mut TemplateConfig); 7] = [
            |c| c.args = vec![],
            |c| c.args = vec!["a".to_owned(), "b".to_owned()],
            |c| c.preloads = None,
            |c| c.preloads = Some(vec![]),
            |c| c.env = BTreeMap::from([("A".to_owned(), "2".to_owned())]),
            |c| {
                c.rlimits =
                    BTreeMap::from([("core".to_owned(), crate::config::RlimitConfig::Both(0))]);
            },
            // The same bytes cut elsewhere.
            |c| {
                c.args = vec![];
                c.preloads = Some(vec!["a".to_owned(), "p".to_owned()]);
            },
        ];
        let mut seen = vec![digest];
        for change in changes {
            let other = spec(change).digest;
            assert!(!seen.contains(&other));
            seen.push(other);
        }
        for on_error in [OnPreloadError::Warn, OnPreloadError::Ignore] {
            let other = spec(|_| {}).with(on_error).digest;
            assert!(!seen.contains(&other));
            seen.push(other);
        }
        assert_eq!(spec(|_| {}).with(OnPreloadError::Fail).digest, seen[0]);
    }
}
