//! References to Python objects that count themselves.
//!
//! An [`Object`] lives at most as long as the attachment ([`Py`]) it was made under, so it is always dropped by an attached
//! thread. A [`Stored`] reference has no such bound: it belongs to its interpreter and is given back by its owner.

use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::num::NonZero;
use std::ptr::NonNull;

use pyo3_ffi as ffi;

use super::error::Raised;
use super::state::Py;

/// An owned reference, usable while the thread is attached.
pub(crate) struct Object<'py> {
    raw: NonNull<ffi::PyObject>,
    _attached: PhantomData<Py<'py>>,
}

/// An owned reference kept beyond one attachment, of one interpreter.
///
/// Dropping it gives nothing back (the thread may not be attached): [`Stored::release`] does.
pub(crate) struct Stored(NonNull<ffi::PyObject>);

// SAFETY: a `Stored` is only turned into something usable by `get`, which takes the proof of attachment.
unsafe impl Send for Stored {}
// SAFETY: as for `Send`.
unsafe impl Sync for Stored {}

impl Stored {
    /// The object, for a thread attached to the interpreter that it was made in.
    pub(crate) fn get<'py>(&self, py: Py<'py>) -> Object<'py> {
        Object::borrowed(py, self.0)
    }

    /// The bare pointer, for a call that only borrows it.
    pub(super) fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.as_ptr()
    }

    /// Gives the reference back.
    pub(crate) fn release(self, py: Py<'_>) {
        drop(Object::owned(py, self.0));
    }
}

