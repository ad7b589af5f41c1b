"""The directive ``annotated-settings``: the settings of ``settings/common.py``, as its annotations describe them (OEP-17)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SOURCE = Path(__file__).parents[2] / "openedx_webhooks" / "settings" / "common.py"
_ANNOTATION = re.compile(r"\.\. setting_(\w+): (.*)")


def annotations(source: str) -> Iterator[dict[str, str]]:
    """Yield the annotations of each setting, in the order of the source; lines that go on are joined."""
    found: dict[str, str] = {}
    key = ""
    for line in source.splitlines():
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


class AnnotatedSettings(SphinxDirective):
    """Renders a definition list: name and default, description and warning."""

    def run(self) -> list[nodes.Node]:
        """Return the nodes."""
        lines: list[str] = []
        for setting in annotations(SOURCE.read_text(encoding="utf-8")):
            lines += [f"``{setting['name']}``, default ``{setting['default']}``", f"   {setting['description']}", ""]
            if "warning" in setting:
                lines += ["   .. warning::", f"      {setting['warning']}", ""]
        self.env.note_dependency(str(SOURCE))
        node = nodes.container()
        self.state.nested_parse(StringList(lines, source=str(SOURCE)), self.content_offset, node)
        return node.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("annotated-settings", AnnotatedSettings)
    return {"parallel_read_safe": True}
