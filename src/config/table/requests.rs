//! Directives that decide how single requests are served; each may differ from directory to directory.

use super::super::group::variable;
use super::super::refusal::shown;
use super::super::{Arguments, Context, Directive, HeadMapping, Kind, Merge, Standing};
use super::warn_of_no_form;

/// What the rows of this theme share.
const ROW: Directive = Directive {
    name: c"",
    context: Context::FileInfo,
    kind: Kind::Plain,
    arguments: Arguments::One,
    options: &[],
    syntax: "",
    default: "Off",
    merge: Merge::InnerWins,
    help: c"",
    doc: "",
    standing: Standing::InEffect,
    apply: |_, words| words.on_off().map(|_| ()),
};

pub(super) const APPLICATION_GROUP: Directive = Directive {
    name: c"WSGIApplicationGroup",
    context: Context::ServerOrDirectory,
    syntax: "WSGIApplicationGroup name|%{GLOBAL}|%{RESOURCE}|%{SERVER}|%{HOST}|%{ENV:variable}",
    default: "%{RESOURCE}",
    help: c"Name of the Python interpreter that runs the application",
    doc: "Which Python interpreter of the process runs the application. Applications of one group share an interpreter, \
          and so their modules and globals; each group has its own.\n\n\
          - `%{GLOBAL}`: Python's main interpreter. Use it for applications whose C extensions do not work in \
          sub-interpreters; many do not.\n\
          - `%{RESOURCE}`: one for each application, by `ServerName`, port and mount point. Ports 80 and 443 count as one. \
          Where this line is not written at all, an application that is alone in its daemon process group has the main interpreter \
          under that name (see [daemon.md](daemon.md#one-application-in-a-group)).\n\
          - `%{SERVER}`: one for each `ServerName` and port.\n\
          - `%{HOST}`: one for each `Host` header. Clients choose that header: use it only where a list of accepted names \
          stands in front.\n\
          - `%{ENV:variable}`: named by a request note or variable (`SetEnv`, `SetEnvIf`, `RewriteRule` with `[E=...]`), or \
          else by httpd's environment. The value may be one of the forms above.\n\
          - anything else is the group's name.",
    apply: |place, words| {
        warn_of_no_form(place, "WSGIApplicationGroup ", words.value());
        place.dir.application_group = Some(words.value().to_vec());
        if let Some(server) = place.server.as_deref_mut() {
            server.chosen.application_group = true;
        }
        Ok(())
    },
    ..ROW
};

pub(super) const CALLABLE_OBJECT: Directive = Directive {
    name: c"WSGICallableObject",
    syntax: "WSGICallableObject name|%{ENV:variable}",
    default: "application",
    help: c"Name of the script's global that is the WSGI application",
    doc: "The global of the script that is called as the WSGI application. A plain name: no dots, and what it names is not \
          called to make the application. `%{ENV:variable}` takes the name from a request note or variable, or from \
          httpd's environment; `application` if it is set in none. Any other value that starts with `%` means \
          `application`, and is warned about.",
    apply: |place, words| {
        let name = words.value();
        if name.starts_with(b"%") && name != b"%{GLOBAL}" && variable(name).is_none() {
            place.surroundings.warn(format!(
                "WSGICallableObject: \"{}\" is no name and not of the form %{{ENV:variable}}; \"application\" is called",
                shown(name)
            ));
        }
        place.dir.callable_object = Some(name.to_vec());
        Ok(())
    },
    ..ROW
};

pub(super) const SCRIPT_RELOADING: Directive = Directive {
    name: c"WSGIScriptReloading",
    syntax: "WSGIScriptReloading On|Off",
    default: "On",
    help: c"Whether a changed script is loaded again",
    doc: "With On a script whose modification time changed is loaded again at its next request. Only the script's own file \
          is watched, not the modules that it imports. With Off a script is loaded once in the life of a process.",
    apply: |place, words| {
        place.dir.script_reloading = Some(words.on_off()?);
        Ok(())
    },
    ..ROW
};

pub(super) const PASS_AUTHORIZATION: Directive = Directive {
    name: c"WSGIPassAuthorization",
    syntax: "WSGIPassAuthorization On|Off",
    help: c"Whether the application sees the Authorization header",
    doc: "With On the application finds the `Authorization` header as `environ[\"HTTP_AUTHORIZATION\"]`. Needed by \
          applications that check passwords or tokens themselves. With Off they never see it, so that passwords which \
          httpd checks stay with httpd.",
    apply: |place, words| {
        place.dir.pass_authorization = Some(words.on_off()?);
        Ok(())
    },
    ..ROW
};

