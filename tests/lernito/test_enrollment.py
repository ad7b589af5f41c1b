"""Who gets into which course, through the platform, and who does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from common.djangoapps.course_modes.models import CourseMode
from common.djangoapps.student.models import CourseEnrollment, CourseEnrollmentAllowed
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.db.models.signals import pre_save
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey
from openedx.core.djangoapps.content.course_overviews.models import CourseOverview
from openedx.core.djangoapps.user_api.models import UserRetirementStatus

from openedx_webhooks import subscriptions
from openedx_webhooks.lernito import enrollment
from openedx_webhooks.models import Event, LernitoOrder, Webhook
from tests.lernito import steps
from tests.lernito.conftest import COURSES, EMAIL, Shop, make_user

pytestmark = pytest.mark.usefixtures("courses")


def results(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["result"] for row in answer.json()["results"]]


def refusal(answer: Any) -> str:
    assert (answer.status_code, answer.json()["success"]) == (400, False)
    assert not LernitoOrder.objects.exists()
    return str(answer.json()["message"])


def modes(course_id: str, *slugs: str) -> None:
    for slug in slugs:
        CourseMode.objects.create(course_id=course_id, mode_slug=slug, mode_display_name=slug)


class TestExistingUser:
    def test_a_verified_learner_stays_verified_and_no_event_is_doubled(
        self, shop: Shop, user: User, emitted: list[str], courses: list[CourseOverview]
    ) -> None:
        CourseEnrollment.enroll(user, courses[0].id, mode="verified")
        emitted.clear()
        assert results(shop.order()) == ["already_enrolled", "enrolled"]
        assert sorted(emitted) == ["changed", "created"]
        assert results(shop.order()) == ["already_enrolled", "already_enrolled"]
        assert sorted(emitted) == ["changed", "created"]
        assert CourseEnrollment.get_enrollment(user, courses[0].id).mode == "verified"

    def test_somebody_who_left_comes_back(self, shop: Shop, user: User, courses: list[CourseOverview]) -> None:
        CourseEnrollment.enroll(user, courses[0].id)
        CourseEnrollment.unenroll(user, courses[0].id)
        assert results(shop.order(course_ids=COURSES[:1])) == ["enrolled"]
        assert CourseEnrollment.is_enrolled(user, courses[0].id)

    @pytest.mark.parametrize(
        ("offered", "ordered", "now"),
        [
            (("audit", "verified"), None, "verified"),
            (("audit", "verified"), "audit", "audit"),
            (("honor", "audit"), None, "audit"),
            ((), None, "audit"),
        ],
        ids=["the mode of then", "the mode ordered", "the default of now", "a course without modes"],
    )
    def test_the_mode_of_who_comes_back(self, shop: Shop, user: User, offered: Any, ordered: Any, now: str) -> None:
        key = CourseKey.from_string(COURSES[0])
        CourseEnrollment.enroll(user, key, mode="verified")
        CourseEnrollment.unenroll(user, key)
        modes(COURSES[0], *offered)
        assert results(shop.order(course_ids=COURSES[:1], mode=ordered)) == ["enrolled"]
        assert CourseEnrollment.objects.get().mode == now

    @pytest.mark.parametrize("spelling", ["LEARNER1@EXAMPLE.COM", "Learner1@example.com", f"  {EMAIL} "])
    def test_case_does_not_count(self, shop: Shop, user: User, spelling: str) -> None:
        assert results(shop.order(spelling)) == ["enrolled", "enrolled"]
        assert CourseEnrollment.objects.filter(user=user).count() == 2

    def test_an_accent_does(self, shop: Shop) -> None:
        """MySQL's collation takes one for the other; an order for the one must not enroll the other."""
        make_user("learner1@jose.example")
        assert results(shop.order("learner1@josé.example")) == ["allowed", "allowed"]
        assert not CourseEnrollment.objects.exists()

    @pytest.mark.parametrize("sign", ["\u212a", "\u017f"])
    def test_a_sign_whose_lower_case_is_a_letter(self, shop: Shop, sign: str) -> None:
        """The Kelvin sign and the long s pass for k and s, and so for another person's address."""
        for letter in "ks":
            make_user(f"learner{letter}@example.com")
        answer = shop.order(f"learner{sign}@example.com")
        assert (answer.status_code, list(answer.json()["message"])) == (400, ["email"])
        assert not CourseEnrollment.objects.exists()
        assert not CourseEnrollmentAllowed.objects.exists()

    def test_inactive_users_are_enrolled(self, shop: Shop) -> None:
        user = make_user(is_active=False)
        assert results(shop.order()) == ["enrolled", "enrolled"]
        assert CourseEnrollment.objects.filter(user=user, is_active=True).count() == 2

    def test_an_account_without_a_profile(self, shop: Shop) -> None:
        User.objects.create_superuser("operator", EMAIL, "correct horse")
        assert refusal(shop.order()) == "The account of this email address has no profile"


