//! Functions that travel between processes of the same program: found again by the offset of a
//! record in the main image.

use crate::image::image;
use std::marker::PhantomData;

/// What a function that ran in a worker leaves behind.
#[derive(Debug)]
pub enum Returned {
    /// Its encoded result.
    Value(Vec<u8>),
    /// It failed, or its argument or result could not be coded.
    Failed(Failed),
    /// It asks to end with this exit code and has no result.
    Code(u8),
}

/// Why a function has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What failed.
    pub kind: FailedKind,
    /// The error's own text.
    pub message: String,
    /// The texts of its sources, outermost first.
    pub chain: Vec<String>,
    /// The encoded error, when the caller asked for it typed.
    pub value: Option<Vec<u8>>,
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedKind {
    /// The function returned an error.
    Error,
    /// The argument could not be decoded.
    Argument,
    /// The result could not be encoded.
    Result,
}

/// A function behind a uniform face: encoded argument in, encoded result out.
pub type Entry = fn(&[u8]) -> Returned;

/// Runs functions of type `F`: how they take their argument and give their result.
pub trait Thunk<F> {
    /// Decodes the argument, calls the function, encodes the result.
    fn run(function: F, argument: &[u8]) -> Returned;
}

// A record is read as three words before it is believed.
const _: () = assert!(size_of::<Record>() == 3 * size_of::<u64>());
const MAGIC: [u64; 2] = [0x6d70_666f_726b_2065, 0x6e74_7279_2072_6563];

/// Marks a place in the program's image from which a function can be called. Only [`record_of`] makes
/// them.
#[repr(C)]
#[derive(Debug)]
pub struct Record {
    magic: [u64; 2],
    entry: Entry,
}

struct RecordOf<F, T>(PhantomData<(F, T)>);

impl<F: Copy + 'static, T: Thunk<F>> RecordOf<F, T> {
    const RECORD: &'static Record = &Record {
        magic: MAGIC,
        entry: call::<F, T>,
    };
}

fn call<F: Copy + 'static, T: Thunk<F>>(argument: &[u8]) -> Returned {
    const {
        assert!(
            size_of::<F>() == 0,
            "only functions and closures that capture nothing can travel to another process"
        );
    }
    // SAFETY: `F` has no bytes, so a well-aligned dangling pointer is valid for reading it; a value of
    // it exists, since `record_of` was given one to make the record by which this was found, in this
    // same program; and it is `Copy`, so another one may exist.
    let function = unsafe { std::ptr::NonNull::<F>::dangling().read() };
    T::run(function, argument)
}

/// The record by which the same program, in another process, finds this function.
///
/// Compiles only for types without bytes: functions and closures that capture nothing. A `Copy` type
/// without bytes that stands for a capability would be such a type too: a worker has one without
/// having asked for it.
#[must_use]
pub fn record_of<F: Copy + 'static, T: Thunk<F>>(_function: F) -> &'static Record {
    RecordOf::<F, T>::RECORD
}

/// The offset of a record in the program's main image; `None` when it lies elsewhere, as in a shared
/// library.
#[must_use]
pub fn offset_of(record: &'static Record) -> Option<u64> {
    let address = std::ptr::from_ref(record) as usize;
    let image = image();
    image
        .contains(address, size_of::<Record>())
        .then(|| (address - image.base) as u64)
}

/// The function of the record at an offset that [`offset_of`] gave in another process of the same
/// program; `None` when there is no record.
#[must_use]
pub fn entry_at(offset: u64) -> Option<Entry> {
    let image = image();
    let address = image.base.checked_add(usize::try_from(offset).ok()?)?;
    if !address.is_multiple_of(align_of::<Record>())
        || !image.contains(address, size_of::<Record>())
    {
        return None;
    }
    let magic = std::ptr::with_exposed_provenance::<[u64; 2]>(address);
    // SAFETY: the address is aligned and a record's length from there lies in a readable segment of
    // the main image, which stays loaded. Two integers have no invalid bytes.
    if unsafe { magic.read() } != MAGIC {
        return None;
    }
    let words = std::ptr::with_exposed_provenance::<[usize; 3]>(address);
    // SAFETY: as above; three words of 64 bits, as the program's own records have.
    let code = unsafe { words.read() }[2];
    if !image.is_code(code) {
        return None;
    }
    let record = std::ptr::with_exposed_provenance::<Record>(address);
    // SAFETY: as above; the magic is found only where a record is, and records never change.
    let record: &'static Record = unsafe { &*record };
    Some(record.entry)
}

/// Looks at the main image now: what is forked from here on need not.
pub fn prepare() {
    image();
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    impl<F: Fn(u8) -> u8> Thunk<F> for Echo {
        fn run(function: F, argument: &[u8]) -> Returned {
            Returned::Value(vec![function(argument[0])])
        }
    }

    fn double(n: u8) -> u8 {
        n * 2
    }

    #[test]
    fn a_function_is_found_by_its_records_offset() {
        let offset = offset_of(record_of::<_, Echo>(double)).unwrap();
        let closure = offset_of(record_of::<_, Echo>(|n: u8| n + 1)).unwrap();
        assert_ne!(offset, closure);
        let value = |offset| match entry_at(offset).unwrap()(&[20]) {
            Returned::Value(value) => value[0],
            other => panic!("{other:?}"),
        };
        assert_eq!(value(offset), 40);
        assert_eq!(value(closure), 21);
    }

    #[test]
    fn other_offsets_are_refused() {
        let offset = offset_of(record_of::<_, Echo>(double)).unwrap();
        for wrong in [
            0,
            offset + 1,
            offset + 8,
            offset - 8,
            u64::MAX,
            u64::MAX / 2,
        ] {
            assert!(entry_at(wrong).is_none(), "{wrong:#x}");
        }
    }
}
