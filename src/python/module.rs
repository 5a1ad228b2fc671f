//! What the Python module `mod_wsgi` needs of ours beside Python code (`api.py`): events, figures, levels.

use std::sync::Arc;

use pyo3_ffi as ffi;

use super::callback::{Answer, Arguments, Class, Failure, Method, guard};
use super::error::Raised;
use super::exchange::Exchange;
use super::figures::{self, Used};
use super::interpreter::Interpreter;
use super::object::Object;
use super::state::Py;
use super::{runtime, shown};
use crate::metrics::{Fields, Moment, Times, Value};
use crate::wsgi::Level;

impl Interpreter {
    /// Whether anybody has subscribed to events.
    pub(crate) fn has_subscribers(&self, py: Py<'_>) -> bool {
        self.native().is_some_and(|native| !native.event_callbacks.get(py).is_empty_list())
    }

    /// `request_finished` for the subscribers: what `events`, which `request_started` gave, does not know.
    pub(crate) fn publish_finished<'py>(
        &self,
        py: Py<'py>,
        events: &Object<'py>,
        times: &Times,
        used: Option<Used>,
        exchange: &Exchange,
    ) -> Result<(), Raised<'py>> {
        let transfer = exchange.transfer();
        let status = match exchange.status() {
            0 => 500,
            status => status,
        };
        let mut fields: Fields = vec![
            ("input_reads", Value::number(transfer.input_reads)),
            ("input_length", Value::number(transfer.input_length)),
            ("input_time", Value::Float(transfer.input_time)),
            ("output_length", Value::number(transfer.output_length)),
            ("output_writes", Value::number(transfer.output_writes)),
        ];
        if let Some(used) = used {
            fields.extend([
                ("cpu_user_time", Value::Float(used.user)),
                ("cpu_system_time", Value::Float(used.system)),
                ("cpu_time", Value::Float(used.user + used.system)),
            ]);
        }
        fields.extend([
            ("output_time", Value::Float(transfer.output_time)),
            ("application_finish", Value::Float(times.application_finish)),
            ("application_time", Value::Float((times.application_finish - times.application_start).max(0.0))),
            ("status", Value::Int(status.into())),
            ("gil_wait_time", Value::Float(used.map_or(0.0, |used| used.gil_wait))),
            ("gil_wait_count", Value::number(used.map_or(0, |used| used.gil_waits))),
        ]);
        let fields = to_python(py, Value::Map(fields))?;
        self.call(py, c"request_finished", &[events, &fields]).map(drop)
    }

    /// The process is about to end, for this reason: subscribers are told, once. On the interpreter's home thread, later.
    pub(crate) fn announce_end(self: &Arc<Self>, reason: &'static str) {
        let interpreter = Arc::clone(self);
        self.home().post(move |py| drop(tell_end(py, &interpreter, reason)));
    }

    /// A signal came that is the application's: subscribers are told, on the calling thread. Waits for the GIL.
    ///
    /// # Errors
    /// [`Closed`](super::Closed) once the process is ending.
    pub(crate) fn publish_signal(
        self: &Arc<Self>,
        name: &'static str,
        number: i32,
    ) -> Result<(), super::state::Closed> {
        self.enter(|py| {
            let told = Object::text(py, name.as_bytes()).and_then(|name| {
                let number = Object::int(py, number.into())?;
                self.call(py, c"signal_arrived", &[&name, &number])
            });
            drop(told);
            self.flush_thread(py);
        })
    }
}

/// `process_stopping`; a second call does nothing.
pub(super) fn tell_end<'py>(py: Py<'py>, interpreter: &Interpreter, reason: &str) -> Result<(), Raised<'py>> {
    let reason = Object::text(py, reason.as_bytes())?;
    interpreter.call(py, c"process_stopping", &[&reason]).map(drop)
}

/// A figure as Python has it.
fn to_python(py: Py<'_>, value: Value) -> Result<Object<'_>, Raised<'_>> {
    match value {
        Value::None => Ok(Object::none(py)),
        Value::Bool(value) => Ok(Object::bool(py, value)),
        Value::Int(value) => Object::int(py, value),
        Value::Float(value) => Object::float(py, value),
        Value::Text(text) => Object::latin1(py, &text),
        Value::List(values) => {
            let values: Result<Vec<_>, _> = values.into_iter().map(|value| to_python(py, value)).collect();
            Object::list(py, values?)
        }
        Value::Map(fields) => {
            let dict = Object::dict(py)?;
            for (name, value) in fields {
                dict.set_item(&Object::text(py, name.as_bytes())?, &to_python(py, value)?)?;
            }
            Ok(dict)
        }
    }
}

