"""As many lines of 16 bytes as the query says first, in pieces of so many as it says second; they are numbered from the third on."""


def application(environ, start_response):
    lines, most, first = (int(number) for number in environ["QUERY_STRING"].split(","))
    start_response("200 OK", [("Content-Type", "text/plain")])
    text = b"".join(b"line %010d\n" % number for number in range(first, first + lines))
    return [text[at:at + 16 * most] for at in range(0, len(text), 16 * most)]
