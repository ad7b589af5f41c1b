"""The directive ``golden-body``: a body that the tests compare byte for byte, spread over lines for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

GOLDEN = Path(__file__).parents[2] / "tests" / "payloads" / "golden"


class GoldenBody(SphinxDirective):
    """Shows one file; its name is the argument."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a block of code."""
        path = GOLDEN / self.arguments[0]
        text = path.read_text(encoding="ascii")
        is_json = path.suffix == ".json"
        shown = json.dumps(json.loads(text), indent=2) if is_json else text.replace("&", "\n&")
        self.env.note_dependency(str(path))
        return [nodes.literal_block(shown, shown, language="json" if is_json else "text")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("golden-body", GoldenBody)
    return {"parallel_read_safe": True}
