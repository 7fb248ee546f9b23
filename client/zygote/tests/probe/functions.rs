//! Functions for workers to run.

use super::{hooks, preloads};
use mpfork_sys::entry::{Thunk, offset_of, record_of};
use mpfork_zygote::{Failed, FailedKind, Returned, register_entry};
use std::io::{Read as _, Write as _};

fn text(text: impl Into<String>) -> Returned {
    Returned::Value(text.into().into_bytes())
}

struct Bytes;

impl<F: Fn(&[u8]) -> Vec<u8>> Thunk<F> for Bytes {
    fn run(function: F, argument: &[u8]) -> Returned {
        Returned::Value(function(argument))
    }
}

/// Where workers find a function that has no name.
pub(crate) fn offset() -> u64 {
    let record = record_of::<_, Bytes>(|argument: &[u8]| argument.iter().rev().copied().collect());
    offset_of(record).unwrap_or(0)
}

/// What `main` opened before it called `freeze_support`.
pub(crate) static EARLY: std::sync::OnceLock<Option<std::fs::File>> = std::sync::OnceLock::new();

// It is not there any more, and whatever has its number is another one's.
register_entry!("write-early", |_| {
    let mut early = EARLY.get().and_then(Option::as_ref);
    let written = early
        .as_mut()
        .map(|early| early.write_all(b"a line of a log"));
    text(format!("{written:?}"))
});
register_entry!("echo", |argument| Returned::Value(argument.to_vec()));
register_entry!("order", |_| text(preloads::order()));
register_entry!("hooks", |_| text(hooks::order()));
register_entry!("lazy", |_| text(preloads::lazy().to_string()));
register_entry!("tunables", |_| text(super::memory::TUNABLES.as_str()));
register_entry!("second", |_| text(preloads::SECOND.as_str()));
register_entry!("strangers", |_| text(preloads::strangers()));
register_entry!("twice", |_| Returned::Code(1));
register_entry!("twice", |_| Returned::Code(2));
register_entry!("code", |argument| Returned::Code(argument[0]));
register_entry!("abort", |_| std::process::abort());
register_entry!("panic", |_| panic!("worker {}", "panics"));
register_entry!("panic-any", |_| std::panic::panic_any(17_u8));
register_entry!("exit", |argument| {
    print!("before exit");
    std::process::exit(i32::from(argument[0]))
});
register_entry!("print", |_| {
    println!("a line");
    print!("no line");
    text("printed")
});
register_entry!("fail", |_| Returned::Failed(Failed {
    kind: FailedKind::Error,
    message: "outer".to_owned(),
    chain: vec!["middle".to_owned(), "inner".to_owned()],
    value: Some(b"typed".to_vec()),
}));
register_entry!("huge", |argument| Returned::Value(vec![
    7;
    argument.len()
        * 1_000_000
]));
register_entry!("worker", |_| text(mpfork_zygote::current().map_or_else(
    String::new,
    |current| format!("{} {} {:?}", current.id, current.name, current.way)
)));
// A path whose file is read, and what is told as paths' links.
register_entry!("read", |path| {
    text(std::fs::read_to_string(String::from_utf8_lossy(path).as_ref()).unwrap_or_default())
});
register_entry!("cwd", |_| {
    text(
        std::env::current_dir()
            .unwrap_or_default()
            .to_string_lossy(),
    )
});
register_entry!("env", |_| {
    let lines: Vec<String> = std::env::vars().map(|(n, v)| format!("{n}={v}")).collect();
    text(lines.join("\n"))
});
register_entry!("descriptors", |_| {
    let numbers = mpfork_sys::descriptors::open_numbers().unwrap_or_default();
    let lines = numbers.iter().map(|number| {
        let what = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap_or_default();
        format!("{number} {}", what.display())
    });
    text(lines.collect::<Vec<_>>().join("\n"))
});
// Ends with the code of the argument once standard input ends.
register_entry!("wait", |argument| {
    let mut rest = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut rest);
    Returned::Code(argument[0])
});
// Leaves a child in its group that outlives it.
register_entry!("leave-child", |_| {
    let child = std::process::Command::new("/bin/sleep").arg("600").spawn();
    text(child.map_or_else(|e| e.to_string(), |child| child.id().to_string()))
});
register_entry!("write-late", |_| {
    let _ = std::io::stdout().write_all(b"late");
    Returned::Code(0)
});
