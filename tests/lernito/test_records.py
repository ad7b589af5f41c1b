"""What is kept of an order, what the log says, and what neither of them holds."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from common.djangoapps.student.models import UserProfile
from django.contrib.auth.models import User
from django.db import IntegrityError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from openedx_webhooks.lernito import answers, records
from openedx_webhooks.models import LernitoOrder
from tests.lernito import steps
from tests.lernito.conftest import COURSES, EMAIL, Shop, make_user, signature

pytestmark = pytest.mark.usefixtures("courses")
PERSONAL = {"name": "Ada Quill", "family": "Lovelace-Byron", "username": "ada_q"}


def test_an_accepted_order_is_kept(shop: Shop, user: User) -> None:
    before = timezone.now()
    shop.order(course_ids=COURSES[:1])
    shop.order(EMAIL.upper())
    first, second = LernitoOrder.objects.order_by("id")
    assert before <= first.created <= second.created <= timezone.now()
    assert (first.source, first.scheme) == ("127.0.0.1", "lernito")
    assert first.message == "User enrollment status verified for 1 course(s)"
    assert second.results.splitlines() == [f"{COURSES[0]} already_enrolled", f"{COURSES[1]} enrolled"]
    assert first.email_hmac == second.email_hmac == records.email_hmac(EMAIL)
    assert first.user_id == second.user_id == user.pk


def test_an_order_that_found_no_account_is_kept_without_one(shop: Shop) -> None:
    shop.order()
    assert LernitoOrder.objects.get().user_id is None


def test_the_admins_search_knows_the_former_key(shop: Shop, operator: Client, settings: Any) -> None:
    shop.order()
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "a new key"
    operator.force_login(User.objects.get(username="operator"))
    assert "Enrollment allowance verified" in operator.get(TestAdmin.PATH, {"q": EMAIL}).content.decode()


def test_the_scheme_is_kept(shop: Shop) -> None:
    data = {"email": EMAIL, "courseIds": list(COURSES)}
    signed = json.dumps(data, sort_keys=True).encode()
    shop.post(json.dumps(data, indent=1).encode(), x_lernito_signature=signature(signed))
    assert LernitoOrder.objects.get().scheme == "sorted-json"


def test_the_hash_needs_the_sites_key(settings: Any) -> None:
    mine = records.email_hmac(EMAIL)
    settings.SECRET_KEY = "another site's"
    assert records.email_hmac(EMAIL) != mine


def test_the_record_names_nobody(shop: Shop, user: User) -> None:
    shop.order(**PERSONAL)
    [row] = LernitoOrder.objects.values()
    text = json.dumps(row, default=str)
    assert not [value for value in (EMAIL, *PERSONAL.values(), user.username) if value in text]


def test_a_refused_order_is_not_kept(shop: Shop, user: User) -> None:
    shop.order(course_ids=["course-v1:edX+None+2026"])
    shop.post(b"{}", x_lernito_signature="0" * 64)
    assert not LernitoOrder.objects.exists()


def test_forgotten_with_the_person(shop: Shop) -> None:
    shop.order()
    shop.order("other@example.com")
    user = make_user("third@example.com")
    shop.order(user.email)
    assert records.forget(EMAIL.title(), user.pk) == 2
    assert LernitoOrder.objects.get().email_hmac == records.email_hmac("other@example.com")


class TestLog:
    def text(self, caplog: pytest.LogCaptureFixture) -> str:
        ours = [record for record in caplog.records if record.name.startswith("openedx_webhooks")]
        return "\n".join(caplog.handler.format(record) for record in ours)

    @pytest.mark.parametrize("account", [True, False])
    def test_nothing_personal_whatever_happens(
        self, shop: Shop, settings: Any, caplog: pytest.LogCaptureFixture, request: Any, account: bool
    ) -> None:
        caplog.set_level(logging.DEBUG)
        names = [EMAIL, *PERSONAL.values()]
        if account:
            names.append(request.getfixturevalue("user").username)
        shop.order(**PERSONAL)
        shop.order(course_ids=["x"], **PERSONAL)
        shop.order(EMAIL + "@", **PERSONAL)
        shop.post(json.dumps(PERSONAL).encode(), x_lernito_signature="0")
        settings.LERNITO_WEBHOOK_SECRET = None
        shop.order(**PERSONAL)
        ours = [record for record in caplog.records if record.name.startswith("openedx_webhooks.lernito")]
        assert len(ours) >= 3
        assert all(record.getMessage().startswith("openedx_webhooks: ") for record in ours)
        assert not [name for name in names if name.lower() in self.text(caplog).lower()]

    def test_a_failure_is_logged_with_its_cause_and_without_the_person(
        self, shop: Shop, user: User, settings: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.OPEN_EDX_FILTERS_CONFIG = steps.configured(steps.Break)
        assert shop.order(**PERSONAL).status_code == 500
        assert not LernitoOrder.objects.exists()
        text = self.text(caplog)
        assert "RuntimeError" in text
        assert "steps.py" in text
        [profile] = UserProfile.objects.all()
        assert not [value for value in (EMAIL, user.username, profile.name, *PERSONAL.values()) if value in text]

    def test_of_a_database_error_the_number_is_kept(self) -> None:
        with pytest.raises(RuntimeError) as caught:
            fail(PERSONAL["username"])
        text = answers.describe(caught.value)
        assert "IntegrityError: 1062\nwhich led to\n" in text
        assert text.endswith("builtins.RuntimeError\n")
        assert PERSONAL["username"] not in text


def fail(person: str) -> None:
    try:
        raise IntegrityError(1062, f"Duplicate entry '{person}' for key 'username'")
    except IntegrityError as error:
        raise RuntimeError(f"while enrolling {person}") from error


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("operator", "operator@example.com", "correct horse"))
    return client


class TestAdmin:
    PATH = "/admin/openedx_webhooks/lernitoorder/"

    def test_listed_and_found_by_address(self, shop: Shop, operator: Client) -> None:
        shop.order()
        shop.order("other@example.com", course_ids=COURSES[1:])
        assert operator.get(self.PATH).content.decode().count("Enrollment allowance verified") == 2
        for term, found in (
            (EMAIL.upper(), 1),
            ("nobody@example.com", 0),
            (COURSES[0], 0),
            (EMAIL.partition("@")[0], 0),
        ):
            page = operator.get(self.PATH, {"q": term}).content.decode()
            assert page.count("Enrollment allowance verified") == found, term

    def test_no_page_reads_the_whole_table(self, shop: Shop, operator: Client) -> None:
        shop.order()
        with CaptureQueriesContext(connection) as queries:
            for query in ({}, {"scheme": "lernito"}, {"_facets": "True"}, {"q": COURSES[0]}, {"o": "5"}):
                assert operator.get(self.PATH, query).status_code in (200, 302)
            assert operator.get(self.PATH, {"scheme": "standard"}).context["cl"].result_count == 0
        ours = [q["sql"] for q in queries.captured_queries if "openedx_webhooks_lernitoorder" in q["sql"]]
        assert ours
        assert all("LIMIT" in sql for sql in ours if "COUNT(" in sql)
        assert not [sql for sql in ours if "DISTINCT" in sql or "LIKE" in sql]
        ordered = [sql.partition("ORDER BY")[2].lstrip(' "`')[:60] for sql in ours if "ORDER BY" in sql]
        assert ordered
        assert all("created" in sql.partition(",")[0] for sql in ordered)

    def test_seen_and_never_edited(self, shop: Shop, operator: Client) -> None:
        shop.order()
        row = LernitoOrder.objects.get()
        page = operator.get(f"{self.PATH}{row.pk}/change/")
        assert page.status_code == 200
        assert row.email_hmac in page.content.decode()
        assert operator.post(f"{self.PATH}{row.pk}/change/", {"message": "x"}).status_code == 403
        assert operator.get(f"{self.PATH}add/").status_code == 403
