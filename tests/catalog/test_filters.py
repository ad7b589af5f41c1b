"""The catalog of filters against what each release of openedx-filters defines."""

from __future__ import annotations

import json
import sys
import types
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.apps import AppConfig, apps
from openedx_filters.exceptions import OpenEdxFilterException
from openedx_filters.tooling import OpenEdxPublicFilter

from openedx_webhooks.catalog import filters

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "filters.json").read_text(encoding="utf-8"))
INSTALLED = getattr(sys.modules["openedx_filters"], "__version__", version("openedx-filters"))


def of_the_package() -> dict[str, Any]:
    return {
        found.name: {
            "filter_type": found.filter_type,
            "arguments": list(found.arguments),
            "exceptions": {halt.name: [p.name for p in halt.parameters] for halt in found.halts},
        }
        for found in filters.all_filters().values()
        if found.module.startswith("openedx_filters.")
    }


@pytest.mark.skipif(INSTALLED not in GOLDEN, reason="what this release defines is not written down")
def test_every_filter_of_the_installed_release_is_found() -> None:
    assert of_the_package() == GOLDEN[INSTALLED]


def test_no_filter_of_the_oldest_release_is_lost() -> None:
    assert set(GOLDEN["2.0.1"]) <= set(of_the_package())


def test_exceptions_with_parameters_of_their_own() -> None:
    found = filters.get("org.openedx.learning.student.login.requested.v1")
    assert found is not None
    (halt,) = found.halts
    assert [(p.name, p.required) for p in halt.parameters] == [
        ("message", True),
        ("redirect_to", False),
        ("error_code", False),
        ("context", False),
    ]
    assert halt.own_init
    assert not halt.takes_any


def test_bare_exceptions_take_anything() -> None:
    found = filters.get("org.openedx.learning.student.registration.requested.v1")
    assert found is not None
    halt = found.halt("PreventRegistration")
    assert halt is not None
    assert halt.takes_any
    assert not halt.own_init
    assert found.halt("PreventLogin") is None


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("StudentLoginRequested", {"StudentLoginRequested"}),
        ("org.openedx.learning.student.login.requested.v1", {"StudentLoginRequested"}),
        ("Student*", {"StudentLoginRequested", "StudentRegistrationRequested"}),
        ("org.openedx.learning.student.*", None),
        ("studentloginrequested", set()),
        ("StudentLogin", set()),
        ("", set()),
    ],
)
def test_find(pattern: str, expected: set[str] | None) -> None:
    names = {found.name for found in filters.find(pattern)}
    if expected is None:
        assert {"StudentLoginRequested", "AccountSettingsRenderStarted"} <= names
    else:
        assert names == expected


def test_a_star_finds_all() -> None:
    assert len(filters.find("*")) == len(filters.all_filters())


def test_suggest() -> None:
    assert filters.suggest("StudentLoginRequest")[0] == "StudentLoginRequested"
    assert filters.suggest("org.openedx.learning.student.login.v1")[0].startswith("org.openedx.learning.student.login")
    assert filters.suggest("nothing like it at all") == []


class TestOtherPackages:
    """Filters that a package defines beside openedx-filters, such as lti_consumer."""

    @pytest.fixture
    def app(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
        package = tmp_path / "some_xblock_app"
        package.mkdir()
        (package / "__init__.py").touch()
        monkeypatch.syspath_prepend(str(tmp_path))
        import some_xblock_app

        class Config(AppConfig):
            name = "some_xblock_app"
            path = str(package)

        config = Config("some_xblock_app", some_xblock_app)
        monkeypatch.setitem(apps.app_configs, "some_xblock_app", config)
        yield package
        for name in ("some_xblock_app.filters", "some_xblock_app"):
            sys.modules.pop(name, None)

    def test_are_found_in_their_filters_module(self, app: Path) -> None:
        (app / "filters.py").write_text(
            "from openedx_filters.tooling import OpenEdxPublicFilter\n"
            "class ListedBySomebody(OpenEdxPublicFilter):\n"
            "    filter_type = 'org.somebody.listed.v1'\n"
            "    @classmethod\n"
            "    def run_filter(cls, items):\n"
            "        return cls.run_pipeline(items=items)\n",
            encoding="utf-8",
        )
        filters.load_from_apps()
        found = filters.get("org.somebody.listed.v1")
        assert found is not None
        assert (found.name, list(found.arguments), found.halts) == ("ListedBySomebody", ["items"], ())

    @pytest.mark.parametrize(
        ("path", "is_loaded"),
        [("filters/__init__.py", True), ("rooms/filters.py", True), ("tests/filters.py", False)],
    )
    def test_are_found_one_level_below(self, app: Path, path: str, is_loaded: bool) -> None:
        source = app / path
        source.parent.mkdir()
        (source.parent / "__init__.py").touch()
        source.write_text(
            "from openedx_filters.tooling import OpenEdxPublicFilter\n"
            "class FoundBelow(OpenEdxPublicFilter):\n"
            f"    filter_type = 'org.somebody.below.{source.parent.name}.v1'\n",
            encoding="utf-8",
        )
        filters.load_from_apps()
        assert (filters.get(f"org.somebody.below.{source.parent.name}.v1") is not None) is is_loaded
        module = f"some_xblock_app.{source.parent.name}"
        for name in (f"{module}.filters", module):
            sys.modules.pop(name, None)

    def test_a_filters_module_of_another_kind_is_not_imported(self, app: Path) -> None:
        (app / "filters.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
        filters.load_from_apps()
        assert "some_xblock_app.filters" not in sys.modules

    def test_a_filters_module_that_breaks_is_passed_over(self, app: Path, caplog: pytest.LogCaptureFixture) -> None:
        (app / "filters.py").write_text("# OpenEdxPublicFilter\nraise RuntimeError('broken')", encoding="utf-8")
        filters.load_from_apps()
        assert "some_xblock_app.filters could not be loaded" in caplog.text

    def test_an_abstract_base_is_no_filter(self) -> None:
        class Abstract(OpenEdxPublicFilter):
            filter_type = ""

        class Concrete(Abstract):
            filter_type = "org.somebody.concrete.v1"

            class Stop(OpenEdxFilterException):
                names: ClassVar[list[str]] = []

        known = filters.all_filters()
        assert "" not in known
        assert [halt.name for halt in known["org.somebody.concrete.v1"].halts] == ["Stop"]
        del Abstract, Concrete
