"""Webhooks: what is sent where, how it goes, and the switches."""

# Django calls these methods with more than they need.
# ruff: noqa: ARG002

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from openedx_webhooks import api, app_settings, egress
from openedx_webhooks.admin import shown
from openedx_webhooks.admin.configured import Configured
from openedx_webhooks.admin.forms import WebhookForm
from openedx_webhooks.catalog import events as catalog
from openedx_webhooks.exceptions import AddressRefused
from openedx_webhooks.models import Webhook

LOOK_UP = 2.0
"""Seconds that saving may spend on finding out whether the address would be refused."""
LOOK_UP_LIST = 1.0
"""Seconds that the list may spend on it, for all its rows together."""
JUDGED = 50
"""How many webhooks, the newest that are switched on, the list names if they are refused."""
WAITING_SHOWN = 1000
NAMED = 8
"""How many of the events that a pattern matches are named."""

STATE_LABELS = {
    api.State.LIVE: gettext_lazy("Live"),
    api.State.OFF: gettext_lazy("Off"),
    api.State.PAUSED: gettext_lazy("Paused"),
    api.State.REFUSED: gettext_lazy("Cannot be called"),
    api.State.FAILING: gettext_lazy("Failing"),
}


class WebhookList(ChangeList):
    """The list's page, with what is waiting for each of its rows fetched at once."""

    def get_results(self, request: HttpRequest) -> None:
        """Attach the counts to the rows of this page."""
        super().get_results(request)
        waiting = api.waiting([row.pk for row in self.result_list], limit=WAITING_SHOWN)
        for row in self.result_list:
            row.waiting = waiting.get(row.pk, 0)


