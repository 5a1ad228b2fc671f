//! Raw declarations of httpd's and APR's C interface: bindgen's output over `apache-headers/wrapper.h`, and the shim's one-line functions.
//!
//! Only the room `apache` uses it. Nothing here is safe to call by itself, nothing runs by itself, and there is no code of ours beside the
//! layout check, which the start-up hooks call in the httpd parent before anything else of httpd is touched.

mod layout;

pub(crate) use generated::*;
pub(crate) use layout::check;

#[expect(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    dead_code,
    unreachable_pub,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::ptr_as_ptr,
    clippy::cast_possible_truncation,
    clippy::allow_attributes_without_reason,
    clippy::indexing_slicing,
    clippy::semicolon_if_nothing_returned,
    reason = "written by bindgen with C's names, of which we use a part"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/httpd.rs"));
}

// httpd brings APR along; the unit tests, which run outside it, need it of their own.
#[cfg(test)]
#[link(name = "apr-1")]
#[link(name = "aprutil-1")]
unsafe extern "C" {}
