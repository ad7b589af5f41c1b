"""Merging the step into whatever a site has configured."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st
from openedx_filters.learning.filters import StudentLoginRequested

from openedx_webhooks.catalog import filters
from openedx_webhooks.settings import common, devstack, pipelines, production
from openedx_webhooks.settings import test as test_settings
from openedx_webhooks.settings.pipelines import STEP, merged

LOGIN = StudentLoginRequested.filter_type
OTHER = "some_plugin.pipeline.Step"
OLD = "openedx_webhooks.filters.StudentLoginRequestedWebFilter"


def entry(value: Any) -> Any:
    return merged({LOGIN: value}, [])[LOGIN]


@pytest.mark.parametrize(
    ("before", "pipeline", "fail_silently"),
    [
        (None, [STEP], True),
        ({}, [STEP], True),
        ([], [STEP], True),
        ("", [STEP], True),
        (OTHER, [OTHER, STEP], True),
        ([OTHER], [OTHER, STEP], True),
        ((OTHER,), [OTHER, STEP], True),
        ({"pipeline": [OTHER]}, [OTHER, STEP], True),
        ({"pipeline": OTHER}, [OTHER, STEP], True),
        ({"pipeline": [OTHER], "fail_silently": False}, [OTHER, STEP], False),
        ({"pipeline": [STEP, OTHER], "fail_silently": False}, [STEP, OTHER], False),
        ({"pipeline": [OLD], "fail_silently": False}, [STEP], True),
        ({"pipeline": [OTHER, OLD, "b.Step"], "fail_silently": False}, [OTHER, STEP, "b.Step"], True),
        ({"pipeline": [OLD, STEP, OLD]}, [STEP], True),
        (OLD, [STEP], True),
    ],
)
def test_one_entry(before: Any, pipeline: list[str], fail_silently: bool) -> None:
    assert entry(before) == {"pipeline": pipeline, "fail_silently": fail_silently}


def test_extra_configuration_is_kept() -> None:
    assert entry({"pipeline": [OTHER], "log_level": "debug"})["log_level"] == "debug"


def test_an_entry_of_no_known_shape_is_left_alone() -> None:
    assert entry(7) == 7


def test_every_filter_gets_the_step_and_unknown_entries_too() -> None:
    config = merged({"org.other.v1": [OTHER]}, filters.all_filters())
    assert set(config) == {"org.other.v1", *filters.all_filters()}
    assert all(STEP in one["pipeline"] for one in config.values())


steps = st.one_of(st.just(STEP), st.just(OLD), st.just(OTHER), st.text(max_size=5))
entries = st.one_of(
    st.none(),
    steps,
    st.lists(steps, max_size=4),
    st.fixed_dictionaries({}, optional={"pipeline": st.lists(steps, max_size=4), "fail_silently": st.booleans()}),
)


@given(st.dictionaries(st.text(max_size=5), entries, max_size=4))
def test_merging_twice_is_merging_once_and_changes_nothing_given(config: dict[str, Any]) -> None:
    before = copy.deepcopy(config)
    once = merged(config, [LOGIN])
    assert config == before
    assert merged(once, [LOGIN]) == once
    assert all(one["pipeline"].count(STEP) == 1 for one in once.values())
    assert not any(step.startswith("openedx_webhooks.filters.") for one in once.values() for step in one["pipeline"])


@pytest.mark.parametrize("kind", [common, production, devstack, test_settings])
def test_each_settings_module_merges(kind: Any) -> None:
    site = SimpleNamespace()
    kind.plugin_settings(site)
    assert site.OPEN_EDX_FILTERS_CONFIG[LOGIN] == {"pipeline": [STEP], "fail_silently": True}


@pytest.mark.parametrize("kind", [production, devstack, test_settings])
def test_what_the_site_set_is_not_overwritten(kind: Any) -> None:
    site = SimpleNamespace(OPENEDX_WEBHOOKS_TIMEOUT=3, OPEN_EDX_FILTERS_CONFIG={LOGIN: [OTHER]})
    kind.plugin_settings(site)
    assert site.OPENEDX_WEBHOOKS_TIMEOUT == 3
    assert site.OPEN_EDX_FILTERS_CONFIG[LOGIN]["pipeline"] == [OTHER, STEP]


def test_a_setting_that_is_no_dict_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    site = SimpleNamespace(OPEN_EDX_FILTERS_CONFIG=["nonsense"])
    pipelines.merge_into(site)
    assert site.OPEN_EDX_FILTERS_CONFIG == ["nonsense"]
    assert "not a dict" in caplog.text


def test_ready_merges_again() -> None:
    """A site's last patch may assign the setting whole, after every settings module has run."""
    with override_settings(OPEN_EDX_FILTERS_CONFIG={LOGIN: {"pipeline": [OTHER], "fail_silently": False}}):
        apps.get_app_config("openedx_webhooks").ready()
        assert settings.OPEN_EDX_FILTERS_CONFIG[LOGIN] == {"pipeline": [OTHER, STEP], "fail_silently": False}


def test_the_site_has_it_through_the_entry_points() -> None:
    assert STEP in settings.OPEN_EDX_FILTERS_CONFIG[LOGIN]["pipeline"]
