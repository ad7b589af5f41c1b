"""The directive ``annotated-settings``: every setting, as its annotations describe it."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from setting_annotations import SOURCE, annotations
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class AnnotatedSettings(SphinxDirective):
    """Renders a definition list: name and default, description and warning."""

    def run(self) -> list[nodes.Node]:
        """Return the nodes."""
        lines: list[str] = []
        for setting in annotations():
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
