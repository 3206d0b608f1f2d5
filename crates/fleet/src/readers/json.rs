//! The instance files: a small typed reader that names the key path of what is wrong.
//!
//! [`Document`] holds a parsed file, [`Node`] a place in it with its path, and [`ObjectReader`]
//! hands out the keys of an object and refuses those that nobody asked for, except `expected`,
//! `name` and `note`. The programs read their own instances with the same three types.
//!
//! ```
//! use evflex_fleet::readers::fleet::fleet_from_node;
//! use evflex_fleet::readers::json::Document;
//! let document = Document::parse(br#"{"name": "two cars", "loads_kw": [[3, 4]], "fleet":
//!   {"step_hours": 1, "steps": 2, "vehicles": [
//!     {"id": "a", "power_min_kw": 0, "power_max_kw": 7, "energy_min_kwh": [0, 5], "energy_max_kwh": 9}]}}"#)?;
//! let mut instance = document.root().object()?;
//! let fleet = fleet_from_node(&instance.required("fleet")?)?;
//! let loads = instance.required("loads_kw")?.matrix(Some(fleet.steps()))?;
//! instance.finish()?;
//! assert_eq!((fleet.len(), loads[[0, 1]]), (1, 4.0));
//!
//! // What is wrong is named with its path.
//! let document = Document::parse(br#"{"fleet": {"steps": 2, "step_hours": 1, "vehicles": [{"id": 7}]}}"#)?;
//! let node = document.root().object()?.required("fleet")?;
//! let error = fleet_from_node(&node).unwrap_err();
//! assert_eq!(error.to_string(), "fleet.vehicles[0].id: expected a string, found a number");
//! # Ok::<(), evflex_fleet::Error>(())
//! ```

use super::{read_bytes, without_bom};
use crate::error::Error;
use ndarray::Array2;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// Largest number of entries, vehicles × steps, that a file may ask for. A scalar stands for a whole array,
/// so that a few bytes could otherwise ask for more memory than there is.
pub const MAX_ENTRIES: usize = 100_000_000;

/// Keys that every object may have and no reader looks at.
const IGNORED_KEYS: [&str; 3] = ["expected", "name", "note"];

/// A JSON value; arrays of numbers are kept as numbers, because most of an instance is that.
#[derive(Debug)]
enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Numbers(Vec<f64>),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Numbers(_) | Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut numbers = Vec::new();
        while let Some(value) = access.next_element()? {
            let Value::Number(number) = value else {
                let mut list: Vec<Value> = numbers.into_iter().map(Value::Number).collect();
                list.push(value);
                while let Some(value) = access.next_element()? {
                    list.push(value);
                }
                return Ok(Value::List(list));
            };
            numbers.push(number);
        }
        Ok(Value::Numbers(numbers))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Object(entries))
    }
}

/// A parsed JSON file.
#[derive(Debug)]
pub struct Document {
    root: Value,
}

impl Document {
    /// Parses JSON text in UTF-8, with or without a byte order mark.
    ///
    /// # Errors
    /// [`Error::EmptyFile`]; [`Error::Json`] with line and column, also for numbers that are not
    /// finite (`NaN` is not JSON, `1e999` is no number).
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let text = without_bom(text);
        if text.trim_ascii().is_empty() {
            return Err(Error::EmptyFile);
        }
        let root = serde_json::from_slice(text).map_err(|error| Error::Json {
            reason: error.to_string(),
        })?;
        Ok(Self { root })
    }

    /// Parses a file.
    ///
    /// # Errors
    /// [`Error::Io`], and as [`Document::parse`], with the path in front.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(&read_bytes(path)?).map_err(|error| error.at(path.display().to_string()))
    }

    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node {
            value: &self.root,
            path: String::new(),
        }
    }
}

