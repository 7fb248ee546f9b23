//! Values of every kind, for arguments and results.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Does something with a value of each kind.
pub(crate) trait Each {
    fn value<T>(&self, value: T)
    where
        T: Serialize + DeserializeOwned + Clone + PartialEq + Debug + 'static;
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
    Fields { a: u8, b: Option<String> },
    List(Vec<Self>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Unit,
    Many { x: f64 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "of")]
enum Adjacent {
    Unit,
    One(u8),
    Many { x: f64 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Ordinary {
    Unit,
    One(Box<Self>),
    Two(u8, String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Open {
    name: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outer {
    name: String,
    #[serde(flatten)]
    inner: Tagged,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    skipped: Option<u8>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

/// Bytes as such, not as a list of numbers.
#[derive(Debug, Clone, PartialEq)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Blob;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(bytes))
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

pub(crate) fn of_every_kind(each: &impl Each) {
    let name = || "n".to_owned();
    each.value(());
    each.value((u128::MAX, i8::MIN, 'ß', "ä€🦀".to_owned(), [0.25_f32; 3]));
    each.value((true, f64::NEG_INFINITY, i128::MIN));
    each.value(HashMap::from([(1_u32, "one".to_owned())]));
    each.value(BTreeMap::from([(
        name(),
        vec![BTreeMap::from([(name(), ())])],
    )]));
    each.value(vec![Some(Some(1_u8)), None]);
    each.value(Duration::from_nanos(1_000_000_001));
    each.value(std::path::PathBuf::from("/a/b"));
    each.value(SocketAddr::from(([10, 0, 0, 1], 80)));
    each.value(Blob(vec![0, 255, 10]));
    each.value(json!({
        "null": null, "big": u64::MAX, "small": i64::MIN, "x": 1.5, "list": [1, "two", {}, []],
    }));
    each.value(Value::Null);
    each.value(vec![
        Untagged::Number(-1),
        Untagged::Text(String::new()),
        Untagged::Fields { a: 1, b: None },
        Untagged::List(vec![Untagged::Number(3)]),
    ]);
    each.value(vec![Tagged::Unit, Tagged::Many { x: 0.5 }]);
    each.value(vec![
        Adjacent::Unit,
        Adjacent::One(1),
        Adjacent::Many { x: 0.5 },
    ]);
    each.value(vec![
        Ordinary::Unit,
        Ordinary::One(Box::new(Ordinary::Two(2, name()))),
    ]);
    let rest = [("extra".to_owned(), json!([1, {"deep": true}]))].into();
    each.value(Open { name: name(), rest });
    each.value(Outer {
        name: name(),
        inner: Tagged::Many { x: 2.0 },
        skipped: None,
    });
    each.value(vec![
        Host::Ip([127, 0, 0, 1].into()),
        Host::Name("localhost".to_owned()),
    ]);
}

/// Around everything that is a limit on the way: inline arguments, socket buffers, messages.
pub(crate) const SIZES: [usize; 9] = [
    0,
    1,
    65_530,
    65_536,
    65_537,
    300_000,
    4 << 20,
    12 << 20,
    33 << 20,
];

/// Can be written, or read, only when it holds an even number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Even(pub(crate) u32);

impl Serialize for Even {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 2 == 1 {
            return Err(serde::ser::Error::custom("an odd one"));
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        if number == 4 {
            return Err(serde::de::Error::custom("not four"));
        }
        Ok(Self(number))
    }
}
