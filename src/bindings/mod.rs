//! Raw declarations of httpd's and APR's C interface: bindgen's output over `apache-headers/wrapper.h`, and the shim's one-line functions.
//!
//! Only the room `apache` uses it. Nothing here is safe to call by itself, nothing runs by itself, and there is no code of ours beside the
//! layout check, which the start-up hooks call in the httpd parent before anything else of httpd is touched.

mod layout;

pub(crate) use generated::*;
pub(crate) use layout::check;

#[expect(
    non_camel_case_types,
    non_upper_case_globals,
    dead_code,
    unreachable_pub,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::missing_safety_doc,
    clippy::multiple_unsafe_ops_per_block,
    clippy::ptr_as_ptr,
    clippy::borrow_as_ptr,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    clippy::semicolon_if_nothing_returned,
    reason = "written by bindgen with C's names, of which we use a part"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/httpd.rs"));
}
