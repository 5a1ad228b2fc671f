//! Directives about proxies in front of httpd, and what of theirs is believed.

use std::sync::Arc;

use super::super::refusal::{nearest, shown};
use super::super::{Arguments, Context, Directive, Kind, Merge, Network, PROXY_HEADERS, Refusal, Standing, Words};

pub(super) const TRUSTED_PROXY_HEADERS: Directive = Directive {
    name: c"WSGITrustedProxyHeaders",
    context: Context::FileInfo,
    kind: Kind::Plain,
    arguments: Arguments::List,
    options: &[],
    syntax: "WSGITrustedProxyHeaders header ...",
    default: "none",
    merge: Merge::InnerList,
    help: c"Headers of a proxy that change what the application sees",
    doc: "Headers by which a proxy in front tells what it knows of the client; the application then finds it where it looks \
          anyway. Write `WSGITrustedProxies` as well: without it every client is believed, and the warning `WSGI0588` says so. [Behind a proxy](behind-a-proxy.md) has \
          an example and the exact rules.\n\n\
          | header | what it changes in environ |\n\
          |---|---|\n\
          | `X-Forwarded-For` | `REMOTE_ADDR`: the nearest address in it that is not a trusted proxy's |\n\
          | `X-Client-IP`, `X-Real-IP` | `REMOTE_ADDR` |\n\
          | `X-Forwarded-Host`, `X-Host` | `HTTP_HOST` |\n\
          | `X-Forwarded-Server` | `SERVER_NAME` |\n\
          | `X-Forwarded-Port` | `SERVER_PORT` |\n\
          | `X-Script-Name`, `X-Forwarded-Script-Name` | `SCRIPT_NAME`, and `mod_wsgi.mount_point` |\n\
          | `X-Forwarded-Proto`, `X-Forwarded-Scheme`, `X-Scheme` | `wsgi.url_scheme`, by `http` or `https` |\n\
          | `X-Forwarded-HTTPS`, `X-Forwarded-SSL`, `X-HTTPS` | `wsgi.url_scheme`, by `On`, `true`, `1` or `Off`, `false`, `0` |\n\n\
          Of the headers that change the same thing only the one that counted stays in environ, so that an application never \
          finds two answers; from a peer that is not trusted none of them stays.",
    standing: Standing::InEffect,
    apply: |place, words| {
        some(words)?;
        let mut known = Vec::new();
        for word in words.all() {
            let text = std::str::from_utf8(word).unwrap_or_default();
            if let Some(name) = PROXY_HEADERS.iter().find(|name| name.eq_ignore_ascii_case(text)) {
                known.push(*name);
            } else if word.iter().any(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-') || word.is_empty() {
                return Err(
                    words.bad_word(word, "names of headers consist of letters, digits and \"-\", parted by spaces")
                );
            } else {
                let hint = match nearest(word, PROXY_HEADERS.into_iter()) {
                    Some(name) => format!("did you mean {name}?"),
                    None => format!("the module knows {}", PROXY_HEADERS.join(", ")),
                };
                let line = format!("{}: the header \"{}\" changes nothing; {hint}", words.directive(), shown(word));
                place.surroundings.warn(line);
            }
        }
        if let Some(server) = place.server.as_deref_mut() {
            server.chosen.proxy_headers |= !known.is_empty();
        }
        Arc::make_mut(place.dir.trusted_proxy_headers.get_or_insert_default()).extend(known);
        Ok(())
    },
};

