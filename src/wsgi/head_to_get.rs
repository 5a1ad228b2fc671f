//! `WSGIMapHEADToGET`: when a HEAD request is shown to the application as GET.
//!
//! Why the directive exists: a filter that keeps or measures the body (a cache, DEFLATE) needs the one that GET would have.
//! httpd drops the body of the answer itself.

/// The value of `WSGIMapHEADToGET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MapHead {
    /// As GET when a content filter is installed for this request.
    #[default]
    Auto,
    /// Always as GET.
    On,
    /// Always as HEAD.
    Off,
}

/// Whether this request is a HEAD that the application shall see as GET.
///
/// `has_content_filter`: the request's first output filter is of a type before httpd's protocol level (`AP_FTYPE_PROTOCOL`).
#[must_use]
pub fn head_is_get(mode: MapHead, method: &[u8], has_content_filter: bool) -> bool {
    // RFC 9110 section 9.1: "The method token is case-sensitive".
    method == b"HEAD"
        && match mode {
            MapHead::Auto => has_content_filter,
            MapHead::On => true,
            MapHead::Off => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_becomes_get_when_asked_or_when_a_filter_needs_the_body() {
        let cases = [
            (MapHead::Auto, "HEAD", false, false),
            (MapHead::Auto, "HEAD", true, true),
            (MapHead::On, "HEAD", false, true),
            (MapHead::On, "HEAD", true, true),
            (MapHead::Off, "HEAD", true, false),
            (MapHead::On, "head", true, false),
            (MapHead::On, "POST", true, false),
            (MapHead::On, "HEADER", true, false),
            (MapHead::On, "", true, false),
        ];
        for (mode, method, filter, mapped) in cases {
            assert_eq!(head_is_get(mode, method.as_bytes(), filter), mapped, "{mode:?} {method} {filter}");
        }
    }
}
