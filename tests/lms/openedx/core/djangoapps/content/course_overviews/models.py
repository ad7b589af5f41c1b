"""Courses, as SQL knows them."""

from typing import Any, Self

from django.db import models
from django.utils import timezone
from opaque_keys.edx.django.models import CourseKeyField
from opaque_keys.edx.keys import CourseKey


class CourseOverview(models.Model):
    """What the platform caches of a course; the stand-in has no modulestore behind it.

    .. no_pii: Holds courses.
    """

    id = CourseKeyField(db_index=True, primary_key=True, max_length=255)
    org = models.TextField(max_length=255, default="outdated_entry")
    display_name = models.TextField(null=True)
    start = models.DateTimeField(null=True)
    end = models.DateTimeField(null=True)
    enrollment_start = models.DateTimeField(null=True)
    enrollment_end = models.DateTimeField(null=True)
    invitation_only = models.BooleanField(default=False)
    max_student_enrollments_allowed = models.IntegerField(null=True)
    created = models.DateTimeField(default=timezone.now)
    modified = models.DateTimeField(auto_now=True)

    class Meta:
        app_label = "course_overviews"

    def __str__(self) -> str:
        return str(self.id)

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.org = self.id.org
        super().save(*args, **kwargs)

    @classmethod
    def get_from_id(cls, course_id: CourseKey) -> Self:
        """Return the course; raise ``DoesNotExist`` where there is none."""
        return cls.objects.get(id=course_id)

    @property
    def display_name_with_default(self) -> str:
        """The name, or the key's last part."""
        return self.display_name or self.id.run or str(self.id)

    def is_enrollment_open(self) -> bool:
        """Return whether now lies within the enrollment's start and end."""
        now = timezone.now()
        begun = self.enrollment_start is None or self.enrollment_start <= now
        return begun and (self.enrollment_end is None or now < self.enrollment_end)
