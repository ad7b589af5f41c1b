"""What the platform keeps about a user beside Django's own row."""

import uuid

from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone
from openedx_events.learning.data import UserData, UserPersonalData


class UserProfile(models.Model):
    """A user's profile. ``meta`` holds JSON, the session's id among it.

    .. no_pii: A stand-in for tests.
    """

    user = models.OneToOneField(User, unique=True, db_index=True, related_name="profile", on_delete=models.CASCADE)
    name = models.CharField(blank=True, max_length=255, db_index=True)
    meta = models.TextField(blank=True)
    courseware = models.CharField(blank=True, max_length=255, default="course.xml")
    language = models.CharField(blank=True, max_length=255, db_index=True)
    location = models.CharField(blank=True, max_length=255, db_index=True)
    year_of_birth = models.IntegerField(blank=True, null=True, db_index=True)
    gender = models.CharField(blank=True, null=True, max_length=6, db_index=True)
    level_of_education = models.CharField(blank=True, null=True, max_length=6, db_index=True)
    mailing_address = models.TextField(blank=True, null=True)
    city = models.TextField(blank=True, null=True)
    country = models.CharField(blank=True, null=True, max_length=2)
    state = models.CharField(blank=True, null=True, max_length=2)
    goals = models.TextField(blank=True, null=True)
    bio = models.CharField(blank=True, null=True, max_length=3000)
    profile_image_uploaded_at = models.DateTimeField(null=True, blank=True)
    phone_number = models.CharField(blank=True, null=True, max_length=50)

    class Meta:
        app_label = "student"
        db_table = "auth_userprofile"

    def __str__(self) -> str:
        return f"{self.user}'s profile"


def _activation_key() -> str:
    return uuid.uuid4().hex


class Registration(models.Model):
    """The key that activates an account.

    .. no_pii: A stand-in for tests.
    """

    user = models.OneToOneField(User, on_delete=models.CASCADE)
    activation_key = models.CharField(max_length=32, unique=True, db_index=True, default=_activation_key)
    activation_timestamp = models.DateTimeField(default=None, null=True, blank=True)

    class Meta:
        app_label = "student"
        db_table = "auth_registration"

    def __str__(self) -> str:
        return f"{self.user}'s registration"

    def activate(self) -> None:
        """Make the account active; its saving lets the allowed enrollments happen."""
        self.user.is_active = True
        self.user.save(update_fields=["is_active"])
        self.activation_timestamp = timezone.now()
        self.save()


def user_data(user: User) -> UserData:
    """Return the user as events carry one; raise where the user has no profile, as the platform does."""
    return UserData(
        pii=UserPersonalData(username=user.username, email=user.email, name=user.profile.name),
        id=user.id,
        is_active=user.is_active,
    )
