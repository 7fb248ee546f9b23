//! In arguments and results: as a descriptor that goes beside them, or as its bytes where a receiver could
//! not rely on that.

use super::content::Content;
use super::{Shared, SharedBuilder};
use bytemuck::Pod;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// What stands for it among the bytes when it goes as a descriptor.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    /// Which descriptor.
    #[serde(rename = "mpfork shared")]
    pub(super) index: u32,
    /// How many bytes the file has.
    pub(super) bytes: u64,
    /// How many are an element.
    pub(super) element: u64,
}

impl<T: Pod> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.content.pass().map_err(S::Error::custom)? {
            Some(named) => named.serialize(serializer),
            None => serializer.serialize_bytes(bytemuck::cast_slice(self.as_slice())),
        }
    }
}

impl<'de, T: Pod> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Form(PhantomData))
    }
}

/// Either form.
struct Form<T>(PhantomData<T>);

impl<'de, T: Pod> Visitor<'de> for Form<T> {
    type Value = Shared<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shared memory")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Shared<T>, A::Error> {
        let named = Named::deserialize(MapAccessDeserializer::new(map))?;
        let content = Content::passed(&named).map_err(A::Error::custom)?;
        Ok(Shared { content })
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Shared<T>, E> {
        let mut builder = SharedBuilder::new();
        builder.read_from(bytes).map_err(E::custom)?;
        builder.seal().map_err(E::custom)
    }
}
