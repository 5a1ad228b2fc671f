"""Answers as the request body says: JSON with status, headers, write, items, kind, and where to raise."""
import json


def application(environ, start_response):
    plan = json.loads(environ["wsgi.input"].read() or "{}")
    headers = [tuple(pair) for pair in plan.get("headers", [["Content-Type", "text/plain"]])]
    fail = plan.get("fail")
    if fail == "at once":
        raise ValueError("failed at once")
    write = start_response(plan.get("status", "200 OK"), headers)
    if fail == "after start_response":
        raise ValueError("failed after start_response")
    for text in plan.get("write", []):
        write(text.encode("latin-1"))
    if fail == "after write":
        raise ValueError("failed after write")
    items = [text.encode("latin-1") for text in plan.get("items", [])]

    def generate():
        yield from items
        if fail == "in the generator":
            raise ValueError("failed in the generator")
        if fail == "by exit":
            raise SystemExit("leaving")

    class Sized:
        """Has a length and items, but is neither list nor tuple."""
        def __len__(self):
            return len(items)

        def __getitem__(self, index):
            return items[index]

    return {"list": items, "tuple": tuple(items), "generator": generate(), "sequence": Sized()}[plan.get("kind", "list")]
