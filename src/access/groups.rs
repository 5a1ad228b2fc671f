//! `WSGIAuthGroupScript`: in which groups is the user? Behind `Require wsgi-group`.

use std::sync::Arc;

use super::ask::ask;
use super::verdict;
use crate::apache::{Level, Membership, Request};
use crate::application::Wanted;
use crate::config::{DirConfig, split};
use crate::wsgi::Quoted;

/// Is the user in one of the groups that the line names? What can't be answered is an error, not a no: `Require not` would make that
/// a yes.
pub(crate) fn is_member(request: &mut Request<'_>, line: &[u8]) -> Membership {
    let Some(user) = request.user().map(<[u8]>::to_vec) else { return Membership::NoUser };
    let script = request.dir_config::<DirConfig>().and_then(|dir| dir.auth_group_script.as_ref());
    let Some(script) = script.map(Arc::clone) else {
        request.log(
            Level::Err,
            format_args!("WSGI0058: Require wsgi-group has nobody to ask here; name a script in WSGIAuthGroupScript"),
        );
        return Membership::Failed;
    };
    let answer = ask(request, &script, "groups_for_user", &[&user], Wanted::Many);
    let Ok(value) = answer else { return Membership::Failed };
    let groups = match verdict::groups(&script.path, value) {
        Ok(groups) => groups,
        Err(fault) => {
            request.log(Level::Err, format_args!("{fault}"));
            return Membership::Failed;
        }
    };
    let user = Quoted(&user);
    if groups.is_empty() {
        request
            .log(Level::Err, format_args!("WSGI0059: the user {user} is in no group, says {}", Quoted(&script.path)));
        return Membership::Stranger;
    }
    if verdict::shares(&groups, &split(line)) {
        return Membership::Member;
    }
    request.log(
        Level::Err,
        format_args!(
            "WSGI0060: the user {user} is in none of the groups of \"Require wsgi-group {}\"",
            String::from_utf8_lossy(line)
        ),
    );
    Membership::Stranger
}
