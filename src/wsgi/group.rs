//! Expands `%{GLOBAL}`, `%{RESOURCE}`, `%{SERVER}`, `%{HOST}` and `%{ENV:x}` in names of process groups, application groups and
//! callables.
//!
//! Called in the child for each request, after fixups, so that `SetEnv` is seen. A form must be the whole value. Each directive
//! knows another set of forms; what it does not know stays literal text (a callable falls back to `application`).

use std::borrow::Cow;

/// The callable used when none is named.
const DEFAULT_CALLABLE: &[u8] = b"application";

/// What the forms stand for in one request. Each method is called only when a form needs it.
pub trait Lookups {
    /// The variable `name`: request notes first, then the subprocess environment, then the environment of this process.
    fn env(&self, name: &[u8]) -> Option<Cow<'_, [u8]>>;
    /// ServerName of the virtual host that serves the request, never the Host header.
    fn server_name(&self) -> &[u8];
    /// The name in the Host header as httpd parsed it (`r->hostname`): lower case, no port, no brackets.
    fn host(&self) -> Option<&[u8]>;
    /// httpd's server port of the request (it depends on `UseCanonicalName` and `UseCanonicalPhysicalPort`).
    fn port(&self) -> u16;
    /// The script name as [`group_script_name`](crate::wsgi::group_script_name) gives it.
    fn script_name(&self) -> Cow<'_, [u8]>;
}

/// The process group that `WSGIProcessGroup`, `process-group=` or a dispatch script asks for; empty means embedded mode.
#[must_use]
pub fn process_group<'a>(value: Option<&'a [u8]>, lookups: &'a dyn Lookups) -> Cow<'a, [u8]> {
    value.map_or(Cow::Borrowed(b""), |value| request_group(value, lookups))
}

/// The application group that `WSGIApplicationGroup`, `application-group=` of an alias or handler, or a dispatch script asks for;
/// empty means the main interpreter. Unset is the same as `%{RESOURCE}`.
#[must_use]
pub fn application_group<'a>(value: Option<&'a [u8]>, lookups: &'a dyn Lookups) -> Cow<'a, [u8]> {
    request_group(value.unwrap_or(b"%{RESOURCE}"), lookups)
}

/// The `application-group=` of an access, authentication or dispatch script: unset is the main interpreter, and only the forms
/// that do not depend on the resource are known.
#[must_use]
pub fn script_application_group<'a>(value: Option<&'a [u8]>, lookups: &'a dyn Lookups) -> Cow<'a, [u8]> {
    match value {
        None | Some(b"%{GLOBAL}") => Cow::Borrowed(b""),
        Some(b"%{SERVER}") => Cow::Owned(server(lookups)),
        Some(b"%{HOST}") => Cow::Owned(host(lookups)),
        Some(literal) => Cow::Borrowed(literal),
    }
}

/// The name that `WSGICallableObject` or a dispatch script gives the application object.
#[must_use]
pub fn callable_object<'a>(value: Option<&'a [u8]>, lookups: &'a dyn Lookups) -> Cow<'a, [u8]> {
    let Some(value) = value else { return Cow::Borrowed(DEFAULT_CALLABLE) };
    if let Some(name) = env_name(value) {
        return lookups.env(name).unwrap_or(Cow::Borrowed(DEFAULT_CALLABLE));
    }
    Cow::Borrowed(if value.starts_with(b"%") { DEFAULT_CALLABLE } else { value })
}

/// All forms; a variable's value is expanded once more unless it names a variable itself, so that it may hold `%{GLOBAL}` but
/// two variables cannot send us in circles.
fn request_group<'a>(value: &'a [u8], lookups: &'a dyn Lookups) -> Cow<'a, [u8]> {
    if let Some(name) = env_name(value) {
        let Some(found) = lookups.env(name) else { return Cow::Borrowed(value) };
        return fixed_form(&found, lookups).unwrap_or(found);
    }
    fixed_form(value, lookups).unwrap_or(Cow::Borrowed(value))
}

/// The expansion of a form other than `%{ENV:x}`; `None` when `value` is not one.
fn fixed_form<'a>(value: &[u8], lookups: &dyn Lookups) -> Option<Cow<'a, [u8]>> {
    match value {
        b"%{GLOBAL}" => Some(Cow::Borrowed(b"")),
        b"%{RESOURCE}" => Some(Cow::Owned(resource(lookups))),
        b"%{SERVER}" => Some(Cow::Owned(server(lookups))),
        b"%{HOST}" => Some(Cow::Owned(host(lookups))),
        _ => None,
    }
}

fn env_name(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"%{ENV:")?.strip_suffix(b"}")
}

fn resource(lookups: &dyn Lookups) -> Vec<u8> {
    resource_of(lookups.server_name(), lookups.port(), &lookups.script_name())
}

/// What `%{RESOURCE}` stands for, for this server and script name.
#[must_use]
pub fn resource_of(server_name: &[u8], port: u16, script_name: &[u8]) -> Vec<u8> {
    let mut name = with_port(server_name, port);
    name.push(b'|');
    name.extend_from_slice(script_name);
    name
}

fn server(lookups: &dyn Lookups) -> Vec<u8> {
    with_port(lookups.server_name(), lookups.port())
}

fn host(lookups: &dyn Lookups) -> Vec<u8> {
    let name = lookups.host().filter(|name| !name.is_empty());
    with_port(name.unwrap_or_else(|| lookups.server_name()), lookups.port())
}

