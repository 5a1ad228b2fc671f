//! What a figure can be, for Python.

use serde_json::Value as Json;

/// A value as Python knows it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Bytes as httpd has them: one character each.
    Text(Vec<u8>),
    List(Vec<Value>),
    Map(Fields),
}

/// Names and values, in order.
pub type Fields = Vec<(&'static str, Value)>;

/// All names in what `mod_wsgi.server_metrics()` answers.
pub const SCOREBOARD: [&str; 22] = [
    "server_limit",
    "thread_limit",
    "running_generation",
    "restart_time",
    "current_time",
    "running_time",
    "processes",
    "process_num",
    "pid",
    "generation",
    "quiescing",
    "workers",
    "thread_num",
    "status",
    "access_count",
    "bytes_served",
    "start_time",
    "stop_time",
    "last_used",
    "client",
    "request",
    "vhost",
];

impl Value {
    /// A number that is not negative; the largest `int` of ours where it is larger.
    #[must_use]
    pub fn number(number: u64) -> Value {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// How many there are of something.
    #[must_use]
    pub fn count(count: usize) -> Value {
        Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Whole units, 0 for less than nothing.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`as` takes the nearest number there is, which is what is wanted"
    )]
    pub fn whole(number: f64) -> Value {
        Value::Int(number.max(0.0) as i64)
    }

    /// As JSON, to be read again by [`Value::from_json`].
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Value::None => Json::Null,
            Value::Bool(bool) => (*bool).into(),
            Value::Int(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Text(bytes) => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
            Value::List(values) => values.iter().map(Value::to_json).collect(),
            Value::Map(fields) => fields.iter().map(|(name, value)| (*name, value.to_json())).collect(),
        }
    }

    /// The same again; `names` are all that maps can have. Nothing where it is something else.
    #[must_use]
    pub fn from_json(json: &Json, names: &[&'static str]) -> Option<Value> {
        Some(match json {
            Json::Null => Value::None,
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Value::Int(number),
                None => Value::Float(number.as_f64()?),
            },
            Json::String(text) => {
                Value::Text(text.chars().map(|letter| u8::try_from(letter).ok()).collect::<Option<_>>()?)
            }
            Json::Array(values) => {
                Value::List(values.iter().map(|value| Value::from_json(value, names)).collect::<Option<_>>()?)
            }
            Json::Object(fields) => {
                let named = |(name, value)| {
                    Some((*names.iter().find(|known| *known == name)?, Value::from_json(value, names)?))
                };
                Value::Map(fields.iter().map(named).collect::<Option<_>>()?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_from_json() {
        let value = Value::Map(vec![
            ("a", Value::List(vec![Value::None, Value::Bool(true), Value::Int(-5), Value::List(Vec::new())])),
            ("b", Value::Float(5.0)),
            ("c", Value::Text(b"x\0\"\xe9\xff".to_vec())),
        ]);
        let text = value.to_json().to_string();
        let json = serde_json::from_str(&text).unwrap();
        assert_eq!(Value::from_json(&json, &["c", "b", "a"]), Some(value));
        assert_eq!(Value::from_json(&json, &["a", "b"]), None);
    }
}
