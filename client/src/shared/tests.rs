//! What needs no other process.

use super::{Shared, SharedBuilder, SharedError};
use crate::parcel::{pack, unpack};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write as _};

fn numbers(count: u32) -> Vec<u32> {
    (0..count).map(|n| n.wrapping_mul(2_654_435_761)).collect()
}

/// Around the size of the buffer.
const COUNTS: [u32; 6] = [0, 1, 16_383, 16_384, 16_385, 100_000];

#[test]
fn what_was_added_is_there_however_it_was_added() {
    for count in COUNTS {
        let expected = numbers(count);
        let mut one_by_one = Shared::builder();
        one_by_one.try_extend(expected.iter().copied()).unwrap();
        assert_eq!(one_by_one.len(), expected.len());
        assert_eq!(one_by_one.is_empty(), count == 0);
        let mut in_parts = SharedBuilder::with_capacity(3).unwrap();
        for part in expected.chunks(999) {
            in_parts.extend_from_slice(part).unwrap();
        }
        let bytes: &[u8] = bytemuck::cast_slice(&expected);
        let shared = [
            one_by_one.seal().unwrap(),
            in_parts.seal().unwrap(),
            Shared::from_slice(&expected).unwrap(),
            Shared::from_reader(bytes).unwrap(),
        ];
        for shared in shared {
            assert_eq!(shared.as_slice(), expected);
            assert_eq!(shared.clone().len(), expected.len());
        }
    }
}

#[test]
fn elements_may_be_large() {
    let large = [[7u8; 100_000], [8; 100_000]];
    let mut builder = Shared::builder();
    builder.push(large[0]).unwrap();
    builder.push(large[1]).unwrap();
    let pushed = builder.seal().unwrap();
    let read: Shared<[u8; 100_000]> = Shared::from_reader(large.as_flattened()).unwrap();
    assert!(pushed.as_slice() == large && read.as_slice() == large);
}

#[test]
fn bytes_are_written() {
    let mut builder = Shared::<u8>::builder();
    for n in 0..30_000 {
        writeln!(builder, "line {n}").unwrap();
    }
    let text = builder.seal().unwrap();
    let text = std::str::from_utf8(&text).unwrap();
    assert!(text.lines().eq((0..30_000).map(|n| format!("line {n}"))));
}

/// Gives a few bytes at a time, then an error.
struct Stuttering {
    left: usize,
}

impl Read for Stuttering {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.left {
            0 => Err(io::Error::other("the disk is gone")),
            left if left % 2 == 0 => {
                self.left -= 1;
                Err(io::ErrorKind::Interrupted.into())
            }
            _ => {
                self.left -= 1;
                let count = buffer.len().min(5);
                buffer[..count].fill(1);
                Ok(count)
            }
        }
    }
}

#[test]
fn what_can_not_be_read_is_told() {
    let error = Shared::<u32>::from_reader(Stuttering { left: 10 }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "reading, after 0 elements: the disk is gone"
    );
    let limited = Stuttering { left: 100 }.take(103);
    let error = Shared::<u32>::from_reader(limited).unwrap_err();
    assert!(
        matches!(
            error,
            SharedError::Partial {
                elements: 25,
                rest: 3,
                size: 4
            }
        ),
        "{error}"
    );
    let limited = Stuttering { left: 100 }.take(104);
    let ones = Shared::<u32>::from_reader(limited).unwrap();
    assert_eq!(ones.as_slice(), [0x0101_0101; 26]);
}

#[test]
fn what_no_slice_can_have_is_refused() {
    for elements in [usize::MAX, usize::MAX / 8, isize::MAX as usize / 8 + 1] {
        let error = SharedBuilder::<u64>::with_capacity(elements).unwrap_err();
        assert!(
            matches!(error, SharedError::TooLarge { size: 8, .. }),
            "{error}"
        );
    }
}

#[test]
fn it_goes_where_values_go() {
    fn goes<T: Send + Sync + Clone + std::panic::UnwindSafe + 'static>(_: &T) {}
    let shared = Shared::from_slice(&[1.5, 2.5]).unwrap();
    goes(&shared);
    let shown = format!("{shared:?}");
    assert_eq!(shown, r#"Shared { element: "f64", len: 2 }"#);
    let sum: f64 = (&shared).into_iter().sum();
    assert_eq!(sum, 4.0);
    assert_eq!(shared.as_ref().first(), Some(&1.5));
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Text(String),
    Numbers {
        numbers: Shared<u64>,
    },
    More {
        numbers: Shared<u32>,
        more: Option<Shared<u8>>,
    },
}

#[test]
fn it_passes_as_a_descriptor() {
    let numbers = Shared::from_slice(&numbers(50_000)).unwrap();
    let sent = Either::More {
        numbers: numbers.clone(),
        more: Some(Shared::from_slice(b"").unwrap()),
    };
    let parcel = pack(&sent).unwrap();
    #[cfg(target_os = "linux")]
    assert!(parcel.descriptors.len() == 2 && parcel.bytes.len() < 200);
    drop(sent);
    // Past the variant whose elements are others.
    let Either::More {
        numbers: came,
        more,
    } = unpack(parcel).unwrap()
    else {
        panic!("another variant");
    };
    assert_eq!(came.as_slice(), numbers.as_slice());
    assert!(more.unwrap().is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn only_in_calls() {
    let numbers = Shared::from_slice(&[1u16, 2]).unwrap();
    let outside = serde_json::to_string(&numbers).unwrap_err();
    assert!(outside.to_string().contains("of a call"), "{outside}");
}

#[cfg(target_os = "linux")]
#[test]
fn what_could_change_is_not_taken() {
    use crate::Fd;
    use mpfork_sys::memory_file;
    use std::collections::BTreeMap;
    use std::os::fd::OwnedFd;
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Part {
        Number(u64),
        Descriptor(Fd),
    }
    /// What a sender makes up: the place of a descriptor that goes too, a length, elements.
    fn taken(file: OwnedFd, bytes: u64, element: u64) -> Result<Shared<u32>, String> {
        let named = [("mpfork shared", 0), ("bytes", bytes), ("element", element)];
        let named: BTreeMap<_, _> = named.map(|(key, of)| (key, Part::Number(of))).into();
        let parcel = pack(&(named, Part::Descriptor(Fd(file)))).unwrap();
        let came = unpack::<(Shared<u32>, Fd)>(parcel).map_err(|error| error.to_string())?;
        Ok(came.0)
    }
    let sealed = || memory_file::of(&[0; 8]).unwrap();
    assert_eq!(taken(sealed(), 8, 4).unwrap().as_slice(), [0, 0]);
    for (bytes, element, why) in [
        (12, 4, "8 bytes instead of 12"),
        (4, 4, "8 bytes instead of 4"),
        (8, 8, "elements of 8 is none of elements of 4"),
        (6, 4, "6 bytes"),
        (u64::MAX - 3, 4, "8 bytes instead of"),
    ] {
        let error = taken(sealed(), bytes, element).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let file = tempfile::tempfile().unwrap();
    file.set_len(8).unwrap();
    let error = taken(file.into(), 8, 4).unwrap_err();
    assert!(error.contains("not sealed"), "{error}");
}
