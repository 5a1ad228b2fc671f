# Of WSGIHandlerScript.
from tools import described, reply


def handle_request(environ, start_response):
    return reply(start_response, {key: described(value) for key, value in environ.items()})
