"""The annotations of ``settings/common.py`` (OEP-17), read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "openedx_webhooks" / "settings" / "common.py"
_ANNOTATION = re.compile(r"\.\. setting_(\w+): (.*)")


def annotations() -> Iterator[dict[str, str]]:
    """Yield the annotations of each setting, in the order of the source; lines that go on are joined."""
    found: dict[str, str] = {}
    key = ""
    for line in SOURCE.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if not text.startswith("#"):
            if found:
                yield found
            found, key = {}, ""
        elif match := _ANNOTATION.fullmatch(text.lstrip("# ")):
            key = match[1]
            found[key] = match[2]
        elif key:
            found[key] += " " + text.lstrip("# ")
