"""Find rows by time without an index on time, which every request would have to keep."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Max, Min

from openedx_webhooks.models.outbox import Delivery, Event


def first_id_since(model: type[Event] | type[Delivery], moment: datetime) -> int:
    """Return the primary key from which on rows were created at ``moment`` or later.

    Keys rise with time, so this is a binary search over the primary key: some twenty lookups in a million rows.
    A transaction holds its keys for as long as it runs before others see them: ask with a margin.
    """
    rows = model.objects.order_by("pk")
    ends = rows.aggregate(low=Min("pk"), high=Max("pk"))
    low, high = ends["low"] or 0, (ends["high"] or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = rows.filter(pk__gte=middle).values_list("pk", "created").first()
        if row is None or row[1] >= moment:
            high = middle
        else:
            low = row[0] + 1
    return low
