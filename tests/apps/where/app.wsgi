"""Answers where it was mounted: SCRIPT_NAME, PATH_INFO, the script's file name, the application group."""
import json
import os


def application(environ, start_response):
    body = json.dumps({
        "script_name": environ["SCRIPT_NAME"],
        "path_info": environ["PATH_INFO"],
        "file": os.path.basename(environ["SCRIPT_FILENAME"]),
        "group": environ["mod_wsgi.application_group"],
        "query": environ["QUERY_STRING"],
    }).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def hidden(environ, start_response):
    """As an application does that is reached through a rewrite to /site.wsgi/ and must not show it."""
    environ["SCRIPT_NAME"] = os.path.dirname(environ["SCRIPT_NAME"]).rstrip("/")
    return application(environ, start_response)
