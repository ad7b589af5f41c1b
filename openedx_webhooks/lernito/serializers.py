"""What an order may look like. The limits keep hostile text away from the database."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from openedx_webhooks import app_settings
from openedx_webhooks.egress.targets import encode_name
from openedx_webhooks.exceptions import InvalidURL

MAX_EMAIL = 254
REQUIRED: Any = {"required": "This field is required"}


class _Optional(serializers.CharField):
    """Text that may be missing, null or blank, up to ``max_length`` characters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, allow_blank=True, **kwargs)


class LernitoOrderSerializer(serializers.Serializer[dict[str, Any]]):
    """One enrollment order. Fields that it does not know are passed over."""

    email = serializers.EmailField(
        max_length=MAX_EMAIL, error_messages=REQUIRED, help_text="Who is enrolled. Case does not count."
    )
    courseIds = serializers.ListField(  # noqa: N815  the documented name
        child=serializers.CharField(max_length=255),
        allow_empty=False,
        error_messages=REQUIRED,
        help_text="Course ids, as course-v1:OpenedX+DemoX+DemoCourse. One that is repeated counts once.",
    )
    name = _Optional(max_length=255, help_text="Accepted and not used: an account gets its name from its owner.")
    family = _Optional(max_length=255, help_text="Accepted and not used.")
    username = _Optional(max_length=255, help_text="Accepted and not used: the email address says who is meant.")
    mode = _Optional(
        max_length=100,
        help_text="The course mode to enroll into, one of the course's. Without it, the course's default; who left "
        "comes back in the mode of then.",
    )

    def validate_email(self, value: str) -> str:
        """Return the address in ASCII, its domain as IDNA writes it; refuse what has no such spelling.

        Databases take letters beyond ASCII for others, and so one person for another: to MySQL é is e, ß is ss,
        and a zero-width joiner is nothing. The Kelvin sign in lower case is a k in Python, too.
        """
        local, _at, domain = value.rpartition("@")
        if not local.isascii():
            raise serializers.ValidationError("Only ASCII is taken before the @")
        try:
            email = value if domain.isascii() else f"{local}@{encode_name(domain)}"
        except InvalidURL as error:
            raise serializers.ValidationError("The domain cannot be written in ASCII, as IDNA does it") from error
        if len(email) > MAX_EMAIL:
            raise serializers.ValidationError(f"The address is longer than {MAX_EMAIL} characters in ASCII")
        return email

    def validate_courseIds(self, value: list[str]) -> list[str]:  # noqa: N802  DRF's name for it
        """Hold the number of courses under the site's limit."""
        limit = app_settings.LERNITO_MAX_COURSES()
        if len(value) > limit:
            raise serializers.ValidationError(f"At most {limit} courses fit in one order")
        return value


class LernitoResultSerializer(serializers.Serializer[dict[str, Any]]):
    """What became of one course of an order."""

    courseId = serializers.CharField()  # noqa: N815
    result = serializers.ChoiceField(["enrolled", "already_enrolled", "allowed", "already_allowed"])


class LernitoAcceptedSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer to an order that was carried out."""

    success = serializers.BooleanField()
    message = serializers.CharField()
    results = LernitoResultSerializer(many=True)
