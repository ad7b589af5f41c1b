"""What happens when a user is saved or logs in."""

import json
from typing import Any

from common.djangoapps.student.models import CourseEnrollment, CourseEnrollmentAllowed, UserProfile
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_save, pre_save
from django.dispatch import receiver
from django.http import HttpRequest


@receiver(pre_save, sender=User)
def remember_inactive(instance: User, **_kwargs: Any) -> None:
    """Note whether this save makes the user active."""
    was_active = bool(instance.pk) and User.objects.filter(pk=instance.pk, is_active=True).exists()
    instance._becomes_active = instance.is_active and not was_active  # type: ignore[attr-defined]


@receiver(post_save, sender=User)
def enroll_invited(instance: User, **_kwargs: Any) -> None:
    """Enroll a user who becomes active where an invitation says so; a filter that prevents it stops the activation."""
    if not getattr(instance, "_becomes_active", False) or not instance.email:
        return
    for invitation in CourseEnrollmentAllowed.for_user(instance).filter(auto_enroll=True):
        CourseEnrollment.enroll(instance, invitation.course_id)


@receiver(user_logged_in)
def remember_session(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    """Keep the session's id in the profile's ``meta``."""
    UserProfile.objects.filter(user=user).update(meta=json.dumps({"session_id": request.session.session_key}))
