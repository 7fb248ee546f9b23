//! How arguments and results are written: MessagePack with field names, which describes itself, so
//! that untagged and flattened types and `serde_json::Value` survive. Types that have a form for
//! people, such as addresses, are written in it: inside an untagged enum serde reads no other.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value could not be written.
pub(crate) type EncodeError = rmp_serde::encode::Error;
/// The bytes could not be read as that type.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// They do not begin with such a value.
    #[error(transparent)]
    Value(#[from] rmp_serde::decode::Error),
    /// They do not end with it.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
}

pub(crate) fn encode(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    let mut serializer = rmp_serde::Serializer::new(&mut bytes)
        .with_struct_map()
        .with_human_readable();
    value.serialize(&mut serializer)?;
    Ok(bytes)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest).with_human_readable();
    let value = T::deserialize(&mut deserializer)?;
    match rest.len() {
        0 => Ok(value),
        count => Err(DecodeError::Trailing(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;
    use std::fmt::Debug;
    use std::net::{IpAddr, Ipv6Addr, SocketAddr};

    fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
        let bytes = encode(&value).unwrap();
        assert_eq!(decode::<T>(&bytes).unwrap(), value);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(i64),
        Text(String),
        Fields { a: u8, b: Option<String> },
        List(Vec<Untagged>),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", content = "of")]
    enum Adjacent {
        Unit,
        One(u8),
        Many { x: f64 },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Internal {
        Unit,
        Many { x: f64 },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Outer {
        name: String,
        #[serde(flatten)]
        inner: Internal,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        skipped: Option<u8>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Open {
        name: String,
        #[serde(flatten)]
        rest: BTreeMap<String, serde_json::Value>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Host {
        Ip(IpAddr),
        Name(String),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Peer {
        At { address: SocketAddr },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Place {
        address: SocketAddr,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Named {
        name: String,
        #[serde(flatten)]
        place: Place,
    }

    #[test]
    fn addresses_survive_wherever_they_are() {
        let ip = IpAddr::V4([10, 0, 0, 1].into());
        let address = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 80);
        survives(ip);
        survives(address);
        survives(vec![Host::Ip(ip), Host::Name("localhost".to_owned())]);
        survives(Peer::At { address });
        survives(Named {
            name: "n".to_owned(),
            place: Place { address },
        });
        survives(BTreeMap::from([(ip, address)]));
    }

    #[test]
    fn what_follows_the_value_is_refused() {
        for more in [&[0xc0][..], &[0x91], &[0xc1, 0]] {
            let bytes = [&encode(&(1, Some("text"))).unwrap(), more].concat();
            let refused = decode::<(u8, Option<String>)>(&bytes).unwrap_err();
            assert!(
                matches!(refused, DecodeError::Trailing(count) if count == more.len()),
                "{refused}"
            );
        }
        let refused = decode::<()>(&[0xc0, 0xc0]).unwrap_err();
        assert_eq!(refused.to_string(), "1 bytes follow the value");
        let refused = decode::<Option<u8>>(&[0xc0, 1]).unwrap_err();
        assert!(matches!(refused, DecodeError::Trailing(1)), "{refused}");
        assert!(matches!(decode::<()>(&[]), Err(DecodeError::Value(_))));
    }

    /// As `serde_bytes` does it.
    #[derive(Debug, PartialEq)]
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

                fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                    Ok(Blob(bytes.to_vec()))
                }
            }
            deserializer.deserialize_byte_buf(Bytes)
        }
    }

    #[test]
    fn bytes_stay_bytes() {
        let blob = Blob(vec![0, 0xff, 0xc1]);
        assert_eq!(encode(&blob).unwrap(), [0xc4, 3, 0, 0xff, 0xc1]);
        survives(blob);
        survives(Blob(Vec::new()));
    }

    #[test]
    fn json_values_survive() {
        survives(serde_json::json!({
            "null": null, "big": u64::MAX, "negative": i64::MIN, "float": 1.5,
            "list": [1, "two", [], {}], "nested": {"": {"a": true}},
        }));
    }

    #[test]
    fn enums_of_every_kind_survive() {
        survives(vec![
            Untagged::Number(-1),
            Untagged::Text("t".to_owned()),
            Untagged::Fields { a: 1, b: None },
            Untagged::List(vec![Untagged::Number(3)]),
        ]);
        survives(vec![
            Adjacent::Unit,
            Adjacent::One(2),
            Adjacent::Many { x: 0.5 },
        ]);
        survives(vec![Internal::Unit, Internal::Many { x: -0.0 }]);
        survives::<Result<Option<()>, String>>(Ok(None));
        survives(Some(Some(7u8)));
    }

    #[test]
    fn flattened_fields_survive() {
        survives(Outer {
            name: "n".to_owned(),
            inner: Internal::Many { x: 1.0 },
            skipped: None,
        });
        survives(Open {
            name: "n".to_owned(),
            rest: [("extra".to_owned(), serde_json::json!([1, 2]))].into(),
        });
    }

    #[test]
    fn the_usual_types_survive() {
        survives((1u8, -1i128, "text".to_owned(), 'c', [1.5f32; 3]));
        survives(std::path::PathBuf::from("/a/b"));
        survives(std::time::Duration::from_nanos(1_000_000_001));
        survives(u128::MAX);
        survives(());
        survives(Vec::<u8>::new());
    }
}
