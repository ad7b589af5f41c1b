"""The filters of the deliveries' list; none of them reads the big table to find its choices."""

# Django calls these methods with more than they need.
# ruff: noqa: ARG002

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from openedx_webhooks import api
from openedx_webhooks.catalog import events as catalog
from openedx_webhooks.models import Delivery, Event, Webhook
from openedx_webhooks.models.seek import first_id_since

MAX_CHOICES = 500
FEW_EVENTS = 1_000
"""How many events of a name are looked up by their keys."""


class StatusFilter(admin.SimpleListFilter):
    """The statuses, and *parked*, which is derived from the webhook."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, Any]]:
        """Parked stands beside pending, which leaves it out."""
        choices: list[tuple[str, Any]] = [(str(value), label) for value, label in Delivery.Status.choices]
        return [*choices[:1], ("parked", _("Parked")), *choices[1:]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        """Parked is what is pending for a webhook that is not live."""
        status = self.value()
        if status == "parked":
            return queryset.filter(status=Delivery.Status.PENDING, webhook_id__in=_parking())
        if status == Delivery.Status.PENDING:
            return queryset.filter(status=status).exclude(webhook_id__in=_parking())
        return queryset.filter(status=status) if status in Delivery.Status.values else queryset


def _parking() -> list[int]:
    return list(Webhook.objects.filter(api.NOT_LIVE).values_list("pk", flat=True))


class SelectFilter(admin.SimpleListFilter):
    """A list of choices too long for the side bar, as a select with a button; works without JavaScript."""

    template = "openedx_webhooks/admin/select_filter.html"

    def has_output(self) -> bool:
        """Shown also where there is nothing to choose yet."""
        return True

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """One choice for the template: the options, and what else the list is filtered by."""
        others = parse_qsl(changelist.get_query_string(remove=[str(self.parameter_name), "p"]).lstrip("?"))
        options = [(value, label, str(value) == self.value()) for value, label in self.lookup_choices]
        yield {"name": self.parameter_name, "options": options, "others": others, "selected": bool(self.value())}


class EventFilter(SelectFilter):
    """The events that the installed packages define."""

    title = _("event")
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        """By name; two of one name are shown together."""
        return [(name, name) for name in sorted({entry.name for entry in catalog.all_events().values()})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        """By the event's own row: through the events where they are few, else through the newest deliveries.

        A plain join took 7 s for a common event among a million deliveries: all of its rows were fetched and
        sorted to show a hundred. A scalar subquery is evaluated row by row, newest first, until there are enough.
        """
        name = self.value()
        if not name:
            return queryset
        ids = list(Event.objects.filter(name=name).order_by("-pk").values_list("pk", flat=True)[: FEW_EVENTS + 1])
        if len(ids) <= FEW_EVENTS:
            return queryset.filter(event_id__in=ids)
        own_name = Event.objects.filter(pk=OuterRef("event_id")).values("name")[:1]
        return queryset.alias(event_name=Subquery(own_name)).filter(event_name=name)


class WebhookFilter(SelectFilter):
    """The webhooks there are; one that was deleted is reached by its number in the address."""

    title = _("webhook")
    parameter_name = "webhook"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        """Return the newest ones."""
        return [
            (str(webhook.pk), f"#{webhook.pk} {webhook}") for webhook in Webhook.objects.order_by("-pk")[:MAX_CHOICES]
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        """By the number."""
        value = self.value() or ""
        return queryset.filter(webhook_id=int(value)) if value.isdecimal() else queryset


class CreatedFilter(admin.SimpleListFilter):
    """How long ago it was emitted."""

    title = _("created")
    parameter_name = "created"
    spans = {
        "hour": (_("Past hour"), timedelta(hours=1)),
        "day": (_("Past 24 hours"), timedelta(days=1)),
        "week": (_("Past 7 days"), timedelta(days=7)),
    }

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, Any]]:
        """Spans that end now."""
        return [(value, label) for value, (label, _span) in self.spans.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        """By time, from the row on that the primary key finds."""
        if self.value() not in self.spans:
            return queryset
        since = timezone.now() - self.spans[str(self.value())][1]
        return queryset.filter(pk__gte=first_id_since(Delivery, since - timedelta(hours=1)), created__gte=since)
