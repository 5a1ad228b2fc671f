"""Makes the database with one administrator (joe, secret) and collects the static files; run once before a test."""
import os
import sys

folder = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, folder)
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
os.makedirs(os.path.join(folder, "data"), exist_ok=True)

import django
from django.core.management import call_command

django.setup()
call_command("migrate", verbosity=0, run_syncdb=True)
call_command("collectstatic", verbosity=0, interactive=False)

from django.contrib.auth.models import User
from shop.models import Item

User.objects.create_superuser("joe", "joe@example.com", "secret")
Item.objects.create(name="the first item")
