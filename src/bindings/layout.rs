//! Does Rust read httpd's records where C put them, and is the running httpd one that this module can work with?
//!
//! bindgen lays out by what libclang says; the shim is compiled by the C compiler with httpd's own flags and reports what it sees.
//! Both lists are compared once when httpd loads the module (parent, start-up hooks), as is the module magic number of the httpd that
//! runs with the one of the headers. A difference refuses to start: reading on would be memory corruption.

use std::ffi::{CStr, c_int, c_ulong};
use std::mem::{offset_of, size_of};

use super::generated as raw;

/// One number by name, as Rust computes it.
struct Fact {
    name: &'static str,
    value: usize,
}

macro_rules! size {
    ($record:ident) => {
        Fact { name: stringify!($record), value: size_of::<raw::$record>() }
    };
}

macro_rules! field {
    ($record:ident, $field:ident) => {
        Fact { name: concat!(stringify!($record), ".", stringify!($field)), value: offset_of!(raw::$record, $field) }
    };
}

const MAJOR: c_int = raw::MODULE_MAGIC_NUMBER_MAJOR as c_int;
const MINOR: c_int = raw::MODULE_MAGIC_NUMBER_MINOR as c_int;

/// The same facts in the same order as in `apache-headers/shim.c`.
const FACTS: &[Fact] = &[
    Fact { name: "MODULE_MAGIC_NUMBER_MAJOR", value: raw::MODULE_MAGIC_NUMBER_MAJOR as usize },
    Fact { name: "MODULE_MAGIC_NUMBER_MINOR", value: raw::MODULE_MAGIC_NUMBER_MINOR as usize },
    Fact { name: "MODULE_MAGIC_COOKIE", value: raw::MODULE_MAGIC_COOKIE as usize },
    size!(request_rec),
    field!(request_rec, pool),
    field!(request_rec, connection),
    field!(request_rec, server),
    field!(request_rec, prev),
    field!(request_rec, main),
    field!(request_rec, the_request),
    field!(request_rec, protocol),
    field!(request_rec, hostname),
    field!(request_rec, request_time),
    field!(request_rec, status_line),
    field!(request_rec, status),
    field!(request_rec, method_number),
    field!(request_rec, method),
    field!(request_rec, expecting_100),
    field!(request_rec, headers_in),
    field!(request_rec, headers_out),
    field!(request_rec, err_headers_out),
    field!(request_rec, subprocess_env),
    field!(request_rec, notes),
    field!(request_rec, handler),
    field!(request_rec, user),
    field!(request_rec, ap_auth_type),
    field!(request_rec, uri),
    field!(request_rec, filename),
    field!(request_rec, path_info),
    field!(request_rec, args),
    field!(request_rec, used_path_info),
    field!(request_rec, bytes_sent),
    field!(request_rec, eos_sent),
    field!(request_rec, per_dir_config),
    field!(request_rec, request_config),
    field!(request_rec, log_id),
    field!(request_rec, output_filters),
    field!(request_rec, input_filters),
    field!(request_rec, proto_input_filters),
    field!(request_rec, no_cache),
    field!(request_rec, no_local_copy),
    field!(request_rec, parsed_uri),
    field!(request_rec, finfo),
    field!(request_rec, useragent_ip),
    size!(conn_rec),
    field!(conn_rec, master),
    field!(conn_rec, client_addr),
    field!(conn_rec, local_addr),
    field!(conn_rec, local_ip),
    field!(conn_rec, pool),
    field!(conn_rec, bucket_alloc),
    field!(conn_rec, conn_config),
    field!(conn_rec, sbh),
    field!(conn_rec, output_filters),
    field!(conn_rec, aborted),
    field!(conn_rec, keepalive),
    field!(conn_rec, log_id),
    size!(server_rec),
    field!(server_rec, process),
    field!(server_rec, error_fname),
    field!(server_rec, error_log),
    field!(server_rec, defn_name),
    field!(server_rec, defn_line_number),
    field!(server_rec, timeout),
    field!(server_rec, module_config),
    field!(server_rec, next),
    field!(server_rec, is_virtual),
    field!(server_rec, server_admin),
    field!(server_rec, server_hostname),
    field!(process_rec, pool),
    field!(unixd_config_rec, user_id),
    field!(unixd_config_rec, group_id),
    field!(ap_unixd_mpm_retained_data, shutdown_pending),
    field!(ap_unixd_mpm_retained_data, restart_pending),
    field!(ap_unixd_mpm_retained_data, is_ungraceful),
    field!(ap_unixd_mpm_retained_data, was_graceful),
    size!(apr_proc_t),
    field!(apr_proc_t, pid),
    size!(cmd_parms),
    field!(cmd_parms, limited),
    field!(cmd_parms, directive),
    field!(cmd_parms, pool),
    field!(cmd_parms, temp_pool),
    field!(cmd_parms, server),
    field!(cmd_parms, path),
    field!(cmd_parms, context),
    field!(ap_directive_t, directive),
    field!(ap_directive_t, args),
    field!(ap_directive_t, next),
    field!(ap_directive_t, first_child),
    field!(ap_directive_t, parent),
    field!(ap_directive_t, filename),
    field!(ap_directive_t, line_num),
    field!(cmd_parms, cmd),
    size!(ap_directive_t),
    field!(ap_directive_t, filename),
    field!(ap_directive_t, line_num),
    size!(command_rec),
    size!(module),
    field!(module, module_index),
    field!(ap_filter_t, frec),
    field!(ap_filter_rec_t, ftype),
    size!(apr_bucket),
    field!(apr_bucket, length),
    field!(apr_bucket, start),
    size!(apr_finfo_t),
    field!(apr_finfo_t, filetype),
    field!(apr_finfo_t, mtime),
    field!(apr_sockaddr_t, hostname),
    field!(apr_sockaddr_t, port),
    size!(apr_table_entry_t),
    field!(apr_table_entry_t, key),
    field!(apr_table_entry_t, val),
    field!(apr_array_header_t, pool),
    field!(apr_array_header_t, nelts),
    field!(apr_array_header_t, elts),
    size!(apr_uri_t),
    field!(apr_uri_t, scheme),
    field!(apr_uri_t, hostname),
    field!(apr_uri_t, port_str),
    field!(apr_uri_t, port),
    size!(authn_provider),
    field!(authn_provider, check_password),
    field!(authn_provider, get_realm_hash),
    size!(authz_provider),
    field!(authz_provider, check_authorization),
    field!(authz_provider, parse_require_line),
    size!(global_score),
    field!(global_score, server_limit),
    field!(global_score, thread_limit),
    field!(global_score, running_generation),
    field!(global_score, restart_time),
    size!(process_score),
    field!(process_score, pid),
    field!(process_score, generation),
    field!(process_score, quiescing),
    size!(worker_score),
    field!(worker_score, generation),
    field!(worker_score, status),
    field!(worker_score, access_count),
    field!(worker_score, bytes_served),
    field!(worker_score, start_time),
    field!(worker_score, stop_time),
    field!(worker_score, last_used),
    field!(worker_score, request),
    field!(worker_score, vhost),
    field!(worker_score, client64),
    size!(ap_regex_t),
    size!(ap_regmatch_t),
];

