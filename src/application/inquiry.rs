//! Asks functions of a script about a request: who may have it, who the user is, where it is to run.
//!
//! Called by `access`, on the thread that has the request, which holds no interpreter before and after. What an answer means is said
//! there; here is only how it is got.

use std::sync::Arc;

use super::environ::Bound;
use super::script::Unusable;
use super::{Applications, Group, environ, report};
use crate::python::{Exchange, Interpreter, Lent, Object, Py, Raised, Serving, hide};
use crate::wsgi::{Host, Level, Pairs};

/// What a script is asked.
pub(crate) struct Inquiry<'a> {
    /// The application group; empty for the main interpreter.
    pub(crate) group: &'a [u8],
    pub(crate) script: &'a [u8],
    /// `WSGIScriptReloading`.
    pub(crate) reloading: bool,
    /// `WSGICaseSensitivity`.
    pub(crate) case_sensitive: bool,
    /// The text entries of environ.
    pub(crate) environ: &'a Pairs,
    /// Whether environ has functions that tell of TLS.
    pub(crate) tells_tls: bool,
}

/// A function to be called.
pub(crate) struct Question<'a> {
    pub(crate) function: &'static str,
    /// What it gets behind environ, each as latin-1.
    pub(crate) arguments: &'a [&'a [u8]],
    pub(crate) wanted: Wanted,
}

/// What shape an answer is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    One,
    /// Many, in whatever can be iterated over, but for a `str` or `bytes`, which stay one.
    Many,
}

/// What a function returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    None,
    /// `True` or `False` itself.
    Bool(bool),
    /// A `str`, as far as it can be encoded.
    Text {
        latin1: Option<Vec<u8>>,
        utf8: Option<Vec<u8>>,
    },
    Bytes(Vec<u8>),
    /// What was iterated over.
    Many(Vec<Value>),
    /// Anything else: the name of its type.
    Other(String),
}

/// There is no answer; the cause is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unanswered;

impl Applications {
    /// Asks one question after the other, all with one environ; nothing for a function that the script does not have. Blocks.
    ///
    /// # Errors
    /// [`Unanswered`]: the script can't be loaded, or a function raised.
    pub(crate) fn ask(
        &self,
        inquiry: &Inquiry<'_>,
        questions: &[Question<'_>],
        host: &mut dyn Host,
    ) -> Result<Vec<Option<Value>>, Unanswered> {
        let group = match self.group(inquiry.group) {
            Ok(group) => group,
            Err(error) => {
                host.log(error.level(), error.to_string().as_bytes());
                return Err(Unanswered);
            }
        };
        let lent = Lent::new(host, b"", b"");
        let entered = group.interpreter.enter(|py| {
            let _serving = Serving::new(Arc::clone(lent.exchange()));
            let _hidden = hide();
            let answers = self.answers(py, &group, inquiry, questions, lent.exchange());
            group.extensions.look_after_load(py, &group.interpreter, &group.scripts.looks, &**lent.exchange());
            group.interpreter.flush_thread(py);
            answers
        });
        entered.unwrap_or_else(|closed| {
            let _ = lent.with(|host, _| host.log(Level::Info, closed.to_string().as_bytes()));
            Err(Unanswered)
        })
    }

    fn answers(
        &self,
        py: Py<'_>,
        group: &Group,
        inquiry: &Inquiry<'_>,
        questions: &[Question<'_>],
        exchange: &Arc<Exchange>,
    ) -> Result<Vec<Option<Value>>, Unanswered> {
        let interpreter = &group.interpreter;
        let names = group.scripts.for_inquiry(py, interpreter, inquiry, exchange);
        let names = names.map_err(|_: Unusable| Unanswered)?;
        let mut bound = Bound::default();
        let answers = match self.environ(py, interpreter, inquiry, exchange, &mut bound) {
            Ok(environ) => questions
                .iter()
                .map(|question| {
                    let name = interpreter.key(py, question.function.as_bytes()).and_then(|name| names.get_item(&name));
                    let answer = name.and_then(|function| {
                        function.map(|function| call(py, &function, &environ, question)).transpose()
                    });
                    let doing = || format!("{}() of the WSGI script", question.function);
                    answer.map_err(|raised| failed(py, interpreter, exchange, inquiry, &doing(), &raised))
                })
                .collect(),
            Err(raised) => {
                Err(failed(py, interpreter, exchange, inquiry, "making environ for the WSGI script", &raised))
            }
        };
        bound.end(py, interpreter);
        answers
    }

    fn environ<'py>(
        &self,
        py: Py<'py>,
        interpreter: &Interpreter,
        inquiry: &Inquiry<'_>,
        exchange: &Arc<Exchange>,
        bound: &mut Bound<'py>,
    ) -> Result<Object<'py>, Raised<'py>> {
        let version = self.runtime.settings().version;
        let environ = environ::inquiry(py, interpreter, inquiry.environ, self.constants, version)?;
        let input = interpreter.input(py, exchange)?;
        let (kept, stream) = interpreter.errors(py, &input)?;
        bound.errors = Some(kept);
        environ.set_item(&interpreter.key(py, b"wsgi.errors")?, &stream)?;
        if inquiry.tells_tls {
            let [is_https, var_lookup] = interpreter.tls_functions(&input)?;
            environ.set_item(&interpreter.key(py, b"mod_ssl.is_https")?, &is_https)?;
            environ.set_item(&interpreter.key(py, b"mod_ssl.var_lookup")?, &var_lookup)?;
        }
        bound.record = environ::pass_record(py, interpreter, &environ, exchange)?;
        Ok(environ)
    }
}

fn call<'py>(
    py: Py<'py>,
    function: &Object<'py>,
    environ: &Object<'py>,
    question: &Question<'_>,
) -> Result<Value, Raised<'py>> {
    let texts: Result<Vec<_>, _> = question.arguments.iter().map(|text| Object::latin1(py, text)).collect();
    let texts = texts?;
    let arguments: Vec<&Object<'py>> = std::iter::once(environ).chain(&texts).collect();
    let returned = function.call(&arguments)?;
    let one = value(&returned);
    match (question.wanted, one) {
        (Wanted::Many, Value::Other(_)) => {
            let items = returned.iterate()?;
            let mut many = Vec::new();
            while let Some(item) = items.next()? {
                many.push(value(&item));
            }
            Ok(Value::Many(many))
        }
        (_, one) => Ok(one),
    }
}

fn value(object: &Object<'_>) -> Value {
    if object.is_none() {
        Value::None
    } else if let Some(value) = object.as_bool() {
        Value::Bool(value)
    } else if let Some(bytes) = object.as_bytes() {
        Value::Bytes(bytes.to_vec())
    } else if object.is_str() {
        Value::Text { latin1: object.encode_latin1(), utf8: object.encode_utf8() }
    } else {
        Value::Other(object.type_name())
    }
}

fn failed(
    py: Py<'_>,
    interpreter: &Interpreter,
    exchange: &Exchange,
    inquiry: &Inquiry<'_>,
    doing: &str,
    raised: &Raised<'_>,
) -> Unanswered {
    report::exception(py, interpreter, exchange, inquiry.script, doing, raised);
    Unanswered
}
