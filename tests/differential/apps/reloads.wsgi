def reload_required(path):
    print('app: asked for', path.rpartition('/')[2])
    return False


def application(environ, start_response):
    start_response('200 OK', [])
    return iter([b'reloads'])
