"""The pipeline step that the platform runs for every filter.

Imported wherever a filter runs, also before the apps are loaded (``manage.py`` runs one before a command
starts), so that models are imported when a filter is run, and asking only where a webfilter is live.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Any

from django.apps import apps
from openedx_filters.exceptions import OpenEdxFilterException
from openedx_filters.filters import PipelineStep

log = logging.getLogger(__name__)

STEP = f"{__name__}.WebfilterStep"
"""The step's path, as pipelines name it."""


class WebfilterStep(PipelineStep):
    """Asks the live webfilters of the filter that runs, and applies what they answer."""

    def run_filter(self, *_args: Any, **arguments: Any) -> dict[str, Any]:
        """Return the arguments that changed; ``{}`` at once, without a query, where no webfilter is live.

        Raises one of the filter's own exceptions where a webfilter halts, and nothing else: a mistake of ours
        must not break a login, also where the site has set ``fail_silently`` to False.
        """
        try:
            return self._answered(arguments)
        except OpenEdxFilterException:
            raise
        except Exception as error:
            log.exception("openedx_webhooks: the webfilters of %s were skipped", self.filter_type)
            _note(f"The webfilters of {self.filter_type} were skipped: {type(error).__name__}.")
            return {}

    def _answered(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if not apps.ready:
            return {}
        began = time.monotonic()
        from openedx_webhooks import subscriptions  # noqa: PLC0415

        live = subscriptions.webfilters(self.filter_type)
        if not live:
            return {}
        from openedx_webhooks.webfilters import calls  # noqa: PLC0415

        return calls.run(self.filter_type, arguments, live, began)


def _note(detail: str) -> None:
    """Count it, for the operator to see; what broke may be what this needs."""
    with contextlib.suppress(Exception):
        from openedx_webhooks.models import incident  # noqa: PLC0415

        incident.note("webfilter", detail)
