//! Providers of users and groups: plain functions behind `AuthBasicProvider`, `AuthDigestProvider` and `Require`.
//!
//! Registered from `Module::register`, in the parent; called on the request's thread. Each call runs inside a panic boundary, and a
//! broken one is an error: httpd answers 500, whatever else would have let the request in, also behind `Require not`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use super::boundary::{Broken, boundary};
use super::entry::{ByType, by_type};
use super::pool::{Pool, bytes};
use super::request::Request;
use crate::bindings as raw;

/// What is said of a user and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Password {
    Right,
    Wrong,
    /// No such user here: the next provider's turn.
    Unknown,
    /// It can't be said; the reason was logged.
    Failed,
}

impl Password {
    const fn into_raw(self) -> raw::authn_status {
        match self {
            Password::Right => raw::AUTH_GRANTED,
            Password::Wrong => raw::AUTH_DENIED,
            Password::Unknown => raw::AUTH_USER_NOT_FOUND,
            Password::Failed => raw::AUTH_GENERAL_ERROR,
        }
    }

    /// As `into_raw`, for `get_realm_hash`, which has a word of its own for success.
    const fn into_found(self) -> raw::authn_status {
        match self {
            Password::Right => raw::AUTH_USER_FOUND,
            other => other.into_raw(),
        }
    }
}

/// What is known of a user in a realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RealmHash {
    /// The MD5 of `user:realm:password` in hexadecimal digits.
    Known(Vec<u8>),
    /// No such user here: the next provider's turn.
    Unknown,
    /// It can't be said; the reason was logged.
    Failed,
}

/// Whether the request's user is one of those that a `Require` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    Member,
    Stranger,
    /// Who the user is, is not known yet.
    NoUser,
    /// It can't be said; the reason was logged.
    Failed,
}

impl Membership {
    const fn into_raw(self) -> raw::authz_status {
        match self {
            Membership::Member => raw::AUTHZ_GRANTED,
            Membership::Stranger => raw::AUTHZ_DENIED,
            Membership::NoUser => raw::AUTHZ_DENIED_NO_USER,
            Membership::Failed => raw::AUTHZ_GENERAL_ERROR,
        }
    }
}

impl Broken for Password {
    const ANSWER: Password = Password::Failed;
}

impl Broken for RealmHash {
    const ANSWER: RealmHash = RealmHash::Failed;
}

impl Broken for Membership {
    const ANSWER: Membership = Membership::Failed;
}

