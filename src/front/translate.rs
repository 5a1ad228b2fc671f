//! `WSGIScriptAlias` and `WSGIScriptAliasMatch`: from URL to script file (httpd's translate_name phase).

use std::borrow::Cow;

use crate::apache::{Answer, InnerNul, Request, TableMut};
use crate::config::{Alias, AliasPattern, ServerConfig};
use crate::wsgi::{is_path_info, prefix_match, rest};

/// The handler's name, as `SetHandler` and the rest of httpd know it.
const HANDLER: &[u8] = b"wsgi-script";

/// The note by which a request's alias is found again: its place among those of the server. A note, since a request that httpd leads to
/// another (`DirectoryIndex`, `FallbackResource`) has those of that one, in front of its own, and nothing else of ours.
const PLACE: &std::ffi::CStr = c"mod_wsgi.alias";

/// The alias that mapped the request, if one did.
pub(super) fn alias<'r>(request: &Request<'r>) -> Option<&'r Alias> {
    let place = std::str::from_utf8(request.notes().get(PLACE)?).ok()?;
    request.server().config::<ServerConfig>()?.aliases.get(place.parse::<usize>().ok()?)
}

/// Maps the request to a script where an alias of its server, or of the main server, matches; the first does.
pub(crate) fn translate(request: &mut Request<'_>) -> Answer {
    if !request.uri().starts_with(b"/") {
        return Answer::DECLINED;
    }
    let server = request.server();
    let Some(config) = server.config::<ServerConfig>() else { return Answer::DECLINED };
    let mut numbered = config.aliases.iter().enumerate();
    let found = numbered.find_map(|(place, alias)| Some((place, alias, file(alias, request.uri())?)));
    let Some((place, alias, (file, rest))) = found else { return Answer::DECLINED };
    let rest = rest.to_vec();
    let done = map(request, &file, &rest)
        .and_then(|()| request.set_handler(HANDLER))
        .and_then(|()| note(&mut request.notes_mut(), place, alias));
    match done {
        Ok(()) => Answer::OK,
        // A NUL in the path, which no file name can hold.
        Err(InnerNul) => Answer::status(404),
    }
}

/// What other modules, and `LogFormat`, may know of it (reference 3.2), and we.
fn note(notes: &mut TableMut<'_>, place: usize, alias: &Alias) -> Result<(), InnerNul> {
    notes.set(b"alias-forced-type", HANDLER)?;
    notes.set(PLACE.to_bytes(), place.to_string().as_bytes())?;
    let authorization = alias.pass_authorization.map(|pass| if pass { b"1" } else { b"0" }.as_slice());
    for (name, value) in [
        (b"mod_wsgi.process_group".as_slice(), alias.process_group.as_deref()),
        (b"mod_wsgi.application_group", alias.application_group.as_deref()),
        (b"mod_wsgi.callable_object", alias.callable_object.as_deref()),
        (b"mod_wsgi.pass_authorization", authorization),
    ] {
        if let Some(value) = value {
            notes.set(name, value)?;
        }
    }
    Ok(())
}

/// Names the file. Where it is one, httpd's walk is told so, and need not look at every directory above it.
fn map(request: &mut Request<'_>, file: &[u8], rest: &[u8]) -> Result<(), InnerNul> {
    if is_path_info(file, rest) && request.set_regular_file(file, rest)? {
        return Ok(());
    }
    request.set_filename(&[file, rest].concat())
}

/// The file that an alias maps this URI to, if it matches, and what of the URI follows it.
fn file<'a, 'u>(alias: &'a Alias, uri: &'u [u8]) -> Option<(Cow<'a, [u8]>, &'u [u8])> {
    match &alias.pattern {
        AliasPattern::Prefix(prefix) => {
            Some((Cow::Borrowed(&alias.target), rest(prefix, uri, prefix_match(prefix, uri)?)))
        }
        AliasPattern::Regex(pattern, _) => {
            let (end, file) = pattern.matches(uri, &alias.target)?;
            Some((Cow::Owned(file), uri.get(end..).unwrap_or_default()))
        }
    }
}
