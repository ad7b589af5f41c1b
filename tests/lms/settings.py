"""The stand-in LMS's settings: loads the plugin through its entry point, as edx-platform does."""

import os
from pathlib import Path

from edx_django_utils.plugins import add_plugins, get_plugin_apps

BASE = Path(__file__).parent
SECRET_KEY = "for tests and the demo alone"  # noqa: S105
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = "tests.lms.urls"
STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    *get_plugin_apps("lms.djangoapp"),
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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

add_plugins(__name__, "lms.djangoapp", "common")
# What a site's YAML holds would stand here, between common and production.
add_plugins(__name__, "lms.djangoapp", "test")


def _database() -> dict:
    """MariaDB where the environment asks for it; else SQLite as the README's commands use it."""
    if os.environ.get("WEBHOOKS_TEST_DATABASE") == "mysql":
        return {
            "ENGINE": "django.db.backends.mysql",
            "NAME": "test",
            "USER": "root",
            "HOST": "127.0.0.1",
            "OPTIONS": {"charset": "utf8mb4"},
            "ATOMIC_REQUESTS": True,
            "TEST": {"NAME": os.environ.get("WEBHOOKS_TEST_DATABASE_NAME", "test_webhooks"), "CHARSET": "utf8mb4"},
        }
    name = os.environ.get("WEBHOOKS_SQLITE", str(BASE / "db.sqlite3"))
    options = {"timeout": 20, "init_command": "PRAGMA journal_mode=WAL;", "transaction_mode": "IMMEDIATE"}
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": name,
        "ATOMIC_REQUESTS": True,
        "OPTIONS": options,
        "TEST": {"NAME": os.environ.get("WEBHOOKS_TEST_SQLITE", str(BASE / "test.sqlite3"))},
    }


DATABASES = {"default": _database()}
OPENEDX_WEBHOOKS_ALLOWED_NETWORKS = ["127.0.0.1", "::1"]
