//! Directives about figures: what processes tell about themselves. All come later.

use super::super::{Arguments, Context, Directive, Kind, Merge, Standing};
use super::{later, later_unless_off};

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
    standing: Standing::InEffect,
    apply: later,
};

pub(super) const SERVER_METRICS: Directive = Directive {
    name: c"WSGIServerMetrics",
    arguments: Arguments::One,
    syntax: "WSGIServerMetrics On|Off",
    default: "Off",
    help: c"On lets applications read httpd's scoreboard (not yet)",
    doc: "On will let applications in embedded mode ask `mod_wsgi.server_metrics()` what httpd's children are doing.",
    standing: Standing::Later("On comes with a later version of this module; remove the line, or write Off"),
    apply: later_unless_off,
    ..ROW
};

pub(super) const TELEMETRY_SERVICE: Directive = Directive {
    name: c"WSGITelemetryService",
    syntax: "WSGITelemetryService unix:/path [interval=seconds]",
    help: c"Socket to which processes report figures (not yet)",
    doc: "Will name a socket to which each process reports its figures at an interval.",
    standing: Standing::Later("comes with a later version of this module; remove the line"),
    ..ROW
};

pub(super) const SLOW_REQUESTS: Directive = Directive {
    name: c"WSGISlowRequests",
    arguments: Arguments::One,
    syntax: "WSGISlowRequests seconds",
    help: c"Seconds after which a request is reported as slow (not yet)",
    doc: "Will set after how many seconds a request is reported as slow to the telemetry service.",
    standing: Standing::Later("comes with a later version of this module; remove the line"),
    ..ROW
};

pub(super) const TELEMETRY_OPTIONS: Directive = Directive {
    name: c"WSGITelemetryOptions",
    syntax: "WSGITelemetryOptions None|All|[+|-]CaptureUserAgent",
    help: c"What reports of requests contain (not yet)",
    doc: "Will choose what reports to the telemetry service contain.",
    standing: Standing::Later("comes with a later version of this module; remove the line"),
    ..ROW
};
