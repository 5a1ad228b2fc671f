//! Names of process groups and application groups as they are written, `%{...}` forms included.
//!
//! A form counts only when it is the whole value; anything else is taken literally. Which interpreter a form means is
//! found per request, in the child.

/// Which processes run a request. Embedded mode knows one answer; daemon groups come with a later version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProcessGroup {
    /// The httpd child itself, `%{GLOBAL}`; the empty name in environ.
    #[default]
    Global,
}

/// Which interpreter of a process runs a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ApplicationGroup {
    /// `%{GLOBAL}`: Python's main interpreter, the empty name in environ.
    Global,
    /// `%{RESOURCE}`: one for each server and mount point, `host:port|script-name`.
    #[default]
    Resource,
    /// `%{SERVER}`: one for each `ServerName` and port.
    Server,
    /// `%{HOST}`: one for each `Host` header.
    Host,
    /// `%{ENV:name}`: named by a note or variable of the request, or by the server's environment.
    Env(Vec<u8>),
    /// One of this name. Text with `%` that is no known form is a name too.
    Named(Vec<u8>),
}

impl ApplicationGroup {
    /// Reads a value as written, or a variable's value that is to be expanded once more.
    pub fn from_text(text: &[u8]) -> Self {
        match text {
            b"%{GLOBAL}" => Self::Global,
            b"%{RESOURCE}" => Self::Resource,
            b"%{SERVER}" => Self::Server,
            b"%{HOST}" => Self::Host,
            other => match variable(other) {
                Some(name) => Self::Env(name.to_vec()),
                None => Self::Named(other.to_vec()),
            },
        }
    }

    /// The interpreter's name where it does not depend on the request; empty for the main interpreter.
    pub fn fixed_name(&self) -> Option<&[u8]> {
        match self {
            Self::Global => Some(b""),
            Self::Named(name) if !holds_form(name) => Some(name),
            Self::Named(_) | Self::Resource | Self::Server | Self::Host | Self::Env(_) => None,
        }
    }
}

/// `x` of `%{ENV:x}`.
pub(super) fn variable(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"%{ENV:")?.strip_suffix(b"}")
}

/// Whether `%{` stands anywhere in the text.
pub(super) fn holds_form(text: &[u8]) -> bool {
    text.windows(2).any(|pair| pair == b"%{")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_counts_only_as_the_whole_value() {
        use ApplicationGroup::{Env, Global, Host, Named, Resource, Server};
        for (text, group) in [
            ("%{GLOBAL}", Global),
            ("%{RESOURCE}", Resource),
            ("%{SERVER}", Server),
            ("%{HOST}", Host),
            ("%{ENV:GROUP}", Env(b"GROUP".to_vec())),
            ("%{global}", Named(b"%{global}".to_vec())),
            ("x%{GLOBAL}", Named(b"x%{GLOBAL}".to_vec())),
            ("%{GLOBAL}x", Named(b"%{GLOBAL}x".to_vec())),
            ("%{ENV:GROUP", Named(b"%{ENV:GROUP".to_vec())),
            ("%", Named(b"%".to_vec())),
            ("shop", Named(b"shop".to_vec())),
        ] {
            assert_eq!(ApplicationGroup::from_text(text.as_bytes()), group, "{text}");
        }
    }

    #[test]
    fn only_names_without_a_form_are_known_before_the_request() {
        for (text, name) in [
            ("%{GLOBAL}", Some("")),
            ("shop", Some("shop")),
            ("100%", Some("100%")),
            ("%{RESOURCE}", None),
            ("%{ENV:X}", None),
            ("a%{X}", None),
        ] {
            assert_eq!(ApplicationGroup::from_text(text.as_bytes()).fixed_name(), name.map(str::as_bytes), "{text}");
        }
    }
}
