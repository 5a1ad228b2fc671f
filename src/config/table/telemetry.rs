//! Directives about figures: what applications may know of httpd, and reports to others, which this module does not send.

use super::super::{Arguments, Context, Directive, Kind, Merge, Place, Refusal, Standing, Words};

/// What the rows of this theme share.
const ROW: Directive = Directive {
    name: c"",
    context: Context::Global,
    kind: Kind::Plain,
    arguments: Arguments::List,
    options: &[],
    syntax: "",
    default: "none",
    merge: Merge::ProcessWide,
    help: c"",
    doc: "",
    standing: Standing::LoadsWithoutEffect(
        "this module sends no reports; applications can ask mod_wsgi.request_metrics() and subscribe to events",
    ),
    apply: |_, _| Ok(()),
};

pub(super) const SERVER_METRICS: Directive = Directive {
    name: c"WSGIServerMetrics",
    arguments: Arguments::One,
    syntax: "WSGIServerMetrics On|Off",
    default: "Off",
    help: c"Whether applications in embedded mode may read httpd's scoreboard",
    doc: "With On applications in embedded mode may ask `mod_wsgi.server_metrics()` what each thread of httpd's children does; with \
          Off it answers `None`. Daemon process groups have the option `server-metrics`. The answer has addresses of clients and first lines of requests, of all virtual hosts.",
    standing: Standing::InEffect,
    apply: |place, words| {
        place.process(words)?.server_metrics = words.on_off()?;
        Ok(())
    },
    ..ROW
};

pub(super) const TELEMETRY_SERVICE: Directive = Directive {
    name: c"WSGITelemetryService",
    syntax: "WSGITelemetryService unix:/path [interval=seconds]",
    help: c"Accepted for existing configurations: no reports are sent",
    doc: "Names, in C mod_wsgi, a socket to which each process reports its figures at an interval, for the program `mod_wsgi-telemetry`. \
          `mod_wsgi.request_metrics()` and `process_metrics()`, which answer `None` there then, go on working here.",
    apply: |place, words| {
        let (target, interval) = match words.all() {
            [target] => (target, None),
            [target, interval] => (target, Some(interval)),
            _ => return Err(words.bad_value("write unix:/path, and interval=seconds if it is not 1")),
        };
        if !target.starts_with(b"unix:/") {
            return Err(words.bad_word(target, "write unix: and the absolute path of a socket"));
        }
        if let Some(interval) = interval {
            let seconds = interval.strip_prefix(b"interval=").and_then(decimal);
            if !seconds.is_some_and(|seconds| seconds >= 0.5) {
                return Err(words.bad_word(interval, "write interval= and a number of seconds, at least 0.5"));
            }
        }
        nothing_is_sent(place, words)
    },
    ..ROW
};

pub(super) const SLOW_REQUESTS: Directive = Directive {
    name: c"WSGISlowRequests",
    arguments: Arguments::One,
    syntax: "WSGISlowRequests seconds",
    help: c"Accepted for existing configurations: no reports are sent",
    doc: "Sets, in C mod_wsgi, after how many seconds a request is reported as slow to the telemetry service.",
    apply: |place, words| match decimal(words.value()) {
        Some(seconds) if seconds >= 0.0 => nothing_is_sent(place, words),
        _ => Err(words.bad_value("write a number of seconds, 0 or more")),
    },
    ..ROW
};

pub(super) const TELEMETRY_OPTIONS: Directive = Directive {
    name: c"WSGITelemetryOptions",
    syntax: "WSGITelemetryOptions None|All|[+|-]CaptureUserAgent",
    help: c"Accepted for existing configurations: no reports are sent",
    doc: "Chooses, in C mod_wsgi, what reports to the telemetry service contain.",
    apply: |place, words| {
        let known = |word: &Vec<u8>| {
            let flag = word.strip_prefix(b"+").or_else(|| word.strip_prefix(b"-")).unwrap_or(word);
            flag.eq_ignore_ascii_case(b"CaptureUserAgent")
                || word.eq_ignore_ascii_case(b"None")
                || word.eq_ignore_ascii_case(b"All")
        };
        match words.all().iter().find(|word| !known(word)) {
            _ if words.all().is_empty() => Err(words.bad_value("write None, All or CaptureUserAgent")),
            Some(word) => Err(words.bad_word(word, "write None, All or CaptureUserAgent")),
            None => nothing_is_sent(place, words),
        }
    },
    ..ROW
};

/// Says so, once for all of these lines.
fn nothing_is_sent(place: &mut Place<'_>, words: &Words<'_>) -> Result<(), Refusal> {
    if !std::mem::replace(&mut place.process(words)?.telemetry, true) {
        place.surroundings.warn(format!(
            "{}: this module sends no telemetry; remove the lines about it, and ask mod_wsgi.request_metrics() in the application",
            words.directive()
        ));
    }
    Ok(())
}

fn decimal(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{Reader, refusal};

    #[test]
    fn lines_about_telemetry_load_with_one_warning() {
        let reader = Reader::new()
            .loads("WSGITelemetryService unix:/run/t.sock interval=2")
            .loads("WSGISlowRequests 0.5")
            .loads("WSGITelemetryOptions +CaptureUserAgent");
        let [warning] = reader.around.warnings.as_slice() else { panic!("{:?}", reader.around.warnings) };
        assert!(warning.contains("WSGITelemetryService") && warning.contains("sends no telemetry"), "{warning}");
    }

    #[test]
    fn lines_about_telemetry_are_checked_all_the_same() {
        for (line, word) in [
            ("WSGITelemetryService tcp:1.2.3.4", "\"tcp:1.2.3.4\""),
            ("WSGITelemetryService unix:relative", "\"unix:relative\""),
            ("WSGITelemetryService unix:/x interval=0.1", "\"interval=0.1\""),
            ("WSGITelemetryService", "unix:/path"),
            ("WSGISlowRequests -1", "\"-1\""),
            ("WSGISlowRequests soon", "\"soon\""),
            ("WSGITelemetryOptions Everything", "\"Everything\""),
            ("WSGITelemetryOptions", "CaptureUserAgent"),
        ] {
            let sentence = refusal(line);
            assert!(sentence.contains(word), "{line}: {sentence}");
        }
    }

    #[test]
    fn server_metrics_are_off_unless_allowed() {
        assert!(!Reader::new().server.process.server_metrics);
        assert!(Reader::new().loads("WSGIServerMetrics on").server.process.server_metrics);
    }
}
