//! How a group's own lines get into the error log of its server: by the supervisor, as httpd would write them.

use crate::apache::{Pool, Server, program_name};
use crate::wire::control::{LogSettings, Syslog};

/// httpd's names of facilities, in its order, with syslog's numbers.
const FACILITIES: [(&str, u8); 20] = [
    ("auth", 4),
    ("authpriv", 10),
    ("cron", 9),
    ("daemon", 3),
    ("ftp", 11),
    ("kern", 0),
    ("lpr", 6),
    ("mail", 2),
    ("news", 7),
    ("syslog", 5),
    ("user", 1),
    ("uucp", 8),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    LOCAL7,
];
/// Where none is named.
const LOCAL7: (&str, u8) = ("local7", 23);

/// `main` is the server whose log those without one have.
pub(super) fn settings(server: Server<'_>, main: Server<'_>, config: Pool<'_>) -> LogSettings {
    let name = server.error_log_name().or_else(|| main.error_log_name()).unwrap_or_default();
    LogSettings {
        // A line of a file holds no NUL.
        format: server.error_log_format(config).ok().flatten(),
        server_name: server.hostname().unwrap_or_default().to_vec(),
        syslog: server.error_log().is_none().then(|| syslog(name, program_name())).flatten(),
    }
}

/// `syslog[:facility[:tag]]`.
fn syslog(name: &[u8], program: &[u8]) -> Option<Syslog> {
    let mut parts = name.splitn(3, |byte| *byte == b':');
    parts.next().filter(|word| word.eq_ignore_ascii_case(b"syslog"))?;
    let facility = parts.next().unwrap_or_default().to_ascii_lowercase();
    let found = match facility.as_slice() {
        b"" => Some(LOCAL7),
        // As httpd, which takes beginnings.
        word => FACILITIES.into_iter().find(|(name, _)| name.as_bytes().starts_with(word)),
    };
    let tag = parts.next().filter(|tag| !tag.is_empty()).unwrap_or(program);
    Some(Syslog { facility: found.unwrap_or(LOCAL7).1, tag: tag.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_has_a_facility_and_a_tag() {
        let found = |name: &str| {
            syslog(name.as_bytes(), b"apache2").map(|log| (log.facility, String::from_utf8(log.tag).unwrap()))
        };
        let some = |facility, tag: &str| Some((facility, tag.to_owned()));
        assert_eq!(found("syslog"), some(23, "apache2"));
        assert_eq!(found("Syslog:User"), some(1, "apache2"));
        assert_eq!(found("syslog:local3:shop.example:1"), some(19, "shop.example:1"));
        assert_eq!(found("syslog::shop"), some(23, "shop"));
        assert_eq!(found("syslog:daemon:"), some(3, "apache2"));
        assert_eq!(found("logs/error.log"), None);
    }
}
