//! Values on the command line, checked while it is read.

use mpfork_sys::limits::{self, Rlimit};
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::str::FromStr as _;
use std::time::Duration;

/// Kinds of events.
pub(crate) type Kinds = Vec<mpfork_proto::v1::EventKind>;

/// `NAME=SOFT[:HARD]`.
pub(crate) fn rlimit(text: &str) -> Result<Rlimit, String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("expected NAME=SOFT or NAME=SOFT:HARD")?;
    let Some(resource) = limits::by_name(name) else {
        return Err(format!("no limit {name:?}; there are {}", limits::names()));
    };
    let number = |text: &str| match text {
        "unlimited" => Ok(u64::MAX),
        _ => text
            .parse()
            .map_err(|_| format!("{text:?} is neither a number nor \"unlimited\"")),
    };
    let (soft, hard) = match value.split_once(':') {
        Some((soft, hard)) => (number(soft)?, number(hard)?),
        None => (number(value)?, number(value)?),
    };
    if soft > hard {
        return Err("the soft limit is over the hard one".to_owned());
    }
    Ok(Rlimit {
        resource,
        soft,
        hard,
    })
}

/// `NAME=VALUE`; the system does not promise UTF-8.
pub(crate) fn variable(text: OsString) -> Result<(OsString, OsString), &'static str> {
    let bytes = text.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=') {
        None | Some(0) => Err("expected NAME=VALUE"),
        Some(end) => {
            let (name, value) = (&bytes[..end], &bytes[end + 1..]);
            let own = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            Ok((own(name), own(value)))
        }
    }
}

/// Octal.
pub(crate) fn umask(text: &str) -> Result<u32, &'static str> {
    match u32::from_str_radix(text, 8) {
        Ok(mask) if mask <= 0o777 => Ok(mask),
        _ => Err("expected octal digits, at most 777"),
    }
}

/// `TERM`, `SIGTERM`, `sigterm` or `15`.
pub(crate) fn signal(text: &str) -> Result<i32, String> {
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=mpfork_sys::signals::HIGHEST).contains(&number) {
            Ok(number)
        } else {
            Err(format!("not in 0..={}", mpfork_sys::signals::HIGHEST))
        };
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    Signal::from_str(&format!("SIG{name}"))
        .map(|signal| signal as i32)
        .map_err(|_| format!("no signal {text:?}; `kill -l` lists them"))
}

/// What people call a signal: `TERM`.
pub(crate) fn signal_name(number: i32) -> Option<&'static str> {
    let signal = Signal::try_from(number).ok()?;
    signal.as_str().strip_prefix("SIG")
}

/// A kind of event, or all kinds of events of `template` or `worker`.
pub(crate) fn event_kinds(text: &str) -> Result<Kinds, String> {
    let kinds: Kinds = crate::views::kinds()
        .filter(|kind| {
            let name = crate::views::kind_name(*kind);
            name == text || name.split_once('-').is_some_and(|(of, _)| of == text)
        })
        .collect();
    if kinds.is_empty() {
        let names: Vec<_> = crate::views::kinds().map(crate::views::kind_name).collect();
        return Err(format!(
            "no such kind; there are template, worker, {}",
            names.join(", ")
        ));
    }
    Ok(kinds)
}

/// How often to look: not so often that looking is what keeps the daemon busy.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    const SHORTEST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(24 * 3600);
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (SHORTEST..=LONGEST).contains(&interval) {
        Ok(interval)
    } else {
        Err("expected a time from 100ms to 1day".to_owned())
    }
}

/// JSON.
pub(crate) fn json(text: &str) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let limit = rlimit("nofile=100:200").unwrap();
        assert_eq!((limit.soft, limit.hard), (100, 200));
        assert_eq!(limit.resource, limits::NOFILE);
        let limit = rlimit("core=0:unlimited").unwrap();
        assert_eq!((limit.soft, limit.hard), (0, u64::MAX));
        assert_eq!(rlimit("cpu=5").unwrap().hard, 5);
        for (wrong, says) in [
            ("nofile", "NAME=SOFT"),
            ("files=3", "nofile"),
            ("nofile=many", "neither a number"),
            ("nofile=2:1", "over the hard"),
        ] {
            let error = rlimit(wrong).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn variables() {
        let split = |text: &str| variable(text.into());
        assert_eq!(split("A=b=c").unwrap(), ("A".into(), "b=c".into()));
        assert_eq!(split("A=").unwrap(), ("A".into(), "".into()));
        assert!(split("A").is_err());
        assert!(split("=b").is_err());
        let raw = OsString::from_vec(b"A=\xff".to_vec());
        assert_eq!(variable(raw).unwrap().1.as_bytes(), b"\xff");
    }

    #[test]
    fn masks() {
        assert_eq!(umask("027"), Ok(0o27));
        assert!(umask("8").is_err());
        assert!(umask("1000").is_err());
    }

    #[test]
    fn intervals() {
        assert_eq!(interval("2s"), Ok(Duration::from_secs(2)));
        for wrong in ["0s", "99ms", "1000days", "soon"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn kinds_of_events() {
        use mpfork_proto::v1::EventKind;
        assert_eq!(
            event_kinds("template-warm"),
            Ok(vec![EventKind::TemplateWarm])
        );
        assert_eq!(event_kinds("worker").unwrap().len(), 3);
        assert_eq!(event_kinds("template").unwrap().len(), 8);
        assert!(event_kinds("x").unwrap_err().contains("worker-exited"));
        assert!(event_kinds("").is_err());
    }

    #[test]
    fn signals() {
        for text in ["TERM", "SIGTERM", "term", "sigterm", "15"] {
            assert_eq!(signal(text), Ok(15), "{text}");
        }
        assert_eq!(signal("0"), Ok(0));
        assert_eq!(signal("64"), Ok(64));
        assert!(signal("65").is_err());
        assert!(signal("SOON").unwrap_err().contains("kill -l"));
        assert_eq!(signal_name(9), Some("KILL"));
        assert_eq!(signal_name(64), None);
    }
}