/// A provider of users: `check_password` gets user and password, `realm_hash` user and realm.
pub(crate) fn authn_provider<P, H>(pool: Pool<'_>, name: &'static CStr, _check_password: P, _realm_hash: H)
where
    P: Fn(&mut Request<'_>, &[u8], &[u8]) -> Password + ByType,
    H: Fn(&mut Request<'_>, &[u8], &[u8]) -> RealmHash + ByType,
{
    let provider = const {
        &raw::authn_provider { check_password: Some(on_password::<P>), get_realm_hash: Some(on_realm_hash::<H>) }
    };
    register(pool, raw::AUTHN_PROVIDER_GROUP, name, raw::AUTHN_PROVIDER_VERSION, ptr::from_ref(provider).cast());
}

/// A provider for `Require <name> ...`: `is_member` gets the rest of that line.
pub(crate) fn authz_provider<F>(pool: Pool<'_>, name: &'static CStr, _is_member: F)
where
    F: Fn(&mut Request<'_>, &[u8]) -> Membership + ByType,
{
    let provider =
        const { &raw::authz_provider { check_authorization: Some(on_authorization::<F>), parse_require_line: None } };
    register(pool, raw::AUTHZ_PROVIDER_GROUP, name, raw::AUTHZ_PROVIDER_VERSION, ptr::from_ref(provider).cast());
}

fn register(
    pool: Pool<'_>,
    group: &'static [u8],
    name: &'static CStr,
    version: &'static [u8],
    provider: *const c_void,
) {
    let kind = raw::AP_AUTH_INTERNAL_PER_URI as c_int;
    // SAFETY: a live pool, and constants, NUL-terminated as C's, that stay as long as the module is loaded; httpd forgets them with the pool.
    unsafe {
        raw::ap_register_auth_provider(
            pool.as_raw(),
            group.as_ptr().cast(),
            name.as_ptr(),
            version.as_ptr().cast(),
            provider,
            kind,
        )
    };
}

unsafe extern "C" fn on_password<P: Fn(&mut Request<'_>, &[u8], &[u8]) -> Password + ByType>(
    request: *mut raw::request_rec,
    user: *const c_char,
    password: *const c_char,
) -> raw::authn_status {
    boundary("check_password", || {
        // SAFETY: a value of `P` was given to register this.
        let f = unsafe { by_type::<P>() };
        // SAFETY: httpd lends a live request and two texts for the call.
        unsafe { asked(request, user, password, f) }.unwrap_or(Password::Failed)
    })
    .into_raw()
}

unsafe extern "C" fn on_realm_hash<H: Fn(&mut Request<'_>, &[u8], &[u8]) -> RealmHash + ByType>(
    request: *mut raw::request_rec,
    user: *const c_char,
    realm: *const c_char,
    hash: *mut *mut c_char,
) -> raw::authn_status {
    boundary("get_realm_hash", || {
        // SAFETY: a value of `H` was given to register this.
        let f = unsafe { by_type::<H>() };
        // SAFETY: httpd lends a live request and two texts for the call.
        let known = match unsafe { asked(request, user, realm, f) }.unwrap_or(RealmHash::Failed) {
            RealmHash::Known(known) => known,
            RealmHash::Unknown => return Password::Unknown,
            RealmHash::Failed => return Password::Failed,
        };
        // SAFETY: httpd lends a live request for the call.
        let copy = unsafe { Request::lend(request, |request| request.copied(&known)) };
        match copy {
            // SAFETY: httpd gives a place for one pointer; the text lives in the request's pool.
            Some(Ok(copy)) => unsafe { *hash = copy },
            _ => return Password::Failed,
        }
        Password::Right
    })
    .into_found()
}

unsafe extern "C" fn on_authorization<F: Fn(&mut Request<'_>, &[u8]) -> Membership + ByType>(
    request: *mut raw::request_rec,
    line: *const c_char,
    _parsed: *const c_void,
) -> raw::authz_status {
    boundary("check_authorization", || {
        // SAFETY: a value of `F` was given to register this.
        let f = unsafe { by_type::<F>() };
        // SAFETY: httpd lends the rest of the line, NULL or NUL-terminated, for the call.
        let line = unsafe { bytes(line) }.unwrap_or_default();
        // SAFETY: httpd lends a live request for the call, on its thread.
        unsafe { Request::lend(request, |request| f(request, line)) }.unwrap_or(Membership::Failed)
    })
    .into_raw()
}

/// # Safety
/// * `request` is NULL or a live request of this thread; both texts are NULL or NUL-terminated. All live for the call.
unsafe fn asked<A>(
    request: *mut raw::request_rec,
    user: *const c_char,
    about: *const c_char,
    f: impl Fn(&mut Request<'_>, &[u8], &[u8]) -> A,
) -> Option<A> {
    // SAFETY: this function's contract.
    let user = unsafe { bytes(user) }?;
    // SAFETY: as above.
    let about = unsafe { bytes(about) }?;
    // SAFETY: as above.
    unsafe { Request::lend(request, |request| f(request, user, about)) }
}

#[cfg(test)]
mod tests {
    use super::super::log::written;
    use super::*;

    #[test]
    fn a_provider_that_breaks_lets_nobody_in() {
        assert_eq!(boundary("test", || -> Membership { panic!("a bug") }).into_raw(), raw::AUTHZ_GENERAL_ERROR);
        assert_eq!(boundary("test", || -> Password { panic!("a bug") }).into_raw(), raw::AUTH_GENERAL_ERROR);
        assert_eq!(boundary("test", || -> RealmHash { panic!("a bug") }), RealmHash::Failed);
        assert_eq!(written().len(), 3);
    }
}
