# The environ as it is: each key with the type and the value.
from tools import described, reply


def application(environ, start_response):
    environ.get("wsgi.input").read()
    return reply(start_response, {key: described(value) for key, value in environ.items()})


def other(environ, start_response):
    environ["callable"] = "other"
    return application(environ, start_response)