/// Both default ports are left out whatever the scheme, so that http and https share an interpreter.
fn with_port(name: &[u8], port: u16) -> Vec<u8> {
    let mut out = name.to_vec();
    if port != 80 && port != 443 {
        out.push(b':');
        out.extend_from_slice(port.to_string().as_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed {
        host: Option<&'static [u8]>,
        port: u16,
        script_name: &'static [u8],
    }

    impl Lookups for Fixed {
        fn env(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
            let value: &[u8] = match name {
                b"plain" => b"blue",
                b"empty" => b"",
                b"global" => b"%{GLOBAL}",
                b"server" => b"%{SERVER}",
                b"again" => b"%{ENV:plain}",
                b"itself" => b"%{ENV:itself}",
                b"odd" => b"%{odd}",
                b"a}b" => b"brace",
                _ => return None,
            };
            Some(Cow::Owned(value.to_vec()))
        }
        fn server_name(&self) -> &[u8] {
            b"www.example.com"
        }
        fn host(&self) -> Option<&[u8]> {
            self.host
        }
        fn port(&self) -> u16 {
            self.port
        }
        fn script_name(&self) -> Cow<'_, [u8]> {
            Cow::Borrowed(self.script_name)
        }
    }

    const ON_8080: Fixed = Fixed { host: Some(b"alias.example.com"), port: 8080, script_name: b"/shop" };

    type Expand = for<'a> fn(Option<&'a [u8]>, &'a dyn Lookups) -> Cow<'a, [u8]>;

    #[track_caller]
    fn check(expand: Expand, lookups: &Fixed, cases: &[(Option<&str>, &str)]) {
        for (value, expanded) in cases {
            let got = expand(value.map(str::as_bytes), lookups);
            assert_eq!(String::from_utf8_lossy(&got), *expanded, "{value:?}");
        }
    }

    /// What process and application groups have in common.
    const GROUP_CASES: [(Option<&str>, &str); 20] = [
        (Some("blue"), "blue"),
        (Some(""), ""),
        (Some("%{GLOBAL}"), ""),
        (Some("%{RESOURCE}"), "www.example.com:8080|/shop"),
        (Some("%{SERVER}"), "www.example.com:8080"),
        (Some("%{HOST}"), "alias.example.com:8080"),
        (Some("%{ENV:plain}"), "blue"),
        (Some("%{ENV:empty}"), ""),
        (Some("%{ENV:global}"), ""),
        (Some("%{ENV:server}"), "www.example.com:8080"),
        (Some("%{ENV:again}"), "%{ENV:plain}"),
        (Some("%{ENV:itself}"), "%{ENV:itself}"),
        (Some("%{ENV:odd}"), "%{odd}"),
        (Some("%{ENV:a}b}"), "brace"),
        (Some("%{ENV:absent}"), "%{ENV:absent}"),
        (Some("%{ENV:}"), "%{ENV:}"),
        (Some("%{ENV:plain"), "%{ENV:plain"),
        (Some("%{GLOBAL}x"), "%{GLOBAL}x"),
        (Some("x%{GLOBAL}"), "x%{GLOBAL}"),
        (Some("%{global}"), "%{global}"),
    ];

    #[test]
    fn groups_know_every_form_and_leave_the_rest_literal() {
        check(process_group, &ON_8080, &GROUP_CASES);
        check(application_group, &ON_8080, &GROUP_CASES);
    }

    #[test]
    fn an_unset_group_is_embedded_mode_or_the_resource() {
        check(process_group, &ON_8080, &[(None, "")]);
        check(application_group, &ON_8080, &[(None, "www.example.com:8080|/shop")]);
    }

    #[test]
    fn groups_of_access_and_dispatch_scripts_do_not_know_the_resource() {
        let cases = [
            (None, ""),
            (Some("%{GLOBAL}"), ""),
            (Some("%{SERVER}"), "www.example.com:8080"),
            (Some("%{HOST}"), "alias.example.com:8080"),
            (Some("%{RESOURCE}"), "%{RESOURCE}"),
            (Some("%{ENV:plain}"), "%{ENV:plain}"),
            (Some("%x"), "%x"),
            (Some("blue"), "blue"),
        ];
        check(script_application_group, &ON_8080, &cases);
    }

    #[test]
    fn a_callable_falls_back_to_application() {
        let cases = [
            (None, "application"),
            (Some("handler"), "handler"),
            (Some(""), ""),
            (Some("%"), "application"),
            (Some("%{GLOBAL}"), "application"),
            (Some("%{RESOURCE}"), "application"),
            (Some("%{odd}"), "application"),
            (Some("%{ENV:plain}"), "blue"),
            (Some("%{ENV:global}"), "%{GLOBAL}"),
            (Some("%{ENV:absent}"), "application"),
            (Some("%{ENV:plain"), "application"),
        ];
        check(callable_object, &ON_8080, &cases);
    }

    #[test]
    fn default_ports_are_not_shown_on_either_scheme() {
        for (port, shown) in
            [(80, "www.example.com|/shop"), (443, "www.example.com|/shop"), (8443, "www.example.com:8443|/shop")]
        {
            check(application_group, &Fixed { port, ..ON_8080 }, &[(None, shown)]);
        }
    }

    #[test]
    fn a_root_mount_has_nothing_after_the_bar() {
        check(application_group, &Fixed { script_name: b"", port: 80, ..ON_8080 }, &[(None, "www.example.com|")]);
    }

    #[test]
    fn without_a_host_header_the_server_name_is_used() {
        for host in [None, Some(&b""[..])] {
            check(process_group, &Fixed { host, ..ON_8080 }, &[(Some("%{HOST}"), "www.example.com:8080")]);
        }
        check(process_group, &Fixed { host: Some(b"::1"), port: 99, ..ON_8080 }, &[(Some("%{HOST}"), "::1:99")]);
    }
}