/// A place in a document: a value and the path of keys that leads to it.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Node<'a> {
    /// The path of keys, for instance `fleet.vehicles[3].id`.
    #[must_use]
    pub fn path(&self) -> &str {
        if self.path.is_empty() {
            "the top level"
        } else {
            &self.path
        }
    }

    /// Puts the path of this place in front of an error.
    #[must_use]
    pub fn error(&self, error: Error) -> Error {
        error.at(self.path())
    }

    fn wrong_type(&self, expected: &'static str) -> Error {
        self.error(Error::WrongType {
            expected,
            found: self.value.kind(),
        })
    }

    fn entry(&self, index: usize) -> String {
        format!("{}[{index}]", self.path)
    }

    /// Whether an object here has this key. False for anything but an object.
    #[must_use]
    pub fn has_key(&self, key: &str) -> bool {
        matches!(self.value, Value::Object(entries) if entries.iter().any(|(k, _)| k == key))
    }

    /// The keys of the object at this place.
    ///
    /// # Errors
    /// [`Error::WrongType`]; [`Error::DuplicateKey`].
    pub fn object(&self) -> Result<ObjectReader<'a>, Error> {
        let Value::Object(list) = self.value else {
            return Err(self.wrong_type("an object"));
        };
        let mut entries = HashMap::with_capacity(list.len());
        for (key, value) in list {
            if entries.insert(key.as_str(), value).is_some() {
                return Err(self.error(Error::DuplicateKey { key: key.clone() }));
            }
        }
        Ok(ObjectReader {
            entries,
            path: self.path.clone(),
            known: Vec::new(),
        })
    }

    /// The entries of the array at this place.
    ///
    /// # Errors
    /// [`Error::WrongType`] unless it is an array of anything but numbers; numbers are read with
    /// [`Node::numbers`] or [`Node::profile`].
    pub fn list(&self) -> Result<Vec<Self>, Error> {
        match self.value {
            Value::List(list) => Ok(list
                .iter()
                .enumerate()
                .map(|(index, value)| Self {
                    value,
                    path: self.entry(index),
                })
                .collect()),
            Value::Numbers(numbers) if numbers.is_empty() => Ok(Vec::new()),
            Value::Numbers(_) => {
                let found = "an array of numbers";
                Err(self.error(Error::WrongType {
                    expected: "an array of objects",
                    found,
                }))
            }
            _ => Err(self.wrong_type("an array")),
        }
    }

    /// A number, finite because JSON has no others.
    ///
    /// # Errors
    /// [`Error::WrongType`].
    pub fn number(&self) -> Result<f64, Error> {
        match self.value {
            Value::Number(number) => Ok(*number),
            _ => Err(self.wrong_type("a number")),
        }
    }

    /// A whole number from 0 to `limit`.
    ///
    /// # Errors
    /// [`Error::WrongType`]; [`Error::OutOfRange`].
    pub fn count(&self, limit: usize) -> Result<usize, Error> {
        let value = self.number()?;
        if value < 0.0 || value.fract() != 0.0 || value > limit as f64 {
            return Err(Error::OutOfRange {
                what: self.path().to_owned(),
                rule: format!("a whole number from 0 to {limit}"),
                value,
            });
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked"
        )]
        Ok(value as usize)
    }

    /// A string.
    ///
    /// # Errors
    /// [`Error::WrongType`].
    pub fn text(&self) -> Result<&'a str, Error> {
        match self.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.wrong_type("a string")),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// [`Error::WrongType`].
    pub fn boolean(&self) -> Result<bool, Error> {
        match self.value {
            Value::Bool(value) => Ok(*value),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// An array of numbers, of length `len` if one is given.
    ///
    /// # Errors
    /// [`Error::WrongType`] for anything else, with the index of an entry that is no number;
    /// [`Error::Length`].
    pub fn numbers(&self, len: Option<usize>) -> Result<&'a [f64], Error> {
        let numbers = match self.value {
            Value::Numbers(numbers) => numbers,
            Value::List(list) => {
                // A list holds at least one entry that is no number.
                let bad = list
                    .iter()
                    .position(|value| !matches!(value, Value::Number(_)));
                let index = bad.unwrap_or(0);
                return Err(Self {
                    value: &list[index],
                    path: self.entry(index),
                }
                .wrong_type("a number"));
            }
            _ => return Err(self.wrong_type("an array of numbers")),
        };
        if let Some(expected) = len
            && numbers.len() != expected
        {
            let what = self.path().to_owned();
            return Err(Error::Length {
                what,
                expected,
                found: numbers.len(),
            });
        }
        Ok(numbers)
    }

    /// A value per step: an array of `steps` numbers, or one number that stands for all of them.
    ///
    /// # Errors
    /// As [`Node::numbers`]; [`Error::TooLarge`] for more than [`MAX_ENTRIES`] steps.
    pub fn profile(&self, steps: usize) -> Result<Vec<f64>, Error> {
        if let Value::Number(number) = self.value {
            check_size(steps, 1)?;
            return Ok(vec![*number; steps]);
        }
        if let Value::Numbers(_) | Value::List(_) = self.value {
            return self.numbers(Some(steps)).map(<[f64]>::to_vec);
        }
        Err(self.wrong_type("a number or an array of numbers"))
    }

    /// A matrix given as an array of rows, with `columns` numbers in each row if that is given and
    /// rows of equal length otherwise. An empty array is a matrix without rows.
    ///
    /// # Errors
    /// As [`Node::numbers`], with the index of the row.
    pub fn matrix(&self, columns: Option<usize>) -> Result<Array2<f64>, Error> {
        let rows = match self.value {
            Value::List(_) => self.list()?,
            Value::Numbers(numbers) if numbers.is_empty() => Vec::new(),
            _ => return Err(self.wrong_type("an array of rows")),
        };
        let mut columns = columns;
        let mut flat = Vec::new();
        for row in &rows {
            let numbers = row.numbers(columns)?;
            columns = Some(numbers.len());
            flat.extend_from_slice(numbers);
        }
        let shape = (rows.len(), columns.unwrap_or(0));
        Array2::from_shape_vec(shape, flat).map_err(|_| Error::Length {
            what: self.path().to_owned(),
            expected: shape.0,
            found: rows.len(),
        })
    }
}