class TestRetired:
    def test_before_and_after_the_address_is_replaced(self, shop: Shop, user: User) -> None:
        status = UserRetirementStatus.create_retirement(user)
        expected = "The account of this email address is retired"
        assert refusal(shop.order()) == expected
        User.objects.filter(pk=user.pk).update(email=status.retired_email)
        assert refusal(shop.order(EMAIL.upper())) == expected
        assert refusal(shop.order(status.retired_email)) == expected
        assert not CourseEnrollmentAllowed.objects.exists()

    def test_another_address_is_not(self, shop: Shop) -> None:
        """MySQL takes josé for jose, and the one's retirement is none of the other's."""
        UserRetirementStatus.create_retirement(make_user("ada@jose.example"))
        assert results(shop.order("ada@jos\u00e9.example")) == ["allowed", "allowed"]


class TestNewUser:
    def test_repeated_in_another_spelling(self, shop: Shop) -> None:
        assert results(shop.order("New.Person@Example.com")) == ["allowed", "allowed"]
        assert results(shop.order("new.person@example.com")) == ["already_allowed", "already_allowed"]
        assert CourseEnrollmentAllowed.objects.count() == 2

    def test_an_invitation_that_did_not_enroll_does_now(self, shop: Shop, courses: list[CourseOverview]) -> None:
        CourseEnrollmentAllowed.objects.create(email=EMAIL, course_id=courses[0].id, auto_enroll=False)
        assert results(shop.order()) == ["allowed", "allowed"]
        assert CourseEnrollmentAllowed.objects.filter(auto_enroll=True).count() == 2

    @pytest.mark.parametrize(
        ("domain", "encoded", "alike"),
        [
            ("josé.example", "xn--jos-dma.example", "jose.example"),
            ("STRAẞE.example", "xn--strae-oqa.example", "strasse.example"),
            ("क्\u200dष.example", "xn--11b2ezcw70k.example", "क्ष.example"),
        ],
        ids=["accent", "sharp s", "joiner"],
    )
    def test_a_domain_beyond_ascii(self, shop: Shop, domain: str, encoded: str, alike: str) -> None:
        """It is taken in ASCII: as it is written, MySQL would give its allowance to an account of the other domain."""
        assert results(shop.order(f"ada@{domain}")) == ["allowed", "allowed"]
        make_user(f"ada@{alike}")
        assert not CourseEnrollment.objects.exists()
        assert results(shop.order(f"ada@{domain}")) == ["already_allowed", "already_allowed"]
        User.objects.all().delete()
        make_user(f"ada@{encoded}")
        assert CourseEnrollment.objects.count() == 2
        assert results(shop.order(f"ada@{domain}")) == ["already_enrolled", "already_enrolled"]

    @pytest.mark.parametrize(
        ("alike", "ordered"),
        [
            ("ada@jose\u0301.example", "ada@jose.example"),
            ("ada@josé.example", "ada@jose.example"),
            ("ada@straße.example", "ada@strasse.example"),
            ("ada@example\u200d.com", "ada@example.com"),
        ],
        ids=["combining", "accent", "sharp s", "joiner"],
    )
    def test_another_address_s_invitation_is_left_alone(
        self, shop: Shop, courses: list[CourseOverview], alike: str, ordered: str
    ) -> None:
        """MySQL takes one address for the other, and its unique index has no room for both."""
        other = CourseEnrollmentAllowed.objects.create(email=alike, course_id=courses[0].id, auto_enroll=False)
        answer = shop.order(ordered)
        if connection.vendor == "mysql":
            assert "The database takes another address" in refusal(answer)
        else:
            assert results(answer) == ["allowed", "allowed"]
        other.refresh_from_db()
        assert not other.auto_enroll

    def test_an_account_made_while_the_order_is_placed(self, shop: Shop, emitted: list[str]) -> None:
        """It becomes active before there is an allowance for it to find."""
        made: list[User] = []

        def register(**_signal: Any) -> None:
            if not made:
                made.append(make_user())

        pre_save.connect(register, sender=CourseEnrollmentAllowed)
        try:
            assert results(shop.order()) == ["enrolled", "enrolled"]
        finally:
            pre_save.disconnect(register, sender=CourseEnrollmentAllowed)
        assert CourseEnrollment.objects.filter(user=made[0], is_active=True).count() == 2
        assert sorted(emitted) == ["changed", "changed", "created", "created"]
        assert results(shop.order()) == ["already_enrolled", "already_enrolled"]

    def test_an_allowance_is_used_once(self, shop: Shop) -> None:
        shop.order()
        user = make_user()
        User.objects.filter(pk=user.pk).update(email="elsewhere@example.com")
        LernitoOrder.objects.all().delete()
        assert "was used by an account that has another address now" in refusal(shop.order())


