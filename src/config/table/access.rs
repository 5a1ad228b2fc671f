//! Directives about who may do what: scripts that check access.

use std::os::unix::ffi::OsStringExt as _;
use std::sync::Arc;

use super::super::group::fixed_name;
use super::super::refusal::shown;
use super::super::{
    Arguments, Context, Directive, Kind, Level, Merge, OptionRow, Place, Refusal, Script, Standing, Words,
};
use super::scripts::below_server_root;

/// The interpreter of a script that httpd asks.
pub(super) const SCRIPT_OPTIONS: &[OptionRow] = &[OptionRow {
    name: "application-group",
    value: "name, %{GLOBAL}, %{SERVER} or %{HOST}",
    required: false,
    may_be_empty: false,
    default: Some("%{GLOBAL}"),
    range: None,
    doc: "The interpreter that runs the script, in httpd's own processes: a name of your own, or one of these forms of \
          `WSGIApplicationGroup`. Any other form is taken literally, and warned about. If not given, Python's main interpreter.",
}];

/// What the rows of this theme share.
const ROW: Directive = Directive {
    name: c"",
    context: Context::AuthConfig,
    kind: Kind::Plain,
    arguments: Arguments::Options(1),
    options: SCRIPT_OPTIONS,
    syntax: "",
    default: "none",
    merge: Merge::InnerWins,
    help: c"",
    doc: "",
    standing: Standing::InEffect,
    apply: |_, _| Ok(()),
};

pub(super) const ACCESS_SCRIPT: Directive = Directive {
    name: c"WSGIAccessScript",
    syntax: "WSGIAccessScript file-path [application-group=name]",
    help: c"Script that decides by the client's host, and its interpreter",
    doc: "Names a script whose function `allow_access(environ, host)` decides whether a client may have a resource. *host* is \
          the client's host name where httpd knows it (`HostnameLookups On`), else its address. `True` says yes, as far as this \
          script goes; `False` answers 403; `None` leaves it to the other rules, such as `Require`. Anything else, an exception, \
          and a script that can't be loaded answer 403, and the log says why.\n\n\
          It is asked for each request here, static files too, before any user is known. [access.md](access.md) has \
          examples, what `environ` holds, and how scripts of this kind are run.",
    apply: |place, words| {
        place.dir.access_script = Some(script(place, words)?);
        Ok(())
    },
    ..ROW
};

pub(super) const AUTH_USER_SCRIPT: Directive = Directive {
    name: c"WSGIAuthUserScript",
    syntax: "WSGIAuthUserScript file-path [application-group=name]",
    help: c"Script that checks users for AuthBasicProvider wsgi and AuthDigestProvider wsgi",
    doc: "Names a script that checks who a user is.\n\n\
          - `AuthBasicProvider wsgi` calls its `check_password(environ, user, password)`. `True`: the password is right. A `str`: \
          it is right, and the user has this name. `False`: it is wrong. `None`: no such user here; the next provider is \
          asked.\n\
          - `AuthDigestProvider wsgi` calls its `get_realm_hash(environ, user, realm)`. It returns the MD5 of \
          `user:realm:password` in hexadecimal digits, or `None` where there is no such user.\n\n\
          Anything else, an exception, and a script that can't be loaded answer 500, and the log says why. \
          [access.md](access.md) has examples.",
    apply: |place, words| {
        place.dir.auth_user_script = Some(script(place, words)?);
        Ok(())
    },
    ..ROW
};

pub(super) const AUTH_GROUP_SCRIPT: Directive = Directive {
    name: c"WSGIAuthGroupScript",
    syntax: "WSGIAuthGroupScript file-path [application-group=name]",
    help: c"Script that tells a user's groups for Require wsgi-group",
    doc: "Names a script whose function `groups_for_user(environ, user)` returns the names of a user's groups, in a list or \
          anything else that can be iterated over. `Require wsgi-group name ...` then lets in who is in one of the groups that it \
          names, upper and lower case being the same. Anything else, an exception, and a script that can't be loaded answer 500, \
          also behind `Require not`, and the log says why. It is asked for each such line. [access.md](access.md) has \
          examples.",
    apply: |place, words| {
        place.dir.auth_group_script = Some(script(place, words)?);
        Ok(())
    },
    ..ROW
};

/// A script that httpd asks: its path and its interpreter.
pub(super) fn script(place: &mut Place<'_>, words: &Words<'_>) -> Result<Arc<Script>, Refusal> {
    let path = below_server_root(place, words, words.word(0))?.into_os_string().into_vec();
    let application_group = words.option("application-group").map(<[u8]>::to_vec);
    if let Some(name) = &application_group
        // An `.htaccess` file is read for each request: once would not be the end of it.
        && place.level != Level::Htaccess
        && fixed_name(name).is_none()
        && ![&b"%{SERVER}"[..], b"%{HOST}"].contains(&name.as_slice())
    {
        place.surroundings.warn(format!(
            "{}: application-group=\"{}\" is taken literally; only %{{GLOBAL}}, %{{SERVER}} and %{{HOST}} have a meaning here",
            words.directive(),
            shown(name)
        ));
    }
    if let Some(server) = place.server.as_deref_mut() {
        server.chosen.scripts.push((words.directive(), path.clone()));
    }
    Ok(Arc::new(Script { path, application_group }))
}

pub(super) const GROUP_AUTHORITATIVE: Directive = Directive {
    name: c"WSGIGroupAuthoritative",
    arguments: Arguments::One,
    options: &[],
    syntax: "WSGIGroupAuthoritative On|Off",
    default: "On",
    help: c"Accepted for old configurations; no effect",
    doc: "Decided, in old releases of C mod_wsgi, whether other modules were asked after `WSGIAuthGroupScript`. httpd 2.4 \
          decides that with `<RequireAny>` and `<RequireAll>`.",
    standing: Standing::LoadsWithoutEffect(
        "httpd 2.4 has no such chain of modules; C mod_wsgi 6 does not look at it either",
    ),
    apply: |_, words| words.on_off().map(|_| ()),
    ..ROW
};
