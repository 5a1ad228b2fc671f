"""Forks a child that ends at once, and answers how."""
import json
import os


def application(environ, start_response):
    child = os.fork()
    if not child:
        os._exit(7)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"status": status, "main": not environ["mod_wsgi.application_group"]}).encode()]
