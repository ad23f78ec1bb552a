"""Settings from the environment, each with a default that works on a fresh clone.

docs/settings.md lists names, meanings and defaults; a test compares it with this module.
"""

from __future__ import annotations

from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from labeling.private_files import checked_secret, private_folder, secret_from_file

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()

DATA = Path(env.str("AUDIOTAG_DATA", str(BASE_DIR / "data"))).expanduser().resolve()
private_folder(DATA)
FEATURE_ROOT = DATA / "features"
MODEL_ROOT = DATA / "models"
SNAPSHOT_ROOT = DATA / "snapshots"
PREDICTION_ROOT = DATA / "predictions"
PEAKS_ROOT = DATA / "peaks"
UPLOAD_ROOT = DATA / "uploads"

# --- the site ---------------------------------------------------------------------------
DEBUG = env.bool("AUDIOTAG_DEBUG", False)
SECRET_KEY = checked_secret(env.str("AUDIOTAG_SECRET_KEY", "")) or secret_from_file(
    DATA / "secret_key"
)
ALLOWED_HOSTS = env.list("AUDIOTAG_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
PORT = env.int("AUDIOTAG_PORT", 8000)
BEHIND_HTTPS = env.bool("AUDIOTAG_HTTPS", False)
CSRF_TRUSTED_ORIGINS = env.list("AUDIOTAG_TRUSTED_ORIGINS", default=[])
ROOT_URLCONF = "audiotag_site.urls"
WSGI_APPLICATION = "audiotag_site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "audiotag_site.formats"
TIME_ZONE = env.str("AUDIOTAG_TIME_ZONE", "UTC")
USE_TZ = True
USE_I18N = False

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "django_celery_beat",
    "axes",
    "csp",
    "labeling",
    "workers",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "labeling.views.context.shell",
            ],
        },
    },
]

# --- database ---------------------------------------------------------------------------
DATABASE_URL = env.str("AUDIOTAG_DATABASE_URL", f"sqlite:///{DATA / 'audiotag.sqlite3'}")
DATABASES = {"default": env.db_url_config(DATABASE_URL)}
IS_SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
if IS_SQLITE:
    # With Django's defaults, most of eight writers got "database is locked" (measured).
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536;"
            "PRAGMA mmap_size=134217728; PRAGMA temp_store=MEMORY;"
        ),
    }
    # Tests use a file too: threads sharing a database in memory do not lock as a file does.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA / "test.sqlite3")}
DATABASES["default"]["CONN_MAX_AGE"] = 600
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# --- people -----------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/accounts/login/"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "registration/locked_out.html"
AXES_VERBOSE = False
SESSION_COOKIE_AGE = 60 * 60 * 24 * 14
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_HTTPS
SECURE_SSL_REDIRECT = BEHIND_HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = BEHIND_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
if BEHIND_HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- files ------------------------------------------------------------------------------
STATIC_URL = "/static/"
# Files are served from the packages, so there is no step to collect them.
WHITENOISE_USE_FINDERS = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_TEMP_DIR = str(private_folder(DATA / "tmp"))
IMPORT_MAX_BYTES = env.int("AUDIOTAG_IMPORT_MAX_MB", 200) * 1024 * 1024


def _audio_roots(text: str) -> dict[str, str]:
    """Read `name=path;name=path`."""
    roots: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        name, separator, path = part.partition("=")
        if not separator or not name.strip() or not path.strip():
            raise ImproperlyConfigured(f"AUDIOTAG_AUDIO_ROOTS: {part!r} is not name=path")
        roots[name.strip()] = path.strip()
    return roots


AUDIO_ROOTS = _audio_roots(env.str("AUDIOTAG_AUDIO_ROOTS", ""))

# --- API --------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.SessionAuthentication",
        "rest_framework.authentication.TokenAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "labeling.api.errors.answer_for",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "audiotag",
    "DESCRIPTION": "Label production music: each answer kept apart, dated, with its guideline.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "TrackState": "labeling.models.Track.State",
        "JobState": "labeling.models.Job.State",
        "ModelState": "labeling.models.ModelVersion.State",
    },
}

# --- background work --------------------------------------------------------------------
EMBEDDED_BROKER = private_folder(DATA / "broker")
CELERY_BROKER_URL = env.str("AUDIOTAG_BROKER_URL", "filesystem://")
HAS_EMBEDDED_BROKER = CELERY_BROKER_URL.startswith("filesystem://")
if HAS_EMBEDDED_BROKER:
    # One folder for both directions: senders and readers use the same messages.
    # The default pause of 1 s is slow: at 0.05 s, messages pass 15 times faster (measured).
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(EMBEDDED_BROKER),
        "data_folder_out": str(EMBEDDED_BROKER),
        "control_folder": str(private_folder(DATA / "broker-control")),
        "polling_interval": 0.05,
    }
else:
    # Without the two unacked_restore settings a killed worker's message waits 100 s longer.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 6 * 3600,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 30,
        "socket_connect_timeout": 1,
        "socket_keepalive": True,
        "health_check_interval": 30,
    }
CELERY_BROKER_CONNECTION_TIMEOUT = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True  # the row of a job is the truth of its state
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
DJANGO_CELERY_BEAT_TZ_AWARE = True
CELERY_IMPORTS = ["workers.tasks", "workers.jobs.upkeep"]
AUDIO_PROCESSES = env.int("AUDIOTAG_AUDIO_PROCESSES", 2)
MEMBERS = max(1, env.int("AUDIOTAG_MEMBERS", 4))
HEARTBEAT_S = env.float("AUDIOTAG_HEARTBEAT_S", 2.0)
STALE_AFTER_S = env.float("AUDIOTAG_STALE_AFTER_S", 20.0)
WORKER_SEEN_S = 15.0
# Set by `run_audiotag` for its children, which stop when it is gone.
IS_SUPERVISED = env.bool("AUDIOTAG_SUPERVISED", False)

# --- retention (`prune`) -----------------------------------------------------------------
KEEP_MODELS = env.int("AUDIOTAG_KEEP_MODELS", 10)
KEEP_JOBS_DAYS = env.int("AUDIOTAG_KEEP_JOBS_DAYS", 90)
KEEP_UPLOADS_DAYS = env.int("AUDIOTAG_KEEP_UPLOADS_DAYS", 30)

# --- logging ----------------------------------------------------------------------------
LOG_LEVEL = env.str("AUDIOTAG_LOG_LEVEL", "INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "labeling": {"level": LOG_LEVEL},
        "workers": {"level": LOG_LEVEL},
        "axes": {"level": "ERROR"},
        "kombu.connection": {"level": "ERROR"},  # a folder has no host name
    },
}
