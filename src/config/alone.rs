//! Whether a daemon process group has one application only, as far as lines alone can say it.
//!
//! Such an application has the main interpreter of its processes, where all C extensions work. So this must not be wrong in one
//! direction: two applications that C mod_wsgi keeps apart, or an application group that somebody has asked for. In doubt the answer is no. Called
//! by the parent, once all is read. What a request may still do otherwise (a script by `SetHandler` or `AddHandler`) is for the child
//! to see.

use std::os::unix::ffi::OsStrExt as _;

use super::check::{Server, all};
use super::group::fixed_name;
use super::{Alias, AliasPattern, DaemonGroup, ImportScript, ServerConfig, imports_of};

/// The one application of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alone<'a> {
    /// The number of a server that has it, the main server's being 0. Others have it, too, under the same `ServerName`.
    pub server: usize,
    /// The prefix of its alias.
    pub mount: &'a [u8],
    /// Its script, or a directory: who may look at files must.
    pub target: &'a [u8],
}

/// The application that is alone in this group: all requests that can come to it are for one `WSGIScriptAlias`, of one mount point and
/// one script (under one `ServerName`, where several servers have it), and nothing asks for an application group for it. Pass each server's
/// `ServerName` and merged record, the main server first.
///
/// `WSGIImportScript` names an application group in any case. `%{GLOBAL}` for the script itself is what it gets; whatever else is
/// loaded into the group is not to meet it.
pub fn alone<'a>(
    group: &DaemonGroup,
    servers: impl IntoIterator<Item = (Option<&'a [u8]>, &'a ServerConfig)>,
) -> Option<Alone<'a>> {
    if group.options.threads() == 0 {
        return None;
    }
    let servers = all(servers);
    let main = *servers.first()?;
    let owner = *servers.iter().find(|server| server.config.daemons.iter().any(|other| other.name == group.name))?;
    let mut found: Option<(Server<'_>, Alone<'_>)> = None;
    for server in servers.iter().filter(|server| owner.opens_to(**server)) {
        for alias in &server.config.aliases {
            if !may_come(alias, *server, main, &group.name)? {
                continue;
            }
            let alone = Alone { server: server.number, mount: prefix_of(alias)?, target: &alias.target };
            let asked = alias.application_group.is_some() || names_groups(*server) || names_groups(main);
            if asked || alone.target.ends_with(b"/") {
                return None;
            }
            match found {
                None => found = Some((*server, alone)),
                Some((other, known)) => {
                    let same = other.name == server.name && known.mount == alone.mount && known.target == alone.target;
                    same.then_some(())?;
                }
            }
        }
    }
    let (_, found) = found?;
    let imports = imports_of(&group.name, servers.iter().map(|server| server.config));
    let meets_others = |import: &&ImportScript| {
        !import.application_group.is_empty() || import.path.as_os_str().as_bytes() != found.target
    };
    if imports.iter().any(meets_others) { None } else { Some(found) }
}

/// Whether requests by an alias may come to a group; none where they themselves name it.
fn may_come(alias: &Alias, server: Server<'_>, main: Server<'_>, group: &[u8]) -> Option<bool> {
    let said: Vec<&Vec<u8>> = match &alias.process_group {
        Some(said) => vec![said],
        None => {
            let (own, outer) = (&server.config.chosen, &main.config.chosen);
            let sections = own.sections.iter().chain(&outer.sections).map(|section| &section.group);
            own.process_group.as_ref().or(outer.process_group.as_ref()).into_iter().chain(sections).collect()
        }
    };
    let names: Option<Vec<&[u8]>> = said.into_iter().map(|said| fixed_name(said)).collect();
    Some(names?.contains(&group))
}

/// None for a regular expression: it may have many mount points.
fn prefix_of(alias: &Alias) -> Option<&[u8]> {
    match &alias.pattern {
        AliasPattern::Prefix(prefix) => Some(prefix),
        AliasPattern::Regex(..) => None,
    }
}

