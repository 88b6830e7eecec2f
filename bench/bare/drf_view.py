"""A WSGI application with nothing in it but DRF and one INSERT: what accepting costs at least. For gunicorn."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ums_site.settings")
settings.ROOT_URLCONF = "bench.bare.drf_urls"
settings.MIDDLEWARE = []
settings.DATABASES["default"]["CONN_HEALTH_CHECKS"] = False  # one INSERT, and no question before it
application = get_wsgi_application()