@admin.register(Webhook)
class WebhookAdmin(Configured):
    """The operator's page: every field, the state of the receiver, and pause, resume and rotate."""

    form = WebhookForm
    list_display = ("shown_event", "shown_url", "shown_state", "enabled", "shown_waiting", "last_success", "note")
    list_filter = ("enabled", "format")
    list_per_page = 50
    list_select_related = ("health",)
    ordering = ("-pk",)
    search_fields = ("event", "webhook_url", "description")
    actions = ("enable", "disable", "pause", "resume")
    readonly_fields = ("matches", "shown_host", "shown_secret", "header_names", "state_facts")
    save_on_top = False
    change_form_template = "openedx_webhooks/admin/webhook_form.html"
    change_list_template = "openedx_webhooks/admin/webhook_list.html"

    class Media:
        css = {"all": ("openedx_webhooks/admin.css",)}

    # What the pages hold

    def get_fieldsets(self, request: HttpRequest, obj: Webhook | None = None) -> Any:
        """Leave out what a person who may only look must not see: the URL's path, the secret, values of headers."""
        edits = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        address = "webhook_url" if edits else "shown_host"
        event = ("event", "matches") if obj else ("event",)
        return [
            (None, {"fields": ("description", *event, address, "enabled")}),
            (_("Body"), {"fields": ("format", "use_www_form_encoding")}),
            (_("Limited to"), {"fields": ("courses", "organizations")}),
            (_("Request"), {"fields": ("headers" if edits else "header_names", "timeout")}),
            *([(_("Signature"), {"fields": ("shown_secret",)})] if obj and edits else []),
            *([(_("State"), {"fields": ("state_facts",)})] if obj else []),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Count what waits."""
        return WebhookList

    @admin.display(description=gettext_lazy("event"), ordering="event")
    def shown_event(self, webhook: Webhook) -> str:
        """Show the event, or that this release has none of this name."""
        name = shown.breakable(webhook.event)
        return name if catalog.find(webhook.event) else format_html("{} ({})", name, _("no such event"))

    @admin.display(description=gettext_lazy("description"))
    def note(self, webhook: Webhook) -> str:
        """Show its first line."""
        return (webhook.description or "").strip().partition("\n")[0][:80]

    @admin.display(description=gettext_lazy("state"))
    def shown_state(self, webhook: Webhook) -> str:
        """Show where the webhook stands."""
        state = api.state_of(webhook)
        return format_html('<span class="webhooks-badge {}">{}</span>', state.value, STATE_LABELS[state])

    @admin.display(description=gettext_lazy("last success"), ordering="health__last_success_at")
    def last_success(self, webhook: Webhook) -> str:
        """Show when its receiver last accepted a delivery."""
        health = getattr(webhook, "health", None)
        return shown.moment(health.last_success_at if health else None)

    @admin.display(description=gettext_lazy("waiting"))
    def shown_waiting(self, webhook: Webhook) -> str:
        """Show how many deliveries wait, with a link to them."""
        count = getattr(webhook, "waiting", 0)
        if not count:
            return "0"
        url = reverse("admin:openedx_webhooks_delivery_changelist")
        status = "parked" if api.state_of(webhook).parks else "pending"
        text = f"{WAITING_SHOWN}+" if count >= WAITING_SHOWN else str(count)
        return format_html('<a href="{}?webhook={}&amp;status={}">{}</a>', url, webhook.pk, status, text)

    @admin.display(description=gettext_lazy("Matches"))
    def matches(self, webhook: Webhook) -> str:
        """Name the events that the pattern means on this release."""
        names = [entry.name for entry in catalog.find(webhook.event)]
        if not names:
            return _("No event of this platform: nothing is sent.")
        text = ngettext("%d event: ", "%d events: ", len(names)) % len(names) + ", ".join(names[:NAMED])
        return text + (" …" if len(names) > NAMED else "")

    @admin.display(description=gettext_lazy("Secret"))
    def shown_secret(self, webhook: Webhook) -> str:
        """Show the secret when asked, and whether the previous one still signs."""
        context = {
            "secret": webhook.secret,
            "previous_until": _if_ahead(webhook.previous_secret_until) if webhook.previous_secret else None,
        }
        return render_to_string("openedx_webhooks/admin/secret.html", context)

    @admin.display(description=gettext_lazy("Now"))
    def state_facts(self, webhook: Webhook) -> str:
        """Say where it stands, and why."""
        context = {
            "badge": self.shown_state(webhook),
            "state": api.state_of(webhook),
            "health": getattr(webhook, "health", None),
            "waiting": api.waiting([webhook.pk], limit=WAITING_SHOWN).get(webhook.pk, 0),
            "more": WAITING_SHOWN,
        }
        return render_to_string("openedx_webhooks/admin/state.html", context)

    # Saving

    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:  # noqa: FBT001
        """Save, warn where the address would be refused, and say when the change is live."""
        # Before the row is written and locked: a name may take its time.
        refusal = egress.refusal_of(obj.webhook_url, app_settings.ALLOWED_NETWORKS(), LOOK_UP, app_settings.PROXY())
        if isinstance(refusal, AddressRefused):
            messages.warning(request, _("Saved, but nothing is sent yet: %s") % refusal)
        super().save_model(request, obj, form, change)
        if change and "webhook_url" in form.changed_data:
            api.forget_failures(obj.pk)
        self._say_when(request)

    def _say_when(self, request: HttpRequest) -> None:
        seconds = f"{app_settings.CONFIG_TTL():g}"
        messages.info(request, _("The change is live in every process within %s seconds.") % seconds)

    # The list

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """List the webhooks, and warn of those whose address the policy refuses."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        enabled = Webhook.objects.filter(enabled=True).select_related("health").order_by("-pk")
        refused = _refused(enabled[:JUDGED])
        context = {**(extra_context or {}), "refused": refused, "ttl": f"{app_settings.CONFIG_TTL():g}"}
        return super().changelist_view(request, context)

    @admin.action(description=gettext_lazy("Switch on"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        """Switch on; what waited goes out."""
        self._each(request, queryset, lambda pk: api.set_enabled(pk, enabled=True), _("Switched on."))

    @admin.action(description=gettext_lazy("Switch off"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        """Switch off; nothing new is recorded."""
        self._each(request, queryset, lambda pk: api.set_enabled(pk, enabled=False), _("Switched off."))

    @admin.action(description=gettext_lazy("Pause: record events, and send them when resumed"), permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        """Park what is recorded from now on."""
        reason = _pause_reason(request)
        self._each(request, queryset, lambda pk: api.pause_webhook(pk, reason), _("Paused."))

    @admin.action(description=gettext_lazy("Resume"), permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        """Send what was parked, in order."""
        self._each(request, queryset, api.resume_webhook, _("Resumed."))

    def _each(
        self, request: HttpRequest, webhooks: Iterable[Webhook], change: Callable[[int], object], done: str
    ) -> None:
        count = 0
        for webhook in webhooks:
            change(webhook.pk)
            self.log_change(request, webhook, done)
            count += 1
        messages.success(request, ngettext("%d webhook: ", "%d webhooks: ", count) % count + done)
        self._say_when(request)

    # The buttons of one webhook

    def get_urls(self) -> list[URLPattern]:
        """Add one address that the buttons POST to."""
        view = self.admin_site.admin_view(self.button_view)
        return [
            path("<int:webhook_id>/do/<str:what>/", view, name="openedx_webhooks_webhook_do"),
            *super().get_urls(),
        ]

    def button_view(self, request: HttpRequest, webhook_id: int, what: str) -> HttpResponse:
        """Pause, resume or rotate, and return to the webhook."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        webhook = self.get_object(request, str(webhook_id))
        if webhook is None or what not in _BUTTONS:
            raise Http404
        if not self.has_change_permission(request, webhook):
            raise PermissionDenied
        level, done = _BUTTONS[what](request, webhook_id)
        self.log_change(request, webhook, done)
        messages.add_message(request, level, done)
        if what != "test":
            self._say_when(request)
        return HttpResponseRedirect(reverse("admin:openedx_webhooks_webhook_change", args=[webhook_id]))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Tell the template which buttons apply."""
        webhook = context.get("original")
        health = getattr(webhook, "health", None)
        context["paused"] = bool(health and health.paused_at)
        return super().render_change_form(request, context, *args, **kwargs)


def _pause_reason(request: HttpRequest) -> str:
    return _("Paused by %s.") % request.user.get_username()


def _pause(request: HttpRequest, webhook_id: int) -> tuple[int, str]:
    api.pause_webhook(webhook_id, _pause_reason(request))
    return messages.SUCCESS, _("Paused. Events are recorded, and sent when it is resumed.")


def _resume(_request: HttpRequest, webhook_id: int) -> tuple[int, str]:
    api.resume_webhook(webhook_id)
    return messages.SUCCESS, _("Resumed. What was parked is sent now, in order.")


def _rotate(_request: HttpRequest, webhook_id: int) -> tuple[int, str]:
    api.rotate_secret(webhook_id)
    text = _("The secret was rotated. The previous one signs along for %d hours; give the new one to the receiver.")
    return messages.SUCCESS, text % int(api.ROTATION.total_seconds() // 3600)


def _test(_request: HttpRequest, webhook_id: int) -> tuple[int, str]:
    name = api.send_test_event(webhook_id)
    if name is None:
        return messages.WARNING, _("Nothing is sent: its event is none of this platform.")
    names = {"event": name, "source": api.TEST_SOURCE}
    state = api.state_of(Webhook.objects.select_related("health").get(pk=webhook_id))
    if state.parks:
        text = _("A sample of %(event)s is parked until the webhook is live: %(state)s. Its source is %(source)s.")
        return messages.WARNING, text % {**names, "state": STATE_LABELS[state]}
    text = _("A sample of %(event)s is on its way, with %(source)s as its source; see its deliveries.")
    return messages.SUCCESS, text % names


_BUTTONS: dict[str, Callable[[HttpRequest, int], tuple[int, str]]] = {
    "pause": _pause,
    "resume": _resume,
    "rotate": _rotate,
    "test": _test,
}
"""What each button does; each returns the level of its message, and the message."""


def _if_ahead(moment: Any) -> Any:
    return moment if moment and moment > timezone.now() else None


def _refused(webhooks: Iterable[Webhook]) -> list[tuple[Webhook, str]]:
    """Return which webhooks' addresses are refused, and the sentence with the mend.

    What deliveries found is known; rows never tried, such as those from before an upgrade, are looked up for
    as long as ``LOOK_UP_LIST`` lasts.
    """
    until = time.monotonic() + LOOK_UP_LIST
    allowed, proxy = app_settings.ALLOWED_NETWORKS(), app_settings.PROXY()
    found = []
    for webhook in webhooks:
        health = getattr(webhook, "health", None)
        left = until - time.monotonic()
        if health is not None and health.refused_at:
            found.append((webhook, health.refusal))
        elif health is None and left > 0:
            refusal = egress.refusal_of(webhook.webhook_url, allowed, left, proxy)
            if refusal is not None:
                found.append((webhook, str(refusal)))
    return found
