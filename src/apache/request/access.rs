//! What decisions about access are made of: who the client is, what TLS says, what other rules are there; and what comes out of them.

use std::ffi::{CStr, CString, c_char, c_int};
use std::num::NonZero;

use super::Request;
use crate::apache::pool::{InnerNul, bytes};
use crate::bindings as raw;

/// mod_authn_socache's `ap_authn_cache_store` (mod_auth.h): request, provider, user, realm or NULL, what the provider found.
type StoreInCache =
    unsafe extern "C" fn(*mut raw::request_rec, *const c_char, *const c_char, *const c_char, *const c_char);

/// As many letters as `$apr1$` takes.
const SALT: usize = 8;

/// Room for an `$apr1$` hash of a password, its end included: 37 with eight letters of salt.
const HASH: usize = 120;

impl Request<'_> {
    /// The client's host name, where httpd knows it (`HostnameLookups On`). May ask the DNS.
    pub(crate) fn remote_host(&self) -> Option<&[u8]> {
        let is_address = std::ptr::null_mut();
        // SAFETY: `lend` promised a live request; the last argument may be NULL.
        let host = unsafe { raw::ap_get_useragent_host(self.raw.as_ptr(), raw::REMOTE_HOST as c_int, is_address) };
        // SAFETY: NULL, or a text that lives with the request or its connection.
        unsafe { bytes(host) }
    }

    /// What `ServerSignature` puts under httpd's own pages; empty where that is Off.
    pub(crate) fn server_signature(&self) -> &[u8] {
        // SAFETY: `lend` promised a live request, and the prefix is a constant.
        let signature = unsafe { raw::ap_psignature(c"".as_ptr(), self.raw.as_ptr()) };
        // SAFETY: a text in the request's pool, or a constant.
        unsafe { bytes(signature) }.unwrap_or_default()
    }

    /// Does the client speak TLS to us?
    pub(crate) fn is_https(&self) -> bool {
        // SAFETY: a live request has a live connection.
        unsafe { raw::ap_ssl_conn_is_ssl(self.connection()) != 0 }
    }

    /// A variable of mod_ssl's, or of whoever does TLS here.
    pub(crate) fn ssl_variable(&self, name: &[u8]) -> Option<&[u8]> {
        let name = CString::new(name).ok()?;
        let request = self.raw.as_ptr();
        // SAFETY: a live request with its pool, server and connection; the name is only read.
        let value = unsafe {
            raw::ap_ssl_var_lookup(
                self.pool().as_raw(),
                self.server().as_raw(),
                self.connection(),
                request,
                name.as_ptr(),
            )
        };
        // SAFETY: NULL, or a text in the request's pool or of the connection.
        unsafe { bytes(value) }
    }

    /// Would a user be let in here whom this client's host keeps out (`Satisfy Any`)? Then a refusal is not the last word.
    pub(crate) fn may_be_let_in_as_user(&self) -> bool {
        // SAFETY: `lend` promised a live request.
        let any = unsafe { raw::ap_satisfies(self.raw.as_ptr()) } == raw::SATISFY_ANY as c_int;
        // SAFETY: as above.
        any && unsafe { raw::ap_some_auth_required(self.raw.as_ptr()) } != 0
    }

    /// From now on the user has this name.
    ///
    /// # Errors
    /// A NUL inside; nothing is changed.
    pub(crate) fn set_user(&mut self, user: &[u8]) -> Result<(), InnerNul> {
        let user = self.copied(user)?;
        // SAFETY: `lend` promised a live request_rec; the text lives in its pool.
        unsafe { (*self.raw.as_ptr()).user = user };
        Ok(())
    }

    /// Where httpd's record of the request is, for C code of others that knows it.
    pub(crate) fn address(&self) -> Option<NonZero<usize>> {
        NonZero::new(self.raw.as_ptr().expose_provenance())
    }

    /// Gives mod_authn_socache, where it is loaded, what `provider` has found: that the user's password is this one. It keeps that if
    /// `AuthnCacheProvideFor` names the provider. It gets a salted hash, as a password file has it.
    pub(crate) fn cache_password(&self, provider: &'static CStr, user: &[u8], password: &[u8]) {
        let Some(store) = store_in_cache() else { return };
        let (Ok(user), Ok(password), Some(salt)) = (CString::new(user), CString::new(password), salt()) else { return };
        let mut hash: [c_char; HASH] = [0; HASH];
        // SAFETY: two texts, and a place of that size; APR ends what it writes with a NUL.
        let made = unsafe { raw::apr_md5_encode(password.as_ptr(), salt.as_ptr(), hash.as_mut_ptr(), HASH) };
        if made == 0 {
            let realm = std::ptr::null();
            // SAFETY: what mod_auth.h says of this function; it copies the texts.
            unsafe { store(self.raw.as_ptr(), provider.as_ptr(), user.as_ptr(), realm, hash.as_ptr()) };
        }
    }

    /// As [`Request::cache_password`], for a user's hash in a realm.
    pub(crate) fn cache_realm_hash(&self, provider: &'static CStr, user: &[u8], realm: &[u8], hash: &[u8]) {
        let Some(store) = store_in_cache() else { return };
        if let (Ok(user), Ok(realm), Ok(hash)) = (CString::new(user), CString::new(realm), CString::new(hash)) {
            // SAFETY: what mod_auth.h says of this function; it copies the texts.
            unsafe { store(self.raw.as_ptr(), provider.as_ptr(), user.as_ptr(), realm.as_ptr(), hash.as_ptr()) };
        }
    }
}

/// What mod_authn_socache offers; nothing where it is not loaded.
fn store_in_cache() -> Option<StoreInCache> {
    // SAFETY: a constant name; modules have said what they offer before children begin, and it is only read since.
    let found = unsafe { raw::apr_dynamic_fn_retrieve(c"ap_authn_cache_store".as_ptr()) }?;
    // SAFETY: what is offered by this name has this type (mod_auth.h). APR keeps all such functions as one type.
    Some(unsafe { std::mem::transmute::<unsafe extern "C" fn(), StoreInCache>(found) })
}

/// Random letters for a hash.
fn salt() -> Option<CString> {
    const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut random = [0_u8; SALT];
    // SAFETY: a place of that size.
    if unsafe { raw::apr_generate_random_bytes(random.as_mut_ptr(), SALT) } != 0 {
        return None;
    }
    let letters = random.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 64))).copied().collect::<Vec<u8>>();
    CString::new(letters).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts_have_eight_letters_and_differ() {
        let (one, other) = (salt().unwrap(), salt().unwrap());
        assert_eq!((one.as_bytes().len(), other.as_bytes().len()), (SALT, SALT));
        assert_ne!(one, other);
    }
}
