#!/usr/bin/env python
"""Django's command line, on the stand-in LMS."""

import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "tests" / "lms")]

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.lms.settings")

    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
