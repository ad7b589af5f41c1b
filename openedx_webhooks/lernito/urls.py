"""``/api/lernito/``, mounted by the plugin's ``url_config`` under the namespace ``lernito``.

Not in the request's transaction (ATOMIC_REQUESTS): an order has one of its own, which is tried again when it
dies of a deadlock, and whose outcome is known before the answer is written.
"""

from __future__ import annotations

from django.db.transaction import non_atomic_requests
from django.urls import re_path

from openedx_webhooks.lernito.views import NotFoundView, OrderView

app_name = "lernito"
urlpatterns = [
    # With and without the slash: a redirect would turn the POST into a GET.
    re_path(r"^webhook/$", non_atomic_requests(OrderView.as_view()), name="webhook"),
    re_path(r"^webhook$", non_atomic_requests(OrderView.as_view())),
    re_path(r"", non_atomic_requests(NotFoundView.as_view())),
]
