"""The settings of one installation: everything that differs between sites comes from the environment (see env.py)."""

from datetime import timedelta
from pathlib import Path

from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

from ums_site import embedded_paths, env, logs
from ums_site.embedded import Needed
from ums_site.timers import TIMER_NAMES, Timers

BASE_DIR = Path(__file__).resolve().parent.parent

# --- the installation ------------------------------------------------------------------------------------------------
UMS_VAR = env.folder("UMS_VAR", BASE_DIR / "var")
UMS_KEYRING = env.folder("UMS_KEYRING", UMS_VAR / "keys" / "keyring.json")
UMS_EMBEDDED = Needed.from_environment()
UMS_TIMERS = Timers(**{name: env.seconds(f"UMS_{name.upper()}", getattr(Timers(), name)) for name in TIMER_NAMES})
UMS_EGRESS_ALLOW = env.networks("UMS_EGRESS_ALLOW")  # where messages to addresses that users gave may go in the house
UMS_PUBLIC_URL = env.text("UMS_PUBLIC_URL", "").rstrip("/")  # how people's phones reach /u/; without it no link is made
UMS_REGION_ATTRIBUTE = env.text("UMS_REGION_ATTRIBUTE", "region")  # of people, which quiet hours of a region ask
DEBUG = env.boolean("UMS_DEBUG", False)
HTTPS = env.boolean("UMS_HTTPS", False)
SECRET_KEY = env.text("UMS_SECRET_KEY", "") or env.secret_from(UMS_VAR / "keys" / "secret_key")
ALLOWED_HOSTS = env.words("UMS_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = env.words("UMS_ORIGINS")

# --- what it is made of ----------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "ums_site.apps.UmsSiteConfig",
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.import_export",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "import_export",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "django_rq",
    "axes",
    "apps.operators.apps.OperatorsConfig",
    "apps.partners.apps.PartnersConfig",
    "apps.channels.apps.ChannelsConfig",
    "apps.users.apps.UsersConfig",
    "apps.templates.apps.TemplatesConfig",
    "apps.campaigns.apps.CampaignsConfig",
    "apps.reports.apps.ReportsConfig",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "ums_site.urls"
WSGI_APPLICATION = "ums_site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# HTML lives in ums_site/templates only: apps/templates is a Python package, not a folder of HTML.
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "ums_site" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- Postgres is the truth, Redis the doorbell -----------------------------------------------------------------------
DATABASES = {"default": env.database(env.text("DATABASE_URL", embedded_paths.database_url(UMS_VAR)))}
DATABASES["default"] |= {
    "CONN_MAX_AGE": env.whole("UMS_DB_MAX_AGE", 60),
    "CONN_HEALTH_CHECKS": True,
    # Set it where a transaction pooler (pgbouncer) stands between: a cursor does not outlive a transaction there.
    "DISABLE_SERVER_SIDE_CURSORS": env.boolean("UMS_DB_POOLER", False),
}
DATABASES["default"]["OPTIONS"] = {
    "application_name": "ums",
    "connect_timeout": "10",
    "options": "-c timezone=UTC -c jit=off -c idle_in_transaction_session_timeout=600000",
} | DATABASES["default"]["OPTIONS"]
if env.boolean("UMS_DB_POOLER", False):
    DATABASES["default"]["OPTIONS"].pop("options")  # a pooler refuses start-up options

REDIS_URL = env.text("REDIS_URL", embedded_paths.redis_url(UMS_VAR))
LANES = ("otp", "notice", "bulk", "receipts", "work")
RQ_QUEUES = {
    lane: {
        "URL": REDIS_URL,
        "DEFAULT_TIMEOUT": int(UMS_TIMERS.job_timeout),
        "SERIALIZER": "rq.serializers.JSONSerializer",  # pickle would let a writer in Redis run code
    }
    for lane in LANES
}
RQ = {"COMMIT_MODE": "on_db_commit"}
RQ_SHOW_ADMIN_LINK = False  # its pages let any staff user empty queues; neither they nor its URLs are mounted

# --- people, passwords, sessions -------------------------------------------------------------------------------------
AUTH_USER_MODEL = "operators.Operator"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AXES_HANDLER = "axes.handlers.database.AxesDatabaseHandler"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.boolean("UMS_PROXY", False) else None
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$"]
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024
FILE_UPLOAD_TEMP_DIR = None
FILE_UPLOAD_PERMISSIONS = 0o600

# --- languages and time ----------------------------------------------------------------------------------------------
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "Asia/Shanghai"
FORMAT_MODULE_PATH = ["ums_site.formats"]
USE_I18N = USE_TZ = True

# --- files -----------------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = UMS_VAR / "static"
MEDIA_ROOT = UMS_VAR / "files"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# --- API -------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.partners.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "UMS",
    "DESCRIPTION": "Unified messaging: one call to send, never twice on a retry, status and receipts back.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "ConsentState": "apps.users.models.ConsentRecord.State",
        "MessageState": "apps.campaigns.states.MessageState",
        "DeliveryState": "apps.campaigns.states.DeliveryState",
        "MessageClass": "apps.campaigns.states.MessageClass",
        "CampaignState": "apps.campaigns.states.CampaignState",
        "ApprovalState": "apps.campaigns.states.ApprovalState",
    },
}
IMPORT_EXPORT_USE_TRANSACTIONS = True
IMPORT_EXPORT_SKIP_ADMIN_LOG = True

# --- console ---------------------------------------------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": _("Unified messaging system"),
    "SITE_HEADER": _("UMS"),
    "SITE_SUBHEADER": _("Unified messaging system"),
    "SITE_URL": None,
    "SITE_SYMBOL": "forum",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("console/icon.svg")},
    ],
    "SHOW_LANGUAGES": True,
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "ums_site.console_nav.zone",
    "STYLES": [lambda _request: static("console/console.css")],
    "DASHBOARD_CALLBACK": "apps.reports.dashboard.dashboard",
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "ums_site.console_nav.navigation",
    },
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 254.604)",
            "100": "oklch(93.2% .032 255.585)",
            "200": "oklch(88.2% .059 254.128)",
            "300": "oklch(80.9% .105 251.813)",
            "400": "oklch(70.7% .165 254.624)",
            "500": "oklch(62.3% .214 259.815)",
            "600": "oklch(54.6% .245 262.881)",
            "700": "oklch(48.8% .243 264.376)",
            "800": "oklch(42.4% .199 265.638)",
            "900": "oklch(37.9% .146 265.522)",
            "950": "oklch(28.2% .091 267.935)",
        },
    },
}

# --- logs ------------------------------------------------------------------------------------------------------------
LOGGING_CONFIG = "ums_site.logs.configure"
LOGGING = logs.configuration(
    shape=env.word("UMS_LOG", "json", {"json", "console"}),
    level=env.word("UMS_LOG_LEVEL", "INFO", {"DEBUG", "INFO", "WARNING", "ERROR"}),
)
