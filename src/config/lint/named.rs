//! Lines that name a daemon process group in which no request of theirs can be served.

use super::super::check::{Server, line_of, own_aliases};
use super::super::group::fixed_name;
use super::super::refusal::{nearest, shown};
use super::super::{Chosen, DaemonGroup};

/// A name that holds whatever a request is.
struct Named<'a> {
    /// The line, and where it stands.
    line: String,
    server: Server<'a>,
    group: &'a [u8],
}

/// What is wrong with such lines, and the groups that were probably meant: nothing needs to be said of those.
pub(super) fn groups_that_fail<'a>(servers: &[Server<'a>]) -> (Vec<String>, Vec<&'a [u8]>) {
    // A script may choose another group.
    if servers.iter().any(|server| server.config.chosen.dispatches) {
        return (Vec::new(), Vec::new());
    }
    let all: Vec<(&DaemonGroup, Server<'a>)> =
        servers.iter().flat_map(|server| server.config.daemons.iter().map(|group| (group, *server))).collect();
    let (mut found, mut meant) = (Vec::new(), Vec::new());
    for named in servers.iter().flat_map(|server| named(*server, servers.first())) {
        let sentence = match all.iter().find(|(group, _)| group.name == named.group) {
            None => {
                let likely = likely(named.group, &all);
                meant.extend(likely);
                Some(unknown(&named, likely, all.is_empty()))
            }
            // What the main server says holds in its virtual hosts, too, and the owner may be among them.
            Some((_, owner)) if !owner.opens_to(named.server) => {
                (named.server.number != 0).then(|| closed(&named, *owner))
            }
            Some((group, _)) => (group.options.threads() == 0).then(|| serves_nothing(&named)),
        };
        if let Some(sentence) = sentence
            && !found.contains(&sentence)
        {
            found.push(sentence);
        }
    }
    (found, meant)
}

/// The lines of a server that name a group for certain.
fn named<'a>(server: Server<'a>, main: Option<&Server<'a>>) -> Vec<Named<'a>> {
    let Chosen { process_group, sections, handler_groups, .. } = &server.config.chosen;
    let place = server.shown();
    let outside = process_group.iter().map(|said| (format!("WSGIProcessGroup {} in {place}", shown(said)), said));
    let inside = sections.iter().map(|section| {
        let line = format!(
            "WSGIProcessGroup {}, in the section \"{}\" of {place},",
            shown(&section.group),
            shown(&section.path)
        );
        (line, &section.group)
    });
    let option = |line: &str, said: &[u8]| format!("{line} ... process-group={} in {place}", shown(said));
    let handlers = handler_groups.iter().map(|said| (option("WSGIHandlerScript", said), said));
    let aliases = own_aliases(server, main)
        .filter_map(|alias| alias.process_group.as_ref().map(|said| (option(&line_of(alias), said), said)));
    let all = outside.chain(inside).chain(handlers).chain(aliases);
    all.filter_map(|(line, said)| {
        let group = fixed_name(said).filter(|name| !name.is_empty())?;
        Some(Named { line, server, group })
    })
    .collect()
}

/// The group that has nearly this name.
fn likely<'a>(name: &[u8], all: &[(&'a DaemonGroup, Server<'a>)]) -> Option<&'a [u8]> {
    let names = all.iter().filter_map(|(group, _)| std::str::from_utf8(&group.name).ok());
    nearest(name, names).map(str::as_bytes)
}

fn unknown(named: &Named<'_>, likely: Option<&[u8]>, none: bool) -> String {
    let number = if none { "WSGI0150" } else { "WSGI0151" };
    let remedy = match likely {
        Some(name) => format!("did you mean \"{}\"? (Upper and lower case count.)", shown(name)),
        None => "correct the name, define the group, or write %{GLOBAL} for embedded mode".to_owned(),
    };
    format!(
        "WSGI0589: {} names a daemon process group that no WSGIDaemonProcess defines, so requests there are answered with 500 ({number}); {remedy}",
        named.line
    )
}

fn closed(named: &Named<'_>, owner: Server<'_>) -> String {
    format!(
        "WSGI0590: {} names a daemon process group of {}, which other servers can't use, so requests there are answered with 500 (WSGI0152); \
         move its WSGIDaemonProcess line outside <VirtualHost>, or give both servers one ServerName",
        named.line,
        owner.shown()
    )
}

fn serves_nothing(named: &Named<'_>) -> String {
    format!(
        "WSGI0591: {} names a daemon process group with threads=0, which runs its import scripts only, so requests there are answered with 503 \
         (WSGI0360); name another group for them",
        named.line
    )
}
