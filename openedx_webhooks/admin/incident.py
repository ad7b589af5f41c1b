"""Incidents: what this package itself failed at, for the operator to see."""

# Django calls these methods with more than they need.
# ruff: noqa: ARG002

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from openedx_webhooks.admin.readonly import ReadOnly
from openedx_webhooks.models import Incident


@admin.register(Incident)
class IncidentAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """One row per kind of failure; a row may be deleted once it was dealt with."""

    list_display = ("kind", "count", "first_at", "last_at", "detail")
    ordering = ("-last_at",)

    def has_delete_permission(self, request: HttpRequest, obj: Incident | None = None) -> bool:
        """Let those delete who may: the count starts again with the next failure."""
        return request.user.has_perm("openedx_webhooks.delete_incident")
