//! Where the four ways differ: all of it. A scenario that behaves differently by one of them asks this
//! table, and so pins what it says.

/// A respect in which some of the ways differ from the others.
#[derive(Debug)]
pub struct Difference {
    /// Its name, by which scenarios ask for it.
    pub name: &'static str,
    /// What it is about.
    pub what: &'static str,
    /// How it is by the ways that are not named in `others`.
    pub usually: &'static str,
    /// The ways by which it is otherwise, and how.
    pub others: &'static [(&'static str, &'static str)],
}

/// All of them.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "arguments",
        what: "[`std::env::args`] in a function",
        usually: "the name by which the program is executed anew, alone",
        others: &[("fork", "the program's")],
    },
    Difference {
        name: "cgroup",
        what: "the cgroup, the namespaces and the security domain of a process",
        usually: "the program's; by `mpforkd` that daemon's",
        others: &[("mpforkd", "those of `mpforkd`")],
    },
    Difference {
        name: "commands",
        what: "a command of a program that has not called `freeze_support()`",
        usually: "is started",
        others: &[
            ("spawn", "is refused: `Error::NotFrozen`"),
            ("embedded", "is refused: `Error::NotFrozen`"),
        ],
    },
    Difference {
        name: "descriptors",
        what: "what is open in a process, beside what it was given",
        usually: "what a preload has opened, nothing else",
        others: &[("fork", "all that is open in the program")],
    },
    Difference {
        name: "dispositions",
        what: "what signals do in a function",
        usually: "what they do in a Rust program that nobody has told to ignore any",
        others: &[("fork", "what they do in the program")],
    },
    Difference {
        name: "executable",
        what: "a command, where [`set_executable`] or `MPFORK_EXECUTABLE` names no program that can be used",
        usually: "is started",
        others: &[
            ("spawn", "is refused: `Error::BadProgram`"),
            ("embedded", "is refused: `Error::BadProgram`"),
        ],
    },
    Difference {
        name: "main",
        what: "`process_main`",
        usually: "goes on with the program's `main`",
        others: &[("fork", "refused: `Error::Unsupported`")],
    },
    Difference {
        name: "memory",
        what: "`static`s, and memory as a whole, in a function",
        usually: "as when the program begins, and what preloads have made of it",
        others: &[("fork", "as the program has left them")],
    },
    Difference {
        name: "owner's death",
        what: "a process whose program is killed",
        usually: "is ended: TERM, then KILL",
        others: &[("fork", "is killed at once")],
    },
    Difference {
        name: "preloads",
        what: "what `preload!` declares",
        usually: "is loaded when the process begins",
        others: &[
            (
                "fork",
                "is there when the program has used it, else loaded at first use",
            ),
            ("spawn", "is loaded at first use"),
        ],
    },
    Difference {
        name: "runtime",
        what: "a process that was started from async code, when the runtime it was started on is dropped",
        usually: "goes on; by `mpforkd` it is ended as if its program had ended",
        others: &[("mpforkd", "is ended as if its program had ended")],
    },
    Difference {
        name: "session",
        what: "the session a process belongs to",
        usually: "that of its server",
        others: &[("fork", "that of the program")],
    },
    Difference {
        name: "threads",
        what: "starting from a program with several threads",
        usually: "as from one with one",
        others: &[(
            "fork",
            "refused, with the threads' names, unless the caller takes responsibility",
        )],
    },
    Difference {
        name: "time limit",
        what: "`time_limit`",
        usually: "ends the process: TERM, then KILL",
        others: &[("fork", "refused: `Error::Unsupported`")],
    },
    Difference {
        name: "unfrozen",
        what: "a process of a program that has not called `freeze_support()`",
        usually: "is refused: `Error::NotFrozen`",
        others: &[("fork", "is started")],
    },
    Difference {
        name: "variables",
        what: "the environment that a preload sees",
        usually: "only what it declares",
        others: &[
            ("fork", "the program's"),
            ("spawn", "the program's"),
            ("embedded", "the program's"),
        ],
    },
];

/// How it is by a way that differs from the others in this respect.
///
/// # Panics
/// When there is no such difference.
#[must_use]
pub fn difference(name: &str, way: &str) -> Option<&'static str> {
    let found = DIFFERENCES.iter().find(|known| known.name == name);
    let found = found.unwrap_or_else(|| panic!("{name:?} is not in the table of differences"));
    let other = found.others.iter().find(|(other, _)| *other == way);
    other.map(|(_, how)| *how)
}
