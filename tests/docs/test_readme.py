"""The README is true: its code is what is tried, and its table, links, targets and releases exist."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from pathlib import Path

import pytest

from openedx_webhooks import __version__, app_settings
from openedx_webhooks.deliveries import retry

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.rst").read_text(encoding="utf-8")


def code_blocks(language: str) -> list[str]:
    """Return the code of each block of a language, without its indentation."""
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:(?:    .*)?\n)+)", README)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE).strip("\n") for block in found]


@pytest.mark.parametrize("name", ["create_webhook.py", "receive.py"])
def test_the_python_is_the_snippet_that_is_tried(name: str) -> None:
    source = (ROOT / "docs" / "snippets" / name).read_text(encoding="utf-8")
    assert source.partition('"""\n\n')[2].strip("\n") in code_blocks("python")


def test_there_is_no_other_python() -> None:
    assert len(code_blocks("python")) == 2


def test_the_order_is_the_script_that_is_tried() -> None:
    script = ROOT / "docs" / "how-tos" / "lernito" / "order.sh"
    assert script.read_text(encoding="utf-8").strip("\n") in code_blocks("bash")


def test_the_body_is_the_golden_one() -> None:
    golden = ROOT / "tests" / "payloads" / "golden" / "COURSE_ENROLLMENT_CREATED.default.json"
    assert json.loads(golden.read_text(encoding="ascii")) in [json.loads(block) for block in code_blocks("json")]


def test_the_table_has_every_setting_and_its_default() -> None:
    rows = re.findall(r"   \* - ``((?:OPENEDX|LERNITO)_\w+)``\n     - ``(.*)``\n", README)
    shown = [(s.name, json.dumps(s.default) if isinstance(s.default, str) else repr(s.default)) for s in all_settings()]
    assert rows
    assert sorted(rows) == sorted(shown)


def all_settings() -> list[app_settings.Setting[object]]:
    return app_settings.all_settings()


def test_the_links_lead_to_files() -> None:
    targets = re.findall(r"<([^<>\s]+)>`_", README) + re.findall(r"\.\. image:: (\S+)", README)
    local = [target for target in targets if "://" not in target]
    assert len(local) > 10
    assert [target for target in local if not (ROOT / target).is_file()] == []


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"``make (\w+)", README)) | {
        line.split()[1] for block in code_blocks("bash") for line in block.splitlines() if line.startswith("make ")
    }
    assert named >= {"demo", "test", "docs"}
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_the_bound_is_this_major_version() -> None:
    assert set(re.findall(r"openedx-webhooks>=([\d.]+)", README)) == {__version__.partition(".")[0] + ".0.0"}


def test_the_releases_have_the_versions_that_the_tests_run_on() -> None:
    rows = re.findall(r"   \* - (\w+)\n     - \d+\n     - ([\d.]+)\n     - ([\d.]+)\n", README)
    assert {row[0].lower() for row in rows} == {
        path.stem for path in (ROOT / "requirements" / "releases").glob("*.txt")
    }
    for name, events, filters in rows:
        pinned = (ROOT / "requirements" / "releases" / f"{name.lower()}.txt").read_text(encoding="utf-8")
        assert f"openedx-events=={events}\n" in pinned
        assert f"openedx-filters=={filters}\n" in pinned


def test_what_is_promised_is_what_is_set() -> None:
    schedule = app_settings.RETRY_SCHEDULE.default
    words = README.replace("\n ", "")
    assert [*accumulate(schedule)][-1] / 86400 == pytest.approx(3.15, abs=0.05)
    assert "After ten attempts, about three days" in words
    assert len(schedule) == 10
    hours = ", ".join(str(seconds // 3600) for seconds in schedule[4:-1])
    assert f"5 seconds later, then 5 minutes, 30 minutes, {hours} and {schedule[-1] // 3600} hours" in words
    assert (schedule[0], schedule[1], schedule[2], schedule[3]) == (0, 5, 5 * 60, 30 * 60)
    assert app_settings.TIMEOUT.default == 15
    assert "An answer of 2xx within 15 seconds is success" in words
    assert app_settings.DISABLE_AFTER.default == 5 * 86400
    assert "After five days of nothing but failure" in words
    assert app_settings.RETENTION_DAYS.default == 30
    assert "parked for 30 days" in words
    assert app_settings.FILTER_BUDGET.default == 8
    assert "have 8 seconds together" in words
    assert app_settings.CONFIG_TTL.default == 5
    assert "within five seconds" in words
    assert 0 < retry.JITTER < 0.5
