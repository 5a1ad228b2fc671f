//! The name under which a script file stands in `sys.modules`.

use md5::{Digest as _, Md5};

/// `_mod_wsgi_` and the MD5 of the script's full path in lower-case hexadecimal, the path in lower case first when
/// `WSGICaseSensitivity` is Off. The same name as C mod_wsgi gives, since applications and pickles hold it.
#[must_use]
pub fn module_name(path: &[u8], case_sensitive: bool) -> String {
    let digest = if case_sensitive { Md5::digest(path) } else { Md5::digest(path.to_ascii_lowercase()) };
    let mut name = String::from("_mod_wsgi_");
    for byte in digest {
        for nibble in [byte >> 4, byte & 0x0f] {
            name.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_md5_of_the_path() {
        assert_eq!(module_name(b"", true), "_mod_wsgi_d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(module_name(b"abc", true), "_mod_wsgi_900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn letter_case_counts_only_when_it_matters() {
        assert_eq!(module_name(b"ABC", false), module_name(b"abc", true));
        assert_ne!(module_name(b"ABC", true), module_name(b"abc", true));
        assert_eq!(module_name(b"\xc4\xff", false), module_name(b"\xc4\xff", true));
    }
}