class TestModes:
    def test_the_courses_default(self, shop: Shop, user: User) -> None:
        modes(COURSES[0], "honor", "verified")
        assert results(shop.order(course_ids=COURSES[:1])) == ["enrolled"]
        assert CourseEnrollment.objects.get().mode == "honor"

    def test_a_mode_of_the_course(self, shop: Shop, user: User) -> None:
        modes(COURSES[0], "audit", "verified")
        assert results(shop.order(course_ids=COURSES[:1], mode="verified")) == ["enrolled"]
        assert CourseEnrollment.objects.get().mode == "verified"
        assert results(shop.order(course_ids=COURSES[:1], mode="audit")) == ["already_enrolled"]
        assert CourseEnrollment.objects.get().mode == "verified"

    def test_a_mode_that_one_course_has_not(self, shop: Shop, user: User) -> None:
        modes(COURSES[0], "audit", "verified")
        assert refusal(shop.order(mode="verified")) == f"Mode verified is not available in course {COURSES[1]}"
        assert not CourseEnrollment.objects.exists()

    def test_a_mode_that_an_allowance_cannot_carry(self, shop: Shop) -> None:
        modes(COURSES[0], "audit", "verified")
        assert "needs an account" in refusal(shop.order(course_ids=COURSES[:1], mode="verified"))
        assert results(shop.order(course_ids=COURSES[:1], mode="audit")) == ["allowed"]

    @pytest.mark.parametrize("mode", ["", None])
    def test_none_named(self, shop: Shop, user: User, mode: Any) -> None:
        assert results(shop.order(mode=mode)) == ["enrolled", "enrolled"]


def test_a_filter_that_prevents_one_course_prevents_the_order(
    shop: Shop, user: User, settings: Any, emitted: list[str]
) -> None:
    settings.OPEN_EDX_FILTERS_CONFIG = steps.configured(steps.PreventSecond)
    assert refusal(shop.order()) == "You need the first course's certificate."
    assert not CourseEnrollment.objects.exists()
    assert results(shop.order(course_ids=COURSES[:1])) == ["enrolled"]


@pytest.mark.django_db(transaction=True)
def test_a_webhook_hears_of_what_was_done_and_of_nothing_that_was_undone(shop: Shop, user: User, settings: Any) -> None:
    Webhook.objects.create(event="COURSE_ENROLLMENT_*", webhook_url="https://receiver.example.com/")
    settings.OPENEDX_WEBHOOKS_DISPATCH = "none"
    settings.OPEN_EDX_FILTERS_CONFIG = steps.configured(steps.PreventSecond)
    subscriptions.refresh()
    assert shop.order().status_code == 400
    assert not Event.objects.exists()
    settings.OPEN_EDX_FILTERS_CONFIG = {}
    assert results(shop.order()) == ["enrolled", "enrolled"]
    shop.order()
    names = sorted(Event.objects.values_list("name", flat=True))
    assert names == ["COURSE_ENROLLMENT_CHANGED"] * 2 + ["COURSE_ENROLLMENT_CREATED"] * 2


