"""What the pages of a log have in common: nobody writes it, and it may be long."""

# Django calls these methods with more than they need.
# ruff: noqa: ARG002

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property


class ReadOnly:
    """A mixin for a ModelAdmin whose rows are seen and never edited."""

    actions: Any = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes."""
        return False


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to ``limit`` rows: a table of a million rows is counted for longer than a page takes to show."""

    limit = 10_000

    @cached_property
    def count(self) -> int:
        """How many rows can be paged to."""
        # Unordered: in its order, the database would sort all rows before it counts some of them.
        return int(self.object_list.order_by()[: self.limit].count())  # type: ignore[attr-defined]

    @property
    def is_bounded(self) -> bool:
        """Whether there may be more than can be paged to."""
        return self.count >= self.limit
