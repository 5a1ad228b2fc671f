class application:
    def __init__(self, environ, start_response):
        start_response('200 OK', [])
    def __iter__(self):
        return iter([b'class'])
