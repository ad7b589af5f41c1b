"""What the pages of webhooks and webfilters have in common: a row holds credentials, and others write it too."""

# Django calls these methods with more than they need.

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy

from openedx_webhooks.admin import shown
from openedx_webhooks.exceptions import InvalidHeaders
from openedx_webhooks.models import Webfilter, Webhook, lines

CREDENTIALS = frozenset({"secret", "previous_secret", "headers", "webhook_url"})
"""Fields that hold credentials; of a URL, the path often is one."""


class Configured(admin.ModelAdmin):  # type: ignore[type-arg]
    """A page of a model with an address, headers and a secret, which only those see who may change it."""

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Refuse a list filtered by a credential: one row or none tells its letters one by one."""
        # Django 4.2 has no request here, and gives none.
        more = () if request is None else (request,)
        return lookup.partition("__")[0] not in CREDENTIALS and super().lookup_allowed(lookup, value, *more)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Show the host alone to a person who may only look."""
        url = self.address(request)
        return [url if column == "shown_url" else column for column in super().get_list_display(request)]

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Search in URLs for those who see them."""
        sees = self.has_change_permission(request)
        return [name for name in super().get_search_fields(request) if sees or name not in CREDENTIALS]

    def address(self, request: HttpRequest) -> str:
        """Return the column in which this person sees the address."""
        return "shown_url" if self.has_change_permission(request) else "shown_host"

    @admin.display(description=gettext_lazy("Webhook URL"), ordering="webhook_url")
    def shown_url(self, row: Webhook | Webfilter) -> str:
        """Show the URL so that a long one wraps."""
        return format_html('<span class="webhooks-url">{}</span>', row.webhook_url)

    @admin.display(description=gettext_lazy("host"))
    def shown_host(self, row: Webhook | Webfilter) -> str:
        """Show where requests go, without the rest of the URL."""
        return shown.host(row.webhook_url)

    @admin.display(description=gettext_lazy("custom headers"))
    def header_names(self, row: Webhook | Webfilter) -> str:
        """Name the headers without their values, which are credentials more often than not."""
        try:
            return ", ".join(lines.parse_headers(row.headers)) or "-"
        except InvalidHeaders as error:
            return str(error)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """Write what the person changed, and nothing else: the rest may have been rotated or switched off meanwhile."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        # A row of the published package has neither format nor secret; the model's clean completed both.
        obj.save(update_fields={*form.changed_data, "format", "modified"})
        without = type(obj)._default_manager.filter(Q(secret=None) | Q(secret=""), pk=obj.pk)  # noqa: SLF001
        without.update(secret=obj.secret)
