"""The catalog of events: everything installed is found, under the name that its module gives it."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import textwrap
from types import ModuleType

import openedx_events
import pytest
from openedx_events.tooling import OpenEdxPublicSignal

from openedx_webhooks.catalog import events

PUBLISHED = {"10.2.0": 70, "10.5.0": 73, "11.2.0": 75}
TRACKING = "org.openedx.analytics.tracking.event.emitted.v1"
ENROLLMENT = "org.openedx.learning.course.enrollment.created.v1"


def signals_in_package() -> dict[str, str]:
    """Return event_type -> Python name, read by importing every signals module of openedx-events."""
    found = {}
    for module in pkgutil.walk_packages(openedx_events.__path__, "openedx_events."):
        if module.name.endswith(".signals") and ".tests" not in module.name:
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, OpenEdxPublicSignal):
                    found[value.event_type] = name
    return found


def test_every_event_of_the_package_is_found_under_its_python_name():
    catalog = events.all_events()
    for event_type, name in signals_in_package().items():
        assert catalog[event_type].name == name
        assert catalog[event_type].signal is OpenEdxPublicSignal.get_signal_by_type(event_type)


def test_the_number_of_events_is_the_release_s():
    expected = PUBLISHED.get(openedx_events.__version__)
    if expected is None:
        pytest.skip(f"no number known for openedx-events {openedx_events.__version__}")
    assert len(signals_in_package().keys() & events.all_events().keys()) == expected


@pytest.mark.parametrize(
    ("event_type", "name"),
    [
        ("org.openedx.learning.auth.session.login.completed.v1", "SESSION_LOGIN_COMPLETED"),
        ("org.openedx.learning.course.persistent_grade_summary.changed.v1", "PERSISTENT_GRADE_SUMMARY_CHANGED"),
        ("org.openedx.learning.discussions.configuration.changed.v1", "COURSE_DISCUSSIONS_CHANGED"),
        ("org.openedx.content_authoring.xblock.published.v1", "XBLOCK_PUBLISHED"),
        (TRACKING, "TRACKING_EVENT_EMITTED"),
    ],
)
def test_known_names(event_type, name):
    assert events.all_events()[event_type].name == name


def test_some_names_cannot_be_derived_from_the_event_type():
    underivable = {e.name for e in events.all_events().values() if events.derived_name(e.event_type) != e.name}
    assert {"SESSION_LOGIN_COMPLETED", "COURSE_DISCUSSIONS_CHANGED"} <= underivable


def test_an_entry_describes_its_arguments():
    entry = events.all_events()[ENROLLMENT]
    (argument,) = entry.arguments
    assert (argument.name, argument.qualified_class) == (
        "enrollment",
        "openedx_events.learning.data.CourseEnrollmentData",
    )
    assert argument.data_class is entry.signal.init_data["enrollment"]
    assert entry.group == "learning / course"


@pytest.mark.parametrize(
    ("event_type", "name", "group"),
    [
        ("org.openedx.authz.role_assignment.created", "ROLE_ASSIGNMENT_CREATED", "authz / role_assignment"),
        ("org.openedx.content.publishing.lp_created.v1", "PUBLISHING_LP_CREATED", "content / publishing"),
        ("com.acme.sales.order.paid.v12", "ORDER_PAID", "sales / order"),
        ("plain", "PLAIN", "plain"),
        ("a.b", "B", "a"),
    ],
)
def test_what_an_event_type_tells(event_type, name, group):
    assert (events.derived_name(event_type), events.group_of(event_type)) == (name, group)


def test_a_signal_registered_later_and_elsewhere_is_noticed(make_signal):
    before = events.version()
    assert events.find("ORDER_PAID") == ()
    signal = make_signal("com.acme.sales.order.paid.v1", "ORDER_PAID")
    (entry,) = events.find("ORDER_PAID")
    assert entry.signal is signal
    assert events.version() > before
    assert entry in events.find("com.acme.*")


def test_a_signal_in_no_module_gets_a_derived_name_until_a_module_holds_it(make_signal):
    signal = make_signal("com.acme.sales.order.sent.v1", None)
    assert events.all_events()["com.acme.sales.order.sent.v1"].name == "ORDER_SENT"
    module = ModuleType("acme_late.signals")
    module.PARCEL_LEFT = signal
    sys.modules["acme_late.signals"] = module
    try:
        assert events.find("PARCEL_LEFT")[0].signal is signal
    finally:
        del sys.modules["acme_late.signals"]


def test_a_signal_that_no_module_ever_holds_is_not_searched_for_at_every_import(make_signal):
    make_signal("com.acme.sales.order.lost.v1", None)
    events.all_events()
    before = events.version()
    added = [f"acme_imported_{number}" for number in range(50)]
    try:
        for name in added:
            sys.modules[name] = ModuleType(name)
            events.all_events()
        assert events.version() - before <= 5
    finally:
        for name in added:
            del sys.modules[name]


def test_the_name_in_a_signals_module_counts_before_an_alias(make_signal):
    signal = make_signal("com.acme.sales.order.made.v1", "ORDER_MADE")
    handlers = ModuleType("acme")
    handlers.ALIAS = signal
    sys.modules["acme"] = handlers
    try:
        assert events.all_events()["com.acme.sales.order.made.v1"].name == "ORDER_MADE"
    finally:
        del sys.modules["acme"]


def test_two_signals_of_one_name_are_told_apart_by_event_type(make_signal):
    make_signal("com.acme.a.order.paid.v1", "ORDER_PAID", "acme_a.signals")
    make_signal("com.acme.b.order.paid.v1", "ORDER_PAID", "acme_b.signals")
    assert {entry.event_type for entry in events.find("ORDER_PAID")} == {
        "com.acme.a.order.paid.v1",
        "com.acme.b.order.paid.v1",
    }
    assert [entry.event_type for entry in events.find("com.acme.b.order.paid.v1")] == ["com.acme.b.order.paid.v1"]


def test_of_two_signals_of_one_event_type_the_one_in_a_module_counts(make_signal):
    held = make_signal("com.acme.a.order.paid.v1", "ORDER_PAID")
    make_signal("com.acme.a.order.paid.v1", None)
    assert events.all_events()["com.acme.a.order.paid.v1"].signal is held


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("COURSE_ENROLLMENT_CREATED", {"COURSE_ENROLLMENT_CREATED"}),
        (ENROLLMENT, {"COURSE_ENROLLMENT_CREATED"}),
        ("COURSE_ENROLLMENT_*", {"COURSE_ENROLLMENT_CREATED", "COURSE_ENROLLMENT_CHANGED"}),
        ("COURSE_ENROLLMENT_C[HR]*", {"COURSE_ENROLLMENT_CREATED", "COURSE_ENROLLMENT_CHANGED"}),
        ("org.openedx.learning.auth.*", {"SESSION_LOGIN_COMPLETED"}),
        ("SESSION_LOGIN_COMPLETE?", {"SESSION_LOGIN_COMPLETED"}),
        ("course_enrollment_created", set()),
        ("NOTHING_LIKE_THIS", set()),
        ("", set()),
        ("TRACKING_EVENT_EMITTED", {"TRACKING_EVENT_EMITTED"}),
        (TRACKING, {"TRACKING_EVENT_EMITTED"}),
        ("TRACKING_*", set()),
        ("org.openedx.analytics.*", set()),
    ],
)
def test_what_a_pattern_means(pattern, names):
    assert {entry.name for entry in events.find(pattern)} == names


def test_a_star_means_everything_but_the_tracking_log():
    assert {entry.event_type for entry in events.find("*")} == events.all_events().keys() - {TRACKING}


@pytest.mark.parametrize(
    ("text", "expected"), [("*", True), ("A?", True), ("[A]", True), ("A_B", False), ("a.b.c.v1", False), ("", False)]
)
def test_is_pattern(text, expected):
    assert events.is_pattern(text) is expected


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("COURSE_ENROLMENT_CREATED", "COURSE_ENROLLMENT_CREATED"),
        ("session login completed", "SESSION_LOGIN_COMPLETED"),
        ("org.openedx.learning.course.enrolment.created.v1", ENROLLMENT),
    ],
)
def test_did_you_mean(typed, meant):
    assert events.suggest(typed)[0] == meant


def test_no_suggestion_for_what_resembles_nothing():
    assert events.suggest("zzzzzzzz") == []
    assert len(events.suggest("COURSE", n=1)) <= 1


def test_the_catalog_is_read_only():
    with pytest.raises(TypeError):
        events.all_events()["x"] = None  # type: ignore[index]


def test_openedx_core_s_events_are_found_once_its_app_is_loaded():
    pytest.importorskip("openedx_content")
    script = """
        import django
        from django.conf import settings
        settings.configure(
            USE_TZ=True, SECRET_KEY="x",
            INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "openedx_tagging", "openedx_content"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        )
        django.setup()
        import json
        from openedx_webhooks.catalog import events
        from openedx_webhooks.data import Encoding
        from openedx_webhooks.payloads import schema
        found = [e for t, e in events.all_events().items() if t.startswith("org.openedx.content.")]
        for entry in found:
            entry.signal.send_event(**schema.sample(entry))
            body = json.loads(schema.sample_body(entry, Encoding.DEFAULT))
            assert "notes" not in body["event_metadata"], body
            assert schema.json_schema(entry)["required"] == list(body), entry.name
        print(*sorted(e.name for e in found))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        "COLLECTION_CHANGED",
        "ENTITIES_DRAFT_CHANGED",
        "ENTITIES_PUBLISHED",
        "LEARNING_PACKAGE_CREATED",
        "LEARNING_PACKAGE_DELETED",
        "LEARNING_PACKAGE_UPDATED",
    ]
