//! Directives that name script files: those that map URLs to them and those that load them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::super::group::fixed_name;
use super::super::refusal::shown;
use super::super::server::covers;
use super::super::{
    Alias, AliasPattern, Arguments, Context, Directive, HandlerScript, ImportOrigin, ImportScript, Kind, Level, Merge,
    OptionRow, Place, Refusal, ServerConfig, Standing, Words,
};
use super::{APPLICATION_GROUP_OPTION, PROCESS_GROUP_OPTION, access, warn_of_no_forms};

const ALIAS_OPTIONS: &[OptionRow] = &[
    PROCESS_GROUP_OPTION,
    APPLICATION_GROUP_OPTION,
    OptionRow {
        name: "callable-object",
        value: "name",
        doc: "The global of the script that is called, for requests through this alias instead of `WSGICallableObject`. \
              Always taken literally.",
        ..APPLICATION_GROUP_OPTION
    },
    OptionRow {
        name: "pass-authorization",
        value: "On|Off",
        doc: "For requests through this alias instead of `WSGIPassAuthorization`.",
        ..APPLICATION_GROUP_OPTION
    },
];

pub(super) const SCRIPT_ALIAS: Directive = Directive {
    name: c"WSGIScriptAlias",
    context: Context::Server,
    kind: Kind::Plain,
    arguments: Arguments::Options(2),
    options: ALIAS_OPTIONS,
    syntax: "WSGIScriptAlias url-path file-path|directory-path [option=value ...]",
    default: "none",
    merge: Merge::VirtualHostFirst,
    help: c"URL path, script file or directory of scripts, options",
    doc: "Maps URLs to a WSGI script: everything at and below *url-path* is served by the script at *file-path*. With a \
          directory as target the next part of the URL names the script in it; then end both with a slash. `Options ExecCGI` \
          is not needed, but access to the script's directory must be granted (`Require all granted`).\n\n\
          Aliases are tried in the order written and the first match counts, so put `/` last. `Alias` of mod_alias goes \
          before: use it for static files below an application. A path that does not start with `/` is taken below \
          `ServerRoot`.\n\n\
          When both groups are given, and neither depends on the request, the script is loaded when a process of the group starts, \
          not at its first request; the group must then exist and be open to this server (see `WSGIDaemonProcess`). The order of \
          the lines does not matter.",
    standing: Standing::InEffect,
    apply: |place, words| {
        let prefix = words.word(0).to_vec();
        let target = target(place, words)?;
        let alias = alias(place, words, AliasPattern::Prefix(prefix.clone()), target)?;
        warn_about(place, words, &prefix, &alias.target)?;
        let import = import_of(&alias);
        add(place.server(words)?, alias, import);
        Ok(())
    },
};

pub(super) const SCRIPT_ALIAS_MATCH: Directive = Directive {
    name: c"WSGIScriptAliasMatch",
    syntax: "WSGIScriptAliasMatch regex file-path|directory-path [option=value ...]",
    help: c"Regular expression for URL paths, script file with $1 to $9, options",
    doc: "As `WSGIScriptAlias`, with a regular expression for the URL path. In the target `$1` to `$9` stand for what the \
          parentheses matched, `$0` for all that matched. The expression is not anchored: start it with `^`. What follows \
          the match in the URL is appended to the target.\n\n\
          A script is loaded when a process starts only if its target has no `$`.",
    apply: |place, words| {
        let source = words.word(0).to_vec();
        let pattern = place.surroundings.compile(&source).map_err(|cause| Refusal::Pattern {
            directive: words.directive(),
            regex: shown(&source),
            cause,
        })?;
        if has_substitution(&source) {
            place.surroundings.warn(format!(
                "{} {}: a \"$\" before a digit never matches a URL; expression and path have probably run together, write a space \
                 between them",
                words.directive(),
                shown(&source)
            ));
        }
        let target = target(place, words)?;
        let alias = alias(place, words, AliasPattern::Regex(pattern, source), target)?;
        let import = if alias.target.contains(&b'$') { None } else { import_of(&alias) };
        add(place.server(words)?, alias, import);
        Ok(())
    },
    ..SCRIPT_ALIAS
};

/// Whether an expression has `$1` or its like, which only targets have.
fn has_substitution(regex: &[u8]) -> bool {
    let behind_backslash = |at: usize| at.checked_sub(1).and_then(|before| regex.get(before)) == Some(&b'\\');
    regex.windows(2).enumerate().any(|(at, pair)| matches!(pair, [b'$', b'0'..=b'9']) && !behind_backslash(at))
}

