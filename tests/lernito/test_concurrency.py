"""Equal orders at the same instant, over HTTP, each on a connection of its own."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest
import requests
from common.djangoapps.student.models import CourseEnrollment, CourseEnrollmentAllowed
from django.contrib.auth.models import User
from django.core.servers.basehttp import ThreadedWSGIServer
from django.core.wsgi import get_wsgi_application
from django.db import OperationalError, connection, connections, transaction
from django.db.models.signals import post_save
from django.test.testcases import QuietWSGIRequestHandler
from django.utils import timezone

from openedx_webhooks import subscriptions
from openedx_webhooks.lernito import enrollment
from openedx_webhooks.models import Event, LernitoLock, LernitoOrder, Webhook
from tests.lernito import steps
from tests.lernito.conftest import COURSES, EMAIL, PATH, Shop, make_courses, make_user, signature

pytestmark = pytest.mark.django_db(transaction=True)
ORDERS = 50


LEVELS = [None, *(pytest.param(level, marks=pytest.mark.services) for level in ("read committed", "repeatable read"))]


@pytest.fixture(params=LEVELS)
def isolation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give new connections an isolation level of MariaDB's; None: any database, as it is set up."""
    if request.param is None:
        return
    if connection.vendor != "mysql":
        pytest.skip("SQLite has one isolation level")
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", request.param)


class Server(ThreadedWSGIServer):
    """Django's own, with room for fifty connections that are not accepted yet."""

    request_queue_size = 128


@pytest.fixture
def url(isolation: None) -> Iterator[str]:
    make_courses()
    server = Server(("127.0.0.1", 0), QuietWSGIRequestHandler)
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}{PATH}"
    server.shutdown()
    server.server_close()
    thread.join(30)


def at_once(url: str, emails: list[str], course_ids: list[tuple[str, ...]]) -> list[requests.Response]:
    """Send the orders from as many threads, let go together."""
    barrier = threading.Barrier(len(emails))

    def send(email: str, ids: tuple[str, ...]) -> requests.Response:
        body = json.dumps({"email": email, "courseIds": ids}).encode()
        headers = {"Content-Type": "application/json", "X-Lernito-Signature": signature(body)}
        barrier.wait(30)
        return requests.post(url, data=body, headers=headers, timeout=100)

    with ThreadPoolExecutor(len(emails)) as pool:
        return list(pool.map(send, emails, course_ids))


def outcomes(responses: list[requests.Response]) -> Counter[str]:
    assert [r.status_code for r in responses] == [200] * len(responses), {r.text for r in responses}
    return Counter(row["result"] for r in responses for row in r.json()["results"])


def test_fifty_equal_orders_give_one_enrollment(url: str, emitted: list[str]) -> None:
    """Orders of one person wait for each other on our row; without it one retry would not be enough for fifty."""
    user = make_user()
    responses = at_once(url, [EMAIL] * ORDERS, [COURSES[:1]] * ORDERS)
    assert outcomes(responses) == {"enrolled": 1, "already_enrolled": ORDERS - 1}
    assert CourseEnrollment.objects.filter(user=user, is_active=True).count() == 1
    assert sorted(emitted) == ["changed", "created"]
    assert LernitoOrder.objects.count() == ORDERS


def test_fifty_equal_orders_give_one_allowance(url: str) -> None:
    emails = [EMAIL, EMAIL.upper()] * (ORDERS // 2)
    responses = at_once(url, emails, [COURSES] * ORDERS)
    assert outcomes(responses) == {"allowed": 2, "already_allowed": 2 * (ORDERS - 1)}
    assert CourseEnrollmentAllowed.objects.count() == 2


def test_courses_in_opposite_orders_do_not_deadlock(url: str, emitted: list[str]) -> None:
    """Two people, each ordered for at the same time in both orders of the courses."""
    emails = [EMAIL, "other@example.com"]
    for email in emails:
        make_user(email)
    responses = at_once(url, emails * 10, [COURSES, COURSES[::-1]] * 5 + [COURSES[::-1], COURSES] * 5)
    assert outcomes(responses)["enrolled"] == 4
    assert Counter(emitted) == {"changed": 4, "created": 4}


def elsewhere(act: Callable[[], Any]) -> None:
    """Do something on another connection, and wait for it at most as long as a test may."""

    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 5")
        act()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)


