//! Environs to begin with: most of what a request says was said by the one before.
//!
//! Requests of one kind of client have the same entries in the same order, and few of them have another value than last time. So for
//! each order that was seen a dict is kept; a request gets a copy, in which only what differs is set. Copying a dict takes
//! a tenth of the time that making one does, and all of it is spent with the GIL.
//!
//! A value gets into the dict that is kept only where [`Interpreter::entry`] keeps it, too: not what one request alone said.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::environ::{BOUND, value_of};
use crate::python::{Interpreter, Object, Py, Raised, Stored};
use crate::wsgi::Pairs;

/// So many orders are kept in an application group: browsers, proxies and monitors each have few of their own.
const MOST: usize = 8;

/// Those of an application group, the one that was used last at the end.
#[derive(Default)]
pub(super) struct Prototypes(Mutex<Vec<Prototype>>);

/// An environ that waits for values.
pub(super) struct Prototype {
    /// Keys without values.
    keys: Pairs,
    /// What the dict has for each; `None` where it has Python's.
    values: Vec<Option<Box<[u8]>>>,
    dict: Stored,
}

impl Prototypes {
    /// The one for these entries, if there is one and no other thread has it. To be [put](Self::put) back.
    pub(super) fn take(&self, entries: &Pairs) -> Option<Prototype> {
        let mut all = self.all();
        let found = all.iter().rposition(|prototype| prototype.keys.has_keys_of(entries))?;
        Some(all.remove(found))
    }

    pub(super) fn put(&self, py: Py<'_>, prototype: Prototype) {
        let mut all = self.all();
        all.push(prototype);
        let least = (all.len() > MOST).then(|| all.remove(0));
        // What ends with the last reference may run Python code.
        drop(all);
        if let Some(Prototype { dict, .. }) = least {
            dict.release(py);
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Prototype>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prototype {
    /// One for environs like this one, which has `entries`, and all else that an environ has.
    pub(super) fn of<'py>(
        py: Py<'py>,
        interpreter: &Interpreter,
        environ: &Object<'py>,
        entries: &Pairs,
    ) -> Result<Prototype, Raised<'py>> {
        let (dict, none, mut keys) = (environ.copy_dict()?, Object::none(py), Pairs::default());
        for (key, _) in entries.iter() {
            keys.push_optional(key, None);
            dict.set_item(&interpreter.key(py, key)?, &none)?;
        }
        for key in BOUND {
            dict.set_item(&interpreter.key(py, key)?, &none)?;
        }
        let values = keys.iter().map(|_| None).collect();
        Ok(Prototype { keys, values, dict: dict.store() })
    }

    /// An environ with these entries; what is bound to the request is to be set in it.
    pub(super) fn environ<'py>(
        &mut self,
        py: Py<'py>,
        interpreter: &Interpreter,
        entries: &Pairs,
    ) -> Result<Object<'py>, Raised<'py>> {
        let prototype = self.dict.get(py);
        let environ = prototype.copy_dict()?;
        for ((key, value), before) in entries.entries().zip(&mut self.values) {
            if value == before.as_deref() {
                continue;
            }
            let Some(bytes) = value else {
                environ.set_item(&interpreter.key(py, key)?, &Object::none(py))?;
                continue;
            };
            let entry = value_of(py, interpreter, key, bytes)?;
            environ.set_item(&entry.key, &entry.value)?;
            if entry.is_kept {
                prototype.set_item(&entry.key, &entry.value)?;
                *before = Some(bytes.into());
            }
        }
        Ok(environ)
    }
}
