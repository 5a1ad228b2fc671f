//! What proxies may say, what clients may not.

use super::*;

/// What was asked for, and the environ that came out.
struct Case {
    headers: &'static [&'static str],
    proxies: Option<&'static [&'static str]>,
    scheme: UrlScheme,
}

/// The peer 10.0.0.1 and all of 10/8 and fd00::/8 are proxies.
const TRUSTED: Case =
    Case { headers: &["X-Forwarded-For"], proxies: Some(&["10.", "fd00:", "fe80:"]), scheme: UrlScheme::Http };

impl Case {
    fn run(&self, peer: &str, sent: &[(&str, &str)]) -> (Pairs, UrlScheme) {
        let mut environ = Pairs::default();
        for (key, value) in sent {
            environ.push(key.as_bytes(), value.as_bytes());
        }
        environ.push(b"HTTP_HOST", b"inner");
        environ.push(b"SERVER_NAME", b"inner.example");
        environ.push(b"SERVER_PORT", b"8080");
        environ.push(b"REMOTE_ADDR", peer.as_bytes());
        environ.push(b"SCRIPT_NAME", b"/shop");
        environ.push(b"mod_wsgi.script_name", b"/shop");
        let holds = self.proxies.map(|prefixes| {
            move |address: IpAddr| prefixes.iter().any(|prefix| address.to_string().starts_with(prefix))
        });
        let proxies = holds.as_ref().map(|holds| holds as &dyn Fn(IpAddr) -> bool);
        let said = trust_proxies(&mut environ, &TrustedProxies { headers: self.headers, proxies });
        let scheme = said.unwrap_or(self.scheme);
        (environ, scheme)
    }
}

#[track_caller]
fn check(environ: &Pairs, key: &str, expected: Option<&str>) {
    let got = environ.get(key.as_bytes()).map(String::from_utf8_lossy);
    assert_eq!(got.as_deref(), expected, "{key}");
}

