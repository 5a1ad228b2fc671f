"""What the applications of the harness share: a script holds many of them, each with the request that asks for it."""
import json


class Apps:
    """Applications by name, which is the path behind the script's: the callable of a script."""

    def __init__(self):
        self.functions, self.requests = {}, {}

    def app(self, function=None, **request):
        """Decorates an application. The words are those of `Request`; path: what follows the application's name."""
        if function is None:
            return lambda function: self.app(function, **request)
        return self.add(function.__name__.replace("_", "-"), function, **request)

    def add(self, name, function, **request):
        assert name not in self.functions, name
        self.functions[name], self.requests[name] = function, request
        return function

    def __call__(self, environ, start_response):
        name = environ["PATH_INFO"].split("/")[1]
        return self.functions[name](environ, start_response)


def reply(start_response, value, status="200 OK"):
    """`value` as JSON; the comparison shows each key of a dict by itself."""
    body = json.dumps(value, sort_keys=True, default=described).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def described(value):
    """An object as type and value, without what changes from run to run."""
    if isinstance(value, (str, bytes, int, bool, tuple, list, dict, type(None))):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, type):
        return f"type {value.__module__}.{value.__qualname__}"
    return f"object of {type(value).__module__}.{type(value).__qualname__}"


def raised(work, *arguments, **named):
    """What a call gives: its result, or which exception."""
    try:
        return described(work(*arguments, **named))
    except BaseException as error:
        return "raises " + "/".join(each.__name__ for each in type(error).__mro__[:-2] if each is not Exception)


def attributes(thing):
    """Names of an object that are not private, with the types of the values."""
    found = {}
    for name in sorted(each for each in dir(thing) if not each.startswith("_")):
        try:
            found[name] = type(getattr(thing, name)).__name__
        except BaseException as error:
            found[name] = "raises " + type(error).__name__
    return found
