import sys
print('app: printed')
sys.stderr.write('app: on stderr\n')


def application(environ, start_response):
    start_response('200 OK', [])
    return iter([b'printed'])
