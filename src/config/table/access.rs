//! Directives about who may do what: scripts that check access. All but one come later.

use super::super::{Arguments, Context, Directive, Kind, Merge, Standing};
use super::later;

/// What the rows of this theme share.
const ROW: Directive = Directive {
    name: c"",
    context: Context::AuthConfig,
    kind: Kind::Plain,
    arguments: Arguments::List,
    options: &[],
    syntax: "",
    default: "none",
    merge: Merge::InnerWins,
    help: c"",
    doc: "",
    standing: Standing::InEffect,
    apply: later,
};

pub(super) const ACCESS_SCRIPT: Directive = Directive {
    name: c"WSGIAccessScript",
    syntax: "WSGIAccessScript file-path [application-group=name]",
    help: c"Script that decides by the client's host (not yet)",
    doc: "Will name a script whose function `allow_access` decides whether a client's host may have a resource.",
    standing: Standing::Later(
        "comes with a later version of this module, and leaving it out would open what it guards; restrict access with httpd's \
         Require until then",
    ),
    ..ROW
};

pub(super) const AUTH_USER_SCRIPT: Directive = Directive {
    name: c"WSGIAuthUserScript",
    syntax: "WSGIAuthUserScript file-path [application-group=name]",
    help: c"Script that checks passwords for AuthBasicProvider wsgi (not yet)",
    doc: "Will name a script whose function `check_password` (or `get_realm_hash` for digests) checks who a user is, for \
          `AuthBasicProvider wsgi` and `AuthDigestProvider wsgi`.",
    standing: Standing::Later(
        "comes with a later version of this module; use another provider of httpd, such as file or dbm, or check users in the \
         application with WSGIPassAuthorization On",
    ),
    ..ROW
};

pub(super) const AUTH_GROUP_SCRIPT: Directive = Directive {
    name: c"WSGIAuthGroupScript",
    syntax: "WSGIAuthGroupScript file-path [application-group=name]",
    help: c"Script that tells a user's groups for Require wsgi-group (not yet)",
    doc: "Will name a script whose function `groups_for_user` tells the groups of a user, for `Require wsgi-group`.",
    standing: Standing::Later(
        "comes with a later version of this module; use AuthGroupFile and Require group until then",
    ),
    ..ROW
};

pub(super) const GROUP_AUTHORITATIVE: Directive = Directive {
    name: c"WSGIGroupAuthoritative",
    arguments: Arguments::One,
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