#[test]
fn forwarded_for_is_believed_from_the_right_as_far_as_proxies_wrote_it() {
    for (sent, client, left) in [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, 10.0.0.2", "192.0.2.7", "192.0.2.7, 10.0.0.2"),
        ("192.0.2.7,10.0.0.3,10.0.0.2", "192.0.2.7", "192.0.2.7, 10.0.0.3, 10.0.0.2"),
        // What the client itself wrote stands further left.
        ("127.0.0.1, 192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("10.9.9.9, 192.0.2.7, 10.0.0.2", "192.0.2.7", "192.0.2.7, 10.0.0.2"),
        ("10.9.9.9, 10.9.9.9, 192.0.2.7", "192.0.2.7", "192.0.2.7"),
        // Proxies only.
        ("10.0.0.9, 10.0.0.2", "10.0.0.9", "10.0.0.9, 10.0.0.2"),
        ("10.0.0.9", "10.0.0.9", "10.0.0.9"),
        // White space and empty elements.
        (" \t192.0.2.7 \t,\t10.0.0.2 ", "192.0.2.7", "192.0.2.7, 10.0.0.2"),
        (",, 192.0.2.7 ,,10.0.0.2,", "192.0.2.7", "192.0.2.7, 10.0.0.2"),
        // What is no address is trusted by nobody, and never looked up.
        ("192.0.2.7, localhost", "localhost", "localhost"),
        ("192.0.2.7, unknown, 10.0.0.2", "unknown", "unknown, 10.0.0.2"),
        ("192.0.2.7, 10.0.0.2:4711", "10.0.0.2:4711", "10.0.0.2:4711"),
        ("192.0.2.7:4711, 10.0.0.2", "192.0.2.7:4711", "192.0.2.7:4711, 10.0.0.2"),
        ("192.0.2.7, 10.1", "10.1", "10.1"),
        ("192.0.2.7, 010.0.0.2", "010.0.0.2", "010.0.0.2"),
        ("192.0.2.7, 10.0.0.2/8", "10.0.0.2/8", "10.0.0.2/8"),
        ("192.0.2.7, 0x0a000002", "0x0a000002", "0x0a000002"),
        ("192.0.2.7, 10.0.0.2;x", "10.0.0.2;x", "10.0.0.2;x"),
        ("<script>, 10.0.0.2", "<script>", "<script>, 10.0.0.2"),
        // IPv6 in its forms.
        ("2001:db8::7, fd00::2", "2001:db8::7", "2001:db8::7, fd00::2"),
        ("2001:db8::7, FD00:0:0:0:0:0:0:2", "2001:db8::7", "2001:db8::7, FD00:0:0:0:0:0:0:2"),
        ("192.0.2.7, ::ffff:10.0.0.2", "192.0.2.7", "192.0.2.7, ::ffff:10.0.0.2"),
        ("192.0.2.7, ::ffff:a00:2", "192.0.2.7", "192.0.2.7, ::ffff:a00:2"),
        ("192.0.2.7, ::10.0.0.2", "::10.0.0.2", "::10.0.0.2"),
        ("192.0.2.7, [fd00::2]", "[fd00::2]", "[fd00::2]"),
        ("192.0.2.7, [fd00::2]:443", "[fd00::2]:443", "[fd00::2]:443"),
        ("192.0.2.7, fe80::2%eth0", "192.0.2.7", "192.0.2.7, fe80::2%eth0"),
        ("192.0.2.7, fe80::2%", "fe80::2%", "fe80::2%"),
        ("192.0.2.7, fd00::2%eth0", "fd00::2%eth0", "fd00::2%eth0"),
        ("192.0.2.7, 10.0.0.2%eth0", "10.0.0.2%eth0", "10.0.0.2%eth0"),
    ] {
        let (environ, _) = TRUSTED.run("10.0.0.1", &[("HTTP_X_FORWARDED_FOR", sent)]);
        check(&environ, "REMOTE_ADDR", Some(client));
        check(&environ, "HTTP_X_FORWARDED_FOR", Some(left));
    }
}

#[test]
fn a_list_without_an_address_changes_nothing() {
    for sent in ["", ",", " , ,, "] {
        let (environ, _) = TRUSTED.run("10.0.0.1", &[("HTTP_X_FORWARDED_FOR", sent)]);
        check(&environ, "REMOTE_ADDR", Some("10.0.0.1"));
    }
}

#[test]
fn a_list_of_any_length_is_read_once() {
    let proxies = vec!["10.0.0.2"; 100_000].join(",");
    let (environ, _) = TRUSTED.run("10.0.0.1", &[("HTTP_X_FORWARDED_FOR", &format!("192.0.2.7,{proxies}"))]);
    check(&environ, "REMOTE_ADDR", Some("192.0.2.7"));
    let commas = ",".repeat(1_000_000);
    let (environ, _) = TRUSTED.run("10.0.0.1", &[("HTTP_X_FORWARDED_FOR", &commas)]);
    check(&environ, "REMOTE_ADDR", Some("10.0.0.1"));
}

#[test]
fn where_no_proxies_are_listed_the_first_address_counts() {
    let everybody = Case { proxies: None, ..TRUSTED };
    let (environ, _) = everybody.run("192.0.2.99", &[("HTTP_X_FORWARDED_FOR", ", 203.0.113.5 ,10.0.0.2")]);
    check(&environ, "REMOTE_ADDR", Some("203.0.113.5"));
    check(&environ, "HTTP_X_FORWARDED_FOR", Some(", 203.0.113.5 ,10.0.0.2"));
}

/// Every header that there is, as a client would send it.
fn everything() -> Vec<(&'static str, &'static str)> {
    HEADERS.iter().map(|header| (header.key, "https")).collect()
}

const ALL: &[&str] = &[
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Server",
    "X-Forwarded-Port",
    "X-Script-Name",
    "X-Forwarded-Proto",
];

#[test]
fn a_peer_that_is_no_proxy_changes_nothing_and_its_headers_are_removed() {
    let case = Case { headers: ALL, ..TRUSTED };
    for peer in ["192.0.2.99", "::1", "::10.0.0.1", "", "junk", "10.0.0.1:80", "10.0.0.1%eth0"] {
        let (environ, scheme) = case.run(peer, &everything());
        assert_eq!(scheme, UrlScheme::Http, "{peer}");
        check(&environ, "REMOTE_ADDR", Some(peer));
        check(&environ, "HTTP_HOST", Some("inner"));
        check(&environ, "SERVER_NAME", Some("inner.example"));
        check(&environ, "SERVER_PORT", Some("8080"));
        check(&environ, "SCRIPT_NAME", Some("/shop"));
        check(&environ, "mod_wsgi.mount_point", None);
        for header in &HEADERS {
            check(&environ, header.key, None);
        }
    }
}

#[test]
fn peers_are_known_in_each_form_of_their_address() {
    for peer in ["10.0.0.1", "::ffff:10.0.0.1", "fd00::1", "fe80::1%eth0"] {
        let (environ, _) = TRUSTED.run(peer, &[("HTTP_X_FORWARDED_FOR", "192.0.2.7")]);
        check(&environ, "REMOTE_ADDR", Some("192.0.2.7"));
    }
}

#[test]
fn each_subject_keeps_its_winner_only_and_others_pass_through() {
    let case = Case { headers: &["X-Real-IP", "X-Forwarded-For", "X-Host"], ..TRUSTED };
    let sent = [
        ("HTTP_X_REAL_IP", "192.0.2.1"),
        ("HTTP_X_FORWARDED_FOR", "192.0.2.2"),
        ("HTTP_X_CLIENT_IP", "192.0.2.3"),
        ("HTTP_X_FORWARDED_HOST", "evil.example"),
        ("HTTP_X_FORWARDED_PROTO", "https"),
        ("HTTP_X_FORWARDED_PREFIX", "/p"),
    ];
    let (environ, scheme) = case.run("10.0.0.1", &sent);
    check(&environ, "REMOTE_ADDR", Some("192.0.2.2"));
    check(&environ, "HTTP_X_FORWARDED_FOR", Some("192.0.2.2"));
    check(&environ, "HTTP_X_REAL_IP", None);
    check(&environ, "HTTP_X_CLIENT_IP", None);
    // X-Host is configured and was not sent: nobody wins.
    check(&environ, "HTTP_HOST", Some("inner"));
    check(&environ, "HTTP_X_FORWARDED_HOST", None);
    // Of the scheme nothing is configured.
    assert_eq!(scheme, UrlScheme::Http);
    check(&environ, "HTTP_X_FORWARDED_PROTO", Some("https"));
    check(&environ, "HTTP_X_FORWARDED_PREFIX", Some("/p"));
}

#[test]
fn the_last_configured_header_that_was_sent_wins() {
    for (headers, client, winner) in [
        (&["X-Forwarded-For", "X-Real-IP"][..], "192.0.2.1", "HTTP_X_REAL_IP"),
        (&["x-real-ip", "X-FORWARDED-for"], "192.0.2.2", "HTTP_X_FORWARDED_FOR"),
        (&["X-Forwarded-For", "X-Real-IP", "X-Client-IP"], "192.0.2.1", "HTTP_X_REAL_IP"),
    ] {
        let sent = [("HTTP_X_REAL_IP", "192.0.2.1"), ("HTTP_X_FORWARDED_FOR", "192.0.2.2")];
        let (environ, _) = Case { headers, ..TRUSTED }.run("10.0.0.1", &sent);
        check(&environ, "REMOTE_ADDR", Some(client));
        for header in HEADERS.iter().filter(|header| header.subject == Subject::Client) {
            assert_eq!(environ.get(header.key.as_bytes()).is_some(), header.key == winner, "{}", header.key);
        }
    }
}

#[test]
fn values_of_a_proxy_replace_ours() {
    let case = Case { headers: ALL, ..TRUSTED };
    let sent = [
        ("HTTP_X_FORWARDED_HOST", "www.example.com"),
        ("HTTP_X_FORWARDED_SERVER", "front.example.com"),
        ("HTTP_X_FORWARDED_PORT", "443"),
        ("HTTP_X_SCRIPT_NAME", "/outer/shop"),
        ("HTTP_X_FORWARDED_SCRIPT_NAME", "/evil"),
    ];
    let (environ, _) = case.run("10.0.0.1", &sent);
    check(&environ, "HTTP_HOST", Some("www.example.com"));
    check(&environ, "SERVER_NAME", Some("front.example.com"));
    check(&environ, "SERVER_PORT", Some("443"));
    check(&environ, "SCRIPT_NAME", Some("/outer/shop"));
    check(&environ, "mod_wsgi.mount_point", Some("/outer/shop"));
    check(&environ, "mod_wsgi.script_name", Some("/shop"));
    check(&environ, "HTTP_X_FORWARDED_SCRIPT_NAME", None);
}

#[test]
fn schemes_are_read_in_their_words_and_others_leave_what_was_known() {
    for (name, key, value, expected) in [
        ("X-Forwarded-Proto", "HTTP_X_FORWARDED_PROTO", "https", Some(UrlScheme::Https)),
        ("X-Forwarded-Proto", "HTTP_X_FORWARDED_PROTO", "HTTP", Some(UrlScheme::Http)),
        ("X-Forwarded-Proto", "HTTP_X_FORWARDED_PROTO", "https, http", None),
        ("X-Forwarded-Proto", "HTTP_X_FORWARDED_PROTO", "https ", None),
        ("X-Forwarded-Proto", "HTTP_X_FORWARDED_PROTO", "on", None),
        ("X-Forwarded-Scheme", "HTTP_X_FORWARDED_SCHEME", "https", Some(UrlScheme::Https)),
        ("X-Scheme", "HTTP_X_SCHEME", "http", Some(UrlScheme::Http)),
        ("X-Forwarded-HTTPS", "HTTP_X_FORWARDED_HTTPS", "oN", Some(UrlScheme::Https)),
        ("X-Forwarded-SSL", "HTTP_X_FORWARDED_SSL", "true", Some(UrlScheme::Https)),
        ("X-HTTPS", "HTTP_X_HTTPS", "1", Some(UrlScheme::Https)),
        ("X-HTTPS", "HTTP_X_HTTPS", "Off", Some(UrlScheme::Http)),
        ("X-HTTPS", "HTTP_X_HTTPS", "FALSE", Some(UrlScheme::Http)),
        ("X-HTTPS", "HTTP_X_HTTPS", "0", Some(UrlScheme::Http)),
        ("X-HTTPS", "HTTP_X_HTTPS", "https", None),
        ("X-HTTPS", "HTTP_X_HTTPS", "yes", None),
        ("X-HTTPS", "HTTP_X_HTTPS", "", None),
    ] {
        for before in [UrlScheme::Http, UrlScheme::Https] {
            let headers: &'static [&'static str] = Box::leak(Box::new([name]));
            let (environ, scheme) = Case { headers, scheme: before, ..TRUSTED }.run("10.0.0.1", &[(key, value)]);
            assert_eq!(scheme, expected.unwrap_or(before), "{name}: {value}");
            check(&environ, key, Some(value));
        }
    }
}

