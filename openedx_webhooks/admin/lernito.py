"""Lernito orders in the admin: what came, for which courses, and what became of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from openedx_webhooks.admin.readonly import BoundedPaginator, ReadOnly
from openedx_webhooks.lernito import records
from openedx_webhooks.lernito.authentication import Scheme
from openedx_webhooks.models import LernitoOrder


class SchemeFilter(admin.SimpleListFilter):
    """The ways to sign: nothing is read from the table to find them."""

    title = gettext_lazy("signature")
    parameter_name = "scheme"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:  # noqa: ARG002
        """By name."""
        return [(scheme.value, scheme.value) for scheme in Scheme]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LernitoOrder]) -> QuerySet[LernitoOrder]:  # noqa: ARG002
        """By the name."""
        return queryset.filter(scheme=self.value()) if self.value() else queryset


@admin.register(LernitoOrder)
class LernitoOrderAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """The log of accepted orders. An email address in the search box finds its orders by their keyed hash."""

    list_display = ("created", "source", "scheme", "message", "results")
    list_filter = (SchemeFilter, "created")
    sortable_by = ()
    paginator = BoundedPaginator
    search_fields = ("email_hmac",)
    search_help_text = gettext_lazy("The whole email address of a person.")
    fields = ("created", "source", "scheme", "email_hmac", "user_id", "message", "results")
    ordering = ("-created", "-id")
    show_full_result_count = False
    show_facets = getattr(getattr(admin, "ShowFacets", None), "NEVER", None)  # type: ignore[assignment]
    """Facets count the whole table for each choice of each filter (Django 5)."""

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002
        queryset: QuerySet[LernitoOrder],
        search_term: str,
    ) -> tuple[QuerySet[LernitoOrder], bool]:
        """Look an address up by its keyed hash; anything else would be looked for in every row."""
        term = search_term.strip()
        return queryset.filter(email_hmac__in=records.email_hmacs(term)) if term else queryset, False
