//! What a figure can be, for Python.

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
}
