"""Lernito orders in the admin: what came, for which courses, and what became of it."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from openedx_webhooks.admin.readonly import BoundedPaginator, ReadOnly
from openedx_webhooks.lernito import records
from openedx_webhooks.models import LernitoOrder


@admin.register(LernitoOrder)
class LernitoOrderAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """The log of accepted orders. An email address in the search box finds its orders by their keyed hash."""

    list_display = ("created", "source", "scheme", "message", "results")
    list_filter = ("scheme", "created")
    paginator = BoundedPaginator
    search_fields = ("results",)
    search_help_text = "A course id, or the whole email address of a person."
    fields = ("created", "source", "scheme", "email_hmac", "message", "results")
    ordering = ("-created", "-id")
    show_full_result_count = False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[LernitoOrder], search_term: str
    ) -> tuple[QuerySet[LernitoOrder], bool]:
        """Look an address up by its keyed hash, everything else in the results."""
        term = search_term.strip()
        if "@" in term and ":" not in term:
            return queryset.filter(email_hmac=records.email_hmac(term)), False
        return super().get_search_results(request, queryset, search_term)
