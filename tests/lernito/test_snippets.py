"""What the documentation shows works as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from common.djangoapps.student.models import CourseEnrollment

from openedx_webhooks import app_settings, signing
from openedx_webhooks.models import LernitoOrder
from tests.lernito.conftest import PATH, SECRET, make_courses, make_user

DOCS = Path(__file__).parents[2] / "docs" / "how-tos"
SNIPPETS = {
    "order.py": ("sorted-json", [sys.executable]),
    "order_standard.py": ("standard", [sys.executable]),
    "order.sh": ("lernito", ["bash", "-euo", "pipefail"]),
    "order.mjs": ("lernito", ["node"]),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("secret", [SECRET, signing.generate_secret()], ids=["text", "whsec"])
@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_enrolls(live_server: Any, settings: Any, name: str, secret: str) -> None:
    scheme, command = SNIPPETS[name]
    missing = [
        tool for tool in (command[0], *(["curl", "openssl"] if name == "order.sh" else [])) if not shutil.which(tool)
    ]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed here")
    settings.LERNITO_WEBHOOK_SECRET = secret
    make_courses()
    user = make_user()
    done = subprocess.run(
        [*command, str(DOCS / "lernito" / name)],
        env={**os.environ, "LERNITO_URL": f"{live_server.url}{PATH}", "LERNITO_WEBHOOK_SECRET": secret},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert '"success": true' in done.stdout
    assert "200" in done.stdout
    assert CourseEnrollment.objects.filter(user=user, is_active=True).exists()
    assert LernitoOrder.objects.get().scheme == scheme


def test_the_tutor_plugin_sets_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The patch is Python that the LMS's settings run."""
    page = (DOCS / "lernito.rst").read_text()
    block = re.search(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", page)
    assert block
    patches: list[tuple[str, str]] = []
    hooks = SimpleNamespace(Filters=SimpleNamespace(ENV_PATCHES=SimpleNamespace(add_item=patches.append)))
    monkeypatch.setitem(sys.modules, "tutor", SimpleNamespace(hooks=hooks))
    exec(textwrap.dedent(block[1]), {})
    [(name, patch)] = patches
    site: dict[str, Any] = {}
    exec(patch, site)
    assert (name, site["LERNITO_WEBHOOK_SECRET"]) == ("openedx-lms-common-settings", "<the secret>")


def test_the_page_shows_every_snippet_and_no_other() -> None:
    page = (DOCS / "lernito.rst").read_text()
    assert {f"lernito/{path.name}" for path in (DOCS / "lernito").iterdir()} == {f"lernito/{name}" for name in SNIPPETS}
    assert all(f".. literalinclude:: lernito/{name}\n" in page for name in SNIPPETS)


def test_the_page_states_every_setting_and_its_default() -> None:
    page = (DOCS / "lernito.rst").read_text()
    ours = [setting for setting in app_settings.all_settings() if "LERNITO" in setting.name]
    assert len(ours) == 6
    for setting in ours:
        shown = {None: "none", "600/minute": '``"600/minute"``', False: "``False``"}.get(
            setting.default, setting.default
        )
        assert f"   * - ``{setting.name}``\n     - {shown}\n" in page
