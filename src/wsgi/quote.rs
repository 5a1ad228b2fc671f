//! How bytes from a client, a script or a configuration are shown in a message: in quotes, one line, not endless.
//!
//! Used by the error types of this room, so that a header value can neither break a log line nor flood the log.

use std::fmt::{self, Display, Formatter, Write as _};

/// More characters than this are cut off and replaced by `...`.
const SHOWN: usize = 200;

/// Displays bytes in double quotes: text as it is, control characters and quotes escaped, other bytes as `\xNN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted<'a>(pub &'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let mut left = SHOWN;
        out.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            for letter in chunk.valid().chars() {
                if left == 0 {
                    return out.write_str("...\"");
                }
                left -= 1;
                match letter {
                    '"' | '\\' => write!(out, "\\{letter}")?,
                    letter if letter.is_control() => write!(out, "{}", letter.escape_default())?,
                    letter => out.write_char(letter)?,
                }
            }
            for byte in chunk.invalid() {
                if left == 0 {
                    return out.write_str("...\"");
                }
                left -= 1;
                write!(out, "\\x{byte:02x}")?;
            }
        }
        out.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_on_one_line_in_quotes() {
        let cases: [(&[u8], &str); 7] = [
            (b"", "\"\""),
            (b"/srv/app.wsgi", "\"/srv/app.wsgi\""),
            (b"a\r\nb", "\"a\\r\\nb\""),
            (b"nul\0", "\"nul\\u{0}\""),
            (b"say \"x\\\"", "\"say \\\"x\\\\\\\"\""),
            ("caf\u{e9}".as_bytes(), "\"caf\u{e9}\""),
            (b"\xff/", "\"\\xff/\""),
        ];
        for (bytes, shown) in cases {
            assert_eq!(Quoted(bytes).to_string(), shown);
        }
    }

    #[test]
    fn long_text_is_cut() {
        for hostile in [vec![b'a'; 5000], vec![0xff; 5000], vec![b'\n'; 5000]] {
            let shown = Quoted(&hostile).to_string();
            assert!(shown.ends_with("...\""));
            assert!(shown.len() < 5 * SHOWN);
        }
        assert!(!Quoted(&[b'a'; SHOWN]).to_string().contains("..."));
    }
}
