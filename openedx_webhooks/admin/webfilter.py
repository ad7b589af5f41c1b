"""Webfilters: which filter asks which URL, what its answers may do, and what they did."""

# Django calls these methods with more than they need.

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from openedx_webhooks import app_settings, egress
from openedx_webhooks.admin import shown
from openedx_webhooks.admin.configured import Configured
from openedx_webhooks.admin.webfilter_form import WebfilterForm
from openedx_webhooks.catalog import filters
from openedx_webhooks.exceptions import AddressRefused
from openedx_webhooks.models import Webfilter, WebfilterCounter
from openedx_webhooks.models.webfilter import SWITCHES
from openedx_webhooks.webfilters.step import STEP

LOOK_UP = 2.0
"""Seconds that saving may spend on finding out whether the address would be refused."""


@admin.register(Webfilter)
class WebfilterAdmin(Configured):
    """The operator's page: every setting, what the chosen filter allows, and what came of the calls so far."""

    form = WebfilterForm
    list_display = ("shown_event", "shown_url", "enabled", "shown_mode", "asked", "last_call", "note")
    list_filter = ("enabled", "shadow", "format")
    list_per_page = 50
    list_select_related = ("counter",)
    ordering = ("-pk",)
    search_fields = ("event", "webhook_url", "description")
    actions = ("enable", "disable")
    readonly_fields = ("shown_host", "shown_secret", "header_names", "counts")
    change_form_template = "openedx_webhooks/admin/webfilter_form.html"
    change_list_template = "openedx_webhooks/admin/webfilter_list.html"

    class Media:
        css = {"all": ("openedx_webhooks/admin.css", "openedx_webhooks/webfilter.css")}

    # What the pages hold

    def get_fieldsets(self, request: HttpRequest, obj: Webfilter | None = None) -> Any:
        """Leave out what a person who may only look must not see: the URL's path, the secret, values of headers."""
        edits = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        address = "webhook_url" if edits else "shown_host"
        return [
            (None, {"fields": ("description", "event", address, "enabled", "shadow")}),
            (_("What its answers may do"), {"fields": ("disable_filtering", "disable_halt", "allow_html")}),
            (
                _("When it fails"),
                {
                    "fields": (
                        "halt_on_4xx",
                        "redirect_on_4xx",
                        "halt_on_5xx",
                        "redirect_on_5xx",
                        "halt_on_request_exception",
                        "redirect_on_request_exception",
                    )
                },
            ),
            (_("Body"), {"fields": ("format", "use_www_form_encoding")}),
            (_("Limited to"), {"fields": ("courses", "organizations")}),
            (_("Request"), {"fields": ("headers" if edits else "header_names", "timeout")}),
            *([(_("Signature"), {"fields": ("shown_secret",)})] if obj and edits else []),
            *([(_("So far"), {"fields": ("counts",)})] if obj else []),
        ]

    @admin.display(description=gettext_lazy("event"), ordering="event")
    def shown_event(self, webfilter: Webfilter) -> str:
        """Show the filter, or that this release has none of this name."""
        name = shown.breakable(webfilter.event)
        return name if filters.find(webfilter.event) else format_html("{} ({})", name, _("no such filter"))

    @admin.display(description=gettext_lazy("description"))
    def note(self, webfilter: Webfilter) -> str:
        """Show its first line."""
        return webfilter.description.strip().partition("\n")[0][:80]

    @admin.display(description=gettext_lazy("mode"))
    def shown_mode(self, webfilter: Webfilter) -> str:
        """Show whether it acts, or only watches."""
        if not webfilter.enabled:
            return format_html('<span class="webhooks-badge off">{}</span>', _("Off"))
        if webfilter.shadow:
            return format_html('<span class="webhooks-badge parked">{}</span>', _("Shadow"))
        return format_html('<span class="webhooks-badge live">{}</span>', _("Live"))

    @admin.display(description=gettext_lazy("calls"))
    def asked(self, webfilter: Webfilter) -> str:
        """Show how often it was asked, with a link to the calls that mattered."""
        counter = _counter(webfilter)
        if counter is None:
            return "0"
        url = reverse("admin:openedx_webhooks_filtercall_changelist")
        return format_html('<a href="{}?webfilter={}">{}</a>', url, webfilter.pk, counter.calls)

    @admin.display(description=gettext_lazy("last call"), ordering="counter__last_call_at")
    def last_call(self, webfilter: Webfilter) -> str:
        """Show when it was last asked."""
        counter = _counter(webfilter)
        return shown.moment(counter.last_call_at if counter else None)

    @admin.display(description=gettext_lazy("Secret"))
    def shown_secret(self, webfilter: Webfilter) -> str:
        """Show the secret when asked, and whether the previous one still signs."""
        until = webfilter.previous_secret_until
        is_ahead = bool(webfilter.previous_secret and until and until > timezone.now())
        context = {"secret": webfilter.secret, "previous_until": until if is_ahead else None}
        return render_to_string("openedx_webhooks/admin/secret.html", context)

    @admin.display(description=gettext_lazy("Calls"))
    def counts(self, webfilter: Webfilter) -> str:
        """Say how often it was asked, and what came of it."""
        return render_to_string("openedx_webhooks/admin/webfilter_counts.html", {"counter": _counter(webfilter)})

    # Saving

    def save_model(self, request: HttpRequest, obj: Webfilter, form: Any, change: bool) -> None:  # noqa: FBT001
        """Save, warn where the address would be refused, and say when the change is live."""
        # Before the row is written and locked: a name may take its time.
        refusal = egress.refusal_of(obj.webhook_url, app_settings.ALLOWED_NETWORKS(), LOOK_UP, app_settings.PROXY())
        if isinstance(refusal, AddressRefused):
            messages.warning(request, _("Saved, but nothing is asked yet: %s") % refusal)
        for warning in _warnings(obj):
            messages.warning(request, warning)
        super().save_model(request, obj, form, change)
        self._say_when(request)

    def _say_when(self, request: HttpRequest) -> None:
        seconds = f"{app_settings.CONFIG_TTL():g}"
        messages.info(request, _("The change is live in every process within %s seconds.") % seconds)

    @admin.action(description=gettext_lazy("Switch on"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Webfilter]) -> None:
        """Ask from now on."""
        self._switch(request, queryset, enabled=True)

    @admin.action(description=gettext_lazy("Switch off"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Webfilter]) -> None:
        """Ask no longer."""
        self._switch(request, queryset, enabled=False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Webfilter], *, enabled: bool) -> None:
        done = _("Switched on.") if enabled else _("Switched off.")
        count = 0
        for webfilter in queryset:
            webfilter.enabled = enabled
            webfilter.save(update_fields=["enabled", "modified"])
            self.log_change(request, webfilter, done)
            count += 1
        messages.success(request, ngettext("%d webfilter: ", "%d webfilters: ", count) % count + done)
        self._say_when(request)

    # The button of one webfilter

    def get_urls(self) -> list[URLPattern]:
        """Add the address that the button POSTs to."""
        view = self.admin_site.admin_view(self.rotate_view)
        return [
            path("<int:webfilter_id>/rotate/", view, name="openedx_webhooks_webfilter_rotate"),
            *super().get_urls(),
        ]

    def rotate_view(self, request: HttpRequest, webfilter_id: int) -> HttpResponse:
        """Give it a new secret, and return to it."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        webfilter = self.get_object(request, str(webfilter_id))
        if webfilter is None:
            raise Http404
        if not self.has_change_permission(request, webfilter):
            raise PermissionDenied
        webfilter.rotate_secret()
        self.log_change(request, webfilter, _("The secret was rotated."))
        messages.success(
            request,
            _("The secret was rotated. The previous one signs along for 24 hours; give the receiver the new one."),
        )
        self._say_when(request)
        return HttpResponseRedirect(reverse("admin:openedx_webhooks_webfilter_change", args=[webfilter_id]))


def _warnings(webfilter: Webfilter) -> Iterator[str]:
    """Return what is allowed, and has no effect as it stands, each with the mend."""
    if webfilter.disable_halt and any(getattr(webfilter, f"halt_on_{kind}") for kind in SWITCHES):
        yield _("Disable halting is on: the halt switches do nothing until it is taken off.")
    found = filters.find(webfilter.event)
    unwired = [f.filter_type for f in found if STEP not in app_settings.pipeline_of(f.filter_type)]
    if unwired:
        yield _(
            "The platform does not ask webfilters about %(filters)s. Restart its processes; if that does not help, add "
            "%(step)s to the pipeline of each in OPEN_EDX_FILTERS_CONFIG."
        ) % {"filters": ", ".join(unwired), "step": STEP}


def _counter(webfilter: Webfilter) -> WebfilterCounter | None:
    # A row without a counter raises an error that is an AttributeError as well.
    return getattr(webfilter, "counter", None)
