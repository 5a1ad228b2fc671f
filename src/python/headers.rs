//! Status and headers as Python gives them: what `start_response` and `early_hints` are called with.

use std::ptr::NonNull;

use pyo3_ffi as ffi;

use super::callback::{Arguments, Class, Failure};
use super::error::Raised;
use super::object::{Object, unsigned};
use crate::wsgi::{Head, Hints};

/// The first two arguments of `start_response`, checked.
pub(super) fn head<'py>(arguments: &Arguments<'py>) -> Result<Head, Failure<'py>> {
    let value = |error: &dyn std::fmt::Display| Failure::new(Class::Value, error);
    let status = arguments.get(0).map(|status| Latin1::new(status, "status")).transpose()?;
    let mut head = Head::new(status.as_ref().map(Latin1::bytes).unwrap_or_default()).map_err(|error| value(&error))?;
    let Some(headers) = arguments.get(1) else { return Ok(head) };
    // SAFETY: attached; any object may be asked.
    if unsafe { ffi::PyList_Check(headers.as_ptr()) } == 0 {
        let text = format!("start_response()'s headers must be a list, not {}", headers.type_name());
        return Err(Failure::new(Class::Type, text));
    }
    each(&headers, "start_response()", |name, content| head.push(name, content).map_err(|error| value(&error)))?;
    Ok(head)
}

/// The argument of `early_hints`, checked: any iterable of headers, as they are written for `start_response`.
pub(super) fn hints<'py>(arguments: &Arguments<'py>) -> Result<Hints, Failure<'py>> {
    let mut hints = Hints::default();
    let Some(headers) = arguments.get(0) else { return Ok(hints) };
    // SAFETY: attached; raises TypeError where it can't be iterated. (Code of the application's may run.)
    let headers = Object::returned(headers.py(), unsafe { ffi::PySequence_List(headers.as_ptr()) })?;
    each(&headers, "early_hints()", |name, content| {
        hints.push(name, content).map_err(|error| Failure::new(Class::Value, error))
    })?;
    Ok(hints)
}

/// Shows each header of a list.
fn each<'py>(
    headers: &Object<'py>,
    whose: &str,
    mut show: impl FnMut(&[u8], &[u8]) -> Result<(), Failure<'py>>,
) -> Result<(), Failure<'py>> {
    // SAFETY: a list, as the callers know.
    let length = unsafe { ffi::PyList_Size(headers.as_ptr()) };
    for index in 0..length {
        // SAFETY: a list; borrowed, NULL with an exception where it became shorter meanwhile.
        let item = unsafe { ffi::PyList_GetItem(headers.as_ptr(), index) };
        let Some(item) = NonNull::new(item) else { return Err(Raised::fetch(headers.py()).into()) };
        let (name, content) = pair(&Object::borrowed(headers.py(), item), whose)?;
        let (name, content) = (Latin1::new(name, "header name")?, Latin1::new(content, "header value")?);
        show(name.bytes(), content.bytes())?;
    }
    Ok(())
}

/// A header: a tuple of two.
fn pair<'py>(item: &Object<'py>, whose: &str) -> Result<(Object<'py>, Object<'py>), Failure<'py>> {
    // SAFETY: attached; any object may be asked.
    if unsafe { ffi::PyTuple_Check(item.as_ptr()) } == 0 {
        let text = format!("each of {whose}'s headers must be a tuple, not {}", item.type_name());
        return Err(Failure::new(Class::Type, text));
    }
    // SAFETY: a tuple, as just checked.
    let length = unsigned(unsafe { ffi::PyTuple_Size(item.as_ptr()) });
    let part = |index| {
        // SAFETY: a tuple; borrowed, NULL with an exception where there is no such item.
        NonNull::new(unsafe { ffi::PyTuple_GetItem(item.as_ptr(), index) })
            .map(|part| Object::borrowed(item.py(), part))
    };
    match (length, part(0), part(1)) {
        (2, Some(name), Some(value)) => Ok((name, value)),
        _ => {
            drop(Raised::pending(item.py()));
            Err(Failure::new(
                Class::Value,
                format!("each of {whose}'s headers must be a (name, value) tuple, this one has {length} items"),
            ))
        }
    }
}

/// PEP 3333, "Unicode Issues": strings hold "only code points representable in ISO-8859-1 encoding".
enum Latin1<'py> {
    /// All ASCII: the string's own memory.
    Ascii(Object<'py>, NonNull<u8>, usize),
    Encoded(Object<'py>),
}

impl<'py> Latin1<'py> {
    fn new(text: Object<'py>, what: &str) -> Result<Latin1<'py>, Failure<'py>> {
        // SAFETY: attached; any object may be asked.
        if unsafe { ffi::PyUnicode_Check(text.as_ptr()) } == 0 {
            return Err(Failure::new(Class::Type, format!("{what} must be a str, not {}", text.type_name())));
        }
        // SAFETY: a str, as just checked.
        if unsafe { ffi::PyUnicode_IS_ASCII(text.as_ptr()) } != 0 {
            let mut length = 0;
            // SAFETY: a str; the memory is the string's own and never changes.
            let start = unsafe { ffi::PyUnicode_AsUTF8AndSize(text.as_ptr(), &raw mut length) };
            if let Some(start) = NonNull::new(start.cast_mut().cast()) {
                return Ok(Latin1::Ascii(text, start, unsigned(length)));
            }
        }
        // SAFETY: a str; raises UnicodeEncodeError where it can't be.
        let encoded = unsafe { ffi::PyUnicode_AsLatin1String(text.as_ptr()) };
        Ok(Latin1::Encoded(Object::returned(text.py(), encoded)?))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            // SAFETY: pointer and length of the string that the value holds on to.
            Latin1::Ascii(_text, start, length) => unsafe { std::slice::from_raw_parts(start.as_ptr(), *length) },
            Latin1::Encoded(bytes) => bytes.as_bytes().unwrap_or_default(),
        }
    }
}
