//! `WSGIAuthUserScript`: who is the user? Behind `AuthBasicProvider wsgi` and `AuthDigestProvider wsgi`.

use std::ffi::CStr;
use std::sync::Arc;

use super::ask::ask;
use super::verdict::{self, Checked};
use crate::apache::{Level, Password, RealmHash, Request};
use crate::application::Wanted;
use crate::config::{DirConfig, Script};

/// By what name mod_authn_socache knows us (`AuthnCacheProvideFor`), as `AuthBasicProvider` does.
const PROVIDER: &CStr = c"wsgi";

/// Is this the user's password?
pub(crate) fn check_password(request: &mut Request<'_>, user: &[u8], password: &[u8]) -> Password {
    let Some(script) = script(request) else {
        request.log(
            Level::Err,
            format_args!(
                "WSGI0041: AuthBasicProvider wsgi has nobody to ask here; name a script in WSGIAuthUserScript"
            ),
        );
        return Password::Failed;
    };
    let answer = ask(request, &script, "check_password", &[user, password], Wanted::One);
    let Ok(value) = answer else { return Password::Failed };
    match verdict::checked(&script.path, value) {
        Ok(Checked::Right) => {
            request.cache_password(PROVIDER, user, password);
            Password::Right
        }
        // Not for the cache, which would let the user in under the name that was typed.
        Ok(Checked::RightAs(name)) if request.set_user(&name).is_ok() => Password::Right,
        Ok(Checked::Wrong) => Password::Wrong,
        Ok(Checked::Unknown) => Password::Unknown,
        Ok(Checked::RightAs(_)) => Password::Failed,
        Err(fault) => {
            request.log(Level::Err, format_args!("{fault}"));
            Password::Failed
        }
    }
}

/// What is the MD5 of the user's name, realm and password?
pub(crate) fn realm_hash(request: &mut Request<'_>, user: &[u8], realm: &[u8]) -> RealmHash {
    let Some(script) = script(request) else {
        request.log(
            Level::Err,
            format_args!(
                "WSGI0044: AuthDigestProvider wsgi has nobody to ask here; name a script in WSGIAuthUserScript"
            ),
        );
        return RealmHash::Failed;
    };
    let answer = ask(request, &script, "get_realm_hash", &[user, realm], Wanted::One);
    let Ok(value) = answer else { return RealmHash::Failed };
    match verdict::realm_hash(&script.path, value) {
        Ok(Some(hash)) => {
            request.cache_realm_hash(PROVIDER, user, realm, &hash);
            RealmHash::Known(hash)
        }
        Ok(None) => RealmHash::Unknown,
        Err(fault) => {
            request.log(Level::Err, format_args!("{fault}"));
            RealmHash::Failed
        }
    }
}

fn script(request: &Request<'_>) -> Option<Arc<Script>> {
    request.dir_config::<DirConfig>()?.auth_user_script.as_ref().map(Arc::clone)
}
