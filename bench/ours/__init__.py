"""UMS itself under the bench: processes with the product's own settings and functions, on the database of the round."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ums_site.settings")
django.setup()
