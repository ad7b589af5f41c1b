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
from django.apps import apps
from django.db.models import TextChoices

from openedx_webhooks import api, app_settings, models, signing
from openedx_webhooks.admin import webhook
from openedx_webhooks.data import Failure
from openedx_webhooks.deliveries import claim, engine, outbox, retry, rooms, slot
from openedx_webhooks.egress import resolver
from openedx_webhooks.lernito import enrollment, serializers
from openedx_webhooks.management.commands import webhooks_deliver
from openedx_webhooks.models import lines
from openedx_webhooks.payloads import formats, truncation
from openedx_webhooks.settings import common
from openedx_webhooks.webfilters import exchange, halting, replies

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


def test_the_setting_of_drains_says_how_many_requests_one_has() -> None:
    assert f"One has up to {rooms.SOCKETS} requests under way" in Path(common.__file__).read_text(encoding="utf-8")


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
    kinds = {kind for text in sources for kind in re.findall(r"""(?:incident\.note|\breport)\(\s*"([^"]+)\"""", text)}
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


def test_the_commands_that_are_named_are_those_that_exist() -> None:
    existing = {path.stem for path in (ROOT / "openedx_webhooks" / "management" / "commands").glob("webhooks_*.py")}
    texts = [path.read_text(encoding="utf-8") for path in [ROOT / "README.rst", *DOCS.rglob("*.rst")]]
    named = {
        name for text in texts for name in re.findall(r"\bwebhooks_(?:deliver|doctor|purge|replay|catalog)\b", text)
    }
    assert named == existing
    assert [name for name in existing if f"``manage.py lms {name}" not in page("references/commands")] == []


def test_the_log_lines_are_those_that_are_logged() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "openedx_webhooks").rglob("*.py"))
    table = page("references/states").partition("Lines in the log")[2]
    shown = re.findall(r"   \* - ``openedx_webhooks:? (.+)``", table)
    assert len(shown) > 5
    pieces = [piece for line in shown for piece in re.split(r"\.\.\.|: | \d+ ", line)]
    said = re.sub(r'"\s*\n\s*f?"', "", sources)
    assert [piece for piece in pieces if len(piece.strip()) > 8 and piece.strip() not in said] == []


NUMBERS: list[tuple[str, str, float, str]] = [
    ("concepts/event", "Above {} matching webhooks", outbox.MAX_IN_REQUEST, ""),
    ("concepts/event", "after {} seconds makes room", engine.SLICE, ""),
    ("concepts/delivery", "it begins at {}.", rooms.FIRST, ""),
    ("concepts/delivery", "from 1 to {};", rooms.MOST, ""),
    ("concepts/delivery", "the first {} go out one by one", rooms.PROBATION, "ten"),
    ("concepts/delivery", "the timeout and {} seconds", claim.LEASE_MARGIN, ""),
    ("concepts/delivery", "for {} hours at most", retry.LONGEST_RETRY_AFTER / 3600, ""),
    ("concepts/delivery", "for {} hour at most", retry.LONGEST_HOLD / 3600, "one"),
    ("concepts/isolation", "A drain has up to {} of them", rooms.SOCKETS, ""),
    ("concepts/isolation", "has at most {} requests under way in a process", exchange.SHARE, ""),
    ("concepts/isolation", "{} for one name at most", resolver.PER_NAME, "two"),
    ("concepts/isolation", "{} in all", resolver.THREADS, ""),
    ("concepts/isolation", "{} are kept for names that resolved before", resolver.RESERVED, ""),
    ("concepts/isolation", "not asked again for {} seconds", resolver.FAILED_FOR, ""),
    ("how-tos/lernito", "No course is begun after {} seconds", enrollment.PATIENCE, ""),
    ("how-tos/lernito", "up to {} characters. Who is enrolled", serializers.MAX_EMAIL, ""),
    ("how-tos/lernito", "A list of up to {} course ids", app_settings.LERNITO_MAX_COURSES.default, ""),
    ("how-tos/receive", "For {} hours both secrets sign", api.ROTATION.total_seconds() / 3600, ""),
    ("how-tos/without-celery", "is replaced within {} seconds", slot.LEASE, ""),
    ("how-tos/upgrade", "of the {} newest that are switched on", webhook.JUDGED, ""),
    ("how-tos/upgrade", "can be looked up within {} second", webhook.LOOK_UP_LIST, ""),
    ("how-tos/without-celery", "has been delivering for {} seconds", webhooks_deliver.PATIENCE, ""),
    ("references/commands", "waits for at most {} seconds", webhooks_deliver.PATIENCE, ""),
    ("references/headers", "at most {},", lines.MAX_HEADERS, ""),
    ("references/headers", "up to {} characters", lines.MAX_HEADER, ""),
    ("references/replies", "and {} levels", replies.MAX_DEPTH, ""),
    ("references/replies", "at most {} characters", halting.MAX_MESSAGE, ""),
]


@pytest.mark.parametrize(("name", "phrase", "value", "word"), NUMBERS)
def test_a_number_is_the_one_in_the_code(name: str, phrase: str, value: float, word: str) -> None:
    spelled = {"one": 1, "two": 2, "ten": 10}
    assert not word or spelled[word] == value
    assert phrase.format(word or f"{int(value):,}") in " ".join(page(name).split())


def test_what_the_pages_say_the_admin_shows_is_there() -> None:
    package = ROOT / "openedx_webhooks"
    sources = [p.read_text(encoding="utf-8") for kind in ("*.py", "*.html") for p in package.rglob(kind)]
    said = "\n".join(sources).lower()
    labels = {label for path in DOCS.rglob("*.rst") for label in re.findall(r":guilabel:`([^`]+)`", path.read_text())}
    assert len(labels) > 20
    assert sorted(label for label in labels if " ".join(label.split()).lower() not in said) == []


def test_the_section_of_the_admin_is_named_as_it_is() -> None:
    section = apps.get_app_config("openedx_webhooks").verbose_name
    assert f"under *{section}*" in " ".join((ROOT / "README.rst").read_text(encoding="utf-8").split())
    assert f"under :guilabel:`{section}`" in " ".join(page("quickstarts/operator").split())
