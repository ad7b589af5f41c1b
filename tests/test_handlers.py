"""What this package hears from the platform beside events."""

from __future__ import annotations

import pytest
from common.djangoapps.student.models import UserProfile
from django.contrib.auth.models import User
from django.utils import timezone
from openedx.core.djangoapps.user_api.accounts.signals import USER_RETIRE_LMS_MISC
from openedx.core.djangoapps.user_api.models import UserRetirementStatus

from openedx_webhooks.lernito.records import email_hmac
from openedx_webhooks.models import FilterCall, LernitoOrder

pytestmark = pytest.mark.django_db


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
