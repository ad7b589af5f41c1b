"""The modes in which a course can be taken."""

from typing import Any, NamedTuple

from django.db import models
from django.db.models import Q
from django.utils import timezone
from opaque_keys.edx.django.models import CourseKeyField
from opaque_keys.edx.keys import CourseKey


class Mode(NamedTuple):
    """A mode as a value."""

    slug: str
    name: str
    min_price: int = 0
    suggested_prices: str = ""
    currency: str = "usd"
    expiration_datetime: Any = None
    description: str | None = None
    sku: str | None = None
    bulk_sku: str | None = None


class CourseMode(models.Model):
    """One mode of one course; a course without any has the default, audit.

    .. no_pii: Holds courses.
    """

    AUDIT = "audit"
    HONOR = "honor"
    VERIFIED = "verified"
    PROFESSIONAL = "professional"
    DEFAULT_MODE_SLUG = AUDIT
    DEFAULT_MODE = Mode(AUDIT, "Audit")

    course_id = CourseKeyField(max_length=255, db_index=True)
    mode_slug = models.CharField(max_length=100)
    mode_display_name = models.CharField(max_length=255)
    min_price = models.IntegerField(default=0)
    currency = models.CharField(default="usd", max_length=8)
    _expiration_datetime = models.DateTimeField(db_column="expiration_datetime", null=True, blank=True, default=None)
    description = models.TextField(null=True, blank=True)
    sku = models.CharField(max_length=255, null=True, blank=True)

    class Meta:
        app_label = "course_modes"
        unique_together = ("course_id", "mode_slug", "currency")

    def __str__(self) -> str:
        return f"{self.course_id} : {self.mode_slug}"

    @property
    def expiration_datetime(self) -> Any:
        """When the mode is no longer offered; None: always."""
        return self._expiration_datetime

    def to_tuple(self) -> Mode:
        """Return the mode as a value."""
        return Mode(
            slug=self.mode_slug,
            name=self.mode_display_name,
            min_price=self.min_price,
            currency=self.currency,
            expiration_datetime=self.expiration_datetime,
            description=self.description,
            sku=self.sku,
        )

    @classmethod
    def modes_for_course(cls, course_id: CourseKey, include_expired: bool = False, **_options: Any) -> list[Mode]:
        """Return the course's modes, or the default where it has none."""
        rows = cls.objects.filter(course_id=course_id).order_by("id")
        if not include_expired:
            rows = rows.filter(Q(_expiration_datetime__isnull=True) | Q(_expiration_datetime__gte=timezone.now()))
        return [row.to_tuple() for row in rows] or [cls.DEFAULT_MODE]

    @classmethod
    def modes_for_course_dict(cls, course_id: CourseKey, **options: Any) -> dict[str, Mode]:
        """Return the course's modes by slug."""
        return {mode.slug: mode for mode in cls.modes_for_course(course_id, **options)}

    @classmethod
    def mode_for_course(cls, course_id: CourseKey, mode_slug: str, **options: Any) -> Mode | None:
        """Return one of the course's modes, or None."""
        return cls.modes_for_course_dict(course_id, **options).get(mode_slug)
