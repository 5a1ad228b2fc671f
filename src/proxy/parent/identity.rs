//! Names of users and groups become numbers here, before anything is started.

use std::ffi::CString;

use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, getgrouplist};

use crate::config::DaemonOptions;
use crate::proxy::owner::Owner;
use crate::wire::control::Identity;
use crate::wsgi::Quoted;

/// Whom httpd's own children become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Httpd {
    pub(super) user: u32,
    pub(super) group: u32,
    /// Whether it can become anybody.
    pub(super) is_root: bool,
}

impl Httpd {
    pub(super) fn new((user, group): (u32, u32)) -> Httpd {
        Httpd { user, group, is_root: geteuid().is_root() }
    }
}

/// What httpd has where no `User` is given.
const NOBODY_SAID: u32 = u32::MAX;

/// Whom the processes of a group become.
///
/// # Errors
/// The end of a sentence about the group.
pub(super) fn identity(options: &DaemonOptions, httpd: Httpd) -> Result<Identity, String> {
    if !httpd.is_root {
        let uid = geteuid();
        let user = User::from_uid(uid).ok().flatten();
        return Ok(of(false, uid.as_raw(), getegid().as_raw(), Vec::new(), user));
    }
    let (uid, user) = match options.user.as_deref() {
        Some(name) => {
            let user = user_of(name, "user")?;
            (user.uid.as_raw(), Some(user))
        }
        None if httpd.user == NOBODY_SAID => return Err("has no user: give it user=, or httpd a User line".to_owned()),
        None => (httpd.user, User::from_uid(Uid::from_raw(httpd.user)).ok().flatten()),
    };
    if uid == 0 {
        return Err("would run as root, which mod_wsgi refuses; name another in user= or httpd's User line".to_owned());
    }
    let gid = match options.group.as_deref() {
        Some(name) => group_of(name, "group")?,
        None if httpd.group == NOBODY_SAID => {
            return Err("has no group: give it group=, or httpd a Group line".to_owned());
        }
        None => httpd.group,
    };
    let mut groups = vec![gid];
    if !options.supplementary_groups.is_empty() {
        for name in &options.supplementary_groups {
            groups.push(group_of(name, "supplementary-groups")?);
        }
    } else if let Some(name) = user.as_ref().and_then(|user| CString::new(user.name.as_bytes()).ok()) {
        let listed = getgrouplist(&name, Gid::from_raw(gid));
        groups.extend(listed.unwrap_or_default().into_iter().map(Gid::as_raw));
    }
    let mut unique = Vec::with_capacity(groups.len());
    for group in groups {
        if !unique.contains(&group) {
            unique.push(group);
        }
    }
    let identity = of(true, uid, gid, unique, user);
    // Reference 6.2: httpd's own user stays where httpd is.
    let directory = identity.home.clone().filter(|_| uid != httpd.user);
    Ok(Identity { directory, ..identity })
}

fn of(change: bool, uid: u32, gid: u32, groups: Vec<u32>, user: Option<User>) -> Identity {
    use std::os::unix::ffi::OsStringExt as _;
    let (name, home) = match user {
        Some(user) => (Some(user.name.into_bytes()), Some(user.dir.into_os_string().into_vec())),
        None => (None, None),
    };
    Identity { change, uid, gid, groups, user: name, home, directory: None }
}

/// Who may connect to a group's sockets; nothing where httpd can't give them away.
///
/// # Errors
/// The end of a sentence about the group.
pub(super) fn socket_owner(options: &DaemonOptions, httpd: Httpd) -> Result<Option<u32>, String> {
    if !httpd.is_root {
        return Ok(None);
    }
    match options.socket_user.as_deref() {
        Some(name) => user_of(name, "socket-user").map(|user| Some(user.uid.as_raw())),
        None => Ok((httpd.user != NOBODY_SAID).then_some(httpd.user)),
    }
}

/// Whose scripts must be.
///
/// # Errors
/// The end of a sentence about the group.
pub(super) fn script_owner(options: &DaemonOptions) -> Result<Option<Owner>, String> {
    if let Some(name) = options.script_user.as_deref() {
        return number_or(name, || user_of(name, "script-user").map(|user| user.uid.as_raw()))
            .map(Owner::User)
            .map(Some);
    }
    match options.script_group.as_deref() {
        Some(name) => group_of(name, "script-group").map(Owner::Group).map(Some),
        None => Ok(None),
    }
}

/// A user by name, or by `#` and number; known to the system.
fn user_of(name: &[u8], option: &str) -> Result<User, String> {
    let found = match number(name) {
        Some(number) => number.map(|number| User::from_uid(Uid::from_raw(number))),
        None => std::str::from_utf8(name).ok().map(User::from_name),
    };
    match found {
        Some(Ok(Some(user))) => Ok(user),
        Some(Err(error)) => Err(format!("has {option}={}, which can't be looked up: {error}", Quoted(name))),
        Some(Ok(None)) | None => Err(format!("has {option}={}, a user that this system does not know", Quoted(name))),
    }
}

