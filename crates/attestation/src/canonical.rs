//! Strict JSON in, canonical JSON out.
//!
//! TUF and in-toto sign a canonical form (OLPC canonical JSON, as `securesystemslib` writes it): members
//! sorted by code point, no white space, integers only, in strings only `"` and `\` escaped. Two parsers
//! that disagree about duplicate members or numbers would see two documents under one signature, so
//! [`parse`] refuses whatever has more than one reading.

use std::fmt;

use serde::{
    Serialize,
    de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// The largest integer that every JSON reader represents exactly (2^53 - 1, RFC 8259 section 6).
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Why bytes are not strict JSON, or not the document they should be.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or JSON with two readings (duplicate member, fraction, lone surrogate, …).
    #[error("not strict JSON")]
    Syntax(#[source] serde_json::Error),
    /// Strict JSON, but not of the shape of `expected`.
    #[error("not a {expected}")]
    Shape {
        /// What was being read.
        expected: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Understood, but written otherwise than we would write it: an unknown member, or another spelling.
    #[error("{expected} is not in canonical form, or has a member that this version does not know")]
    NotCanonical {
        /// What was being read.
        expected: &'static str,
    },
}

/// Reads strict JSON: one document, no duplicate member, no fraction or exponent, no integer beyond
/// [`MAX_INTEGER`], no lone surrogate, UTF-8, at most 127 levels deep.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut deserializer).map_err(JsonError::Syntax)?;
    deserializer.end().map_err(JsonError::Syntax)?;
    Ok(value)
}

/// Reads a `T` from strict JSON; what `T` makes of unknown members is `T`'s business.
pub fn from_value<T: DeserializeOwned>(value: Value, expected: &'static str) -> Result<T, JsonError> {
    serde_json::from_value(value).map_err(|source| JsonError::Shape { expected, source })
}

/// Reads a `T` whose canonical form is exactly `bytes`: nothing that `T` does not know can hide in it.
pub fn from_exact<T: DeserializeOwned + Serialize>(bytes: &[u8], expected: &'static str) -> Result<T, JsonError> {
    let read: T = from_value(parse(bytes)?, expected)?;
    if to_vec(&read) == bytes {
        Ok(read)
    } else {
        Err(JsonError::NotCanonical { expected })
    }
}

/// The canonical form of `value`.
///
/// # Panics
/// If `T` serialises to something that is not JSON with string keys and integers: a type of ours that
/// does is a programming error, found by the first test that touches it.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let value = serde_json::to_value(value).expect("our types serialise to JSON");
    let mut out = Vec::new();
    write(&value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(flag) => out.extend(if *flag { b"true".as_slice() } else { b"false" }),
        Value::Number(number) => {
            assert!(!number.is_f64(), "canonical JSON has integers only");
            out.extend(number.to_string().bytes());
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => write_object(members, out),
    }
}

fn write_object(members: &Map<String, Value>, out: &mut Vec<u8>) {
    // Sorted here, not by the map: another crate may switch serde_json's map to insertion order.
    // The order of UTF-8 bytes is the order of code points.
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| name.as_bytes());
    out.push(b'{');
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write(value, out);
    }
    out.push(b'}');
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' || byte == b'\\' {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Deserialises a [`Value`] and refuses what has two readings.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("strict JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        if number.unsigned_abs() > MAX_INTEGER {
            return Err(E::custom(format!("integer {number} is beyond 2^53 - 1")));
        }
        Ok(number.into())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        if number > MAX_INTEGER {
            return Err(E::custom(format!("integer {number} is beyond 2^53 - 1")));
        }
        Ok(number.into())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Err(E::custom(format!("{number} is not an integer")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            out.push(item);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Strict)?;
            if out.contains_key(&name) {
                return Err(de::Error::custom(format!("member {name:?} stands twice")));
            }
            out.insert(name, value);
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_has_two_readings() {
        for (text, flaw) in [
            (r#"{"a":1,"a":2}"#, "duplicate member"),
            (r#"{"a":1,"\u0061":2}"#, "duplicate member behind an escape"),
            ("1.0", "fraction"),
            ("1e3", "exponent"),
            ("-0", "negative zero"),
            ("9007199254740992", "2^53"),
            ("-9007199254740992", "-2^53"),
            ("18446744073709551616", "2^64"),
            (r#""\ud800""#, "lone surrogate"),
            ("{} {}", "two documents"),
            ("01", "leading zero"),
            ("[1,]", "trailing comma"),
            ("\u{feff}{}", "byte order mark"),
            ("NaN", "not a number"),
        ] {
            assert!(
                matches!(parse(text.as_bytes()), Err(JsonError::Syntax(_))),
                "{flaw} was accepted"
            );
        }
        assert!(
            matches!(parse(b"\"\xff\""), Err(JsonError::Syntax(_))),
            "invalid UTF-8 was accepted"
        );
        let deep = "[".repeat(1_000_000);
        assert!(parse(deep.as_bytes()).is_err(), "a million levels were accepted");
    }

    #[test]
    fn accepts_the_honest_twins() {
        for text in [
            r#"{"a":1,"b":2}"#,
            "-1",
            "9007199254740991",
            r#""\ud83d\ude00""#,
            " { } ",
            "0",
        ] {
            parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text} was refused: {error:?}"));
        }
    }

    #[test]
    fn writes_what_securesystemslib_writes() {
        let value = parse(
            "{\"b\":[1,true,null,-5],\"\u{10ffff}\":\"x\",\"\u{e000}\":\"q\\\"\\\\\\n\u{e9}\",\"a\":{}}".as_bytes(),
        )
        .unwrap();
        assert_eq!(
            String::from_utf8(to_vec(&value)).unwrap(),
            "{\"a\":{},\"b\":[1,true,null,-5],\"\u{e000}\":\"q\\\"\\\\\n\u{e9}\",\"\u{10ffff}\":\"x\"}"
        );
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(MAX_INTEGER as i64)..=MAX_INTEGER as i64).prop_map(Value::from),
            "[ -~\u{80}-\u{10ffff}]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"\\\\]{0,4}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_form_reads_back_and_is_its_own_canonical_form(value in json()) {
            let bytes = to_vec(&value);
            let read = parse(&bytes).unwrap();
            prop_assert_eq!(&read, &value);
            prop_assert_eq!(to_vec(&read), bytes);
        }
    }
}
