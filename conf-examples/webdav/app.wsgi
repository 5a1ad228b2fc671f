"""A folder served by WebDAV; see webdav.conf. /srv/files/data and /srv/files/users.json are beside the folder of this script.

users.json says who may come in: {"joe": "secret"}. It must be readable by the user of the processes only (chmod 600)."""
import json
from pathlib import Path

from wsgidav.wsgidav_app import WsgiDAVApp

site = Path(__file__).resolve().parent.parent
users = json.loads((site / "users.json").read_text())

application = WsgiDAVApp({
    "provider_mapping": {"/": str(site / "data")},
    "simple_dc": {"user_mapping": {"*": {user: {"password": password} for user, password in users.items()}}},
    "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
    # In the memory of this one process.
    "lock_storage": True,
    "property_manager": True,
    # No pages for browsers.
    "dir_browser": {"enable": False},
    # Exceptions only.
    "verbose": 1,
})
