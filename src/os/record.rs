//! Lines as httpd's error log has them: by `ErrorLogFormat`, as far as its fields exist outside of a request, or as httpd does without.

use std::time::{SystemTime, UNIX_EPOCH};

/// A record is written at once up to this length even where the log is a pipe that others write to as well (`PIPE_BUF`).
const LONGEST_RECORD: usize = 4096;

/// What is logged.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// As httpd counts: 2 critical .. 8 trace1.
    pub level: u8,
    /// Who says it.
    pub pid: i32,
    pub now: SystemTime,
    /// `ServerName` of the virtual host.
    pub server_name: &'a [u8],
    pub text: &'a [u8],
}

/// How records look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    items: Vec<Item>,
    /// What ends a record.
    end: &'static [u8],
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    /// A field begins here: one without a value takes with it what stands between the last beginning and the next.
    begins: bool,
    /// Left out where the line is worse than this level.
    least: u8,
    /// `-` stands for no value.
    hyphen: bool,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Text(Vec<u8>),
    Message,
    Level,
    Module,
    /// The process, and its thread: a worker's lines don't say which it was.
    Process,
    Time {
        micros: bool,
        compact: bool,
    },
    ServerName,
    /// There is none outside of a request.
    Nothing,
}

impl Format {
    /// Without `ErrorLogFormat`: `[time] [wsgi:level] [pid n:tid n] text`.
    #[must_use]
    pub fn usual() -> Format {
        Format { items: items(b"[%{u}t] [%m:%l] [pid %P:tid %T] %M"), end: b"\n" }
    }

    /// The argument of `ErrorLogFormat`; httpd has checked it.
    #[must_use]
    pub fn given(text: &[u8]) -> Format {
        Format { items: items(text), end: b"\n" }
    }

    /// The same for syslog, which has times of its own and needs no newline.
    #[must_use]
    pub fn for_syslog(given: Option<&[u8]>) -> Format {
        Format { items: items(given.unwrap_or(b"[%m:%l] [pid %P:tid %T] %M")), end: b"" }
    }

    /// A line as one or more records of at most 4096 bytes, each to be written at once. Bytes of the line that a terminal could obey are
    /// escaped as httpd does.
    #[must_use]
    pub fn records(&self, line: &Line<'_>) -> Vec<Vec<u8>> {
        let (before, mut behind) = self.around(line);
        behind.extend_from_slice(self.end);
        let mut records = Vec::new();
        let mut record = before.clone();
        for byte in line.text {
            let start = record.len();
            escape(*byte, &mut record);
            if record.len() + behind.len() > LONGEST_RECORD && start > before.len() {
                let letter = record.split_off(start);
                record.extend_from_slice(&behind);
                records.push(std::mem::replace(&mut record, before.clone()));
                record.extend_from_slice(&letter);
            }
        }
        record.extend_from_slice(&behind);
        records.push(record);
        records
    }

    /// What stands before and behind the message.
    fn around(&self, line: &Line<'_>) -> (Vec<u8>, Vec<u8>) {
        let (mut out, mut before) = (Vec::new(), None);
        let (mut start, mut left_out) = (0, false);
        for item in &self.items {
            if item.begins {
                left_out = false;
                start = out.len();
            }
            if item.what == What::Message {
                // Whatever is left out around it, what was said is not.
                match before {
                    None => before = Some(std::mem::take(&mut out)),
                    Some(_) => line.text.iter().for_each(|byte| escape(*byte, &mut out)),
                }
                start = out.len();
            } else if !left_out {
                let held = out.len();
                item.what.put(line, &mut out);
                let absent = out.len() == held && !matches!(item.what, What::Text(_));
                if item.least > line.level || (absent && !item.hyphen) {
                    out.truncate(start);
                    left_out = true;
                } else if absent {
                    out.push(b'-');
                }
            }
        }
        match before {
            Some(before) => (before, out),
            None => (out, Vec::new()),
        }
    }
}

impl What {
    fn put(&self, line: &Line<'_>, out: &mut Vec<u8>) {
        match self {
            What::Text(text) => out.extend_from_slice(text),
            What::Level => out.extend_from_slice(level_name(line.level).as_bytes()),
            What::Module => out.extend_from_slice(b"wsgi"),
            What::Process => out.extend_from_slice(line.pid.to_string().as_bytes()),
            What::Time { micros, compact } => out.extend_from_slice(stamp(line.now, *micros, *compact).as_bytes()),
            What::ServerName => out.extend_from_slice(line.server_name),
            What::Message | What::Nothing => {}
        }
    }
}