pub(super) const CHUNKED_REQUEST: Directive = Directive {
    name: c"WSGIChunkedRequest",
    syntax: "WSGIChunkedRequest On|Off",
    help: c"Whether request bodies without Content-Length are accepted",
    doc: "Whether a request may have a body in chunks, that is of a length not known before. With Off it is refused with \
          411. With On the application gets no `CONTENT_LENGTH` and must read `wsgi.input` to its end.",
    apply: |place, words| {
        place.dir.chunked_request = Some(words.on_off()?);
        Ok(())
    },
    ..ROW
};

pub(super) const MAP_HEAD_TO_GET: Directive = Directive {
    name: c"WSGIMapHEADToGET",
    syntax: "WSGIMapHEADToGET On|Off|Auto",
    default: "Auto",
    help: c"Whether the application sees a HEAD request as GET",
    doc: "Whether the application sees a HEAD request as GET. Applications that leave out the body for HEAD can spoil \
          headers which httpd's filters compute from the body, and so caches. `Auto` shows GET where such a filter \
          (compression, say) is active, `On` always, `Off` never. The client gets no body in any case.",
    apply: |place, words| {
        place.dir.map_head_to_get = Some(if words.value().eq_ignore_ascii_case(b"auto") {
            HeadMapping::Auto
        } else if words.on_off().map_err(|_| words.bad_value("write On, Off or Auto"))? {
            HeadMapping::On
        } else {
            HeadMapping::Off
        });
        Ok(())
    },
    ..ROW
};

pub(super) const ENABLE_SENDFILE: Directive = Directive {
    name: c"WSGIEnableSendfile",
    syntax: "WSGIEnableSendfile On|Off",
    default: "On",
    help: c"Whether files of wsgi.file_wrapper may go out by sendfile",
    doc: "Whether a file that the application returns in `wsgi.file_wrapper` may be sent by the kernel's sendfile, without \
          being read. With On, or nothing said, it is used where it can be: on connections without TLS. Set it Off for files \
          on network file systems, and for files that may be cut short while they are sent. C mod_wsgi's default is Off.",
    apply: |place, words| {
        place.dir.enable_sendfile = Some(words.on_off()?);
        Ok(())
    },
    ..ROW
};

pub(super) const ERROR_OVERRIDE: Directive = Directive {
    name: c"WSGIErrorOverride",
    syntax: "WSGIErrorOverride On|Off",
    help: c"Whether httpd's error pages replace the application's (daemon mode)",
    doc: "With On httpd's `ErrorDocument` replaces the application's own page for statuses from 400 up. It concerns daemon \
          mode only, as it does in C mod_wsgi.",
    apply: |place, words| {
        place.dir.error_override = Some(words.on_off()?);
        Ok(())
    },
    ..ROW
};

pub(super) const IGNORE_ACTIVITY: Directive = Directive {
    name: c"WSGIIgnoreActivity",
    syntax: "WSGIIgnoreActivity On|Off",
    help: c"Whether requests here leave a daemon's inactivity timer alone",
    doc: "With On requests here do not count as activity for `inactivity-timeout`: for health checks, which would otherwise \
          keep an idle daemon process alive.",
    apply: |place, words| {
        place.dir.ignore_activity = Some(words.on_off()?);
        Ok(())
    },
    ..ROW
};

pub(super) const PASS_APACHE_REQUEST: Directive = Directive {
    name: c"WSGIPassApacheRequest",
    context: Context::ServerOrDirectory,
    syntax: "WSGIPassApacheRequest On|Off",
    help: c"On hands httpd's request record to the application (embedded mode)",
    doc: "With On environ has httpd's request record as `apache.request_rec`: a capsule without a name, for C extensions that \
          speak to httpd. In embedded mode only, and for the scripts that httpd asks (access, authentication, groups, dispatch), \
          which always run there. With the end of the request the capsule gets a name, so that `PyCapsule_GetPointer` without \
          one fails from then on.",
    apply: |place, words| {
        place.dir.pass_apache_request = Some(words.on_off()?);
        Ok(())
    },
    ..ROW
};