fn names_groups(server: Server<'_>) -> bool {
    server.config.chosen.application_group
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::super::testing::Reader;
    use super::*;

    const SHOP: &str = "WSGIDaemonProcess shop";
    const CHOICE: &str = "WSGIProcessGroup shop";
    const ALIAS: &str = "WSGIScriptAlias /x /a.wsgi";

    /// Each server with its `ServerName` and lines, the main server first. A line in `<...>` stands in a section.
    fn mounts(servers: &[(&str, &[&str])]) -> Option<(usize, String, String)> {
        let mut records: Vec<(Option<&[u8]>, ServerConfig)> = Vec::new();
        for (name, lines) in servers {
            let mut reader = Reader::at(records.is_empty(), Level::Server);
            for line in *lines {
                let inner = line.strip_prefix('<').and_then(|line| line.strip_suffix('>'));
                reader.level = if inner.is_some() { Level::Section } else { Level::Server };
                reader = reader.loads(inner.unwrap_or(line));
            }
            let own = reader.server;
            let record = match records.first() {
                None => own,
                Some((_, main)) => ServerConfig::merge(main, &own),
            };
            records.push((Some(name.as_bytes()), record));
        }
        let group = records.iter().flat_map(|(_, record)| &record.daemons).find(|group| group.name == b"shop")?;
        let alone = alone(group, records.iter().map(|(name, record)| (*name, record)))?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Some((alone.server, text(alone.mount), text(alone.target)))
    }

    fn is_alone(lines: &[&str]) -> bool {
        mounts(&[("main", lines)]).is_some()
    }

    #[test]
    fn one_alias_is_alone_however_it_comes_to_its_group() {
        for lines in [
            &[SHOP, CHOICE, ALIAS][..],
            &[ALIAS, CHOICE, SHOP],
            &[SHOP, "<WSGIProcessGroup shop>", ALIAS],
            &[SHOP, "WSGIScriptAlias /x /a.wsgi process-group=shop"],
            &[
                SHOP,
                "WSGIProcessGroup blog",
                "WSGIScriptAlias /x /a.wsgi process-group=shop",
                "WSGIScriptAlias /y /b.wsgi",
            ],
            &[SHOP, CHOICE, ALIAS, "WSGIScriptAlias /y /b.wsgi process-group=%{GLOBAL}"],
            &[SHOP, CHOICE, ALIAS, "WSGIScriptAlias /y /b/ process-group=blog application-group=z"],
            &[SHOP, CHOICE, ALIAS, "WSGIProcessGroup shop", ALIAS],
        ] {
            assert_eq!(mounts(&[("main", lines)]), Some((0, "/x".to_owned(), "/a.wsgi".to_owned())), "{lines:?}");
        }
    }

    #[test]
    fn what_may_come_beside_it_or_has_no_fixed_place_is_not_alone() {
        for lines in [
            &[SHOP, CHOICE][..],
            &[SHOP, ALIAS],
            &[SHOP, CHOICE, "WSGIProcessGroup blog", ALIAS],
            &[SHOP, CHOICE, ALIAS, "WSGIScriptAlias /y /b.wsgi"],
            &[SHOP, CHOICE, ALIAS, "WSGIScriptAlias /y /a.wsgi"],
            &[SHOP, CHOICE, ALIAS, "WSGIScriptAlias /x /b.wsgi"],
            &[SHOP, CHOICE, ALIAS, "WSGIScriptAliasMatch ^/y /a.wsgi"],
            &[SHOP, CHOICE, "WSGIScriptAliasMatch ^/y /a.wsgi"],
            &[SHOP, CHOICE, "WSGIScriptAlias /x/ /a/"],
            &[SHOP, ALIAS, "<WSGIProcessGroup shop>", "WSGIScriptAlias /y /b.wsgi"],
            &[SHOP, CHOICE, ALIAS, "<WSGIProcessGroup blog>", "WSGIScriptAlias /y /b.wsgi"],
            &[SHOP, CHOICE, ALIAS, "<WSGIProcessGroup %{ENV:X}>"],
            &[SHOP, CHOICE, ALIAS, "WSGIScriptAlias /y /b.wsgi process-group=%{ENV:X}"],
            &[SHOP, "WSGIProcessGroup %{SERVER}", ALIAS],
            &["WSGIDaemonProcess shop threads=0", CHOICE, ALIAS],
        ] {
            assert_eq!(mounts(&[("main", lines)]), None, "{lines:?}");
        }
    }

    #[test]
    fn an_application_group_that_is_asked_for_is_kept() {
        for line in [
            "WSGIApplicationGroup %{RESOURCE}",
            "WSGIApplicationGroup %{GLOBAL}",
            "WSGIApplicationGroup x",
            "<WSGIApplicationGroup x>",
            "WSGIImportScript /b.wsgi process-group=shop application-group=%{GLOBAL}",
            "WSGIImportScript /a.wsgi process-group=shop application-group=main|/x",
        ] {
            assert!(!is_alone(&[SHOP, CHOICE, ALIAS, line]), "{line}");
        }
        for group in ["%{RESOURCE}", "%{GLOBAL}", "x"] {
            let alias = format!("WSGIScriptAlias /x /a.wsgi process-group=shop application-group={group}");
            assert!(!is_alone(&[SHOP, &alias]), "{group}");
        }
        for line in [
            "WSGIImportScript /a.wsgi process-group=shop application-group=%{GLOBAL}",
            "WSGIImportScript /b.wsgi process-group=blog application-group=%{GLOBAL}",
            "WSGIImportScript /b.wsgi process-group=%{GLOBAL} application-group=x",
        ] {
            assert!(is_alone(&[SHOP, CHOICE, ALIAS, line]), "{line}");
        }
    }

    #[test]
    fn servers_of_one_name_have_one_application_and_others_have_their_own() {
        let shop = &[SHOP, CHOICE, ALIAS][..];
        let mount = |server| Some((server, "/x".to_owned(), "/a.wsgi".to_owned()));
        assert_eq!(mounts(&[("main", &[]), ("shop", shop)]), mount(1));
        // The same site with and without TLS.
        assert_eq!(mounts(&[("main", &[]), ("shop", shop), ("shop", &[CHOICE, ALIAS])]), mount(1));
        assert_eq!(mounts(&[("main", &[SHOP]), ("shop", &[CHOICE, ALIAS]), ("shop", &[CHOICE, ALIAS])]), mount(1));
        assert_eq!(mounts(&[("main", &[]), ("shop", shop), ("shop", &[CHOICE, "WSGIScriptAlias /y /a.wsgi"])]), None);
        // Two names are two application groups; the second host's requests come there only where the group is open to it.
        assert_eq!(mounts(&[("main", &[SHOP]), ("shop", &[CHOICE, ALIAS]), ("www", &[CHOICE, ALIAS])]), None);
        assert_eq!(mounts(&[("main", &[]), ("shop", shop), ("www", &[CHOICE, ALIAS])]), mount(1));
        assert_eq!(mounts(&[("main", &[]), ("shop", shop), ("www", &["WSGIProcessGroup %{ENV:X}", ALIAS])]), mount(1));
        // What the main server says holds in its hosts.
        assert_eq!(mounts(&[("main", &[ALIAS]), ("shop", &[SHOP, CHOICE])]), mount(1));
        assert_eq!(mounts(&[("main", &[SHOP, CHOICE, ALIAS]), ("shop", &[])]), None);
        assert_eq!(mounts(&[("main", &["WSGIScriptAlias /y /b.wsgi"]), ("shop", shop)]), None);
        assert_eq!(mounts(&[("main", &["<WSGIApplicationGroup x>"]), ("shop", shop)]), None);
        assert_eq!(mounts(&[("main", &["<WSGIProcessGroup shop>", SHOP]), ("shop", &[ALIAS])]), mount(1));
    }
}