/// A group's number, by name or as `#` and number.
fn group_of(name: &[u8], option: &str) -> Result<u32, String> {
    number_or(name, || match std::str::from_utf8(name).ok().map(Group::from_name) {
        Some(Ok(Some(group))) => Ok(group.gid.as_raw()),
        Some(Err(error)) => Err(format!("has {option}={}, which can't be looked up: {error}", Quoted(name))),
        Some(Ok(None)) | None => Err(format!("has {option}={}, a group that this system does not know", Quoted(name))),
    })
}

fn number_or(name: &[u8], look_up: impl FnOnce() -> Result<u32, String>) -> Result<u32, String> {
    match number(name) {
        Some(Some(number)) => Ok(number),
        Some(None) => Err(format!("names {}, which is no number behind its #", Quoted(name))),
        None => look_up(),
    }
}

/// `#n`; the inner `None` is no number behind a `#`.
fn number(name: &[u8]) -> Option<Option<u32>> {
    let digits = name.strip_prefix(b"#")?;
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    Some(number.filter(|number| *number != NOBODY_SAID))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Httpd = Httpd { user: 1, group: 1, is_root: true };

    fn options(user: Option<&str>, group: Option<&str>) -> DaemonOptions {
        let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        DaemonOptions { user: bytes(user), group: bytes(group), ..DaemonOptions::default() }
    }

    #[test]
    fn root_is_refused_by_name_and_by_number() {
        for name in ["root", "#0"] {
            assert!(identity(&options(Some(name), None), ROOT).unwrap_err().contains("as root"));
        }
        let httpd = Httpd { user: 0, ..ROOT };
        assert!(identity(&options(None, None), httpd).unwrap_err().contains("as root"));
    }

    #[test]
    fn what_is_not_given_is_httpds() {
        let found = identity(&options(None, Some("#7")), ROOT).unwrap();
        assert_eq!((found.change, found.uid, found.gid, found.groups[0]), (true, 1, 7, 7));
        let nobody = Httpd { user: NOBODY_SAID, ..ROOT };
        assert!(identity(&options(None, None), nobody).unwrap_err().contains("no user"));
    }

    #[test]
    fn other_users_than_httpds_work_in_their_home() {
        let daemon = User::from_name("daemon").unwrap().unwrap();
        let directory = |user, httpd| identity(&options(user, Some("#7")), httpd).unwrap().directory;
        assert_eq!(
            directory(Some("daemon"), Httpd { user: 7, ..ROOT }),
            Some(daemon.dir.into_os_string().into_encoded_bytes())
        );
        let httpd = Httpd { user: daemon.uid.as_raw(), ..ROOT };
        assert_eq!(directory(Some("daemon"), httpd), None, "httpd's own");
        assert_eq!(directory(None, httpd), None);
    }

    #[test]
    fn unknown_names_are_named() {
        let text = identity(&options(Some("no-such-user"), None), ROOT).unwrap_err();
        assert_eq!(text, "has user=\"no-such-user\", a user that this system does not know");
        let text = identity(&options(Some("#x"), None), ROOT).unwrap_err();
        assert!(text.contains("\"#x\""), "{text}");
        assert!(identity(&options(None, Some("#-1")), ROOT).is_err());
        assert!(identity(&options(None, Some("#4294967295")), ROOT).is_err());
    }

    #[test]
    fn a_list_of_groups_takes_the_place_of_the_systems() {
        let listed =
            DaemonOptions { supplementary_groups: vec![b"#9".to_vec(), b"#7".to_vec()], ..options(None, Some("#7")) };
        assert_eq!(identity(&listed, ROOT).unwrap().groups, [7, 9]);
    }

    #[test]
    fn without_root_nobody_is_changed_and_sockets_stay_ours() {
        let httpd = Httpd { is_root: false, ..ROOT };
        let found = identity(&options(Some("no-such-user"), None), httpd).unwrap();
        assert_eq!((found.change, found.uid), (false, geteuid().as_raw()));
        assert_eq!(socket_owner(&options(None, None), httpd), Ok(None));
        assert_eq!(socket_owner(&options(None, None), ROOT), Ok(Some(1)));
    }

    #[test]
    fn scripts_belong_to_a_user_or_a_group() {
        let owned = |user: Option<&str>, group: Option<&str>| {
            let options = options(user, group);
            script_owner(&DaemonOptions {
                script_user: options.user,
                script_group: options.group,
                ..DaemonOptions::default()
            })
        };
        assert_eq!(owned(None, None), Ok(None));
        assert_eq!(owned(Some("root"), None), Ok(Some(Owner::User(0))));
        assert_eq!(owned(None, Some("#12")), Ok(Some(Owner::Group(12))));
        assert!(owned(None, Some("no-such-group")).is_err());
    }
}