fn optional(py: Py<'_>, value: Option<Value>) -> Answer<'_> {
    Ok(to_python(py, value.unwrap_or(Value::None))?)
}

/// The interpreter that this thread is attached to, as a key.
fn here(_py: Py<'_>) -> usize {
    // SAFETY: attached by `_py`; only the address is used.
    (unsafe { ffi::PyInterpreterState_Get() }).addr()
}

/// The level that httpd counts so.
pub(super) fn level(number: Option<i64>) -> Level {
    match number {
        Some(2) => Level::Crit,
        Some(4) => Level::Warn,
        Some(5) => Level::Notice,
        Some(6) => Level::Info,
        Some(7) => Level::Debug,
        Some(8) => Level::Trace1,
        _ => Level::Error,
    }
}

fn moment(arguments: &Arguments<'_>) -> Moment {
    let seconds = |index: usize| arguments.get(index).and_then(|time| time.as_f64()).unwrap_or(0.0);
    Moment { now: figures::now(), cpu_user: seconds(0), cpu_system: seconds(1) }
}

/// Declares a function for Python: a table entry and what CPython calls, with the number of arguments and the body.
macro_rules! function {
    ($entry:ident, $name:literal, $function:ident, $arguments:literal, |$py:ident, $given:ident| $body:expr) => {
        pub(super) static $entry: Method = Method::fast($name, $function);

        unsafe extern "C" fn $function(
            _this: *mut ffi::PyObject,
            items: *mut *mut ffi::PyObject,
            count: ffi::Py_ssize_t,
        ) -> *mut ffi::PyObject {
            // SAFETY: CPython calls this on an attached thread.
            let $py = unsafe { Py::assume() };
            // SAFETY: CPython calls with its own arguments, which live until we return.
            let $given = unsafe { Arguments::new($py, items, count) };
            guard($py, stringify!($function), || {
                $given.between(concat!(stringify!($function), "()"), $arguments, $arguments)?;
                $body
            })
        }
    };
}

function!(LOGS, c"logs", logs, 1, |py, given| {
    let level = level(given.get(0).and_then(|level| level.as_i64()));
    Ok(Object::bool(py, runtime::logs(py, level)))
});

function!(REQUEST_DATA, c"request_data", request_data, 0, |py, _given| {
    shown::current_data(py)?.ok_or_else(|| Failure::new(Class::Runtime, "no active request for thread"))
});

function!(LIST_REQUESTS, c"list_requests", list_requests, 0, |py, _given| {
    shown::list_all(py)?;
    Ok(Object::none(py))
});

function!(MEASURE, c"measure", measure, 0, |py, _given| {
    figures::want();
    Ok(Object::none(py))
});

function!(RECORD, c"record", record, 2, |py, given| {
    figures::record(here(py), moment(&given), shown::current_begin());
    Ok(Object::none(py))
});

function!(REQUEST_FIGURES, c"request_figures", request_figures, 2, |py, given| {
    optional(py, figures::of_requests(here(py), moment(&given)).map(Value::Map))
});

function!(PROCESS_FIGURES, c"process_figures", process_figures, 0, |py, _given| {
    optional(py, figures::of_process(figures::now()).map(Value::Map))
});

function!(SERVER_METRICS, c"server_metrics", server_metrics, 0, |py, _given| {
    optional(py, runtime::server_metrics(py))
});

/// The functions above, by the names that `api.py` has for them.
pub(super) fn functions(py: Py<'_>) -> Result<Object<'_>, Raised<'_>> {
    let dict = Object::dict(py)?;
    for (name, method) in [
        (c"logs", &LOGS),
        (c"request_data", &REQUEST_DATA),
        (c"list_requests", &LIST_REQUESTS),
        (c"measure", &MEASURE),
        (c"record", &RECORD),
        (c"request_figures", &REQUEST_FIGURES),
        (c"process_figures", &PROCESS_FIGURES),
        (c"server_metrics", &SERVER_METRICS),
    ] {
        dict.set_key(name, &method.function(py)?)?;
    }
    Ok(dict)
}
