//! A zygote that a fork copies little of: what was preloaded is moved into huge pages, and what is written
//! later lies apart from it.
//!
//! fork copies the tables of pages. Memory in huge pages has hardly any; but the first write to a huge page
//! that a child shares splits it, and its table is back. So after preloading, once:
//!
//! 1. *trim*: what malloc holds and nobody uses goes back to the system;
//! 2. *plug*: the free pieces between what was loaded are taken for good;
//! 3. *arena*: malloc takes its next memory, the zygote's and each worker's, from small pages of its own;
//! 4. *advise* and *collapse*: ranges that are there as good as whole are moved into huge pages.
//!
//! What the preloads' owner writes to later is put together again when there is nothing else to do: see
//! [`keeper`]. Nothing here can fail a zygote. Each step is told by its effect, or why it had none.

mod collapse;
mod keeper;
mod ranges;

use collapse::{Budget, Collapsed};
pub(crate) use keeper::Keeper;
use mpfork_proto::link::Compact;
use mpfork_proto::v1::Compaction;
use mpfork_proto::v1::compaction::Step;
use mpfork_sys::fork::try_out;
use mpfork_sys::memory::{self, Totals};
use ranges::Ranges;
use std::io;
use std::time::{Duration, Instant, SystemTime};

/// With less private memory than this a fork costs next to nothing.
const SMALL: u64 = 8 << 20;
/// So much of the heap is laid apart, for the zygote and for what a worker needs first. Untouched, it is
/// nothing but addresses.
const ARENA: usize = 4 << 20;
/// Plugging is to end within this part of the time.
const PLUG_SHARE: u32 = 4;
/// Why little is in huge pages before anything was done.
const MALLOC_DID_NOT: &str = "malloc was told to use huge pages and did not for most: GNU's C library 2.36 \
    misses that at many a launch, other mallocs know nothing of it, and a limit of the program's own \
    GLIBC_TUNABLES comes first";
/// How often a fork is tried out, unless one takes long.
const TRIALS: usize = 3;
const LONG_TRIAL: Duration = Duration::from_millis(50);