/// The second word; below `ServerRoot` if it is relative. A template that starts with `$` is left to the match.
fn target(place: &mut Place<'_>, words: &Words<'_>) -> Result<Vec<u8>, Refusal> {
    let typed = words.word(1);
    if typed.starts_with(b"/") || typed.starts_with(b"$") {
        return Ok(typed.to_vec());
    }
    let is_option =
        |row: &OptionRow| typed.strip_prefix(row.name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
    if words.row().options.iter().any(is_option) {
        place.surroundings.warn(format!(
            "{} {}: its second word \"{}\" is an option, and no path; URL and path have probably run together, write a space between them",
            words.directive(),
            shown(words.word(0)),
            shown(typed)
        ));
    }
    let mut target = below_server_root(place, words, typed)?.into_os_string().into_vec();
    // The slash decides whether the rest of the URL names a file in a directory; joining paths may take it away.
    if typed.ends_with(b"/") && !target.ends_with(b"/") {
        target.push(b'/');
    }
    Ok(target)
}

/// A path, absolute as written or below `ServerRoot`.
pub(super) fn below_server_root(place: &mut Place<'_>, words: &Words<'_>, path: &[u8]) -> Result<PathBuf, Refusal> {
    if path.starts_with(b"/") {
        return Ok(PathBuf::from(OsStr::from_bytes(path)));
    }
    let found = place.surroundings.server_root_relative(path).ok_or_else(|| Refusal::Value {
        directive: words.directive(),
        value: shown(path),
        allowed: "the path can't be put below ServerRoot; write it from / on".to_owned(),
    })?;
    // An `.htaccess` file is read for each request: once would not be the end of it.
    if place.level != Level::Htaccess {
        place.surroundings.warn(format!(
            "{}: the path \"{}\" does not start with \"/\" and is taken below ServerRoot, as \"{}\"; write it from / on",
            words.directive(),
            shown(path),
            shown(found.as_os_str().as_bytes())
        ));
    }
    Ok(found)
}

fn alias(place: &mut Place<'_>, words: &Words<'_>, pattern: AliasPattern, target: Vec<u8>) -> Result<Alias, Refusal> {
    warn_of_no_forms(place, words);
    Ok(Alias {
        pattern,
        target,
        process_group: words.option("process-group").map(<[u8]>::to_vec),
        application_group: words.option("application-group").map(<[u8]>::to_vec),
        callable_object: words.option("callable-object").map(<[u8]>::to_vec),
        pass_authorization: words.option_on_off("pass-authorization")?,
    })
}

/// The import that an alias asks for: both groups are given and known before any request. A directory is no script.
fn import_of(alias: &Alias) -> Option<ImportScript> {
    let process_group = fixed_name(alias.process_group.as_deref()?)?;
    let application_group = fixed_name(alias.application_group.as_deref()?)?;
    if alias.target.ends_with(b"/") {
        return None;
    }
    Some(ImportScript {
        path: PathBuf::from(OsString::from_vec(alias.target.clone())),
        process_group: process_group.to_vec(),
        application_group: application_group.to_vec(),
        origin: ImportOrigin::Alias,
    })
}

fn add(server: &mut ServerConfig, alias: Alias, import: Option<ImportScript>) {
    server.process.imports.extend(import);
    server.aliases.push(alias);
}

/// Says what loads but can't do what its author wants.
fn warn_about(place: &mut Place<'_>, words: &Words<'_>, prefix: &[u8], target: &[u8]) -> Result<(), Refusal> {
    let covering = place.server(words)?.aliases.iter().find_map(|earlier| match &earlier.pattern {
        AliasPattern::Prefix(outer) if covers(outer, prefix) => Some(shown(outer)),
        AliasPattern::Prefix(_) | AliasPattern::Regex(..) => None,
    });
    let mut warn = |why: String| place.surroundings.warn(format!("{} {}: {why}", words.directive(), shown(prefix)));
    if !prefix.starts_with(b"/") {
        warn("no URL path matches this, because it does not start with \"/\"".to_owned());
    }
    if let Some(outer) = covering {
        warn(format!("never reached, because \"{outer}\" stands before it; put the longer path first"));
    }
    // The rest of the URL is appended as it is: with one slash missing it joins two names, with one too many it names a
    // file below a file.
    if prefix != b"/" && prefix.ends_with(b"/") != target.ends_with(b"/") {
        warn(format!("this and its target \"{}\" should both end in a slash, or neither", shown(target)));
    }
    Ok(())
}

pub(super) const IMPORT_SCRIPT: Directive = Directive {
    name: c"WSGIImportScript",
    arguments: Arguments::Options(1),
    options: &[
        OptionRow {
            required: true,
            may_be_empty: false,
            value: "name or %{GLOBAL}",
            doc: "The processes that load the script: a daemon process group, or `%{GLOBAL}`, embedded mode. Other `%{...}` forms have no \
                  meaning before a request; they are refused.",
            ..PROCESS_GROUP_OPTION
        },
        OptionRow {
            required: true,
            may_be_empty: false,
            value: "name or %{GLOBAL}",
            doc: "The interpreter that loads the script: a name, or `%{GLOBAL}`. Other `%{...}` forms have no meaning before a \
                  request; they are taken literally, and warned about.",
            ..APPLICATION_GROUP_OPTION
        },
    ],
    syntax: "WSGIImportScript file-path process-group=name|%{GLOBAL} application-group=name|%{GLOBAL}",
    merge: Merge::ProcessWideList,
    help: c"Script to load when a process starts, and its groups",
    doc: "Loads a script when a process starts, so that its first request does not wait for imports. The request must lead to \
          the same application group, or the script is loaded twice. A script that fails to load is logged, and the process \
          serves. In embedded mode this happens in each child of httpd, in a daemon process group in each of its processes, before \
          they take requests. The group may be defined before or after this line, but it must exist and be open to this server \
          (see `WSGIDaemonProcess`).\n\n\
          In a group with `threads=0` the script is what the process is for: it runs until it returns.",
    apply: |place, words| {
        let path = below_server_root(place, words, words.word(0))?;
        let group = words.option("application-group").unwrap_or_default();
        let processes = words.option("process-group").unwrap_or_default();
        let process_group = fixed_name(processes).ok_or_else(|| {
            let allowed =
                "a script is loaded before any request; write the name of a daemon process group, or %{GLOBAL}";
            words.bad_option("process-group", processes, allowed.to_owned())
        })?;
        let fixed = fixed_name(group);
        if fixed.is_none() {
            place.surroundings.warn(format!(
                "WSGIImportScript: application-group=\"{}\" is taken literally; only %{{GLOBAL}} has a meaning before a request",
                shown(group)
            ));
        }
        let application_group = fixed.unwrap_or(group).to_vec();
        let process_group = process_group.to_vec();
        let import = ImportScript { path, process_group, application_group, origin: ImportOrigin::Directive };
        place.process(words)?.imports.push(import);
        Ok(())
    },
    ..SCRIPT_ALIAS
};

pub(super) const DISPATCH_SCRIPT: Directive = Directive {
    name: c"WSGIDispatchScript",
    context: Context::ServerOrDirectory,
    arguments: Arguments::Options(1),
    options: access::SCRIPT_OPTIONS,
    syntax: "WSGIDispatchScript file-path [application-group=name]",
    merge: Merge::InnerWins,
    help: c"Script that chooses groups and callable of a request, and its interpreter",
    doc: "Names a script that chooses, for each WSGI request here, where it is run. Each of its functions is optional, gets \
          environ, and is called in this order: `process_group(environ)`, `application_group(environ)`, \
          `callable_object(environ)`. What it returns, a `str` or `bytes`, stands for `WSGIProcessGroup`, \
          `WSGIApplicationGroup` or `WSGICallableObject`, and for the options of an alias, `%{...}` forms too; `None` leaves \
          them. `WSGIRestrictProcess` is asked afterwards.\n\n\
          Anything else, an exception, and a script that can't be loaded answer 500, and the log says why. The script runs in \
          httpd's own processes, also where the application runs in a daemon process group. [access.md](access.md#dispatch-scripts) \
          has an example.",
    apply: |place, words| {
        place.dir.dispatch_script = Some(access::script(place, words)?);
        if let Some(server) = place.server.as_deref_mut() {
            server.chosen.dispatches = true;
        }
        Ok(())
    },
    ..SCRIPT_ALIAS
};

pub(super) const HANDLER_SCRIPT: Directive = Directive {
    name: c"WSGIHandlerScript",
    context: Context::ServerOrDirectory,
    options: &[
        OptionRow {
            doc: "The processes that run the script, instead of `WSGIProcessGroup`: a daemon process group, or one of the forms \
                  that `WSGIProcessGroup` knows.",
            ..PROCESS_GROUP_OPTION
        },
        APPLICATION_GROUP_OPTION,
        OptionRow {
            name: "pass-authorization",
            value: "On|Off",
            doc: "Instead of `WSGIPassAuthorization`.",
            ..APPLICATION_GROUP_OPTION
        },
    ],
    syntax: "WSGIHandlerScript name file-path [option=value ...]",
    merge: Merge::ByName,
    help: c"Handler for SetHandler and AddHandler, the script behind it, options",
    doc: "Gives a name to a script, to be used in `SetHandler` and `AddHandler`, or as `H=` of a `RewriteRule`: its function \
          `handle_request(environ, start_response)`, a WSGI application, then serves resources of that kind. The resource, found \
          as `environ[\"SCRIPT_FILENAME\"]`, need not exist; the script is `environ[\"mod_wsgi.handler_script\"]`. \
          `Options ExecCGI` is not needed. Upper and lower case of the name are the same, because httpd makes names of \
          handlers lower case.",
    apply: |place, words| {
        warn_of_no_forms(place, words);
        let script = HandlerScript {
            name: words.word(0).to_vec(),
            path: below_server_root(place, words, words.word(1))?.into_os_string().into_vec(),
            process_group: words.option("process-group").map(<[u8]>::to_vec),
            application_group: words.option("application-group").map(<[u8]>::to_vec),
            pass_authorization: words.option_on_off("pass-authorization")?,
        };
        if let Some(server) = place.server.as_deref_mut() {
            server.chosen.handler_groups.extend(script.process_group.clone());
            server.chosen.scripts.push((words.directive(), script.path.clone()));
        }
        place.dir.add_handler_script(script);
        Ok(())
    },
    ..SCRIPT_ALIAS
};
