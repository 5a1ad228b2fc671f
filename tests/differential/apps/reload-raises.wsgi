def reload_required(path):
    raise ValueError('app: in reload_required')


def application(environ, start_response):
    start_response('200 OK', [])
    return iter([b'reload'])
