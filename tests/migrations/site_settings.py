"""The stand-in LMS on a throwaway database, as a site that is being upgraded."""

import os

from tests.lms.settings import *  # noqa: F403

DATABASES["default"]["NAME"] = os.environ["UPGRADE_DATABASE"]  # noqa: F405
DEFAULT_AUTO_FIELD = os.environ.get("UPGRADE_AUTO_FIELD", "django.db.models.AutoField")