/// Hands out the keys of an object and remembers which were asked for.
#[derive(Debug)]
pub struct ObjectReader<'a> {
    entries: HashMap<&'a str, &'a Value>,
    path: String,
    known: Vec<&'static str>,
}

impl<'a> ObjectReader<'a> {
    /// The place of this object.
    #[must_use]
    pub fn path(&self) -> &str {
        if self.path.is_empty() {
            "the top level"
        } else {
            &self.path
        }
    }

    /// The value of `key`, if the object has it.
    pub fn optional(&mut self, key: &'static str) -> Option<Node<'a>> {
        self.known.push(key);
        let value = *self.entries.get(key)?;
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        Some(Node { value, path })
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// [`Error::MissingKey`].
    pub fn required(&mut self, key: &'static str) -> Result<Node<'a>, Error> {
        self.optional(key).ok_or_else(|| {
            Error::MissingKey {
                key: key.to_owned(),
            }
            .at(self.path())
        })
    }

    /// Refuses keys that nobody asked for, except `expected`, `name` and `note`.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], for the first in the order of the alphabet.
    pub fn finish(self) -> Result<(), Error> {
        let unknown = self
            .entries
            .keys()
            .filter(|key| !self.known.contains(key) && !IGNORED_KEYS.contains(key))
            .min();
        match unknown {
            None => Ok(()),
            Some(key) => Err(Error::UnknownKey {
                key: (*key).to_owned(),
                known: self.known.join(", "),
            }
            .at(self.path())),
        }
    }
}

/// Refuses sizes that no machine is meant to hold.
pub(super) fn check_size(steps: usize, vehicles: usize) -> Result<(), Error> {
    let found = steps.saturating_mul(vehicles);
    if found > MAX_ENTRIES {
        let what = "vehicles × steps".to_owned();
        return Err(Error::TooLarge {
            what,
            found,
            limit: MAX_ENTRIES,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_need_equal_rows() {
        let matrix = |json: &str, columns| {
            let document = Document::parse(json.as_bytes()).expect("JSON");
            document
                .root()
                .matrix(columns)
                .map_err(|error| error.to_string())
        };
        assert_eq!(matrix("[[1,2],[3,4]]", None).map(|m| m[[1, 0]]), Ok(3.0));
        assert_eq!(matrix("[]", Some(3)).map(|m| m.dim()), Ok((0, 3)));
        insta::assert_snapshot!(
            matrix("[[1,2],[3]]", None).expect_err("refused"),
            @"[1] must have 2 entries, found 1"
        );
        insta::assert_snapshot!(
            matrix("[1,2]", None).expect_err("refused"),
            @"the top level: expected an array of rows, found an array"
        );
    }
}