@pytest.fixture
def meanwhile(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any, Any], None]], None]:
    """Have something happen while an order is in the enrollment's filter."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets nobody write beside the order")
    settings.OPEN_EDX_FILTERS_CONFIG = steps.configured(steps.Meanwhile)
    return lambda happens: monkeypatch.setattr(steps.Meanwhile, "happens", happens, raising=False)


@pytest.mark.services
@pytest.mark.parametrize("mode", ["verified", "audit"])
@pytest.mark.parametrize("came_back", [False, True])
def test_an_order_beside_the_learners_own_click(
    url: str, meanwhile: Any, emitted: list[str], mode: str, came_back: bool
) -> None:
    """The learner enrolls, or pays, between the order's look and its write: that stays, and no event of ours goes out.

    Whatever the isolation: what the order cannot see it collides with, what it sees it must not write over.
    """
    user = make_user()
    if came_back:
        CourseEnrollment.objects.create(user=user, course_id=COURSES[0], is_active=False)
    Webhook.objects.create(event="COURSE_ENROLLMENT_*", webhook_url="https://receiver.example.com/")
    subscriptions.refresh()
    clicks: list[Any] = []
    theirs = {"mode": mode, "is_active": True}

    def click(user: Any, key: Any) -> None:
        if not clicks:
            elsewhere(
                lambda: clicks.append(CourseEnrollment.objects.update_or_create(theirs, user=user, course_id=key))
            )

    meanwhile(click)
    assert outcomes(at_once(url, [EMAIL], [COURSES[:1]])) == {"already_enrolled": 1}
    assert len(clicks) == 1
    enrollment = CourseEnrollment.objects.get(user=user)
    assert (enrollment.is_active, enrollment.mode) == (True, mode)
    assert not Event.objects.exists()
    assert mode == "audit" or emitted == []


@pytest.mark.services
def test_a_login_does_not_wait_for_a_webfilter(url: str, meanwhile: Any) -> None:
    """While an order is in the enrollment's filter, another request writes the same user's row."""
    make_user()
    logins: list[int] = []

    def log_in(user: Any, key: Any) -> None:
        rows = User.objects.filter(pk=user.pk)
        elsewhere(lambda: logins.append(rows.update(last_login=timezone.now())))

    meanwhile(log_in)
    outcomes(at_once(url, [EMAIL], [COURSES[:1]]))
    assert logins == [1]


@pytest.mark.services
def test_an_order_waits_for_a_lock_no_longer_than_it_may(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """MySQL's own limit would keep the web worker for 50 seconds, and for as long again when it is tried again."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite waits as long as the site's settings say")
    make_user()
    outcomes(at_once(url, [EMAIL], [COURSES[:1]]))
    monkeypatch.setattr(enrollment, "PATIENCE", 2.0)
    with transaction.atomic():
        LernitoLock.objects.select_for_update().get()
        began = monotonic()
        [answer] = at_once(url, [EMAIL], [COURSES])
        assert answer.status_code == 500
        assert 1.9 < monotonic() - began < 10
    monkeypatch.setattr(enrollment, "PATIENCE", 30.0)
    assert outcomes(at_once(url, [EMAIL], [COURSES])) == {"already_enrolled": 1, "enrolled": 1}


@pytest.mark.services
def test_the_connections_own_limit_is_put_back(isolation: None, meanwhile: Any, shop: Shop) -> None:
    make_courses()
    make_user()
    limits: list[int] = []

    def read(*_args: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@innodb_lock_wait_timeout")
            limits.append(cursor.fetchone()[0])

    def fail(*_args: Any) -> None:
        read()
        raise OperationalError(2013, "Lost connection to MySQL server during query")

    read()
    meanwhile(read)
    assert shop.order().status_code == 200
    read()
    assert shop.order(course_ids=["course-v1:edX+None+2026"]).status_code == 400
    read()
    meanwhile(fail)
    CourseEnrollment.objects.all().delete()
    assert shop.order().status_code == 500
    read()
    before, *_ = limits
    assert before > enrollment.PATIENCE
    assert limits == [before, 30, 30, before, before, 30, 30, before]


@pytest.mark.services
def test_an_order_beside_a_registration(url: str, emitted: list[str]) -> None:
    """The account is made and becomes active elsewhere while the order's allowance is not yet to be seen."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets nobody write beside the order")
    registered: list[User] = []

    def register(**_signal: Any) -> None:
        if not registered:
            elsewhere(lambda: registered.append(make_user()))

    post_save.connect(register, sender=CourseEnrollmentAllowed)
    try:
        responses = at_once(url, [EMAIL], [COURSES])
    finally:
        post_save.disconnect(register, sender=CourseEnrollmentAllowed)
    assert outcomes(responses) == {"enrolled": 2}
    assert CourseEnrollment.objects.filter(user=registered[0], is_active=True).count() == 2
    assert Counter(emitted) == {"changed": 2, "created": 2}
