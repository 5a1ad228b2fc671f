"""The Python modules `mod_wsgi` and `apache`, beside what bootstrap.py has: events, figures, a handler for logging.

Executed by native.rs in the namespace of bootstrap.py. `native` are functions of ours that Python code can't replace.
"""

CRIT, WARN, DEBUG = 2, 4, 7

native = None

event_callbacks = []
shutdown_callbacks = []
signal_callbacks = []
# By request id; native code puts requests in and takes them out, once there is something in `watched`.
active_requests = {}
watched = []


def subscribe_events(callback, /):
    """Has the callback called for each event of this interpreter."""
    event_callbacks.append(callback)
    native["measure"]()
    return callback


def subscribe_shutdown(callback, /):
    """Has the callback called before the process ends."""
    shutdown_callbacks.append(callback)
    return callback


def subscribe_signals(callback, /):
    """Has the callback called when a daemon process gets SIGHUP or SIGUSR2."""
    if module.process_group:
        signal_callbacks.append(callback)
        return callback
    import traceback

    note = "mod_wsgi.subscribe_signals() has no effect in httpd's own processes: signals there are httpd's; called here:"
    for line in [note, *"".join(traceback.format_stack()[:-1]).splitlines()]:
        emit(INFO, line.encode("utf-8", "replace"))
    return callback


def publish(callbacks, name, payload):
    """Calls each; what one returns in a dict is in the payload for those after it. Nothing that one raises hurts the others."""
    for callback in list(callbacks):
        try:
            answer = callback(name, **payload)
        except RequestTimeout:
            # Meant for the request that this thread serves.
            raise
        except BaseException as failure:
            number = "WSGI0190" if isinstance(failure, SystemExit) else "WSGI0112"
            kind = type(failure).__name__
            lines = [f"{number}: a callback for the event {name} raised {kind}; the request and other callbacks go on:"]
            for line in lines + describe(failure):
                emit(ERROR, line.encode("utf-8", "replace"))
        else:
            if isinstance(answer, dict):
                payload.update((key, value) for key, value in answer.items() if isinstance(key, str))
    return payload


class Events:
    """A request for its subscribers: what all of its events tell."""

    __slots__ = ("request", "identity", "data")

    def __init__(self, environ, data):
        self.request = {"request_id": environ["mod_wsgi.request_id"]} if "mod_wsgi.request_id" in environ else {}
        self.identity = {"thread_id": environ["mod_wsgi.thread_id"]}
        times = {name: environ["mod_wsgi." + name] for name in ("request_start", "queue_start", "daemon_start")}
        self.identity.update(server_pid=int(environ["mod_wsgi.server_pid"]), **times)
        self.data = data

    def started(self, environ, application):
        identity = dict(self.identity)
        in_daemon = bool(module.process_group)
        payload = {
            **self.request,
            "thread_id": identity.pop("thread_id"),
            # A request that reaches an application has had one connection to its process; others never see it.
            "daemon_connects": int(in_daemon),
            "daemon_restarts": 0,
            **identity,
            "application_object": application,
            "callable_object": environ["mod_wsgi.callable_object"],
            "request_environ": environ,
            "application_start": environ["mod_wsgi.application_start"],
            "request_data": self.data,
        }
        return publish(event_callbacks, "request_started", payload)["application_object"]

    def watch(self, start_response):
        def watched(*arguments):
            if len(arguments) in (2, 3):
                status, headers, failure = (*arguments, None)[:3]
                payload = {"response_status": status, "response_headers": headers, "exception_info": failure}
                publish(event_callbacks, "response_started", {**self.request, **payload, "request_data": self.data})
            return start_response(*arguments)

        return watched


def request_started(environ, application, data, start_response):
    """What is called in place of both, and what later events need."""
    native["measure"]()
    events = Events(environ, data)
    return events, events.started(environ, application), events.watch(start_response)


def request_exception(events, failure):
    information = (type(failure), failure, failure.__traceback__)
    publish(
        event_callbacks,
        "request_exception",
        {**events.request, "exception_info": information, "request_data": events.data},
    )


def rule_broken(events, text):
    """The same for what no code of the application's has raised: an answer that is against PEP 3333."""
    kind, _, cause = text.partition(": ")
    classes = {"TypeError": TypeError, "ValueError": ValueError}
    request_exception(events, classes.get(kind, RuntimeError)(cause or kind))


def request_finished(events, figures):
    publish(event_callbacks, "request_finished", {**events.request, **events.identity, **figures, "request_data": events.data})


