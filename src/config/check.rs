//! Whether the daemon process groups and what names them fit together, once all lines are read.
//!
//! A line sees only its own server, and may stand before the group that it names; so this waits for the end. Called by `hooks`
//! in the parent (`httpd -t` too). What depends on a request (`%{...}` forms, `WSGIProcessGroup`) is checked with the request.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::group::fixed_name;
use super::refusal::shown;
use super::{Alias, AliasPattern, ImportOrigin, ServerConfig};

/// A server, by what decides which groups are open to it.
#[derive(Clone, Copy)]
pub(super) struct Server<'a> {
    pub(super) number: usize,
    /// `ServerName`.
    pub(super) name: Option<&'a [u8]>,
    pub(super) config: &'a ServerConfig,
}

/// A line that names a process group before any request.
struct Use<'a> {
    line: String,
    group: &'a [u8],
}

/// Checks that no two groups have one name, and that each group which an import, or an alias with both groups fixed, names is
/// defined and open to the server of the line (reference: a group is open to its own server, to servers of equal `ServerName`,
/// and to all if the main server has it). Pass each server's `ServerName` and merged record, the main server first.
///
/// # Errors
/// One sentence for the administrator, with the directive and what to do.
pub fn check_groups<'a>(servers: impl IntoIterator<Item = (Option<&'a [u8]>, &'a ServerConfig)>) -> Result<(), String> {
    let servers = all(servers);
    let mut groups: Vec<(&[u8], Server<'_>)> = Vec::new();
    for server in &servers {
        for group in &server.config.daemons {
            if let Some(twin) = find(&groups, &group.name) {
                return Err(twice(&group.name, twin, *server));
            }
            groups.push((&group.name, *server));
        }
    }
    for server in &servers {
        for Use { line, group } in uses(*server, servers.first()) {
            match find(&groups, group) {
                None => return Err(unknown(&line, *server, group)),
                Some(owner) if !owner.opens_to(*server) => return Err(closed(&line, *server, group, owner)),
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// Each server's `ServerName` and merged record, the main server first.
pub(super) fn all<'a>(servers: impl IntoIterator<Item = (Option<&'a [u8]>, &'a ServerConfig)>) -> Vec<Server<'a>> {
    servers.into_iter().enumerate().map(|(number, (name, config))| Server { number, name, config }).collect()
}

impl Server<'_> {
    fn is_main(self) -> bool {
        self.number == 0
    }

    /// Whether requests to `other` may use groups that are defined here.
    pub(super) fn opens_to(self, other: Self) -> bool {
        self.is_main() || self.number == other.number || self.name == other.name
    }

    pub(super) fn shown(self) -> String {
        match self.name {
            _ if self.is_main() => "the main server".to_owned(),
            Some(name) => format!("the virtual host \"{}\"", shown(name)),
            None => "a virtual host without ServerName".to_owned(),
        }
    }
}

fn find<'a>(groups: &[(&[u8], Server<'a>)], name: &[u8]) -> Option<Server<'a>> {
    groups.iter().find(|(known, _)| *known == name).map(|(_, owner)| *owner)
}

/// The aliases that are written in this server. Behind its own a virtual host's merged record has the main server's.
pub(super) fn own_aliases<'a>(server: Server<'a>, main: Option<&Server<'a>>) -> impl Iterator<Item = &'a Alias> {
    let inherited = main.filter(|_| !server.is_main()).map_or(0, |main| main.config.aliases.len());
    server.config.aliases.iter().take(server.config.aliases.len().saturating_sub(inherited))
}

/// The lines of this server that name a daemon process group for certain.
fn uses<'a>(server: Server<'a>, main: Option<&Server<'a>>) -> Vec<Use<'a>> {
    let aliases = own_aliases(server, main).filter_map(use_of);
    // An alias may be an import, too; it is met above.
    let imports = server.config.process.imports.iter().filter(|import| import.origin == ImportOrigin::Directive);
    let imports = imports.map(|import| Use {
        line: format!("WSGIImportScript {}", shown(OsStr::as_bytes(import.path.as_os_str()))),
        group: &import.process_group,
    });
    aliases.chain(imports).filter(|named| !named.group.is_empty()).collect()
}

fn use_of(alias: &Alias) -> Option<Use<'_>> {
    let group = fixed_name(alias.process_group.as_deref()?)?;
    fixed_name(alias.application_group.as_deref()?)?;
    if matches!(alias.pattern, AliasPattern::Regex(..)) && alias.target.contains(&b'$') {
        return None;
    }
    Some(Use { line: line_of(alias), group })
}

/// How the line of an alias begins.
pub(super) fn line_of(alias: &Alias) -> String {
    match &alias.pattern {
        AliasPattern::Prefix(prefix) => format!("WSGIScriptAlias {}", shown(prefix)),
        AliasPattern::Regex(_, source) => format!("WSGIScriptAliasMatch {}", shown(source)),
    }
}

fn twice(group: &[u8], one: Server<'_>, other: Server<'_>) -> String {
    format!(
        "WSGIDaemonProcess defines the process group \"{}\" in {} and in {}; such a name is given once in all of httpd: rename one, \
         or define one group outside <VirtualHost> for both",
        shown(group),
        one.shown(),
        other.shown()
    )
}

fn unknown(line: &str, server: Server<'_>, group: &[u8]) -> String {
    format!(
        "{line} in {} names the process group \"{}\", which no WSGIDaemonProcess defines; define it, or write \
         process-group=%{{GLOBAL}} for embedded mode",
        server.shown(),
        shown(group)
    )
}

