"""What is compared: an exchange as named parts, each a short text without what differs from run to run."""
import json
import re

# In every answer, and none of the module's business.
DULL = {"date", "server", "connection", "keep-alive", "transfer-encoding", "accept-ranges"}
# Made by the first record that is logged for a connection.
ABSENT = {"mod_wsgi.connection_id"}
VOLATILE = {
    "mod_wsgi.x-magic", "mod_wsgi.x-request_start_us", "mod_wsgi.x-queue_start_us", "UNIQUE_ID",
    "mod_wsgi.request_id", "mod_wsgi.server_pid", "mod_wsgi.thread_id", "mod_wsgi.request_start",
    "mod_wsgi.queue_start", "mod_wsgi.daemon_start", "mod_wsgi.application_start", "REMOTE_PORT"}
PAGE = re.compile(r"<!DOCTYPE HTML PUBLIC.*?<title>(.*?)</title>.*?</html>\n?", re.S)
# A script's module: its path's digest.
NAME = re.compile(r"_mod_wsgi_[0-9a-f]{32}")
NONCE = re.compile('nonce="[^"]*"')
ERROR = re.compile(r"(\w+\.)*\w*(Error|Exception|Exit|Interrupt|Timeout|Iteration|Warning): ")


def parts(answers, records, same_process, folder, port):
    found = {}
    for number, answer in enumerate(answers):
        # Several answers are interim ones, or those of several requests.
        prefix = f"{number + 1}. " if len(answers) > 1 else ""
        found[prefix + "status"] = answer.status
        found[prefix + "framing"] = answer.framing
        found[prefix + "end"] = answer.end
        headers = {}
        for name, value in answer.headers:
            headers.setdefault(name.lower(), []).append(f"{name}: {value}")
        for name, lines in headers.items():
            # The environ's length depends on process ids.
            if name not in DULL and not (
                name == "content-length" and headers.get("content-type") == ["Content-Type: application/json"]):
                found[f"{prefix}header {name}"] = _plain(" | ".join(lines), folder, port)
        found.update(_body(prefix, answer, folder, port))
    # Those at info are of the modules' inner life.
    kinds = {"log": [], "log at info": [], "log of frames": []}
    for record in _records(records, folder, port):
        kinds[_kind(record)].append(record)
    # Records of a response's end may take another way than those before it: their order says nothing.
    found.update({kind: "\n".join(lines if kind == "log of frames" else sorted(lines)) for kind, lines in kinds.items()})
    found["process"] = "goes on" if same_process else "another one after this"
    return found


def _kind(record):
    if record.startswith("wsgi:info"):
        return "log at info"
    return "log of frames" if re.match(r"wsgi:error ([ |+] |Traceback|$|During|The above)", record) else "log"


def _body(prefix, answer, folder, port):
    """A JSON object by its keys, anything else as it is."""
    if ("Content-Type", "application/json") in answer.headers:
        try:
            value = json.loads(answer.body)
        except ValueError:
            value = None
        if isinstance(value, dict):
            return {f"{prefix}body {key}": _value(key, each, folder, port) for key, each in value.items() if key not in ABSENT}
    text = PAGE.sub(r"(httpd's page: \1)", answer.body.decode("latin-1"))
    return {prefix + "body": _plain(text if len(text) < 2000 else f"{text[:500]} ... {len(text)} bytes", folder, port)}


def _value(key, value, folder, port):
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if key.removeprefix("REDIRECT_") in VOLATILE:
        return text.split()[0]
    return _plain(text, folder, port)


def _plain(text, folder, port):
    text = NONCE.sub('nonce="..."', text)
    # Not where its digits stand in the middle of something, such as an ETag.
    text = re.sub(rf"\b{port}\b", "@PORT@", text.replace(folder, "@FOLDER@"))
    return NAME.sub("_mod_wsgi_...", text)


def _records(lines, folder, port):
    """Level, number and, where the application wrote it, text. The texts of modules are their own, and those of exceptions, too,
    unless the application made them: they say `app:` then."""
    for line in lines:
        line = _plain(line, folder, port)
        match = re.match(r"\[(\w+):(\w+)\] (.*)", line)
        if not match:
            yield line
            continue
        module, level, text = match.groups()
        text = re.sub(r"^\[script [^]]*\] ", "", text)
        number = re.match(r"(WSGI\d{4}|AH\d{5})\b", text)
        if number:
            yield f"{module}:{level} {number.group(1)}"
            continue
        text = re.sub(r"0x[0-9a-f]+", "0x...", text)
        error = ERROR.match(text)
        if error and "app:" not in text:
            text = error.group(0)[:-2]
        if len(text) > 200:
            text = f"{text[:100]} ... {len(text)} characters"
        yield f"{module}:{level} {text}"
