"""Deliveries: the log. What was sent to whom, how each attempt went, and a button to send it again."""

# Django calls these methods with more than they need.
# ruff: noqa: ARG002

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from openedx_webhooks import api
from openedx_webhooks.admin import shown
from openedx_webhooks.admin.filters import CreatedFilter, EventFilter, StatusFilter, WebhookFilter
from openedx_webhooks.admin.readonly import BoundedPaginator, ReadOnly
from openedx_webhooks.models import Attempt, Delivery, Event, Webhook
from openedx_webhooks.models.seek import first_id_since

ATTEMPTS_SHOWN = 100
MARGIN = timedelta(hours=1)
"""How far an event's own time may lie from the time its row was written."""
_UUID_EPOCH = datetime(1582, 10, 15, tzinfo=UTC)

STATUS_LABELS: dict[str, Any] = {**dict(Delivery.Status.choices), "parked": gettext_lazy("Parked")}


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """A list that costs the same with a million rows, and a page for each delivery."""

    list_display = ("emitted", "shown_status", "event_name", "webhook_host", "attempts", "next_due", "last_result")
    list_filter = (StatusFilter, EventFilter, WebhookFilter, CreatedFilter)
    sortable_by = ()
    ordering = ("-pk",)
    list_per_page = 100
    show_full_result_count = False
    show_facets = getattr(getattr(admin, "ShowFacets", None), "NEVER", None)  # type: ignore[assignment]
    """Facets count the whole table for each choice of each filter (Django 5)."""
    paginator = BoundedPaginator
    search_fields = ("event__message_id",)
    search_help_text = gettext_lazy("The whole webhook-id of an event, or the number of a delivery.")
    actions = ("send_again",)
    change_form_template = "openedx_webhooks/admin/delivery_detail.html"
    change_list_template = "openedx_webhooks/admin/delivery_list.html"

    class Media:
        css = {"all": ("openedx_webhooks/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Fetch events without their bodies, and webhooks that may be gone: a join would hide their deliveries."""
        events = Event.objects.only("name", "event_type", "message_id")
        webhooks = Webhook.objects.select_related("health")
        return (
            super()
            .get_queryset(request)
            .prefetch_related(Prefetch("event", queryset=events), Prefetch("webhook", queryset=webhooks))
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        """Find by the whole webhook-id, or by the number of a delivery."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.isdecimal():
            return queryset.filter(pk=int(term[:18])), False
        return queryset.filter(event_id__in=_events(term)), False

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Whoever may change deliveries may send them again; there is nothing else to change."""
        return request.user.has_perm("openedx_webhooks.change_delivery")

    @admin.display(description=gettext_lazy("event"))
    def event_name(self, delivery: Delivery) -> str:
        """Show the name."""
        event = _event(delivery)
        return shown.breakable(event.name) if event else "-"

    @admin.display(description=gettext_lazy("created"))
    def emitted(self, delivery: Delivery) -> str:
        """Show when the event was emitted."""
        return format_html('<span class="webhooks-nowrap">{}</span>', shown.moment(delivery.created))

    @admin.display(description=gettext_lazy("webhook"))
    def webhook_host(self, delivery: Delivery) -> str:
        """Link to the webhook by its number and host."""
        webhook = _webhook(delivery)
        return _webhook_link(delivery, shown.host(webhook.webhook_url) if webhook else "")

    @admin.display(description=gettext_lazy("status"))
    def shown_status(self, delivery: Delivery) -> str:
        """Show the status, or that it is parked."""
        status = _standing(delivery)
        return format_html('<span class="webhooks-badge {}">{}</span>', status, STATUS_LABELS[status])

    @admin.display(description=gettext_lazy("next due"))
    def next_due(self, delivery: Delivery) -> str:
        """Show when it is tried next; a parked one has no such time."""
        due = delivery.due_at if _standing(delivery) == Delivery.Status.PENDING else None
        return shown.moment(due)

    @admin.display(description=gettext_lazy("last result"))
    def last_result(self, delivery: Delivery) -> str:
        """Show the status and the error of the last attempt."""
        status = str(delivery.last_status) if delivery.last_status else ""
        reason = delivery.get_reason_display() if delivery.reason else ""
        return shown.clip(" · ".join(part for part in (status, delivery.last_error, reason) if part), 160) or "-"

    @admin.action(description=gettext_lazy("Send again, with the same webhook-id"), permissions=["replay"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Send those again that were delivered or failed."""
        self._replay(request, queryset.values_list("pk", flat=True)[: BoundedPaginator.limit])

    def _replay(self, request: HttpRequest, ids: Iterable[int]) -> None:
        asked = list(ids)
        count = api.replay(asked)
        if count:
            text = ngettext("%d delivery is sent again.", "%d deliveries are sent again.", count) % count
            messages.success(request, text)
        if count < len(asked):
            text = _("%d left as they are: on their way already, or their webhook was deleted.") % (len(asked) - count)
            messages.warning(request, text)

    def get_urls(self) -> list[URLPattern]:
        """Add the address that the button POSTs to."""
        view = self.admin_site.admin_view(self.replay_view)
        return [path("<int:delivery_id>/replay/", view, name="openedx_webhooks_delivery_replay"), *super().get_urls()]

    def replay_view(self, request: HttpRequest, delivery_id: int) -> HttpResponse:
        """Send one delivery again and return to it."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_replay_permission(request):
            raise PermissionDenied
        if not Delivery.objects.filter(pk=delivery_id).exists():
            raise Http404
        self._replay(request, [delivery_id])
        return HttpResponseRedirect(reverse("admin:openedx_webhooks_delivery_change", args=[delivery_id]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the request and every attempt."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        delivery = self.get_object(request, object_id)
        context = self._detail(request, delivery) if delivery else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def _detail(self, request: HttpRequest, delivery: Delivery) -> dict[str, Any]:
        attempts = list(Attempt.objects.filter(delivery_id=delivery.pk).order_by("-pk")[:ATTEMPTS_SHOWN])
        webhook = _webhook(delivery)
        last = attempts[0] if attempts else None
        url: Callable[[str], str] = str if request.user.has_perm("openedx_webhooks.change_webhook") else shown.host
        own_url = webhook.webhook_url if webhook else ""
        finished = delivery.status in (Delivery.Status.DELIVERED, Delivery.Status.FAILED)
        return {
            "title": _("Delivery %d") % delivery.pk,
            "subtitle": None,
            "badge": self.shown_status(delivery),
            "standing": _why(delivery),
            "event": _event(delivery),
            "webhook": _webhook_link(delivery, url(own_url)),
            "is_due": _standing(delivery) == Delivery.Status.PENDING,
            "next_due": self.next_due(delivery),
            "url": url(last.url if last else own_url),
            "request_headers": shown.headers(last.request_headers, shown.REQUEST_HEADERS) if last else "",
            "body": shown.body(Event.objects.filter(pk=delivery.event_id).first(), delivery.encoding),
            "attempts": [shown.attempt(attempt, url) for attempt in attempts],
            "may_replay": finished and webhook is not None and self.has_replay_permission(request),
        }


def _event(delivery: Delivery) -> Event | None:
    # The error of a row that is gone is an AttributeError as well.
    return getattr(delivery, "event", None)


def _webhook(delivery: Delivery) -> Webhook | None:
    return getattr(delivery, "webhook", None)


def _webhook_link(delivery: Delivery, text: str) -> str:
    if _webhook(delivery) is None:
        return _("deleted webhook #%d") % delivery.webhook_id
    url = reverse("admin:openedx_webhooks_webhook_change", args=[delivery.webhook_id])
    return format_html('<a href="{}">#{} {}</a>', url, delivery.webhook_id, text)


def _standing(delivery: Delivery) -> str:
    """Return the status, or ``parked``."""
    webhook = _webhook(delivery)
    if delivery.status == Delivery.Status.PENDING and webhook is not None and api.state_of(webhook).parks:
        return "parked"
    return str(delivery.status)


def _why(delivery: Delivery) -> str:
    """Return one sentence about a delivery that is parked or has failed."""
    webhook = _webhook(delivery)
    if delivery.status == Delivery.Status.FAILED:
        return delivery.get_reason_display() if delivery.reason else ""
    if webhook is None or _standing(delivery) != "parked":
        return ""
    state = api.state_of(webhook)
    if state is api.State.OFF:
        return _("The webhook is switched off; it is sent once it is enabled.")
    return webhook.health.pause_reason if state is api.State.PAUSED else webhook.health.refusal


def _events(message_id: str) -> list[int]:
    """Return the ids of the events of a webhook-id.

    An event's id is a UUID that holds its time, which leads to the neighbourhood of the row through the primary
    key. The whole table is read only for another UUID, and where that finds nothing; never for any other word.
    """
    try:
        value = uuid.UUID(message_id)
    except ValueError:
        return []
    rows = Event.objects.filter(message_id=message_id)
    moment = _moment(value)
    if moment is not None:
        bounds = first_id_since(Event, moment - MARGIN), first_id_since(Event, moment + MARGIN)
        near = list(rows.filter(pk__gte=bounds[0], pk__lt=bounds[1]).values_list("pk", flat=True))
        if near:
            return near
    return list(rows.values_list("pk", flat=True)[:100])


def _moment(value: uuid.UUID) -> datetime | None:
    try:
        return _UUID_EPOCH + timedelta(microseconds=value.time // 10) if value.version == 1 else None
    except OverflowError:
        return None
