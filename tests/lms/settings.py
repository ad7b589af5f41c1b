"""The stand-in LMS's settings: loads the plugin through its entry point, in the order that edx-platform does.

What the environment may say:

- ``WEBHOOKS_TEST_DATABASE=mysql``: MariaDB on loopback in place of SQLite; ``WEBHOOKS_TEST_DATABASE_NAME`` names the
  tests' database, ``WEBHOOKS_DATABASE_NAME`` the one that commands use.
- ``WEBHOOKS_SQLITE`` and ``WEBHOOKS_TEST_SQLITE``: the files of the two on SQLite.
- ``WEBHOOKS_SITE_SETTINGS``: a JSON object, the site's YAML file.
- ``WEBHOOKS_BROKER_URL`` (``memory://``) and ``WEBHOOKS_CELERY_ALWAYS_EAGER=1``.
"""

import json
import os
from pathlib import Path
from typing import Any

from edx_django_utils.plugins import add_plugins, get_plugin_apps

BASE = Path(__file__).parent

# --- What the platform's common.py sets.

SERVICE_VARIANT = "lms"
SECRET_KEY = "for tests and the demo alone"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
ROOT_URLCONF = "tests.lms.urls"
LOGIN_URL = "/login"
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE / "demo" / "static"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
DATA_UPLOAD_MAX_MEMORY_SIZE = None
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "lms"}}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "openedx_events",
    "openedx.core.djangoapps.plugins",
    "openedx.core.djangoapps.content.course_overviews",
    "openedx.core.djangoapps.user_api",
    "common.djangoapps.course_modes",
    "common.djangoapps.student",
    *get_plugin_apps("lms.djangoapp"),
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "edx_django_utils.cache.middleware.RequestCacheMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE / "demo" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

CELERY_ALWAYS_EAGER = os.environ.get("WEBHOOKS_CELERY_ALWAYS_EAGER") == "1"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_RESULT_BACKEND = "cache+memory://"
CELERY_TRACK_STARTED = True
CELERY_CREATE_MISSING_QUEUES = True
CELERY_DEFAULT_QUEUE = "edx.lms.core.default"
CELERY_DEFAULT_ROUTING_KEY = "edx.lms.core.default"
CELERY_QUEUES: dict[str, dict[str, str]] = {f"edx.lms.core.{queue}": {} for queue in ("default", "high", "high_mem")}
CELERY_ROUTES = ("lms.celery.route_task",)
CELERYD_HIJACK_ROOT_LOGGER = False
BROKER_POOL_LIMIT = 0
BROKER_CONNECTION_TIMEOUT = 1
BROKER_HEARTBEAT = 60.0


def _database() -> dict[str, Any]:
    """MariaDB where the environment asks for it, else SQLite; each request is a transaction on both."""
    if os.environ.get("WEBHOOKS_TEST_DATABASE") == "mysql":
        return {
            "ENGINE": "django.db.backends.mysql",
            "NAME": os.environ.get("WEBHOOKS_DATABASE_NAME", "test"),
            "USER": "root",
            "HOST": "127.0.0.1",
            "OPTIONS": {"charset": "utf8mb4"},
            "ATOMIC_REQUESTS": True,
            "TEST": {
                "NAME": os.environ.get("WEBHOOKS_TEST_DATABASE_NAME", "test_webhooks"),
                "CHARSET": "utf8mb4",
                # A Tutor site's: to it, unlike to the servers' own defaults, sharp s equals ss.
                "COLLATION": "utf8mb4_unicode_ci",
            },
        }
    return {
        "ENGINE": "tests.lms.immediate_sqlite",
        "NAME": os.environ.get("WEBHOOKS_SQLITE", str(BASE / "db.sqlite3")),
        "ATOMIC_REQUESTS": True,
        "OPTIONS": {"timeout": 20},
        # A file: each thread has a connection of its own.
        "TEST": {"NAME": os.environ.get("WEBHOOKS_TEST_SQLITE", str(BASE / "test.sqlite3"))},
    }


DATABASES = {"default": _database()}

add_plugins(__name__, "lms.djangoapp", "common")

# --- What the platform's production.py does: the site's YAML wins over the defaults, then plugins may mend it.

BROKER_URL = os.environ.get("WEBHOOKS_BROKER_URL", "memory://")
OPENEDX_WEBHOOKS_ALLOWED_NETWORKS = ["127.0.0.1", "::1"]
globals().update(json.loads(os.environ.get("WEBHOOKS_SITE_SETTINGS", "{}")))

add_plugins(__name__, "lms.djangoapp", "production")

EXPLICIT_QUEUES: dict[str, dict[str, str]] = {}