impl<'py> Object<'py> {
    /// Takes over a new reference.
    pub(super) fn owned(_py: Py<'py>, raw: NonNull<ffi::PyObject>) -> Object<'py> {
        Object { raw, _attached: PhantomData }
    }

    /// Makes a reference of one's own from a borrowed one.
    pub(super) fn borrowed(py: Py<'py>, raw: NonNull<ffi::PyObject>) -> Object<'py> {
        // SAFETY: callers pass a pointer to a live object, and `py` proves that this thread is attached.
        unsafe { ffi::Py_INCREF(raw.as_ptr()) };
        Object::owned(py, raw)
    }

    /// What a C function returned: a new reference, or NULL with an exception set.
    pub(super) fn returned(py: Py<'py>, raw: *mut ffi::PyObject) -> Result<Object<'py>, Raised<'py>> {
        NonNull::new(raw).map(|raw| Object::owned(py, raw)).ok_or_else(|| Raised::fetch(py))
    }

    /// `None`.
    pub(crate) fn none(py: Py<'py>) -> Object<'py> {
        // SAFETY: a static object of CPython's, valid in every interpreter.
        let none = unsafe { ffi::Py_None() };
        NonNull::new(none).map_or_else(|| unreachable!("None exists"), |none| Object::borrowed(py, none))
    }

    /// A `bool`.
    pub(crate) fn bool(py: Py<'py>, value: bool) -> Object<'py> {
        // SAFETY: attached by `py`; never fails.
        let raw = unsafe { ffi::PyBool_FromLong(value.into()) };
        NonNull::new(raw).map_or_else(|| Object::none(py), |raw| Object::owned(py, raw))
    }

    /// An `int`.
    pub(crate) fn int(py: Py<'py>, value: i64) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: attached by `py`.
        Object::returned(py, unsafe { ffi::PyLong_FromLongLong(value) })
    }

    /// A `float`.
    pub(crate) fn float(py: Py<'py>, value: f64) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: attached by `py`.
        Object::returned(py, unsafe { ffi::PyFloat_FromDouble(value) })
    }

    /// A `bytes`.
    pub(crate) fn bytes(py: Py<'py>, value: &[u8]) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: attached by `py`; pointer and length are one slice's.
        Object::returned(py, unsafe { ffi::PyBytes_FromStringAndSize(value.as_ptr().cast(), signed(value.len())) })
    }

    /// A `bytes` of what `fill` puts into so much room, and answers the length of. It may detach.
    pub(super) fn bytes_of<E>(
        py: Py<'py>,
        most: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Result<Object<'py>, E>, Raised<'py>> {
        // SAFETY: attached by `py`; without a source CPython leaves the bytes unset.
        let bytes = Object::returned(py, unsafe { ffi::PyBytes_FromStringAndSize(std::ptr::null(), signed(most)) })?;
        // SAFETY: a `bytes`.
        let room = unsafe { ffi::PyBytes_AsString(bytes.as_ptr()) }.cast::<u8>();
        // SAFETY: room for so many bytes, and a NUL behind them that is set already.
        unsafe { room.write_bytes(0, most) };
        // SAFETY: as above; nobody else knows the object (none at all is one that all know, and has no room).
        let room = unsafe { std::slice::from_raw_parts_mut(room, most) };
        match fill(room) {
            Ok(length) if length == most => Ok(Ok(bytes)),
            Ok(length) => Object::bytes(py, room.get(..length).unwrap_or_default()).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// A `str` in PEP 3333's sense: "bytes-as-unicode", one character a byte (latin-1).
    pub(crate) fn latin1(py: Py<'py>, value: &[u8]) -> Result<Object<'py>, Raised<'py>> {
        let errors = std::ptr::null();
        // SAFETY: attached by `py`; pointer and length are one slice's; errors may be NULL.
        Object::returned(py, unsafe { ffi::PyUnicode_DecodeLatin1(value.as_ptr().cast(), signed(value.len()), errors) })
    }

    /// A `str` of a file name: the filesystem encoding with surrogateescape.
    pub(crate) fn path(py: Py<'py>, value: &[u8]) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: attached by `py`; pointer and length are one slice's.
        Object::returned(py, unsafe {
            ffi::PyUnicode_DecodeFSDefaultAndSize(value.as_ptr().cast(), signed(value.len()))
        })
    }

    /// A `str` of UTF-8 text; what is not UTF-8 is replaced.
    pub(crate) fn text(py: Py<'py>, value: &[u8]) -> Result<Object<'py>, Raised<'py>> {
        let errors = c"replace".as_ptr();
        // SAFETY: attached by `py`; pointer and length are one slice's.
        Object::returned(py, unsafe { ffi::PyUnicode_DecodeUTF8(value.as_ptr().cast(), signed(value.len()), errors) })
    }

    /// A `tuple` of these.
    pub(crate) fn tuple(py: Py<'py>, items: Vec<Object<'py>>) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: attached by `py`.
        let tuple = Object::returned(py, unsafe { ffi::PyTuple_New(signed(items.len())) })?;
        for (index, item) in items.into_iter().enumerate() {
            // SAFETY: a fresh tuple of that length; the item's reference is handed over.
            unsafe { ffi::PyTuple_SetItem(tuple.as_ptr(), signed(index), item.into_ptr()) };
        }
        Ok(tuple)
    }

    /// A `list` of these.
    pub(crate) fn list(py: Py<'py>, items: Vec<Object<'py>>) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: attached by `py`.
        let list = Object::returned(py, unsafe { ffi::PyList_New(signed(items.len())) })?;
        for (index, item) in items.into_iter().enumerate() {
            // SAFETY: a fresh list of that length; the item's reference is handed over.
            unsafe { ffi::PyList_SetItem(list.as_ptr(), signed(index), item.into_ptr()) };
        }
        Ok(list)
    }

    /// An empty `dict`.
    pub(crate) fn dict(py: Py<'py>) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: attached by `py`.
        Object::returned(py, unsafe { ffi::PyDict_New() })
    }

    /// Proof that the thread is attached: an object can't be where it is not.
    pub(crate) fn py(&self) -> Py<'py> {
        Py::of_object(self)
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::PyObject {
        self.raw.as_ptr()
    }

    /// Hands the reference over to C.
    pub(super) fn into_ptr(self) -> *mut ffi::PyObject {
        std::mem::ManuallyDrop::new(self).raw.as_ptr()
    }

    /// Keeps the object beyond this attachment.
    pub(crate) fn store(self) -> Stored {
        Stored(std::mem::ManuallyDrop::new(self).raw)
    }

    /// `getattr(self, name)`.
    pub(crate) fn attribute(&self, name: &CStr) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: attached; `name` is NUL-terminated.
        Object::returned(self.py(), unsafe { ffi::PyObject_GetAttrString(self.as_ptr(), name.as_ptr()) })
    }

    /// `getattr(self, name, None)`, where only `AttributeError` means absent.
    pub(crate) fn optional_attribute(&self, name: &CStr) -> Result<Option<Object<'py>>, Raised<'py>> {
        match self.attribute(name) {
            Ok(value) => Ok(Some(value)),
            Err(raised) if raised.is_attribute_error() => Ok(None),
            Err(raised) => Err(raised),
        }
    }

    /// `setattr(self, name, value)`.
    pub(crate) fn set_attribute(&self, name: &CStr, value: &Object<'py>) -> Result<(), Raised<'py>> {
        // SAFETY: attached; `name` is NUL-terminated.
        self.checked(unsafe { ffi::PyObject_SetAttrString(self.as_ptr(), name.as_ptr(), value.as_ptr()) })
    }

    /// `self()`.
    pub(crate) fn call0(&self) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: attached.
        Object::returned(self.py(), unsafe { ffi::PyObject_CallNoArgs(self.as_ptr()) })
    }

    /// `self(*arguments)`.
    pub(crate) fn call(&self, arguments: &[&Object<'py>]) -> Result<Object<'py>, Raised<'py>> {
        let pointers: Vec<*mut ffi::PyObject> = arguments.iter().map(|argument| argument.as_ptr()).collect();
        let names = std::ptr::null_mut();
        // SAFETY: attached; as many live pointers as the count says, which outlive the call.
        let result = unsafe { ffi::PyObject_Vectorcall(self.as_ptr(), pointers.as_ptr(), pointers.len(), names) };
        Object::returned(self.py(), result)
    }

    /// `iter(self)`.
    pub(crate) fn iterate(&self) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: attached.
        Object::returned(self.py(), unsafe { ffi::PyObject_GetIter(self.as_ptr()) })
    }

    /// `next(self)`; nothing at the end.
    pub(crate) fn next(&self) -> Result<Option<Object<'py>>, Raised<'py>> {
        // SAFETY: attached; `self` came from `iterate`.
        let item = unsafe { ffi::PyIter_Next(self.as_ptr()) };
        match NonNull::new(item) {
            Some(item) => Ok(Some(Object::owned(self.py(), item))),
            None => Raised::pending(self.py()).map_or(Ok(None), Err),
        }
    }

    /// `self[key]` of a dict, nothing where it is absent.
    pub(crate) fn get_item(&self, key: &Object<'py>) -> Result<Option<Object<'py>>, Raised<'py>> {
        // SAFETY: attached; `self` is a dict (it would raise SystemError otherwise).
        let item = unsafe { ffi::PyDict_GetItemWithError(self.as_ptr(), key.as_ptr()) };
        match NonNull::new(item) {
            Some(item) => Ok(Some(Object::borrowed(self.py(), item))),
            None => Raised::pending(self.py()).map_or(Ok(None), Err),
        }
    }

    /// `self[key] = value` of a dict.
    pub(crate) fn set_item(&self, key: &Object<'py>, value: &Object<'py>) -> Result<(), Raised<'py>> {
        // SAFETY: attached; `self` is a dict (it would raise SystemError otherwise).
        self.checked(unsafe { ffi::PyDict_SetItem(self.as_ptr(), key.as_ptr(), value.as_ptr()) })
    }

    /// How many entries a dict has; none where it is no dict.
    pub(crate) fn dict_len(&self) -> usize {
        // SAFETY: attached; anything else than a dict is an error, -1.
        let length = unsafe { ffi::PyDict_Size(self.as_ptr()) };
        usize::try_from(length).unwrap_or_default()
    }

    /// `self[key] = value` of a dict, with a key given as text.
    pub(crate) fn set_key(&self, key: &CStr, value: &Object<'py>) -> Result<(), Raised<'py>> {
        // SAFETY: attached; `self` is a dict; `key` is NUL-terminated UTF-8.
        self.checked(unsafe { ffi::PyDict_SetItemString(self.as_ptr(), key.as_ptr(), value.as_ptr()) })
    }

    /// `self.pop(key, None)` of a dict.
    pub(super) fn remove_item(&self, key: &Object<'py>) {
        // SAFETY: attached; `self` is a dict (it would raise SystemError otherwise).
        if unsafe { ffi::PyDict_DelItem(self.as_ptr(), key.as_ptr()) } < 0 {
            drop(Raised::fetch(self.py()));
        }
    }

    /// Another reference to the same object.
    pub(super) fn another(&self) -> Object<'py> {
        Object::borrowed(self.py(), self.raw)
    }

    /// Whether a list holds nothing.
    pub(super) fn is_empty_list(&self) -> bool {
        // SAFETY: attached; -1 for anything but a list, with an exception that is not set for a list.
        (unsafe { ffi::PyList_Size(self.as_ptr()) }) == 0
    }

    /// Whether a dict holds nothing.
    pub(crate) fn is_empty_dict(&self) -> bool {
        // SAFETY: attached; -1 for anything but a dict, with an exception that is not set for a dict.
        (unsafe { ffi::PyDict_Size(self.as_ptr()) }) == 0
    }

    /// A shallow copy of a dict.
    pub(crate) fn copy_dict(&self) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: attached; `self` is a dict.
        Object::returned(self.py(), unsafe { ffi::PyDict_Copy(self.as_ptr()) })
    }

    /// The namespace of a module; nothing where this is not a module.
    pub(crate) fn module_dict(&self) -> Option<Object<'py>> {
        // SAFETY: attached; any object may be asked.
        if unsafe { ffi::PyModule_Check(self.as_ptr()) } == 0 {
            return None;
        }
        // SAFETY: a module, as just checked; the reference is borrowed from it.
        let dict = unsafe { ffi::PyModule_GetDict(self.as_ptr()) };
        NonNull::new(dict).map(|dict| Object::borrowed(self.py(), dict))
    }

    /// The bytes of a `bytes` object (or of a subclass); nothing for any other type.
    pub(crate) fn as_bytes(&self) -> Option<&[u8]> {
        // SAFETY: attached; any object may be asked.
        if unsafe { ffi::PyBytes_Check(self.as_ptr()) } == 0 {
            return None;
        }
        // SAFETY: a bytes object, as just checked.
        let start = unsafe { ffi::PyBytes_AsString(self.as_ptr()) };
        // SAFETY: as above.
        let length = unsafe { ffi::PyBytes_Size(self.as_ptr()) };
        // SAFETY: a bytes object never changes, and lives as long as this reference.
        Some(unsafe { std::slice::from_raw_parts(start.cast(), unsigned(length)) })
    }

    /// Whether this is exactly a `list` or a `tuple`; a subclass may iterate otherwise, or have a `close`.
    pub(crate) fn is_exact_sequence(&self) -> bool {
        // SAFETY: attached; any object may be asked.
        let list = unsafe { ffi::PyList_CheckExact(self.as_ptr()) } != 0;
        // SAFETY: as above.
        list || unsafe { ffi::PyTuple_CheckExact(self.as_ptr()) } != 0
    }

    /// The items of exactly a `list` or a `tuple`; nothing for any other type.
    pub(crate) fn exact_sequence(&self) -> Option<Vec<Object<'py>>> {
        if !self.is_exact_sequence() {
            return None;
        }
        // SAFETY: a list or tuple, as just checked.
        let length = unsigned(unsafe { ffi::PySequence_Size(self.as_ptr()) });
        let item = |index| {
            // SAFETY: a list or tuple, as checked; out of range would give NULL, an exception set.
            let raw = unsafe { ffi::PySequence_GetItem(self.as_ptr(), signed(index)) };
            Object::returned(self.py(), raw).ok()
        };
        (0..length).map(item).collect()
    }

