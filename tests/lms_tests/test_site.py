"""The stand-in is put together as a site is: the plugin through its entry point, the database, the samples."""

import threading
from typing import Any

import pytest
from common.djangoapps.student.models import UserProfile
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from openedx_events.tooling import OpenEdxPublicSignal, load_all_signals

from tests.lms.samples import sample_arguments
from tests.lms_tests.conftest import Emitted


def test_the_plugin_is_loaded_through_its_entry_point() -> None:
    assert type(apps.get_app_config("openedx_webhooks")).__name__ == "WebhooksConfig"
    assert settings.OPENEDX_WEBHOOKS_TIMEOUT == 15
    assert settings.OPENEDX_WEBHOOKS_ALLOWED_NETWORKS == ["127.0.0.1", "::1"]


def test_celery_reads_the_platform_s_names() -> None:
    from celery import current_app

    assert current_app.conf.task_default_queue == "edx.lms.core.default"
    assert current_app.conf.broker_pool_limit == 0
    assert {str(content) for content in current_app.conf.accept_content} == {"json"}


load_all_signals()


@pytest.mark.django_db
@pytest.mark.parametrize("signal", OpenEdxPublicSignal.all_events(), ids=lambda signal: signal.event_type)
def test_every_event_has_a_sample(signal: OpenEdxPublicSignal, emitted: Emitted) -> None:
    signal.send_event(**sample_arguments(signal))
    assert emitted.types == [signal.event_type.removeprefix("org.openedx.learning.")]


@pytest.mark.django_db
def test_an_event_is_sent_over_http(client: Client, emitted: Emitted) -> None:
    assert client.post("/testing/emit", {"event": "SESSION_LOGIN_COMPLETED", "count": 2}).status_code == 204
    event_type = "org.openedx.learning.course.enrollment.created.v1"
    assert client.post("/testing/emit", {"event": event_type}).status_code == 204
    assert emitted.types == ["auth.session.login.completed.v1"] * 2 + ["course.enrollment.created.v1"]
    assert client.post("/testing/emit", {"event": "NO_SUCH_EVENT"}).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_threads_that_read_and_then_write_wait_for_each_other() -> None:
    user = User.objects.create_user("counted")
    UserProfile.objects.create(user=user, year_of_birth=0)
    errors: list[BaseException] = []

    def count() -> None:
        try:
            for _ in range(20):
                with transaction.atomic():
                    profile = UserProfile.objects.select_for_update().get(user=user)
                    profile.year_of_birth += 1
                    profile.save()
        except Exception as error:  # noqa: BLE001 - reported below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert UserProfile.objects.get().year_of_birth == 80


@pytest.mark.django_db
def test_sqlite_writes_ahead() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("SQLite's own")
    with connection.cursor() as cursor:
        mode: Any = cursor.execute("PRAGMA journal_mode").fetchone()
    assert mode == ("wal",)
