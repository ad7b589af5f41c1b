"""Where a retiring user's original data is kept."""

from typing import Self

from django.contrib.auth.models import User
from django.db import models


class RetirementState(models.Model):
    """A step of the retirement.

    .. no_pii: Holds configuration.
    """

    state_name = models.CharField(max_length=30, unique=True)
    state_execution_order = models.SmallIntegerField(unique=True)
    is_dead_end_state = models.BooleanField(default=False)
    required = models.BooleanField(default=False)

    class Meta:
        app_label = "user_api"

    def __str__(self) -> str:
        return f"{self.state_name} (step {self.state_execution_order})"


class UserRetirementStatus(models.Model):
    """One user's way through the retirement.

    .. no_pii: A stand-in for tests.
    """

    user = models.OneToOneField(User, on_delete=models.CASCADE)
    original_username = models.CharField(max_length=150, db_index=True)
    original_email = models.EmailField(db_index=True)
    original_name = models.CharField(max_length=255, blank=True, db_index=True)
    retired_username = models.CharField(max_length=150, db_index=True)
    retired_email = models.EmailField(db_index=True)
    current_state = models.ForeignKey(RetirementState, related_name="current_state", on_delete=models.CASCADE)
    last_state = models.ForeignKey(RetirementState, blank=True, related_name="last_state", on_delete=models.CASCADE)
    responses = models.TextField()
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)

    class Meta:
        app_label = "user_api"

    def __str__(self) -> str:
        return f"User: {self.user_id} State: {self.current_state_id}"

    @classmethod
    def create_retirement(cls, user: User) -> Self:
        """Keep the user's data as it is now, before the caller replaces it."""
        pending, _created = RetirementState.objects.get_or_create(
            state_name="PENDING", defaults={"state_execution_order": 1, "required": True}
        )
        return cls.objects.create(
            user=user,
            original_username=user.username,
            original_email=user.email,
            original_name=user.profile.name,
            retired_username=f"retired__user_{user.pk}",
            retired_email=f"retired__user_{user.pk}@retired.invalid",
            current_state=pending,
            last_state=pending,
            responses="Created in state PENDING",
        )
