//! Scripts that are named by themselves, not by a URL: what they are asked for is said by the directive.

/// A script that httpd asks about a request: `WSGIAccessScript` and its like, `WSGIDispatchScript`. It runs in httpd's children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    pub path: Vec<u8>,
    /// As written; `wsgi::script_application_group` expands it, and knows what none means.
    pub application_group: Option<Vec<u8>>,
}

/// A `WSGIHandlerScript`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerScript {
    /// As written; [`HandlerScript::is_called`] compares it.
    pub name: Vec<u8>,
    pub path: Vec<u8>,
    /// As written; `wsgi::process_group` expands it. None leaves it to `WSGIProcessGroup`.
    pub process_group: Option<Vec<u8>>,
    /// As written; `wsgi::application_group` expands it. None leaves it to `WSGIApplicationGroup`.
    pub application_group: Option<Vec<u8>>,
    /// None leaves it to `WSGIPassAuthorization`.
    pub pass_authorization: Option<bool>,
}

impl HandlerScript {
    /// Whether this is the handler of that name. httpd itself makes the names in `SetHandler` and `AddHandler` lower case.
    pub fn is_called(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}