    /// Whether this is an instance of the class (or of one below it).
    pub(crate) fn is_instance(&self, class: &Object<'py>) -> bool {
        // SAFETY: attached.
        let answer = unsafe { ffi::PyObject_IsInstance(self.as_ptr(), class.as_ptr()) };
        if answer < 0 {
            drop(Raised::fetch(self.py()));
        }
        answer > 0
    }

    /// Whether its type is this one, and no subclass of it.
    pub(crate) fn is_exactly(&self, class: &Object<'py>) -> bool {
        // SAFETY: attached; every object has a type.
        std::ptr::eq(unsafe { ffi::Py_TYPE(self.as_ptr()) }.cast(), class.as_ptr())
    }

    /// The integer, where this is one that fits.
    pub(crate) fn as_i64(&self) -> Option<i64> {
        // SAFETY: attached; any object may be asked.
        if unsafe { ffi::PyLong_Check(self.as_ptr()) } == 0 {
            return None;
        }
        // SAFETY: an int, as just checked.
        let value = unsafe { ffi::PyLong_AsLongLong(self.as_ptr()) };
        match Raised::pending(self.py()) {
            Some(_) => None,
            None => Some(value),
        }
    }

    /// Whether this is `True` or `False` itself; nothing for any other object, however it compares.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        // SAFETY: attached; any object may be asked.
        if unsafe { ffi::PyBool_Check(self.as_ptr()) } == 0 {
            return None;
        }
        // SAFETY: a static object of CPython's.
        Some(self.as_ptr() == unsafe { ffi::Py_True() })
    }

    pub(crate) fn is_str(&self) -> bool {
        // SAFETY: attached; any object may be asked.
        unsafe { ffi::PyUnicode_Check(self.as_ptr()) != 0 }
    }

    /// A `str` as latin-1; nothing where it has other characters, and for any other type.
    pub(crate) fn encode_latin1(&self) -> Option<Vec<u8>> {
        self.encode(c"latin-1")
    }

    /// A `str` as UTF-8; nothing where it has surrogates, and for any other type.
    pub(crate) fn encode_utf8(&self) -> Option<Vec<u8>> {
        self.encode(c"utf-8")
    }

    fn encode(&self, encoding: &CStr) -> Option<Vec<u8>> {
        let errors = c"strict".as_ptr();
        // SAFETY: attached; raises TypeError for anything but a str, UnicodeEncodeError where it can't be.
        let bytes = unsafe { ffi::PyUnicode_AsEncodedString(self.as_ptr(), encoding.as_ptr(), errors) };
        let bytes = Object::returned(self.py(), bytes).ok()?;
        Some(bytes.as_bytes()?.to_vec())
    }

    /// A capsule without a name for an address that C code of others knows what to do with. Nothing of ours looks there.
    pub(crate) fn capsule(py: Py<'py>, address: NonZero<usize>) -> Result<Object<'py>, Raised<'py>> {
        let address = std::ptr::with_exposed_provenance_mut(address.get());
        // SAFETY: attached by `py`; an address that is not NULL; the name may be NULL, and so may the destructor.
        Object::returned(py, unsafe { ffi::PyCapsule_New(address, std::ptr::null(), None) })
    }

    /// What a capsule of ours points to is gone: it gets a name, so that asking for its pointer without one raises ValueError.
    pub(crate) fn expire_capsule(&self) {
        // SAFETY: attached; raises for anything but a capsule. The name is a constant, as CPython wants it.
        if unsafe { ffi::PyCapsule_SetName(self.as_ptr(), c"mod_wsgi: the request has ended".as_ptr()) } < 0 {
            drop(Raised::fetch(self.py()));
        }
    }

    /// The number of a `float`.
    pub(super) fn as_f64(&self) -> Option<f64> {
        // SAFETY: attached; any object may be asked.
        if unsafe { ffi::PyFloat_Check(self.as_ptr()) } == 0 {
            return None;
        }
        // SAFETY: a float, as just checked.
        Some(unsafe { ffi::PyFloat_AsDouble(self.as_ptr()) })
    }

    /// Truth as Python sees it; an exception in `__bool__` counts as false and is dropped.
    pub(crate) fn is_true(&self) -> bool {
        // SAFETY: attached.
        let answer = unsafe { ffi::PyObject_IsTrue(self.as_ptr()) };
        if answer < 0 {
            drop(Raised::fetch(self.py()));
        }
        answer > 0
    }

    /// Whether both are the same object.
    pub(crate) fn is(&self, other: &Object<'py>) -> bool {
        self.raw == other.raw
    }

    pub(crate) fn is_none(&self) -> bool {
        // SAFETY: a static object of CPython's.
        self.as_ptr() == unsafe { ffi::Py_None() }
    }

    /// `str(self)` as UTF-8 for a log; nothing where that raises.
    pub(crate) fn display(&self) -> Option<String> {
        // SAFETY: attached.
        let text = Object::returned(self.py(), unsafe { ffi::PyObject_Str(self.as_ptr()) }).ok()?;
        text.utf8_lossy()
    }

    /// A `str` as UTF-8, lone surrogates as `\ud83d`; nothing for any other type.
    pub(crate) fn utf8_lossy(&self) -> Option<String> {
        let (encoding, errors) = (c"utf-8".as_ptr(), c"backslashreplace".as_ptr());
        // SAFETY: attached; raises TypeError for anything but a str.
        let bytes = unsafe { ffi::PyUnicode_AsEncodedString(self.as_ptr(), encoding, errors) };
        let bytes = Object::returned(self.py(), bytes).ok()?;
        Some(String::from_utf8_lossy(bytes.as_bytes()?).into_owned())
    }

    /// The name of the object's type, for messages.
    pub(crate) fn type_name(&self) -> String {
        // SAFETY: attached; every object has a type, borrowed from it.
        let kind = unsafe { ffi::Py_TYPE(self.as_ptr()) };
        let named = NonNull::new(kind.cast()).map(|kind| Object::borrowed(self.py(), kind));
        named.and_then(|kind| kind.attribute(c"__name__").ok()?.utf8_lossy()).unwrap_or_else(|| "?".to_owned())
    }

    fn checked(&self, answer: c_int) -> Result<(), Raised<'py>> {
        if answer < 0 { Err(Raised::fetch(self.py())) } else { Ok(()) }
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        // SAFETY: this reference is ours, and the lifetime proves that the thread is attached.
        unsafe { ffi::Py_DECREF(self.raw.as_ptr()) };
    }
}

/// A length as C's `Py_ssize_t`; no slice is longer than that.
pub(super) fn signed(length: usize) -> ffi::Py_ssize_t {
    ffi::Py_ssize_t::try_from(length).unwrap_or(ffi::Py_ssize_t::MAX)
}

/// A `Py_ssize_t` that is not negative.
pub(super) fn unsigned(length: ffi::Py_ssize_t) -> usize {
    usize::try_from(length).unwrap_or(0)
}
