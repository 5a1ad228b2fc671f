//! Plain functions behind C's entries, which take no closure: a function item is known by its type alone.
//!
//! `hook::handler(serve, ...)` makes the entry `on_handler::<serve>`, and that calls `serve` without having been given it.

/// What an entry may call: a function item, or a closure that captures nothing.
pub(crate) trait ByType: Copy + Send + Sync + 'static {}

impl<F: Copy + Send + Sync + 'static> ByType for F {}

/// The one value of a function item's type.
///
/// # Safety
/// * A value of `F` was given to the function that registered this entry, so `F` has values.
pub(super) unsafe fn by_type<F: ByType>() -> F {
    const { assert!(size_of::<F>() == 0, "an entry needs a function item, or a closure that captures nothing") };
    // SAFETY: no bytes to be wrong, and there are values of `F` to copy, says this function's contract.
    unsafe { std::ptr::NonNull::<F>::dangling().read() }
}