/// Parts a format.
fn items(mut rest: &[u8]) -> Vec<Item> {
    let mut found = Vec::new();
    while let Some((first, behind)) = rest.split_first() {
        let mut item = Item { begins: *first == b' ', least: 0, hyphen: false, what: What::Text(Vec::new()) };
        if *first == b'%' {
            rest = behind;
            if let Some(behind) = rest.strip_prefix(b" ") {
                // Separates and is not shown; what follows is part of the same.
                item.begins = true;
                rest = behind;
                match rest.strip_prefix(b"%") {
                    Some(behind) => rest = directive(behind, &mut item),
                    None => rest = literal(rest, &mut item),
                }
            } else {
                rest = directive(rest, &mut item);
            }
        } else {
            rest = literal(rest, &mut item);
        }
        found.push(item);
    }
    found
}

/// What stands behind a `%`.
fn directive<'f>(mut rest: &'f [u8], item: &mut Item) -> &'f [u8] {
    let mut argument: &[u8] = b"";
    while let Some((letter, behind)) = rest.split_first() {
        rest = behind;
        item.what = match letter {
            b'{' => {
                let end = rest.iter().position(|byte| *byte == b'}').unwrap_or(rest.len());
                argument = rest.get(..end).unwrap_or_default();
                rest = rest.get(end + 1..).unwrap_or_default();
                continue;
            }
            b'-' => {
                item.hyphen = true;
                continue;
            }
            b'+' => continue,
            digit @ b'0'..=b'9' => {
                item.least = digit - b'0';
                continue;
            }
            b'%' => What::Text(b"%".to_vec()),
            b'M' => What::Message,
            b'l' => What::Level,
            b'm' => What::Module,
            b'P' | b'T' => What::Process,
            b't' => What::Time { micros: argument.contains(&b'u'), compact: argument.contains(&b'c') },
            b'v' => What::ServerName,
            _ => What::Nothing,
        };
        break;
    }
    rest
}

/// Text up to the next field or directive; a space at its front, and one behind a backslash, is part of it.
fn literal<'f>(mut rest: &'f [u8], item: &mut Item) -> &'f [u8] {
    let mut text = Vec::new();
    while let Some((byte, behind)) = rest.split_first() {
        match (byte, behind.split_first()) {
            (b'%', _) => break,
            (b' ', _) if !text.is_empty() => break,
            (b'\\', Some((escaped, behind))) => {
                text.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                });
                rest = behind;
            }
            _ => {
                text.push(*byte);
                rest = behind;
            }
        }
    }
    item.what = What::Text(text);
    rest
}

/// `ap_escape_errorlog_item`: a backslash and control characters and everything beyond ASCII.
fn escape(byte: u8, to: &mut Vec<u8>) {
    let short = match byte {
        8 => b'b',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        11 => b'v',
        b'\\' => b'\\',
        b' '..=b'~' => return to.push(byte),
        _ => return to.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
    };
    to.extend_from_slice(&[b'\\', short]);
}

