"""Sphinx configuration."""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "docs" / "_ext")]

from openedx_webhooks import __version__  # noqa: E402

project = "openedx-webhooks"
author = "The openedx-webhooks authors"
version = release = __version__
language = "en"

extensions = ["annotated_settings", "golden_body"]
exclude_patterns = ["_build"]
html_theme = "sphinx_book_theme"
html_title = f"openedx-webhooks {version}"
html_static_path = ["_static"]
html_theme_options = {"use_download_button": False, "home_page_in_toc": True}
nitpicky = True
