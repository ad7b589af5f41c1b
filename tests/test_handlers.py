"""What this package hears from the platform: events of signals made late, and retirements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from common.djangoapps.student.models import UserProfile
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from django.db.models import Model
from django.utils import timezone
from openedx.core.djangoapps.user_api.accounts.signals import USER_RETIRE_LMS_MISC
from openedx.core.djangoapps.user_api.models import UserRetirementStatus
from openedx_events.tooling import OpenEdxPublicSignal

from openedx_webhooks import subscriptions
from openedx_webhooks.lernito.records import email_hmac
from openedx_webhooks.models import Delivery, FilterCall, LernitoOrder, Webhook, tables
from tests.deliveries.events import a_user, log_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("pattern", ["ORDER_PAID", "*"])
def test_a_signal_made_after_the_start_is_heard(pattern: str, make_signal: Callable[..., OpenEdxPublicSignal]) -> None:
    """A plugin's module that is imported late, long after everything was connected and the configuration read."""
    Webhook.objects.create(event=pattern, webhook_url="http://127.0.0.1:9/")
    log_in()
    Delivery.objects.all().delete()
    signal = make_signal("com.acme.sales.order.paid.v1", "ORDER_PAID")
    subscriptions.refresh()
    signal.send_event(user=a_user())
    assert [delivery.event.name for delivery in Delivery.objects.all()] == ["ORDER_PAID"]


def test_a_signal_is_heard_once_however_often_signals_are_discovered(
    make_signal: Callable[..., OpenEdxPublicSignal],
) -> None:
    Webhook.objects.create(event="*", webhook_url="http://127.0.0.1:9/")
    for number in range(3):
        make_signal(f"com.acme.sales.order.paid.v{number}", f"ORDER_PAID_{number}")
        subscriptions.refresh()
    log_in()
    assert Delivery.objects.count() == 1


def test_a_retirement_forgets_what_is_kept_by_account() -> None:
    """Asked for by the address that the account had before its retirement replaced it."""
    user = User.objects.create_user("ada", "ada@example.com", "x")
    UserProfile.objects.create(user=user, name="Ada")
    for email in ("ada@example.com", "bob@example.com"):
        LernitoOrder.objects.create(email_hmac=email_hmac(email))
    for user_id in (user.pk, user.pk + 1):
        FilterCall.objects.create(webfilter_id=1, user_id=user_id, created=timezone.now(), duration=1)
    UserRetirementStatus.create_retirement(user)
    user.email = "retired__user_1@retired.invalid"
    user.save()
    USER_RETIRE_LMS_MISC.send(sender=None, user=user)
    assert [order.email_hmac for order in LernitoOrder.objects.all()] == [email_hmac("bob@example.com")]
    assert [call.user_id for call in FilterCall.objects.all()] == [user.pk + 1]


def test_a_retirement_forgets_the_orders_of_an_address_that_the_account_had_before() -> None:
    user = User.objects.create_user("ada", "ada@example.org", "x")
    LernitoOrder.objects.create(email_hmac=email_hmac("ada@example.com"), user_id=user.pk)
    LernitoOrder.objects.create(email_hmac=email_hmac("bob@example.com"), user_id=user.pk + 1)
    USER_RETIRE_LMS_MISC.send(sender=None, user=user)
    assert LernitoOrder.objects.get().user_id == user.pk + 1


def test_a_retirement_forgets_what_was_kept_under_the_former_key(settings: Any) -> None:
    user = User.objects.create_user("ada", "ada@example.com", "x")
    LernitoOrder.objects.create(email_hmac=email_hmac(user.email))
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new key", [settings.SECRET_KEY]
    USER_RETIRE_LMS_MISC.send(sender=None, user=user)
    assert not LernitoOrder.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("missing", [[FilterCall, LernitoOrder], [LernitoOrder]], ids=["both", "one"])
def test_a_retirement_before_the_migration(missing: list[type[Model]], caplog: Any, monkeypatch: Any) -> None:
    """There is nothing to forget, and the platform's own retirement, in this transaction, goes on."""
    monkeypatch.setattr(tables, "_told", False)
    user = User.objects.create_user("ada", "ada@example.com", "x")
    FilterCall.objects.create(webfilter_id=1, user_id=user.pk, created=timezone.now(), duration=1)
    with without(missing), transaction.atomic():
        for _ in range(2):
            USER_RETIRE_LMS_MISC.send(sender=None, user=user)
        User.objects.update(is_active=False)
    assert not User.objects.get().is_active
    assert FilterCall.objects.exists() is (FilterCall in missing)
    assert caplog.text.count(tables.MIGRATE) == 1


@contextmanager
def without(models: list[type[Model]]) -> Iterator[None]:
    """Take tables away, as on a site that did not migrate yet."""
    renamed = [(model._meta.db_table, f"{model._meta.db_table}_away") for model in models]
    with connection.schema_editor() as editor:
        for table, away in renamed:
            editor.execute(f"ALTER TABLE {table} RENAME TO {away}")
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            for table, away in renamed:
                editor.execute(f"ALTER TABLE {away} RENAME TO {table}")


def test_a_retirement_that_did_not_happen_is_tried_again() -> None:
    """Any other error of the database is the platform's to see."""
    user = User.objects.create_user("ada", "ada@example.com", "x")

    def refuse(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("DELETE"):
            raise OperationalError(1205, "Lock wait timeout exceeded; try restarting transaction")
        return execute(sql, *rest)

    FilterCall.objects.create(webfilter_id=1, user_id=user.pk, created=timezone.now(), duration=1)
    with connection.execute_wrapper(refuse), pytest.raises(OperationalError):
        USER_RETIRE_LMS_MISC.send(sender=None, user=user)