def close(course: CourseOverview, how: str) -> None:
    now = timezone.now()
    changes: dict[str, dict[str, Any]] = {
        "early": {"enrollment_start": now + timedelta(days=1)},
        "late": {"enrollment_end": now - timedelta(days=1)},
        "invited": {"invitation_only": True},
        "full": {"max_student_enrollments_allowed": 0},
    }
    CourseOverview.objects.filter(id=course.id).update(**changes[how])


@pytest.mark.parametrize("how", ["early", "late", "invited", "full"])
@pytest.mark.parametrize("account", [True, False])
class TestAccess:
    def test_an_order_opens_a_closed_course(
        self, shop: Shop, courses: list[CourseOverview], how: str, account: bool
    ) -> None:
        close(courses[1], how)
        if account:
            make_user()
        assert results(shop.order()) == ["enrolled" if account else "allowed"] * 2

    def test_unless_the_site_checks_access(
        self, shop: Shop, courses: list[CourseOverview], settings: Any, how: str, account: bool
    ) -> None:
        settings.OPENEDX_WEBHOOKS_LERNITO_CHECK_ACCESS = True
        close(courses[1], how)
        if account:
            make_user()
        expected = f"Course {COURSES[1]} is full" if how == "full" else f"Enrollment in course {COURSES[1]} is closed"
        assert refusal(shop.order()) == expected
        assert not CourseEnrollment.objects.exists()
        assert not CourseEnrollmentAllowed.objects.exists()


def test_checking_access_lets_those_in_who_are(shop: Shop, user: User, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_LERNITO_CHECK_ACCESS = True
    assert results(shop.order()) == ["enrolled", "enrolled"]
    assert results(shop.order()) == ["already_enrolled", "already_enrolled"]


class TestCourseIds:
    def test_repeated_ones_count_once(self, shop: Shop, user: User) -> None:
        answer = shop.order(course_ids=[COURSES[1], COURSES[0], COURSES[1], f" {COURSES[0]} "])
        assert answer.json()["message"] == "User enrollment status verified for 2 course(s)"
        assert [row["courseId"] for row in answer.json()["results"]] == [COURSES[1], COURSES[0]]

    @pytest.mark.parametrize("other", ["course-v1:EDX+demox+2026", "course-v1:édX+DemoX+2026"])
    def test_another_spelling_is_another_course(self, shop: Shop, user: User, other: str) -> None:
        """MySQL finds it all the same; an enrollment under that spelling would be one in no course."""
        assert refusal(shop.order(course_ids=[other])) in (
            f"Course {other} does not exist",
            f"Invalid course key format: {other}",
        )

    @pytest.mark.parametrize("other", ["library-v1:edX+Lib", "edX/DemoX/2026", f"{COURSES[0]}+branch@draft"])
    def test_keys_of_other_things(self, shop: Shop, user: User, other: str) -> None:
        assert other in refusal(shop.order(course_ids=[other]))
        assert not CourseEnrollment.objects.exists()


@pytest.fixture
def slow_step(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any, Any], None]], None]:
    """Have an order's time run out while it is in the enrollment's filter, and something happen there."""
    settings.OPEN_EDX_FILTERS_CONFIG = steps.configured(steps.Meanwhile)
    passed = [0.0]
    monkeypatch.setattr(enrollment, "monotonic", lambda: sum(passed))

    def run_out(happens: Callable[[Any, Any], None]) -> None:
        def step(user: Any, key: Any) -> None:
            passed.append(enrollment.PATIENCE)
            happens(user, key)

        monkeypatch.setattr(steps.Meanwhile, "happens", step, raising=False)

    return run_out


def test_an_order_that_takes_too_long_is_undone(shop: Shop, user: User, slow_step: Any) -> None:
    """Webfilters may take seconds over each course, and other orders wait on the same row."""
    slow_step(lambda user, key: None)
    answer = shop.order()
    assert (answer.status_code, answer.json()["message"]) == (500, "Internal server error")
    assert not CourseEnrollment.objects.exists()
    assert not LernitoOrder.objects.exists()
    assert results(shop.order(course_ids=COURSES[:1])) == ["enrolled"]


def test_an_order_is_not_tried_again_when_its_time_is_up(shop: Shop, user: User, slow_step: Any) -> None:
    seen: list[Any] = []

    def fail(user: Any, key: Any) -> None:
        seen.append(key)
        raise OperationalError(1213, "Deadlock found when trying to get lock")

    slow_step(fail)
    assert shop.order().status_code == 500
    assert len(seen) == 1
