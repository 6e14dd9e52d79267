//! JSON with its keys in order, which `serde_json::Value` doesn't keep.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Null,
    Bool,
    Integer,
    Float,
    Text,
    List(Vec<Shape>),
    Object(Vec<(String, Shape)>),
}

impl Shape {
    /// Checks that this is of the form of `golden`: the same keys first, in the same order, and the same types.
    pub(crate) fn check(&self, golden: &Shape, place: &str) {
        match (self, golden) {
            (Shape::Object(ours), Shape::Object(golden)) => {
                assert!(ours.len() >= golden.len(), "{place}: keys are missing");
                for ((key, ours), (name, golden)) in ours.iter().zip(golden) {
                    assert_eq!(key, name, "in {place}");
                    ours.check(golden, &format!("{place}.{key}"));
                }
            }
            (Shape::List(ours), Shape::List(golden)) => {
                assert!(!ours.is_empty(), "{place}: nothing to compare");
                ours.iter().for_each(|entry| entry.check(&golden[0], place));
            }
            _ => assert_eq!(self, golden, "{place}"),
        }
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Bool)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Integer)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Integer)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Float)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            entries.push(entry);
        }
        Ok(Shape::List(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Shape, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = object.next_entry()? {
            entries.push(entry);
        }
        Ok(Shape::Object(entries))
    }
}