pub(super) const TRUSTED_PROXIES: Directive = Directive {
    name: c"WSGITrustedProxies",
    syntax: "WSGITrustedProxies address|network ...",
    default: "none: everybody is believed",
    help: c"Addresses of proxies whose headers are believed",
    doc: "Addresses and networks, IPv4 and IPv6, of the proxies whose `WSGITrustedProxyHeaders` are believed. Networks are \
          written `10.0.0.0/8`, `10.0.0.0/255.0.0.0` or `2001:db8::/32`. Names of hosts are not looked up. Peers that are not listed \
          count as clients, and their headers are removed. A list without `WSGITrustedProxyHeaders` changes nothing.",
    apply: |place, words| {
        some(words)?;
        let mut networks = Vec::new();
        for word in words.all() {
            let network = std::str::from_utf8(word).ok().and_then(Network::parse);
            networks.push(network.ok_or_else(|| {
                words.bad_word(
                    word,
                    "write addresses or networks, such as 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32, parted by spaces",
                )
            })?);
        }
        if let Some(server) = place.server.as_deref_mut() {
            server.chosen.trusted_proxies = true;
        }
        Arc::make_mut(place.dir.trusted_proxies.get_or_insert_default()).extend(networks);
        Ok(())
    },
    ..TRUSTED_PROXY_HEADERS
};

/// An empty list would read as "nobody" to one and as "no restriction" to another.
fn some(words: &Words<'_>) -> Result<(), Refusal> {
    if words.all().is_empty() { Err(words.bad_value("it needs at least one word")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use crate::config::DirConfig;
    use crate::config::testing::{Reader, refusal};

    fn headers(dir: &DirConfig) -> &[&str] {
        dir.trusted_proxy_headers.as_ref().map_or(&[], |headers| headers.as_slice())
    }

    #[test]
    fn lines_in_one_place_add_up_in_order() {
        let reader = Reader::new()
            .loads("WSGITrustedProxyHeaders x-real-ip X-Forwarded-PROTO")
            .loads("WSGITrustedProxyHeaders X-Forwarded-For")
            .loads("WSGITrustedProxies 10.0.0.0/8")
            .loads("WSGITrustedProxies ::1 192.0.2.1");
        assert_eq!(headers(&reader.dir), ["X-Real-IP", "X-Forwarded-Proto", "X-Forwarded-For"]);
        assert_eq!(reader.dir.trusted_proxies.unwrap().len(), 3);
        assert!(reader.around.warnings.is_empty());
    }

    #[test]
    fn an_inner_list_replaces_an_outer_one_and_leaves_it_as_it_was() {
        let outer = Reader::new().loads("WSGITrustedProxyHeaders X-Real-IP").dir;
        let mut inner = Reader::new();
        // What httpd does for a section: a record of its own, merged for each request.
        inner = inner.loads("WSGITrustedProxyHeaders X-Forwarded-For");
        assert_eq!(headers(&DirConfig::merge(&outer, &inner.dir)), ["X-Forwarded-For"]);
        assert_eq!(headers(&outer), ["X-Real-IP"]);
    }

    #[test]
    fn a_header_that_changes_nothing_is_warned_about() {
        let reader = Reader::new().loads("WSGITrustedProxyHeaders X-Forwarded-Four X-Real-IP Forwarded");
        assert_eq!(headers(&reader.dir), ["X-Real-IP"]);
        let [near, far] = reader.around.warnings.as_slice() else { panic!("two warnings") };
        assert!(near.contains("did you mean X-Forwarded-For?"), "{near}");
        assert!(far.contains("\"Forwarded\" changes nothing"), "{far}");
    }

    #[test]
    fn what_can_be_no_header_or_network_is_refused_by_name() {
        for (line, word) in [
            ("WSGITrustedProxyHeaders X_Forwarded_For", "\"X_Forwarded_For\""),
            ("WSGITrustedProxyHeaders X-Real-IP,X-Scheme", "\"X-Real-IP,X-Scheme\""),
            ("WSGITrustedProxyHeaders \"\"", "\"\""),
            ("WSGITrustedProxyHeaders", "at least one"),
            ("WSGITrustedProxies", "at least one"),
            ("WSGITrustedProxies localhost", "\"localhost\""),
            ("WSGITrustedProxies 10.0.0.1 10.0.0.0/33", "\"10.0.0.0/33\""),
            ("WSGITrustedProxies 10.0.0.1,10.0.0.2", "\"10.0.0.1,10.0.0.2\""),
            ("WSGITrustedProxies fe80::1%eth0", "\"fe80::1%eth0\""),
        ] {
            let sentence = refusal(line);
            assert!(sentence.contains(word), "{line}: {sentence}");
        }
    }
}
