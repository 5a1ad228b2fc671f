"""Differences from C mod_wsgi that are meant, each with words of its row in docs/differences.md."""
import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Difference:
    """Regular expressions: which case in which setting, which part of it, and what the sides say."""
    row: str
    case: str
    part: str
    c: str
    here: str
    setting: str = ".*"

    def fits(self, case, setting, part, c, here):
        pairs = ((self.case, case), (self.setting, setting), (self.part, part), (self.c, c or ""), (self.here, here or ""))
        return all(re.fullmatch(pattern, text, re.S) for pattern, text in pairs)


ANY = ".*"
DAEMON, EMBEDDED = "daemon-.*", "embedded-.*"
# A cause that shows in several parts of an observation has a line for each.
RAISED = r"wsgi:error (\w+\.)*\w+(: app: .*)?\nwsgi:error WSGI017[45]"

# By words of the row: case, part, C mod_wsgi, this module, and, where not all, the settings.
EXPECTED = {
    "server token with `ServerTokens Full`": [
        (ANY, r"(\d\. )?body .*", ".*mod_wsgi/6.1.1 .*", ".*mod_wsgi-rs/.*"),
        ("(access|basic) dump", "log", r"[^\n]*mod_wsgi/6.1.1 [^\n]*", r"[^\n]*mod_wsgi-rs/[^\n]*"),
    ],
    "records at `info` of starting, making and destroying interpreters": [
        (ANY, "log at info", ANY, ANY),
    ],
    "traceback of an exception that nobody catches": [
        (ANY, "log of frames", ANY, ANY),
    ],

    "[sends a 103](beside.md#early-hints)": [
        (ANY, r"(\d\. )?body wsgi.early_hints", "", "object of builtins.builtin_function_or_method"),
    ],

    # Responses.
    "NUL in a header's name or value, or in the status": [
        ("response try-.*-nul", "body start_response", "object of .*", "raises ValueError"),
        ("response do-.*-nul", "status", "200 OK?", "500 .*"),
        ("response do-.*-nul", "log", "", RAISED),
    ],
    "status line `200 Error`": [
        ("response do-status-200-error", "status", "500 .*", "200 Error", DAEMON),
    ],
    "a `:` in a header's name": [
        ("response do-headers-name-colon", "status", "200 OK", "500 .*", DAEMON),
        ("response do-headers-name-colon", "log", "", "http:error AH02429", DAEMON),
    ],
    "a header that httpd refuses to send": [
        ("response do-headers-(name|value)-(latin|odd|control|del)", "body",
            r"(\(httpd's page: 500 Internal Server Error\)){2}", r"\(httpd's page: 500 Internal Server Error\)", DAEMON),
        ("input broken-chunk|setting limited-chunked", "body", r"\(httpd's page: 4.*\).+", r"\(httpd's page: 4[^)]*\)"),
    ],
    "blanks around a header's value": [
        ("response do-headers-value-spaces", "header x-a", "X-A: b  ", "X-A:   b  ", DAEMON),
        ("response do-headers-type-odd", "header content-type", ".*: text/html; Charset=UTF-8", ".*: Text/HTML; Charset=UTF-8 ",
            DAEMON),
        ("response do-headers-modified-(future|odd)", "header last-modified", ".* (20..|1970) .*",
            "Last-Modified: (yesterday|Fri, 01 Jan 2038 .*)", DAEMON),
    ],
    "repeated headers": [
        ("response do-headers-twice.*", "header x-a", "X-A: b, c", "X-A: b . [xX]-[aA]: c", DAEMON),
    ],
    "a header `Status` from the application": [
        ("response do-headers-status", "status", "404 Not Found", "200 OK", DAEMON),
    ],
    "response that breaks off": [
        ("(response|iterables|objects) .*", "end", "complete", "cut off", DAEMON),
    ],
    "exception after `write()`": [
        ("response write-then-raise", "body", r"written\(httpd's page: 500 .*", "written", EMBEDDED),
        ("response write-then-raise", "end", "complete", "cut off", EMBEDDED),
    ],
    "body shorter than its `Content-Length`": [
        ("(response|iterables) .*(length-(long|body-missing|longer)|-length)", "log", "", "wsgi:warn WSGI0301"),
        ("response length-body-missing", "header content-length", ".*: 0", ".*: 5", EMBEDDED),
        ("response length-body-missing", "end", "complete", "cut off", EMBEDDED),
    ],
    "`Content-Length: +5` from an application, or an empty one": [
        ("response length-(plus|empty)", "status", "200 OK", "500 .*"),
        ("response length-(plus|empty)", "log", "", RAISED),
    ],
    "spaces around an application's `Content-Length`": [
        ("response length-spaces", "status", "500 .*", "200 OK"),
        ("response length-spaces", "log", RAISED, ""),
    ],
    "`content-length: 005` from an application": [
        ("response length-zeros", "header content-length", ".*: 5", ".*: 0005", EMBEDDED),
        ("response length-lower-case", "header content-length", "C.*: 5", "c.*: 5"),
    ],
    "`HEAD` answered with a part of the body": [
        ("response length-long-head", "header content-length", ".*: 9", ".*: 5", DAEMON),
    ],
    "request with `Range`": [
        ("header range", "status", "200 OK", "206 .*"),
    ],
    "environ after an internal redirect": [
        ("response location-(200|post).*|page .*", "body REDIRECT_.*", ".+", ""),
    ],

    # Iterables and files.
    "body is a list or a tuple of `bytes`": [
        (ANY, r"(\d\. )?framing", "chunked|until close", "length"),
        (ANY, r"(\d\. )?header content-length", "", "Content-Length: .*"),
    ],
    "`write()` called in `close()`": [
        ("iterables close-writes", "body", "onetwox", "onetwo"),
        ("iterables close-writes", "log", ".* NoneType None .*", ".* raises OSError .*"),
    ],
    "number for `close` of a response": [
        ("iterables close-property-raises", "log", "wsgi:error WSGI0194", ""),
    ],
    "the same with `wsgi.file_wrapper`, and a file whose position": [
        ("iterables wrapper-(file-beyond|length-longer)", "status", "none|502 .*", "200 OK"),
        ("iterables wrapper-(file-beyond|length-longer)", "log", ".*OSError.*", "(wsgi:warn WSGI0301)?"),
    ],
    "`wsgi.file_wrapper` over an object without `close()`": [
        ("iterables wrapper-.*", "log", "wsgi:error AttributeError\nwsgi:error WSGI0174", ""),
    ],
    "`wsgi.file_wrapper` over something with a `read()` of its own": [
        ("iterables wrapper-(packed|delegates|process)", "body", "(?s).*", "unpacked|onetwo|Linux\n"),
        ("iterables wrapper-(packed|delegates|process)", "framing", "length", "chunked"),
        ("iterables wrapper-(packed|delegates|process)", "header content-length", "Content-Length: .*", ""),
        ("iterables wrapper-text-file", "status", "200 OK", "500 .*"),
        ("iterables wrapper-text-file", "log", "", "wsgi:error TypeError\nwsgi:error WSGI0174"),
    ],
    "a subclass of `wsgi.file_wrapper`": [
        ("iterables wrapper-overridden", "body", "0123456789.*", ""),
        ("iterables wrapper-subclass", "framing", "length", "chunked"),
        ("iterables wrapper-(subclass|overridden)", "header content-length", "Content-Length: 10000", "(Content-Length: 0)?"),
    ],
    "NUL in what is printed": [
        ("(iterables raises-.*|objects .*)-nul", "log", ".*app: a", r".*app: a\\\\x00b"),
    ],
    "lines above 8,000 bytes": [
        ("(iterables raises-.*|objects .*)-long", "log", ".* 8... characters", ".* 7... characters.*"),
    ],

    # Requests.
    "`wsgi.input.read(None)`": [
        ("input (read|line|lines)-none.*", "body 0 .*", "raises TypeError", "(bytes|list) .*"),
    ],
    "body that breaks off, daemon mode": [
        ("input (broken-off-.*|chunk-broken-off)", "status", "500 .*", "200 OK", DAEMON),
        ("input (broken-off-.*|chunk-broken-off)", "log", "wsgi:error WSGI0126", "", DAEMON),
        ("setting limited-chunked", "log", "wsgi:error WSGI0126", "", DAEMON),
    ],
    "at the application's first read, as in embedded mode of both": [
        ("input refused-unread", "status", "", "403 No", DAEMON),
    ],
    "chunked body and `Content-Length` both still there": [
        ("setting both-lengths", "status", "200 OK", "400 .*"),
        ("setting both-lengths", "log", "", "wsgi:error WSGI0140"),
    ],

    # Scripts.
    "the script has no callable of that name": [
        ("path /app/tools.py|script (empty|no-callable|getattr) .*|setting callable-missing|dispatch callable .*|handler .*",
            "status", "404 .*", "500 .*", EMBEDDED),
    ],
    "script that can't be loaded": [
        ("(script|access|basic|groups|dispatch) .*", "log", "(.*\n)?wsgi:error WSGI010[579]", ".*"),
    ],
    "script with a NUL in it": [
        ("script nul .*", "status", "200 OK", "500 .*"),
        ("script nul .*", "log", "", "wsgi:error ValueError\nwsgi:error WSGI0174"),
    ],
    "`reload_required()`": [
        ("script reload.* second", "log", ".*app: .*", "", DAEMON),
    ],

    # The interpreter and its modules.
    "`sys.stderr`, `sys.stdout`, `wsgi.errors`": [
        ("objects errors-facts", r"body (\.line_buffering|buffer.write byte.*)", ANY, ANY),
    ],
    "what a process writes to its standard error": [
        ("objects forks", "log", ANY, ANY, ".*-sub"),
    ],
    "types of `start_response`": [
        ("objects (signals|mod-wsgi-facts|apache-facts|environ-facts)", "body .*", ANY, ANY),
    ],
    "`logging` with `LogHandler` can't format a record": [
        ("objects log-handler", "log", "", ".*Logging error.*"),
    ],
    "somebody subscribes to events in the middle of a request": [
        ("objects events-of-plain", "body .*", ".+", ""),
    ],
    "traceback in `request_exception` of what `start_response` raised": [
        ("objects events-of-misuses", "body 1 request_exception", ".*", '.*watched.*'),
    ],
    "`queue_time`, `daemon_time` in `request_metrics()`": [
        ("objects metrics", "body request (daemon|queue)_time", "float", "NoneType", DAEMON),
    ],

    # Access and routing.
    "error in `groups_for_user`": [
        (r"groups (answers (raise|exit|None|5|\[.*(5|None|u20ac).*\])|unset|missing)", "status", "401 .*", "500 .*"),
        (r"groups (answers (raise|exit|None|5|\[.*(5|None|u20ac).*\])|unset|missing)", "log", "authz_core:error AH01631.*", ANY),
    ],
    "`groups_for_user` gives one group, then raises": [
        ("groups answers late.*", "status", "200 OK", "500 .*"),
    ],
    "`groups_for_user` returns one `str`": [
        ("groups answers b?'staff'", "status", "401 .*", "500 .*"),
        ("groups answers b?'staff'", "log", ".*", "wsgi:error WSGI0051"),
    ],
    "name with a NUL in a group, user or hash": [
        ("groups answers ..staff.0..", "status", "200 OK", "401 .*"),
        ("groups answers ..staff.0..", "log", "", ".*WSGI0060"),
        ("basic answers .a.0b.", "status", "200 OK", "500 .*"),
        ("basic answers .a.0b.", "log", "", ".*WSGI0177"),
    ],
    "dispatch script that can't be loaded": [
        ("dispatch dispatch-(missing|raises) to", "status", "200 OK", "500 .*"),
    ],
    "wrong answer of a dispatch script": [
        ("dispatch .*", "log", ".*TypeError.*WSGI0174", "wsgi:error WSGI0500"),
    ],
    "private keys `mod_wsgi.x-...` for dispatch scripts": [
        ("dispatch dump", "log", ".*x-script_reloading.*", ".*mod_wsgi.version.*"),
    ],
}
DIFFERENCES = [Difference(row, *each) for row, rows in EXPECTED.items() for each in rows]
