"""Webfilter calls: the record of what webfilters changed, halted, or failed at."""

# Django calls these methods with more than they need.
# ruff: noqa: ARG002

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openedx_webhooks.admin import shown
from openedx_webhooks.admin.filters import MAX_CHOICES, SelectFilter
from openedx_webhooks.admin.readonly import BoundedPaginator, ReadOnly
from openedx_webhooks.catalog import filters
from openedx_webhooks.models import FilterCall, Webfilter

_BADGES = {
    FilterCall.Outcome.CHANGED: "delivered",
    FilterCall.Outcome.DEFERRED: "delivered",
    FilterCall.Outcome.HALTED: "parked",
    FilterCall.Outcome.FAILED: "failed",
    FilterCall.Outcome.REFUSED: "failed",
}


class AskedFilter(SelectFilter):
    """The webfilters there are; one that was deleted is reached by its number in the address."""

    title = gettext_lazy("webfilter")
    parameter_name = "webfilter"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        """Return the newest ones."""
        rows = Webfilter.objects.order_by("-pk")[:MAX_CHOICES]
        return [(str(row.pk), shown.clip(f"#{row.pk} {row}", 80)) for row in rows]

    def queryset(self, request: HttpRequest, queryset: QuerySet[FilterCall]) -> QuerySet[FilterCall]:
        """By the number."""
        value = self.value() or ""
        return queryset.filter(webfilter_id=int(value[:18])) if value.isdecimal() else queryset


class NameFilter(SelectFilter):
    """The filters that the installed packages define: nothing is read from the table to find them."""

    title = gettext_lazy("filter")
    parameter_name = "filter"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        """By name; two of one name are shown together."""
        return [(name, name) for name in sorted({found.name for found in filters.all_filters().values()})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[FilterCall]) -> QuerySet[FilterCall]:
        """By the name."""
        return queryset.filter(filter_name=self.value()) if self.value() else queryset


@admin.register(FilterCall)
class FilterCallAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """A list of calls, newest first, and a page for each."""

    list_display = ("when", "shown_outcome", "filter_name", "asked", "took", "shown_detail")
    list_display_links = ("when",)
    list_filter = ("outcome", AskedFilter, NameFilter)
    ordering = ("-pk",)
    sortable_by = ()
    list_per_page = 100
    show_full_result_count = False
    show_facets = getattr(getattr(admin, "ShowFacets", None), "NEVER", None)  # type: ignore[assignment]
    """Facets count the whole table for each choice of each filter (Django 5)."""
    change_list_template = "openedx_webhooks/admin/webfilter_list.html"
    paginator = BoundedPaginator
    search_fields = ("message_id", "=user_id")
    search_help_text = gettext_lazy("A whole webhook-id, or the number of a user.")
    fields = (
        "shown_outcome", "filter_name", "filter_type", "asked", "when", "took", "status", "exception", "detail",
        "shown_changes", "user_id", "message_id",
    )  # fmt: skip
    readonly_fields = fields

    class Media:
        css = {"all": ("openedx_webhooks/admin.css", "openedx_webhooks/webfilter.css")}

    def get_queryset(self, request: HttpRequest) -> QuerySet[FilterCall]:
        """Fetch webfilters that may be gone: a join would hide their calls."""
        return super().get_queryset(request).prefetch_related("webfilter")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[FilterCall], search_term: str
    ) -> tuple[QuerySet[FilterCall], bool]:
        """Find by the number of a user, or by the whole webhook-id."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.isdecimal():
            return queryset.filter(user_id=int(term[:18])), False
        return queryset.filter(message_id=term), False

    @admin.display(description=gettext_lazy("called"))
    def when(self, call: FilterCall) -> str:
        """Show when it was asked."""
        return format_html('<span class="webhooks-nowrap">{}</span>', shown.moment(call.created))

    @admin.display(description=gettext_lazy("outcome"))
    def shown_outcome(self, call: FilterCall) -> str:
        """Show what came of it."""
        kind = _BADGES.get(FilterCall.Outcome(call.outcome), "leased")
        return format_html('<span class="webhooks-badge {}">{}</span>', kind, call.get_outcome_display())

    @admin.display(description=gettext_lazy("webfilter"))
    def asked(self, call: FilterCall) -> str:
        """Link to the webfilter by its number and host."""
        webfilter = getattr(call, "webfilter", None)
        if webfilter is None:
            return _("deleted webfilter #%d") % call.webfilter_id
        url = reverse("admin:openedx_webhooks_webfilter_change", args=[call.webfilter_id])
        return format_html('<a href="{}">#{} {}</a>', url, call.webfilter_id, shown.host(webfilter.webhook_url))

    @admin.display(description=gettext_lazy("duration"))
    def took(self, call: FilterCall) -> str:
        """Show milliseconds."""
        return f"{call.duration} ms"

    @admin.display(description=gettext_lazy("detail"))
    def shown_detail(self, call: FilterCall) -> str:
        """Show the status, what went wrong, and what changed."""
        paths = ", ".join(str(change.get("path")) for change in _changes(call))
        parts = (str(call.status or ""), call.exception, call.detail, paths)
        return shown.clip(" · ".join(part for part in parts if part), 160) or "-"

    @admin.display(description=gettext_lazy("changes"))
    def shown_changes(self, call: FilterCall) -> str:
        """Show what was there before and after."""
        return render_to_string("openedx_webhooks/admin/filter_changes.html", {"changes": _changes(call)})


def _changes(call: FilterCall) -> list[dict[str, Any]]:
    return list(json.loads(call.changes)) if call.changes else []
