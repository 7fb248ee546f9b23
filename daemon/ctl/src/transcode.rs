//! Arguments and results of functions: MessagePack to the worker, JSON to people.

use serde::Serialize as _;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Writes a value as a worker reads it: in the form for people where a type has one.
pub(crate) fn encode(value: &Value) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut bytes = Vec::new();
    let mut serializer = rmp_serde::Serializer::new(&mut bytes)
        .with_struct_map()
        .with_human_readable();
    value.serialize(&mut serializer)?;
    Ok(bytes)
}

/// Reads what a worker wrote.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, rmp_serde::decode::Error> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes).with_human_readable();
    Shown::deserialize(&mut deserializer).map(|shown| shown.0)
}

/// Any value in JSON's terms. Bytes become a list of numbers, numbers that JSON has not become null,
/// keys become texts.
struct Shown(Value);

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Shown;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shown, E> {
        Ok(Shown(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Shown, E> {
        Ok(Shown(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Shown, E> {
        Ok(Shown(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Shown, E> {
        Ok(Shown(
            Number::from_f64(value).map_or(Value::Null, Value::from),
        ))
    }

    fn visit_str<E>(self, value: &str) -> Result<Shown, E> {
        Ok(Shown(value.into()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Shown, E> {
        Ok(Shown(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Shown, E> {
        Ok(Shown(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Shown, E> {
        Ok(Shown(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shown, D::Error> {
        Shown::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Shown, D::Error> {
        Shown::deserialize(inner)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shown, A::Error> {
        let mut list = Vec::new();
        while let Some(Shown(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Shown(list.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shown, A::Error> {
        let mut map = Map::new();
        while let Some((Shown(key), Shown(value))) = entries.next_entry()? {
            let key = match key {
                Value::String(text) => text,
                other => serde_json::to_string(&other).map_err(A::Error::custom)?,
            };
            map.insert(key, value);
        }
        Ok(Shown(map.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn json_survives() {
        let value = json!({
            "a": [1, -2, 1.5, null, true, "text", []],
            "b": {"": {}},
            "c": u64::MAX,
        });
        assert_eq!(decode(&encode(&value).unwrap()).unwrap(), value);
        let address = json!({"address": "[::1]:80"});
        assert_eq!(decode(&encode(&address).unwrap()).unwrap(), address);
    }

    #[test]
    fn what_json_has_not_is_shown_all_the_same() {
        let shown = |bytes: Result<Vec<u8>, _>| decode(&bytes.unwrap()).unwrap();
        let map = BTreeMap::from([(1, 'x'), (-2, 'y')]);
        assert_eq!(
            shown(rmp_serde::to_vec_named(&map)),
            json!({"1": "x", "-2": "y"})
        );
        assert_eq!(shown(rmp_serde::to_vec_named(&f64::NAN)), Value::Null);
        assert_eq!(shown(rmp_serde::to_vec_named(&Some(()))), Value::Null);
        // A byte string of two bytes, one of which is no UTF-8.
        assert_eq!(decode(&[0xc4, 2, 1, 0xff]).unwrap(), json!([1, 255]));
        assert!(decode(&[0xc1]).is_err());
        assert!(decode(&[]).is_err());
    }
}
