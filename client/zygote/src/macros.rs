//! The macros that declare preloads, functions and hooks. They work through re-exports and need no
//! dependency of the user's but the one that re-exports them.

/// Declares a static that a zygote loads once, before the first fork.
///
/// ```
/// use std::collections::HashMap;
/// use std::time::Duration;
///
/// mpfork_zygote::preload! {
///     /// Every word and its number.
///     pub static VOCABULARY: HashMap<String, u32> = load_vocabulary;
///     name = "vocabulary",
///     env = ["VOCABULARY_PATH"],
///     time_limit = Duration::from_secs(30),
/// }
///
/// mpfork_zygote::preload! {
///     static LONGEST: usize = || VOCABULARY.keys().map(String::len).max().unwrap_or(0);
///     after = ["vocabulary"],
/// }
///
/// fn load_vocabulary() -> Result<HashMap<String, u32>, std::io::Error> {
///     Ok(HashMap::from([("forked".to_owned(), 1)]))
/// }
///
/// assert_eq!(*LONGEST, 6);
/// assert_eq!(VOCABULARY.try_get().unwrap()["forked"], 1);
/// ```
///
/// The load function is a `fn() -> T`, a `fn() -> Result<T, E>`, or one of these that takes a
/// [`&Progress`](crate::Progress). The options, all optional:
///
/// - `name`: what the preload is called in templates and messages; the static's name otherwise.
/// - `after`: the names of preloads that are loaded before.
/// - `env`: the environment variables the load reads. A zygote of mpforkd has these only, with the
///   values of the program that asked for it; other values make another zygote, by any server.
/// - `time_limit`: a [`Duration`](std::time::Duration); longer loads in a zygote fail. Otherwise it is
///   what mpforkd's configuration says, and 5 minutes where the program has a server of its own.
///
/// A preload must leave no threads running: a process with threads can't be forked.
#[macro_export]
macro_rules! preload {
    (
        $(#[$attribute:meta])*
        $visibility:vis static $name:ident : $type:ty = $load:expr
        $(; $($option:ident = $value:expr),* $(,)?)?
    ) => {
        $(#[$attribute])*
        $visibility static $name: $crate::Preload<$type> = $crate::Preload::new(
            $crate::__private::Declaration::new(stringify!($name), $crate::__place!())
                $($(.$option(const { &$value }))*)?,
            |progress| $crate::Load::load(&$load, progress),
        );
        $crate::__private::inventory::submit! {
            $crate::__private::PreloadItem::new(&$name)
        }
    };
}

/// Runs a function in the zygote once: when all preloads are loaded, before the zygote's memory is
/// compacted and before the first fork. It is the place where a runtime that the program embeds puts what
/// it has loaded out of its own reach, as Python's does by `gc.collect()` and `gc.freeze()`: what is
/// written to later, by the zygote or by a worker, is copied by each worker, and makes forks slower. What it
/// opens is kept for the workers, as what preloads open is.
///
/// When it fails, or leaves threads running, so does the zygote, and who asked for it gets the error. Where
/// nothing is preloaded it does not run. The form is that of [`before_fork!`](crate::before_fork).
#[macro_export]
macro_rules! after_preload {
    ($($hook:tt)*) => { $crate::__hook! { AfterPreload, $($hook)* } };
}

/// Runs a function in the zygote before each fork. When it fails there is no fork, and who asked for
/// it gets the error.
///
/// A template that is started often has workers forked ahead of their starts: what the hook left in
/// memory is then as old as the fork, not as the start. What must be fresh belongs in
/// [`after_fork!`](crate::after_fork), which runs once the worker knows its task.
///
/// ```
/// mpfork_zygote::before_fork!(flush_cache);
/// mpfork_zygote::before_fork!(check, name = "check-cache", after = ["flush_cache"]);
///
/// fn flush_cache() {}
/// fn check() -> Result<(), std::io::Error> {
///     Ok(())
/// }
/// ```
///
/// Hooks run each after those named in `after`, otherwise by crate, file and line. A hook's name is
/// its function, when none is given.
#[macro_export]
macro_rules! before_fork {
    ($($hook:tt)*) => { $crate::__hook! { BeforeFork, $($hook)* } };
}

/// Runs a function in each worker that goes on in the program (not in commands), once its start state
/// is applied and before its task: the place to reseed random generators and to reopen connections.
/// When it fails the worker ends with 1, and its starter gets the error. The form is that of
/// [`before_fork!`](crate::before_fork).
#[macro_export]
macro_rules! after_fork {
    ($($hook:tt)*) => { $crate::__hook! { AfterFork, $($hook)* } };
}

/// Runs a function when a worker that went on in the program ends in order: after its task, or by
/// `std::process::exit`. When it fails a worker that would have ended with 0 ends with 1. The form is
/// that of [`before_fork!`](crate::before_fork).
#[macro_export]
macro_rules! at_worker_exit {
    ($($hook:tt)*) => { $crate::__hook! { AtWorkerExit, $($hook)* } };
}

/// Registers an [`Entry`](crate::Entry) by name: what `register!` of the `mpfork` crate builds on.
///
/// ```
/// use mpfork_zygote::Returned;
///
/// mpfork_zygote::register_entry!("shout", |argument| {
///     Returned::Value(argument.to_ascii_uppercase())
/// });
/// ```
#[macro_export]
macro_rules! register_entry {
    ($name:expr, $entry:expr $(,)?) => {
        $crate::__private::inventory::submit! {
            $crate::__private::Function::new($name, $entry, $crate::__place!())
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __hook {
    ($kind:ident, $run:expr $(, $option:ident = $value:expr)* $(,)?) => {
        $crate::__private::inventory::submit! {
            $crate::__private::Hook::new(
                $crate::__private::HookKind::$kind,
                stringify!($run),
                || $crate::__private::HookFn::run(&$run),
                $crate::__place!(),
            )
            $(.$option(const { &$value }))*
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __place {
    () => {
        $crate::__private::Place::new(module_path!(), file!(), line!(), column!())
    };
}
