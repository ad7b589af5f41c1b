"""The pages name what the code has, and no decision is missing that the code refers to."""

from __future__ import annotations

import configparser
import contextlib
import itertools
import re
import textwrap
import time
import urllib.request
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db.models import TextChoices

from openedx_webhooks import api, app_settings, models, signing
from openedx_webhooks.data import Failure
from openedx_webhooks.payloads import formats, truncation
from openedx_webhooks.settings import common

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HEADINGS = ["Status", "Context", "Decision", "Consequences", "Rejected Alternatives"]
DECISIONS = sorted(DOCS.glob("decisions/*.rst"))


def page(name: str) -> str:
    return (DOCS / f"{name}.rst").read_text(encoding="utf-8")


def annotated() -> dict[str, str]:
    """Return the annotated default of each setting by its name."""
    source = Path(common.__file__).read_text(encoding="utf-8")
    return dict(re.findall(r"# \.\. setting_name: (\w+)\n    # \.\. setting_default: (.+)\n", source))


def test_every_setting_is_annotated_with_its_default() -> None:
    assert annotated() == {setting.name: str(setting.default) for setting in app_settings.all_settings()}


def test_every_setting_is_assigned_its_default_and_lists_are_the_sites_own() -> None:
    site: Any = SimpleNamespace()
    common.plugin_settings(site)
    for setting in app_settings.all_settings():
        assigned = getattr(site, setting.name)
        assert assigned == setting.default
        assert not isinstance(assigned, list) or assigned is not setting.default


def test_the_page_of_settings_is_made_from_the_annotations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    import setting_annotations

    found = list(setting_annotations.annotations())
    assert {setting["name"]: setting["default"] for setting in found} == annotated()
    assert all(setting["description"].endswith(".") for setting in found)
    assert ".. annotated-settings::" in page("references/settings")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("references/states", models.Delivery.Status),
        ("references/states", models.Delivery.Reason),
        ("references/states", api.State),
        ("references/states", Failure),
        ("references/replies", models.FilterCall.Outcome),
    ],
    ids=["status", "reason", "state", "failure", "outcome"],
)
def test_every_value_is_explained(name: str, values: type[StrEnum] | type[TextChoices]) -> None:
    text = page(name)
    assert [value.value for value in values if f"``{value.value}``" not in text] == []


def test_every_media_type_and_the_rule_of_cutting_are_stated() -> None:
    text = page("references/formats")
    assert all(f"``{kind}``" in text for kind in formats._CONTENT_TYPES.values())
    assert f"longer than {max(truncation.TEXT_LIMITS):,} characters" in text
    assert f"down to {min(truncation.TEXT_LIMITS)}." in text
    assert f"first {max(truncation.ITEM_LIMITS):,} items" in text


def test_the_map_names_every_room() -> None:
    walls = configparser.ConfigParser()
    walls.read(ROOT / ".importlinter")
    layers = re.findall(r"^[a-z(].*$", walls["importlinter:contract:rooms"]["layers"], re.MULTILINE)
    package = ROOT / "openedx_webhooks"
    rooms = {room for layer in layers for room in re.findall(r"\w+", layer)}
    existing = {room for room in rooms if (package / room).is_dir() or (package / f"{room}.py").exists()}
    assert len(existing) > 15
    text = page("references/rooms")
    assert sorted(room for room in existing if f"``{room}``" not in text) == []


def test_every_name_of_the_api_is_described() -> None:
    text = page("references/python")
    source = Path(api.__file__).read_text(encoding="utf-8")
    public = re.findall(r"^def ([a-z]\w*)\(", source, re.MULTILINE)
    assert public
    assert [name for name in public if f"``{name}(" not in text] == []


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_headings(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    number = path.name.partition("-")[0]
    assert text.startswith(f"{number}: ")
    assert re.findall(r"^(.+)\n\*+$", text, re.MULTILINE) == HEADINGS


def test_decisions_are_numbered_and_those_that_the_code_names_exist() -> None:
    numbers = [path.name[:4] for path in DECISIONS]
    assert numbers == [f"{n:04}" for n in range(1, len(numbers) + 1)]
    sources = [*(ROOT / "openedx_webhooks").rglob("*.py"), ROOT / ".importlinter", *ROOT.glob("requirements/*.in")]
    named = {
        number
        for path in sources
        for number in re.findall(r"(?:docs/decisions/|ADR )(\d{4})", path.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= set(numbers)


def test_every_kind_of_incident_is_named() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "openedx_webhooks").rglob("*.py")]
    kinds = {
        kind for text in sources for kind in re.findall(r"""(?:incident\.note|self\.report)\(\s*"([^"]+)\"""", text)
    }
    assert {"outbox", "wake-up"} <= kinds
    text = page("references/states")
    assert sorted(kind for kind in kinds if f"``{kind}``" not in text) == []


EXAMPLES = [
    ("references/events", 0),
    ("references/commands", 0),
    ("how-tos/retries-and-replay", 0),
    ("how-tos/retries-and-replay", 1),
    ("how-tos/without-celery", 0),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "number"), EXAMPLES)
def test_an_example_runs(name: str, number: int) -> None:
    found = re.findall(r"( *)\.\. code-block:: python\n\n((?:\1   .*\n|\n)+)", page(name))
    names: dict[str, Any] = {}
    exec(compile(textwrap.dedent(found[number][1]), name, "exec"), names)
    for setting in app_settings.all_settings():
        if setting.name in names:
            setting._parse(names[setting.name])


def test_the_example_of_a_receiver_runs() -> None:
    found = re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", page("references/python"))
    (source,) = (textwrap.dedent(block) for block in found if "Receiver" in block)
    secret = signing.generate_secret()
    body, number = b"{}", itertools.count()

    def let_something_post(url: str) -> None:
        for _ in range(4):
            headers = signing.headers([signing.decode_secret(secret)], "msg", int(time.time()), body)
            with contextlib.suppress(OSError):
                urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10).close()
            next(number)

    marked = source.replace('...  # let something POST to receiver.url("/hook")', "post(receiver.url('/hook'))")
    assert marked != source
    exec(marked, {"post": let_something_post, "webhook": SimpleNamespace(secret=secret)})
    assert next(number) == 4