/// Compares the records' layout and the running httpd's version with what this module was built for.
///
/// Called first in the parent's start-up hooks, at each load of the module.
///
/// # Errors
/// One sentence for the administrator; httpd must not go on with this module.
pub(crate) fn check() -> Result<(), String> {
    layout()?;
    let core = &raw const raw::core_module;
    // SAFETY: httpd's own module record; it is written before any module loads and only read later.
    let major = unsafe { (*core).version };
    // SAFETY: as above.
    let minor = unsafe { (*core).minor_version };
    version(major, minor)
}

/// httpd's rule: a module built for one minor number runs in that and any later one of the same major number (ap_mmn.h).
fn version(major: c_int, minor: c_int) -> Result<(), String> {
    if major == MAJOR && minor >= MINOR {
        return Ok(());
    }
    let remedy =
        "install the build of mod_wsgi made for this httpd, or build it again with this httpd's development files";
    Err(if major == MAJOR {
        format!(
            "this mod_wsgi.so was built for a newer httpd (module magic number {MAJOR}:{MINOR}) than the one that runs ({major}:{minor}): {remedy}"
        )
    } else {
        format!(
            "this mod_wsgi.so was built for another series of httpd (module magic number {MAJOR}:{MINOR}) than the one that runs ({major}:{minor}): {remedy}"
        )
    })
}

fn layout() -> Result<(), String> {
    for (index, ours) in FACTS.iter().enumerate() {
        let theirs = fact(index).ok_or_else(|| differs(ours.name, "missing", ours.value))?;
        if theirs.0 != ours.name.as_bytes() || usize::try_from(theirs.1).ok() != Some(ours.value) {
            return Err(differs(ours.name, &theirs.1.to_string(), ours.value));
        }
    }
    match fact(FACTS.len()) {
        None => Ok(()),
        Some(_) => {
            Err("the C part of mod_wsgi.so is newer than its Rust part: build it again from a clean tree".to_owned())
        }
    }
}

fn differs(name: &str, c: &str, rust: usize) -> String {
    format!(
        "this mod_wsgi.so was built wrongly: `{name}` is {c} for the C compiler and {rust} for Rust; build it again from a clean tree with the development files of one httpd"
    )
}

fn fact(index: usize) -> Option<(&'static [u8], c_ulong)> {
    let index = c_ulong::try_from(index).ok()?;
    // SAFETY: the shim checks the index and answers NULL or a constant of its own.
    let fact = unsafe { raw::wsgi_shim_fact_at(index) };
    // SAFETY: as above.
    let fact = unsafe { fact.as_ref() }?;
    // SAFETY: the shim's names are string literals.
    let name = unsafe { CStr::from_ptr(fact.name) };
    Some((name.to_bytes(), fact.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_compilers_lay_out_the_same() {
        assert_eq!(layout(), Ok(()));
    }

    #[test]
    fn an_older_or_other_httpd_is_refused_and_a_newer_one_is_not() {
        assert!(version(MAJOR, MINOR - 1).unwrap_err().contains("newer httpd"));
        assert!(version(MAJOR + 1, MINOR).unwrap_err().contains("another series"));
        assert_eq!(version(MAJOR, MINOR), Ok(()));
        assert_eq!(version(MAJOR, MINOR + 1), Ok(()));
    }
}
