//! Descriptors on their way into and out of bytes: serde gives a value no place for what goes beside
//! them, so it is this thread's while one value is written or read.

use mpfork_zygote::payload::MAX_DESCRIPTORS;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Why a descriptor can't be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PassingError {
    #[error("a descriptor can only travel in the arguments of a call and in its result")]
    Outside,
    #[error("more than {MAX_DESCRIPTORS} descriptors")]
    TooMany,
    #[error("descriptor {0} did not come along: none pass between this program and its worker")]
    Missing(u32),
    #[error("copying a descriptor: {0}")]
    Copy(io::Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Nothing,
    Writing,
    Reading,
}

// The cell alone is looked at where there are no descriptors: it needs no destructor, and a fresh worker
// pays for each that it registers.
thread_local! {
    static DOING: Cell<Doing> = const { Cell::new(Doing::Nothing) };
    static DESCRIPTORS: RefCell<Vec<OwnedFd>> = const { RefCell::new(Vec::new()) };
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The thread's descriptors become these; those it had.
fn exchange(descriptors: Vec<OwnedFd>) -> Vec<OwnedFd> {
    if COUNT.get() == 0 && descriptors.is_empty() {
        return descriptors;
    }
    COUNT.set(descriptors.len());
    DESCRIPTORS.with(|place| place.replace(descriptors))
}

/// While a value is written or read; what was being done around it goes on afterwards, also when a type's
/// own code panics.
struct Scope {
    around: Option<(Doing, Vec<OwnedFd>)>,
}

impl Scope {
    fn enter(doing: Doing, descriptors: Vec<OwnedFd>) -> Self {
        let around = (DOING.replace(doing), exchange(descriptors));
        Self {
            around: Some(around),
        }
    }

    /// The descriptors that were collected, or are left.
    fn leave(&mut self) -> Vec<OwnedFd> {
        let Some((doing, descriptors)) = self.around.take() else {
            return Vec::new();
        };
        DOING.set(doing);
        exchange(descriptors)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

/// Writes a value; the descriptors that it named.
pub(crate) fn writing<T, E>(write: impl FnOnce() -> Result<T, E>) -> Result<(T, Vec<OwnedFd>), E> {
    let mut scope = Scope::enter(Doing::Writing, Vec::new());
    let written = write()?;
    Ok((written, scope.leave()))
}

/// Reads a value that may name these descriptors. Those that it does not are closed.
pub(crate) fn reading<T>(descriptors: Vec<OwnedFd>, read: impl FnOnce() -> T) -> T {
    let _scope = Scope::enter(Doing::Reading, descriptors);
    read()
}

/// A descriptor is being written: its place among them.
pub(crate) fn collect(descriptor: BorrowedFd<'_>) -> Result<u32, PassingError> {
    if DOING.get() != Doing::Writing {
        return Err(PassingError::Outside);
    }
    let index = COUNT.get();
    if index >= MAX_DESCRIPTORS {
        return Err(PassingError::TooMany);
    }
    let copy = descriptor.try_clone_to_owned();
    let copy = copy.map_err(PassingError::Copy)?;
    DESCRIPTORS.with(|place| place.borrow_mut().push(copy));
    COUNT.set(index + 1);
    u32::try_from(index).map_err(|_| PassingError::TooMany)
}

/// A descriptor is being read. Another one of the same file: who reads may read the same again, as for the
/// next variant of an untagged enum.
pub(crate) fn take(index: u32) -> Result<OwnedFd, PassingError> {
    if DOING.get() != Doing::Reading {
        return Err(PassingError::Outside);
    }
    let missing = || PassingError::Missing(index);
    if COUNT.get() == 0 {
        return Err(missing());
    }
    DESCRIPTORS.with(|place| {
        let at = usize::try_from(index).map_err(|_| missing())?;
        let place = place.borrow();
        let found = place.get(at).ok_or_else(missing)?;
        found.try_clone().map_err(PassingError::Copy)
    })
}

#[cfg(test)]
mod tests {
    use crate::Fd;
    use crate::parcel::{pack, unpack};
    use serde::{Deserialize, Serialize};
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::fd::OwnedFd;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Both { file: Fd<File>, missing: String },
        One { file: Fd<File> },
    }

    fn file(text: &str) -> Fd<File> {
        use std::io::Seek as _;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        Fd(file)
    }

    fn text(mut file: Fd<File>) -> String {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn descriptors_are_named_by_their_place() {
        let sent = (file("a"), vec![(1, Some(file("b"))), (2, None)], file("c"));
        let parcel = pack(&sent).unwrap();
        assert_eq!(parcel.descriptors.len(), 3);
        type Sent = (Fd<File>, Vec<(u8, Option<Fd<File>>)>, Fd<File>);
        let (a, mut list, c): Sent = unpack(parcel).unwrap();
        assert_eq!((text(a), text(c)), ("a".to_owned(), "c".to_owned()));
        assert_eq!(text(list.remove(0).1.unwrap()), "b");
    }

    #[test]
    fn a_variant_that_does_not_fit_does_not_use_them_up() {
        let parcel = pack(&Either::One { file: file("x") }).unwrap();
        let Either::One { file } = unpack(parcel).unwrap() else {
            panic!("another variant");
        };
        assert_eq!(text(file), "x");
        let bytes = pack(&file_and_text()).unwrap();
        assert_eq!(unpack::<(Fd, String)>(bytes).unwrap().1, "{}");
    }

    fn file_and_text() -> (Fd<File>, String) {
        (file("y"), "{}".to_owned())
    }

    #[test]
    fn elsewhere_they_are_refused() {
        let outside = serde_json::to_string(&file("x")).unwrap_err();
        assert!(outside.to_string().contains("of a call"), "{outside}");
        let text = r#"{"mpfork descriptor": 0}"#;
        let outside = serde_json::from_str::<Fd>(text).unwrap_err();
        assert!(outside.to_string().contains("of a call"), "{outside}");
        // What was packed before does not matter afterwards.
        let parcel = pack(&file("x")).unwrap();
        assert!(serde_json::to_string(&file("x")).is_err());
        let missing = crate::codec::decode::<Fd>(&parcel.bytes).unwrap_err();
        assert!(missing.to_string().contains("of a call"), "{missing}");
        let none = mpfork_zygote::payload::Parcel {
            bytes: parcel.bytes,
            descriptors: Vec::new(),
        };
        let missing = unpack::<Fd>(none).unwrap_err();
        assert!(missing.to_string().contains("did not come"), "{missing}");
    }

    #[test]
    fn they_are_limited() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let reader: OwnedFd = reader.into();
        let many: Vec<_> = (0..251).map(|_| Fd(reader.try_clone().unwrap())).collect();
        assert_eq!(pack(&many[1..]).unwrap().descriptors.len(), 250);
        let refused = pack(&many).map(drop).unwrap_err();
        assert!(refused.to_string().contains("250"), "{refused}");
    }

    /// Writes a value while another one is written.
    struct Nested;

    impl Serialize for Nested {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let inner = pack(&[file("1"), file("2")]).unwrap();
            let panicked = std::panic::catch_unwind(|| pack(&Panics).map(drop));
            assert!(panicked.is_err());
            inner.descriptors.len().serialize(serializer)
        }
    }

    struct Panics;

    impl Serialize for Panics {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            let _ = serde_json::to_string(&file("collected"));
            panic!("as it was told to")
        }
    }

    #[test]
    fn one_within_the_other_is_kept_apart() {
        let parcel = pack(&(file("a"), Nested, file("b"))).unwrap();
        assert_eq!(parcel.descriptors.len(), 2);
        let (a, two, b): (Fd<File>, usize, Fd<File>) = unpack(parcel).unwrap();
        assert_eq!((text(a), two, text(b)), ("a".to_owned(), 2, "b".to_owned()));
    }
}
