//! `WSGIScriptAlias` and `WSGIScriptAliasMatch`: from URL to script file (httpd's translate_name phase).

use std::borrow::Cow;

use crate::apache::{Answer, InnerNul, Request};
use crate::config::{Alias, AliasPattern, ServerConfig};
use crate::wsgi::{is_path_info, prefix_match, rest};

/// The handler's name, as `SetHandler` and the rest of httpd know it.
const HANDLER: &[u8] = b"wsgi-script";

/// What the alias that mapped a request says about it; kept with the request.
#[derive(Clone, Default)]
pub(super) struct Mapped {
    pub(super) process_group: Option<Vec<u8>>,
    pub(super) application_group: Option<Vec<u8>>,
    pub(super) callable_object: Option<Vec<u8>>,
    pub(super) pass_authorization: Option<bool>,
}

/// Maps the request to a script where an alias of its server, or of the main server, matches; the first does.
pub(crate) fn translate(request: &mut Request<'_>) -> Answer {
    if !request.uri().starts_with(b"/") {
        return Answer::DECLINED;
    }
    let server = request.server();
    let Some(config) = server.config::<ServerConfig>() else { return Answer::DECLINED };
    let found = config.aliases.iter().find_map(|alias| Some((alias, file(alias, request.uri())?)));
    let Some((alias, (file, rest))) = found else { return Answer::DECLINED };
    let rest = rest.to_vec();
    let done = map(request, &file, &rest)
        .and_then(|()| request.set_handler(HANDLER))
        .and_then(|()| request.notes_mut().set(b"alias-forced-type", HANDLER));
    if done.is_err() {
        // A NUL in the path, which no file name can hold.
        return Answer::status(404);
    }
    request.keep(Mapped {
        process_group: alias.process_group.clone(),
        application_group: alias.application_group.clone(),
        callable_object: alias.callable_object.clone(),
        pass_authorization: alias.pass_authorization,
    });
    Answer::OK
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
