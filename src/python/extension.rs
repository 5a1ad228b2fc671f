//! Extension modules: what they say of themselves about several interpreters in one process.

use std::ffi::c_int;

use pyo3_ffi as ffi;

use super::error::Raised;
use super::interpreter::Interpreter;
use super::object::Object;
use super::state::Py;

/// CPython 3.12's slot in which a module declares it (PEP 630, `Py_mod_multiple_interpreters`). 3.11 refuses modules that have it.
const MULTIPLE_INTERPRETERS: c_int = 3;

/// Whether an extension module may be in several interpreters, by its own definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// It says so.
    Declared,
    /// It says no; or it is made in the old way (single-phase initialisation), with state that belongs to the process.
    No,
    /// Multi-phase initialisation and no word: CPython takes that for a yes, but tools that write extensions use it, too.
    Unsaid,
    /// There is no definition to look at. CPython makes the second copy of an old module without one.
    Unknown,
}

/// An extension module that is loaded from a file of its own.
pub(crate) struct Extension {
    /// The module's name in full.
    pub(crate) name: String,
    pub(crate) file: Vec<u8>,
    pub(crate) support: Support,
}

/// The extension modules of this interpreter that do not come with Python itself.
///
/// # Errors
/// An exception of Python's, such as for no memory.
pub(crate) fn extensions<'py>(py: Py<'py>, interpreter: &Interpreter) -> Result<Vec<Extension>, Raised<'py>> {
    let found = interpreter.call(py, c"extensions", &[])?;
    let one = |entry: Object<'py>| {
        let [name, file, module] = <[Object<'py>; 3]>::try_from(entry.exact_sequence()?).ok()?;
        Some(Extension { name: name.utf8_lossy()?, file: file.as_bytes()?.to_vec(), support: support(&module) })
    };
    Ok(found.exact_sequence().unwrap_or_default().into_iter().filter_map(one).collect())
}

/// What a module says. Any object may be asked; what is no module says nothing.
fn support(module: &Object<'_>) -> Support {
    // SAFETY: attached, as the object's lifetime says; a live object.
    if unsafe { ffi::PyModule_Check(module.as_ptr()) } == 0 {
        return Support::Unknown;
    }
    // SAFETY: a live module; answers NULL without an exception where there is no definition.
    let definition = unsafe { ffi::PyModule_GetDef(module.as_ptr()) };
    if definition.is_null() {
        return Support::Unknown;
    }
    // SAFETY: the definition is static data of the extension's, which is never unloaded; a plain field read.
    let mut slot = unsafe { (*definition).m_slots };
    if slot.is_null() {
        return Support::No;
    }
    loop {
        // SAFETY: an entry of the list that ends with a slot of number 0, which is not passed.
        let ffi::PyModuleDef_Slot { slot: number, value } = unsafe { slot.read() };
        match number {
            0 => return Support::Unsaid,
            MULTIPLE_INTERPRETERS if value.is_null() => return Support::No,
            MULTIPLE_INTERPRETERS => return Support::Declared,
            _ => {}
        }
        // SAFETY: the end was not reached, so there is another entry.
        slot = unsafe { slot.add(1) };
    }
}
