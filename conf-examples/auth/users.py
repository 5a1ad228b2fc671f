"""Tells httpd of users, their passwords and their groups, out of a database beside this file.

To add a user, or to give one another password or other groups (the password is asked for):

    python3 users.py joe staff admins

httpd's user must be able to read users.db, and nobody else needs to.
"""
import getpass
import hashlib
import hmac
import os
import sqlite3
import sys

DATABASE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "users.db")
REALM = "the shop"  # as AuthName has it; only digests depend on it


def find(user):
    database = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)
    try:
        return database.execute("SELECT salt, password, digest, groups FROM users WHERE name = ?", (user,)).fetchone()
    finally:
        database.close()


def scrambled(password, salt):
    return hashlib.scrypt(password.encode("latin-1"), salt=salt, n=16384, r=8, p=1)


def check_password(environ, user, password):
    """AuthBasicProvider wsgi"""
    known = find(user)
    if known is None:
        return None
    salt, right, _, _ = known
    return hmac.compare_digest(scrambled(password, salt), right)


def get_realm_hash(environ, user, realm):
    """AuthDigestProvider wsgi"""
    known = find(user)
    return None if known is None or realm != REALM else known[2]


def groups_for_user(environ, user):
    """Require wsgi-group"""
    known = find(user)
    return [] if known is None else known[3].split()


def add(user, password, groups):
    # As httpd passes on what browsers send: UTF-8, each byte as one character.
    user, password = (text.encode().decode("latin-1") for text in (user, password))
    salt = os.urandom(16)
    digest = hashlib.md5(f"{user}:{REALM}:{password}".encode("latin-1")).hexdigest()
    database = sqlite3.connect(DATABASE)
    with database:
        database.execute("CREATE TABLE IF NOT EXISTS users (name PRIMARY KEY, salt, password, digest, groups)")
        row = user, salt, scrambled(password, salt), digest, " ".join(groups)
        database.execute("INSERT OR REPLACE INTO users VALUES (?, ?, ?, ?, ?)", row)
    database.close()


if __name__ == "__main__":
    name, *memberships = sys.argv[1:]
    add(name, getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n"), memberships)
