//! httpd's error log: what a line says, and the gate that fails a test on a warning it did not announce.

/// The harness's own format, set in every configuration: level, module, process, message.
pub(crate) const FORMAT: &str = "%l %-m %P %M";

/// One record of an error log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// `error`, `warn`, ...; `raw` for text that did not come through httpd's log (a process writing to descriptor 2).
    pub(crate) level: String,
    pub(crate) module: String,
    /// Without a leading `[script <path>]`, by which the module may tell what it was serving.
    pub(crate) message: String,
}

const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"];

impl Line {
    pub(crate) fn parse(text: &str) -> Line {
        Line::in_own_format(text).or_else(|| Line::in_default_format(text)).unwrap_or_else(|| Line {
            level: "raw".to_owned(),
            module: String::new(),
            message: text.to_owned(),
        })
    }

    fn in_own_format(text: &str) -> Option<Line> {
        let mut words = text.splitn(4, ' ');
        let level = words.next().filter(|word| LEVELS.contains(word) || word.starts_with("trace"))?.to_owned();
        let module = words.next()?.to_owned();
        words.next()?.parse::<u32>().ok()?;
        let message = words.next().unwrap_or_default();
        let message = match message.strip_prefix("[script ").and_then(|rest| rest.split_once("] ")) {
            Some((_, message)) => message,
            None => message,
        };
        Some(Line { level, module, message: message.to_owned() })
    }

    /// What httpd writes to its standard error before it has read our `ErrorLogFormat`.
    fn in_default_format(text: &str) -> Option<Line> {
        let (_, rest) = text.strip_prefix('[')?.split_once("] [")?;
        let (origin, rest) = rest.split_once("] ")?;
        let (module, level) = origin.split_once(':')?;
        let message = rest.split_once("] ").map_or(rest, |(_, message)| message);
        Some(Line { level: level.to_owned(), module: module.to_owned(), message: message.to_owned() })
    }

    /// What httpd itself says now and then, whatever the modules do: the event MPM while it ends, any MPM of a site that
    /// is as small as ours.
    fn is_noise_of_httpd(&self) -> bool {
        // The last: mod_ssl and the OpenSSL of this machine are of two builds.
        ["AH03092: process_lingering_close", "AH00484: ", "AH00286: ", "AH00161: ", "AH00288: ", "AH01882: "]
            .iter()
            .any(|start| self.message.starts_with(start))
    }

    /// Whether the test must have announced this line. A crash of a child is only a notice to httpd, not to us.
    fn is_serious(&self) -> bool {
        matches!(self.level.as_str(), "raw" | "emerg" | "alert" | "crit" | "error" | "warn")
            || self.message.contains("exit signal")
    }

    /// The lines of a Python traceback; its last line, which names the exception, is not one of them.
    fn is_inside_traceback(&self) -> bool {
        let message = self.message.as_str();
        message.starts_with("  ")
            || message.starts_with("Traceback (most recent call last):")
            || message.starts_with("During handling of the above exception")
            || message.starts_with("The above exception was the direct cause")
            || message.trim().is_empty()
    }
}

/// What is wrong with a log: serious lines nobody announced and announced ones that are missing. Empty is good.
pub(crate) fn complaints(lines: &[Line], announced: &[String], allowed: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for line in lines {
        let known = announced.iter().chain(allowed).any(|text| line.message.contains(text.as_str()));
        if line.is_serious() && !line.is_inside_traceback() && !line.is_noise_of_httpd() && !known {
            let text = format!("not announced by the test: {} {}", line.level, line.message);
            if !found.contains(&text) {
                found.push(text);
            }
        }
    }
    for text in announced {
        if !lines.iter().any(|line| line.message.contains(text.as_str())) {
            found.push(format!("announced, but not in the log: {text}"));
        }
    }
    found
}
