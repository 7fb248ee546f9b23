//! How arguments and results are written: MessagePack with field names, which describes itself, so
//! that untagged and flattened types and `serde_json::Value` survive.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value could not be written.
pub(crate) type EncodeError = rmp_serde::encode::Error;
/// The bytes could not be read as that type.
pub(crate) type DecodeError = rmp_serde::decode::Error;

pub(crate) fn encode(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, EncodeError> {
    rmp_serde::to_vec_named(value)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    rmp_serde::from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;
    use std::fmt::Debug;

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