fn level_name(level: u8) -> &'static str {
    const NAMES: [&str; 9] = ["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug", "trace1"];
    NAMES.get(usize::from(level)).copied().unwrap_or("trace2")
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Fri Nov 20 09:47:01.123456 2026`, or compact `2026-11-20 09:47:01.123456`, with or without the fraction, in this process's time zone.
fn stamp(now: SystemTime, micros: bool, compact: bool) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    let parts = local(now);
    let fraction = match micros {
        true => format!(".{:06}", now.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_micros()),
        false => String::new(),
    };
    let clock = format!("{:02}:{:02}:{:02}{fraction}", parts.tm_hour, parts.tm_min, parts.tm_sec);
    let year = parts.tm_year + 1900;
    if compact {
        format!("{year}-{:02}-{:02} {clock}", parts.tm_mon + 1, parts.tm_mday)
    } else {
        let (day, month) = (name(&DAYS, parts.tm_wday), name(&MONTHS, parts.tm_mon));
        format!("{day} {month} {:02} {clock} {year}", parts.tm_mday)
    }
}

/// `Nov  2 09:47:01`, as syslog has it (RFC 3164, section 4.1.2).
#[must_use]
pub fn syslog_stamp(now: SystemTime) -> String {
    let parts = local(now);
    let month = name(&MONTHS, parts.tm_mon);
    format!("{month} {:2} {:02}:{:02}:{:02}", parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec)
}

fn name(names: &[&'static str], place: i32) -> &'static str {
    usize::try_from(place).ok().and_then(|place| names.get(place)).copied().unwrap_or("???")
}

fn local(now: SystemTime) -> libc::tm {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = libc::time_t::try_from(since.as_secs()).unwrap_or_default();
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: reads one number and fills the structure; an answer of null leaves the zeros, which are a time as well.
    unsafe { libc::localtime_r(&raw const seconds, parts.as_mut_ptr()) };
    // SAFETY: zeroed above, and all zeros is a value of this structure.
    unsafe { parts.assume_init() }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(level: u8, text: &[u8]) -> Line<'_> {
        let now = UNIX_EPOCH + Duration::from_micros(1_795_167_000_123_456);
        Line { level, pid: 123, now, server_name: b"one.example", text }
    }

    #[test]
    fn records_look_like_httpds() {
        let made = Format::usual().records(&line(3, b"a \"b\" \\ \x1b[1m\t\xc3\xa4"));
        let text = String::from_utf8(made.concat()).unwrap();
        let (time, rest) = text.split_once("] ").unwrap();
        assert!(time.ends_with(".123456 2026"), "{time}");
        assert_eq!(time.len(), "[Fri Nov 20 09:47:01.123456 2026".len());
        assert_eq!(rest, "[wsgi:error] [pid 123:tid 123] a \"b\" \\\\ \\x1b[1m\\t\\xc3\\xa4\n");
        let made = Format::for_syslog(None).records(&line(6, b"text"));
        assert_eq!(made, [b"[wsgi:info] [pid 123:tid 123] text"]);
    }

    #[test]
    fn long_lines_become_several_records() {
        for format in [Format::usual(), Format::given(b"%M and what stands behind")] {
            let long = format.records(&line(6, &[0x80; 3000]));
            assert_eq!(long.len(), 3);
            assert!(long.iter().all(|record| record.len() <= LONGEST_RECORD && record.ends_with(b"\n")));
            assert!(long.concat().windows(4).filter(|window| window == b"\\x80").count() == 3000);
        }
    }

    /// What httpd 2.4.71 itself makes of these formats for a line outside of a request.
    #[test]
    fn formats_mean_what_they_mean_to_httpd() {
        for (format, expected) in [
            ("a%%b [%%] %l/%-m %P %v %V %M", "a%b [%] notice/wsgi 123 one.example text"),
            ("x [client %a] y%L z %M", "x [client z text"),
            ("x [client\\ %a] y %M", "x y text"),
            ("p% q% %a r %M", "pq r text"),
            ("x %-L %-{Referer}i [%k] %M", "x - - text"),
            ("%{FOO}e %-E %7F %0l %6l %5l %M", " - notice notice text"),
            ("a\\tb\\q\\\\c\\nd %M| %L ,\\ referer %M", "a\tbq\\c\nd text| , referer text"),
            ("a  b %V c %{g}T d %T e %{x}M", "a  b c 123 d 123 e text"),
            ("x%L%M|", "text"),
            ("x %L%M|", "xtext"),
            ("x %Lq%M| r", "xtext r"),
            ("x %Lq%M%L| r%%s", "xtext r%s"),
            ("%M [x%a y] z%{c}Lw %{c}a %A", "text y]"),
        ] {
            let made = Format::given(format.as_bytes()).records(&line(5, b"text"));
            assert_eq!(String::from_utf8(made.concat()).unwrap(), format!("{expected}\n"), "{format}");
        }
    }

    #[test]
    fn times_have_four_forms() {
        let made = Format::given(b"%t|%{u}t|%{c}t|%{cu}t|%M").records(&line(5, b""));
        let text = String::from_utf8(made.concat()).unwrap();
        let [plain, micros, compact, both, _] = text.split('|').collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert_eq!(micros.replace(".123456", ""), plain);
        assert_eq!(both, format!("{compact}.123456"));
        assert!(compact.starts_with("2026-11-") && compact.len() == "2026-11-20 09:47:01".len(), "{compact}");
        assert!(syslog_stamp(line(5, b"").now).starts_with("Nov "));
    }
}