def signal_arrived(name, number):
    payload = {"signame": name, "signum": number}
    publish(event_callbacks + signal_callbacks, "process_signal", payload)


STOPPING = []


def process_stopping(reason):
    if not STOPPING:
        STOPPING.append(reason)
        publish(event_callbacks + shutdown_callbacks, "process_stopping", {"shutdown_reason": reason})


def processor_times():
    times = os.times()
    return times.user, times.system


def memory():
    """Resident bytes now, and at most so far."""
    sizes = {}
    with open("/proc/self/status", "rb") as file:
        for line in file:
            name, _, rest = line.partition(b":")
            if name in (b"VmRSS", b"VmHWM"):
                sizes[name] = int(rest.split()[0]) * 1024
    return {"memory_max_rss": sizes.get(b"VmHWM", 0), "memory_rss": sizes.get(b"VmRSS", 0)}


def start_recording_metrics():
    """Has requests measured from now on, for request_metrics() and process_metrics()."""
    native["record"](*processor_times())


def request_metrics():
    """Figures about the requests that ended since the last call in this interpreter; None before start_recording_metrics()."""
    figures = native["request_figures"](*processor_times())
    return None if figures is None else {"pid": os.getpid(), **memory(), **figures}


def process_metrics():
    """Figures about this process; None before start_recording_metrics()."""
    figures = native["process_figures"]()
    if figures is None:
        return None
    user, system = processor_times()
    times = {"cpu_user_time": user, "cpu_system_time": system, "cpu_time": user + system}
    return {"pid": os.getpid(), **memory(), **times, **figures}


def log_handler():
    """mod_wsgi.LogHandler; made when somebody asks for it, because logging is slow to import."""
    import logging

    class LogHandler(logging.Handler):
        """Writes records to httpd's error log, with their own level."""

        def emit(self, record):
            try:
                number = record.levelno
                levels = ((50, CRIT), (40, ERROR), (30, WARN), (20, INFO))
                level = next((level for least, level in levels if number >= least), DEBUG)
                if native["logs"](level):
                    for line in self.format(record).splitlines() or [""]:
                        emit(level, line.encode("utf-8", "replace"))
            except (RecursionError, RequestTimeout):
                raise
            except Exception:
                self.handleError(record)

    LogHandler.__module__ = "mod_wsgi"
    LogHandler.__qualname__ = "LogHandler"
    return LogHandler


def module_attribute(name):
    if name == "LogHandler":
        module.LogHandler = log_handler()
        return module.LogHandler
    if name == "active_requests":
        watched.append(name)
        native["list_requests"]()
        module.active_requests = active_requests
        return active_requests
    raise AttributeError(f"module 'mod_wsgi' has no attribute {name!r}")


def module_names():
    return sorted({*vars(module), "LogHandler", "active_requests"} - {"__getattr__", "__dir__"})


module = ModuleType("mod_wsgi", "Apache's WSGI module.")
for part in (
    FileWrapper,
    RequestTimeout,
    subscribe_events,
    subscribe_shutdown,
    subscribe_signals,
    start_recording_metrics,
    request_metrics,
    process_metrics,
):
    part.__module__ = "mod_wsgi"
    setattr(module, part.__name__, part)
module.event_callbacks = event_callbacks
module.shutdown_callbacks = shutdown_callbacks
module.signal_callbacks = signal_callbacks
module.__getattr__ = module_attribute
module.__dir__ = module_names


def install(settings, functions):
    """Makes the modules importable."""
    global native
    native = functions
    for name in ("version", "process_group", "application_group", "maximum_processes", "threads_per_process"):
        setattr(module, name, settings[name])
    module.request_data = functions["request_data"]
    module.server_metrics = functions["server_metrics"]
    package = package_path("mod_wsgi")
    if package is not None:
        module.__path__ = package
    sys.modules["mod_wsgi"] = module
    apache = apache_module(bool(settings["process_group"]))
    for name, value in settings["apache"].items():
        setattr(apache, name, value)
    sys.modules["apache"] = apache


def apache_module(in_daemon):
    """An empty module, or one of the application's of that name, which gets our attributes in httpd's own processes."""
    if not in_daemon and package_found("apache"):
        import importlib

        try:
            return importlib.import_module("apache")
        except Exception as failure:
            text = f"WSGI0540: the module apache that was found on sys.path can't be imported; another one stands for it:"
            for line in [text, *describe(failure)]:
                emit(ERROR, line.encode("utf-8", "replace"))
    return ModuleType("apache", "The Apache HTTP server.")