#[test]
fn a_valid_scheme_stays_where_a_later_winner_says_nothing() {
    let case = Case { headers: &["X-Forwarded-Proto", "X-HTTPS"], ..TRUSTED };
    let (environ, scheme) = case.run("10.0.0.1", &[("HTTP_X_FORWARDED_PROTO", "https"), ("HTTP_X_HTTPS", "maybe")]);
    assert_eq!(scheme, UrlScheme::Https);
    check(&environ, "HTTP_X_FORWARDED_PROTO", None);
    check(&environ, "HTTP_X_HTTPS", Some("maybe"));
}

#[test]
fn repeats_and_other_spellings_of_a_key_are_removed_as_well() {
    let sent = [("HTTP_X_REAL_IP", "1.1.1.1"), ("http_x_real_ip", "2.2.2.2"), ("HTTP_X_REAL_IP", "3.3.3.3")];
    let (environ, _) = TRUSTED.run("10.0.0.1", &sent);
    assert!(environ.get_ignore_case(b"HTTP_X_REAL_IP").is_none());
}

#[test]
fn of_repeats_the_one_that_a_dict_would_show_is_believed() {
    let case = Case { headers: &["X-Real-IP"], ..TRUSTED };
    let (environ, _) = case.run("10.0.0.1", &[("HTTP_X_REAL_IP", "192.0.2.1"), ("HTTP_X_REAL_IP", "192.0.2.2")]);
    check(&environ, "REMOTE_ADDR", Some("192.0.2.2"));
    check(&environ, "HTTP_X_REAL_IP", Some("192.0.2.2"));
}
