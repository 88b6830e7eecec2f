"""Django as somebody would set it up who picks the peers instead; nothing of UMS is in it."""

import os
from urllib.parse import parse_qs, urlsplit

_database = urlsplit(os.environ["DATABASE_URL"])
SECRET_KEY = "bench"
INSTALLED_APPS = ["bench.peers.apps.PeersConfig", "post_office", "import_export"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.path.strip("/"),
        "USER": _database.username,
        "HOST": parse_qs(_database.query)["host"][0],
        "CONN_MAX_AGE": None,  # kept: the quicker way for a worker
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"
REDIS_URL = os.environ["REDIS_URL"]
SINK_HTTP = f"127.0.0.1:{os.environ.get('SINK_HTTP_PORT', '0')}"
EMAIL_BACKEND = "post_office.EmailBackend"
EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = int(os.environ.get("SINK_SMTP_PORT", "0"))
POST_OFFICE = {
    "BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"},
    "BATCH_SIZE": 2000,
    "LOG_LEVEL": 0,  # no row about each mail
    "THREADS_PER_PROCESS": 5,
}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
LOGGING = {"version": 1, "loggers": {"post_office": {"level": "ERROR"}}}
