"""Lets SQLite call back into Python: a function, an aggregate, a collation, a progress handler, an authorizer."""
import sqlite3


class Longest:
    def __init__(self):
        self.value = ""

    def step(self, value):
        self.value = max(self.value, value, key=len)

    def finalize(self):
        return self.value


def application(environ, start_response):
    database = sqlite3.connect(":memory:")
    database.create_function("shout", 1, lambda text: text.upper() + "!")
    database.create_aggregate("longest", 1, Longest)
    database.create_collation("backwards", lambda a, b: (a < b) - (a > b))
    database.set_progress_handler(lambda: 0, 10)
    database.set_authorizer(lambda *_: sqlite3.SQLITE_OK)
    database.execute("create table word (text)")
    database.executemany("insert into word values (?)", [("one",), ("three",), ("two",)])
    rows = [row[0] for row in database.execute("select shout(text) from word order by text collate backwards")]
    rows += [row[0] for row in database.execute("select longest(text) from word")]
    database.close()
    body = " ".join(rows).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