fn closed(line: &str, server: Server<'_>, group: &[u8], owner: Server<'_>) -> String {
    format!(
        "{line} in {} names the process group \"{}\", which WSGIDaemonProcess defines in {}, so that other servers can't use it; \
         move the WSGIDaemonProcess line outside <VirtualHost>, or give both servers one ServerName",
        server.shown(),
        shown(group),
        owner.shown()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Level;
    use crate::config::testing::Reader;

    /// Reads servers, each with its `ServerName` and lines, the main server first, as httpd does; and checks them.
    fn check(servers: &[(Option<&str>, &[&str])]) -> Result<(), String> {
        let mut records: Vec<(Option<&[u8]>, ServerConfig)> = Vec::new();
        for (name, lines) in servers {
            let reader = Reader::at(records.is_empty(), Level::Server);
            let own = lines.iter().fold(reader, |reader, line| reader.loads(line)).server;
            let record = match records.first() {
                None => own,
                Some((_, main)) => ServerConfig::merge(main, &own),
            };
            records.push((name.map(str::as_bytes), record));
        }
        check_groups(records.iter().map(|(name, record)| (*name, record)))
    }

    const SHOP: &str = "WSGIDaemonProcess shop";
    const ALIAS: &str = "WSGIScriptAlias /x /a.wsgi process-group=shop application-group=%{GLOBAL}";
    const IMPORT: &str = "WSGIImportScript /a.wsgi process-group=shop application-group=%{GLOBAL}";

    #[test]
    fn the_order_of_lines_does_not_matter() {
        assert_eq!(check(&[(None, &[IMPORT, ALIAS, SHOP])]), Ok(()));
        assert_eq!(check(&[(None, &[SHOP, ALIAS, IMPORT])]), Ok(()));
        assert_eq!(check(&[(None, &[]), (Some("a"), &[ALIAS, SHOP])]), Ok(()));
    }

    #[test]
    fn a_name_is_given_once_in_all_servers() {
        let refused = check(&[(None, &[SHOP]), (Some("a"), &[SHOP])]).unwrap_err();
        assert!(refused.contains("\"shop\" in the main server and in the virtual host \"a\""), "{refused}");
        let refused = check(&[(None, &[]), (Some("a"), &[SHOP]), (Some("a"), &[SHOP])]).unwrap_err();
        assert!(refused.starts_with("WSGIDaemonProcess ") && refused.contains("rename one"), "{refused}");
        assert_eq!(
            check(&[(None, &[SHOP, "WSGIDaemonProcess Shop"]), (Some("a"), &["WSGIDaemonProcess blog"])]),
            Ok(())
        );
    }

    #[test]
    fn a_group_that_is_named_for_certain_must_exist() {
        for (line, start) in [
            (ALIAS, "WSGIScriptAlias /x in the main server names the process group \"shop\", which no"),
            (IMPORT, "WSGIImportScript /a.wsgi in the main server names the process group \"shop\", which no"),
            (
                "WSGIScriptAliasMatch ^/x /a process-group=shop application-group=y",
                "WSGIScriptAliasMatch ^/x in the main server names",
            ),
            (
                "WSGIScriptAlias /d/ /dir/ process-group=shop application-group=y",
                "WSGIScriptAlias /d/ in the main server",
            ),
        ] {
            let refused = check(&[(None, &[line, "WSGIDaemonProcess Shop"])]).unwrap_err();
            assert!(refused.starts_with(start) && refused.contains("%{GLOBAL}"), "{refused}");
        }
    }

    #[test]
    fn what_requests_decide_is_left_to_them() {
        for line in [
            "WSGIProcessGroup shop",
            "WSGIScriptAlias / /a process-group=shop",
            "WSGIScriptAlias / /a process-group=shop application-group=%{RESOURCE}",
            "WSGIScriptAlias / /a process-group=%{ENV:X} application-group=%{GLOBAL}",
            "WSGIScriptAlias / /a process-group=%{GLOBAL} application-group=%{GLOBAL}",
            "WSGIScriptAliasMatch ^/(x) /$1 process-group=shop application-group=y",
            "WSGIImportScript /a process-group=%{GLOBAL} application-group=y",
        ] {
            assert_eq!(check(&[(None, &[line])]), Ok(()), "{line}");
        }
    }

    #[test]
    fn groups_are_open_to_their_server_to_its_namesakes_and_the_main_servers_to_all() {
        let host = |name| (Some(name), &[SHOP][..]);
        for line in [ALIAS, IMPORT] {
            let user = |name| (Some(name), std::slice::from_ref(&line));
            assert_eq!(check(&[(None, &[SHOP]), user("b")]), Ok(()));
            assert_eq!(check(&[(None, &[]), host("a"), user("a")]), Ok(()));
            assert_eq!(check(&[(None, &[]), user("a"), host("a")]), Ok(()));
            assert_eq!(check(&[(Some("a"), &[line]), host("a")]), Ok(()));
            for closed in [
                check(&[(None, &[]), host("a"), user("b")]),
                check(&[(None, &[]), host("a"), user("A")]),
                check(&[(None, &[]), host("a"), (None, &[line])]),
                check(&[(None, &[line]), host("a")]),
            ] {
                let refused = closed.unwrap_err();
                assert!(refused.contains("defines in the virtual host \"a\", so that"), "{refused}");
            }
        }
    }

    #[test]
    fn aliases_of_the_main_server_are_not_checked_again_in_each_virtual_host() {
        assert_eq!(
            check(&[(Some("a"), &[ALIAS]), (Some("a"), &[SHOP]), (Some("b"), &["WSGIScriptAlias /y /b"])]),
            Ok(())
        );
    }
}