/// What a fork would take now: the middle of a few.
fn fork_time() -> Option<Duration> {
    let mut times = Vec::with_capacity(TRIALS);
    for _ in 0..TRIALS {
        let took = try_out().ok()?;
        times.push(took);
        if took > LONG_TRIAL {
            break;
        }
    }
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

/// Whether there is anything to gain, which costs nothing to know.
pub(crate) fn is_worth_while(wishes: Option<&Compact>) -> bool {
    wishes.is_some() && memory::about_private_bytes() >= SMALL
}

/// Does it, within the limits that the supervisor sets; what has become of it, and what is to be done
/// later.
pub(crate) fn compact(wishes: Option<&Compact>) -> (Compaction, Option<Keeper>) {
    let skip = |why: &str| {
        let skipped = Compaction {
            skipped: why.to_owned(),
            ..Compaction::default()
        };
        (skipped, None)
    };
    let Some(wishes) = wishes else {
        return skip("switched off");
    };
    if !is_worth_while(Some(wishes)) {
        // Whatever malloc was told: the first write to a huge page would take more than there is.
        let _ = memory::keep_heap_small();
        return skip("there is so little memory that it would gain nothing");
    }
    let Some(huge_page) = memory::huge_page_size() else {
        return skip("the system has no huge pages");
    };
    match memory::totals() {
        Ok(before) => Compacting::new(wishes, before, huge_page).run(),
        Err(error) => skip(&format!("the system does not tell of memory: {error}")),
    }
}

/// While it is done.
struct Compacting {
    begun: Instant,
    limit: Duration,
    may_collapse: bool,
    huge_page: usize,
    report: Compaction,
}

impl Compacting {
    fn new(wishes: &Compact, before: Totals, huge_page: usize) -> Self {
        let limit = wishes.time_limit.and_then(|limit| limit.try_into().ok());
        Self {
            begun: Instant::now(),
            limit: limit.unwrap_or_default(),
            may_collapse: wishes.collapse,
            huge_page,
            report: Compaction {
                anonymous_bytes_before: before.anonymous_bytes,
                huge_bytes_before: before.huge_bytes,
                ..Compaction::default()
            },
        }
    }

    fn run(mut self) -> (Compaction, Option<Keeper>) {
        self.report.fork_before = fork_time().and_then(|took| took.try_into().ok());
        self.malloc();
        self.trim();
        if self.plug() {
            self.arena();
        } else {
            // malloc would take it from among what was loaded.
            let why = format!("plug did not come to its end: {}", collapse::OUT_OF_TIME);
            self.step("arena", Instant::now(), Err(why));
        }
        let ranges = self.advise();
        let ranges = self.collapse(ranges);
        self.report.fork_after = fork_time().and_then(|took| took.try_into().ok());
        // Afterwards there are few pages to look at.
        let after = memory::totals().unwrap_or_default();
        note(&mut self.report, after);
        self.report.time = self.begun.elapsed().try_into().ok();
        let may_collapse = self.may_collapse && !ranges.is_empty();
        let keeper = may_collapse.then(|| Keeper::new(ranges, self.report.clone()));
        (self.report, keeper)
    }

    fn step(&mut self, name: &str, begun: Instant, done: Result<u64, String>) {
        let (bytes, why) = match done {
            Ok(bytes) => (bytes, String::new()),
            Err(why) => (0, why),
        };
        self.add(name, begun, bytes, why);
    }

    fn add(&mut self, name: &str, begun: Instant, bytes: u64, why: String) {
        self.report.steps.push(Step {
            name: name.to_owned(),
            time: begun.elapsed().try_into().ok(),
            bytes,
            why,
        });
    }

    /// What has come of the launch: that malloc was told to ask for huge pages shows by nothing else.
    fn malloc(&mut self) {
        let (all, huge) = (
            self.report.anonymous_bytes_before,
            self.report.huge_bytes_before,
        );
        let why = match huge < all / 2 {
            true => MALLOC_DID_NOT,
            false => "",
        };
        self.add("malloc", Instant::now(), huge, why.to_owned());
    }

    fn trim(&mut self) {
        let begun = Instant::now();
        let before = memory::about_private_bytes();
        let trimmed = memory::trim_heap().map(|()| {
            let after = memory::about_private_bytes();
            before.saturating_sub(after)
        });
        self.step("trim", begun, trimmed.map_err(no_such_heap));
    }

    /// Whether all of it was done that can be.
    fn plug(&mut self) -> bool {
        let begun = Instant::now();
        let plugged = match memory::plug_heap(self.limit / PLUG_SHARE) {
            Ok(plugged) if plugged.all => (plugged.bytes, String::new(), true),
            Ok(plugged) => (plugged.bytes, collapse::OUT_OF_TIME.to_owned(), false),
            Err(error) => (0, no_such_heap(error), true),
        };
        self.add("plug", begun, plugged.0, plugged.1);
        plugged.2
    }

    fn arena(&mut self) {
        let begun = Instant::now();
        let arena = memory::lay_out_arena(ARENA).map_err(no_such_heap);
        let arena = arena.and_then(|arena| {
            // What laying it out has touched.
            let _ = memory::trim_heap();
            let pages = ranges::whole_pages(&arena);
            let advised = memory::advise_small(&pages);
            advised
                .map_err(|error| reason(&error))
                .map(|()| pages.len() as u64)
        });
        self.step("arena", begun, arena);
    }

    fn advise(&mut self) -> Ranges {
        let begun = Instant::now();
        let budget = Budget::new(self.begun, self.limit);
        let (ranges, all) = match Ranges::find(self.huge_page, &|| budget.is_over()) {
            Ok(found) => found,
            Err(error) => {
                self.step("advise", begun, Err(reason(&error)));
                return Ranges::none(self.huge_page);
            }
        };
        let (bytes, why) = match ranges.advise() {
            Ok(bytes) if all => (bytes, String::new()),
            Ok(bytes) => (bytes, collapse::OUT_OF_TIME.to_owned()),
            Err(error) => (0, reason(&error)),
        };
        self.add("advise", begun, bytes, why);
        ranges
    }

    /// Those that may have to be put together again.
    fn collapse(&mut self, ranges: Ranges) -> Ranges {
        let begun = Instant::now();
        if !self.may_collapse {
            let why = match memory::probe_collapse() {
                Ok(()) => "switched off",
                Err(_) => collapse::UNKNOWN,
            };
            self.step("collapse", begun, Err(why.to_owned()));
            return ranges;
        }
        let budget = Budget::new(self.begun, self.limit);
        let Collapsed { bytes, why, known } = collapse::all(&ranges, &budget);
        self.may_collapse = known;
        self.add("collapse", begun, bytes, why);
        ranges
    }
}

/// Notes how memory is backed now.
fn note(report: &mut Compaction, now: Totals) {
    report.anonymous_bytes = now.anonymous_bytes;
    report.huge_bytes = now.huge_bytes;
    report.sampled = Some(SystemTime::now().into());
}

fn no_such_heap(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::Unsupported => {
            "malloc is not the GNU C library's, or its heap is not in one piece".to_owned()
        }
        _ => reason(&error),
    }
}

fn reason(error: &io::Error) -> String {
    crate::fault::cut(&error.to_string(), 256)
}
