"""Defaults, assigned before the site's YAML, so that the YAML wins.

Each is annotated for people and for tools (OEP-17); its value stands in ``app_settings`` alone.
"""

from __future__ import annotations

from typing import Any

from openedx_webhooks import app_settings
from openedx_webhooks.settings import pipelines


def plugin_settings(settings: Any) -> None:
    """Give every setting of ours its default, and every filter our pipeline step."""
    _deliveries(settings)
    _requests(settings)
    _webfilters(settings)
    _lernito(settings)
    pipelines.merge_into(settings)


def _deliveries(settings: Any) -> None:
    """Assign what the outbox and the engine read."""
    # .. setting_name: OPENEDX_WEBHOOKS_DISPATCH
    # .. setting_default: auto
    # .. setting_description: Who delivers. "celery": the site's workers. "thread": a daemon thread inside each LMS and
    #   CMS process. "none": nobody but ``manage.py webhooks_deliver``. "auto": Celery, or the thread where Celery is
    #   eager (``tutor dev``) or has no broker.
    settings.OPENEDX_WEBHOOKS_DISPATCH = app_settings.DISPATCH.default

    # .. setting_name: OPENEDX_WEBHOOKS_CELERY_QUEUE
    # .. setting_default: None
    # .. setting_description: The Celery queue of the delivering task. None: the site's default queue. A queue that no
    #   worker consumes delivers nothing.
    settings.OPENEDX_WEBHOOKS_CELERY_QUEUE = app_settings.CELERY_QUEUE.default

    # .. setting_name: OPENEDX_WEBHOOKS_MAX_DRAINS
    # .. setting_default: 1
    # .. setting_description: How many drains of the outbox may run at the same time on the whole site, from 1 to 16.
    #   One has up to 800 requests under way.
    settings.OPENEDX_WEBHOOKS_MAX_DRAINS = app_settings.MAX_DRAINS.default

    # .. setting_name: OPENEDX_WEBHOOKS_CONFIG_TTL
    # .. setting_default: 5
    # .. setting_description: Seconds, from 0.1 to 3600, within which a saved webhook or webfilter is live in every
    #   process.
    settings.OPENEDX_WEBHOOKS_CONFIG_TTL = app_settings.CONFIG_TTL.default

    # .. setting_name: OPENEDX_WEBHOOKS_RETRY_SCHEDULE
    # .. setting_default: [0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    # .. setting_description: Seconds before each attempt of a delivery, one number per attempt; up to a tenth is added
    #   by chance. The delivery fails after the last.
    settings.OPENEDX_WEBHOOKS_RETRY_SCHEDULE = list(app_settings.RETRY_SCHEDULE.default)

    # .. setting_name: OPENEDX_WEBHOOKS_DISABLE_AFTER
    # .. setting_default: 432000
    # .. setting_description: Seconds, from 60, of nothing but failure after which a webhook is paused. Its events go on
    #   being recorded.
    settings.OPENEDX_WEBHOOKS_DISABLE_AFTER = app_settings.DISABLE_AFTER.default

    # .. setting_name: OPENEDX_WEBHOOKS_NOTIFY_ADMINS
    # .. setting_default: True
    # .. setting_description: E-mail the site's ``ADMINS`` when a webhook is paused after nothing but failure, or
    #   switched off by its receiver's 410.
    settings.OPENEDX_WEBHOOKS_NOTIFY_ADMINS = app_settings.NOTIFY_ADMINS.default

    # .. setting_name: OPENEDX_WEBHOOKS_RETENTION_DAYS
    # .. setting_default: 30
    # .. setting_description: Days, from 1 to 3650, that a parked delivery waits before it fails as expired, and that
    #   finished deliveries, their events and their log, webfilter calls and Lernito orders are kept.
    settings.OPENEDX_WEBHOOKS_RETENTION_DAYS = app_settings.RETENTION_DAYS.default

    # .. setting_name: OPENEDX_WEBHOOKS_FROM_EVENT_BUS
    # .. setting_default: False
    # .. setting_description: Deliver events, too, that came over the event bus from another service.
    settings.OPENEDX_WEBHOOKS_FROM_EVENT_BUS = app_settings.FROM_EVENT_BUS.default


def _requests(settings: Any) -> None:
    """Assign what every request that leaves obeys."""
    # .. setting_name: OPENEDX_WEBHOOKS_TIMEOUT
    # .. setting_default: 15
    # .. setting_description: Seconds, from 0.1 to 60, that one attempt of a delivery may take, from the name lookup to
    #   the end of the answer. A webhook may have its own.
    settings.OPENEDX_WEBHOOKS_TIMEOUT = app_settings.TIMEOUT.default

    # .. setting_name: OPENEDX_WEBHOOKS_ALLOWED_NETWORKS
    # .. setting_default: []
    # .. setting_description: Addresses beyond the public internet that may be called: networks (``10.0.0.0/8``),
    #   addresses (``10.1.2.3``) and exact host names (``n8n.internal``). Link-local addresses and cloud metadata are
    #   opened by their exact address or name alone.
    # .. setting_warning: A host name opens whatever it resolves to.
    settings.OPENEDX_WEBHOOKS_ALLOWED_NETWORKS = list(app_settings.ALLOWED_NETWORKS.default)

    # .. setting_name: OPENEDX_WEBHOOKS_PROXY
    # .. setting_default: None
    # .. setting_description: The URL of an HTTP proxy for everything that leaves. The environment's proxies are never
    #   used.
    # .. setting_warning: The proxy looks names up, so it has to refuse what they must not resolve to.
    settings.OPENEDX_WEBHOOKS_PROXY = app_settings.PROXY.default

    # .. setting_name: OPENEDX_WEBHOOKS_MAX_BODY
    # .. setting_default: 262144
    # .. setting_description: Bytes, from 4096 to 1048576, of the largest body that is sent; a larger one is cut by
    #   rule. Also the most that is read of a webfilter's answer.
    settings.OPENEDX_WEBHOOKS_MAX_BODY = app_settings.MAX_BODY.default


def _webfilters(settings: Any) -> None:
    """Assign what webfilters obey inside the learner's request."""
    # .. setting_name: OPENEDX_WEBHOOKS_FILTER_TIMEOUT
    # .. setting_default: 5
    # .. setting_description: Seconds, from 0.1 to 30, that one webfilter has for its answer. A webfilter may have its
    #   own.
    settings.OPENEDX_WEBHOOKS_FILTER_TIMEOUT = app_settings.FILTER_TIMEOUT.default

    # .. setting_name: OPENEDX_WEBHOOKS_FILTER_BUDGET
    # .. setting_default: 8
    # .. setting_description: Seconds, from 0.1 to 60, that all webfilters of one filter together may take of a request.
    settings.OPENEDX_WEBHOOKS_FILTER_BUDGET = app_settings.FILTER_BUDGET.default

    # .. setting_name: OPENEDX_WEBHOOKS_WRITABLE_FIELDS
    # .. setting_default: []
    # .. setting_description: Which of ``username`` and ``email`` a webfilter may change as well. Nothing else can be
    #   opened.
    settings.OPENEDX_WEBHOOKS_WRITABLE_FIELDS = list(app_settings.WRITABLE_FIELDS.default)


def _lernito(settings: Any) -> None:
    """Assign what the endpoint for enrollment orders obeys."""
    # .. setting_name: LERNITO_WEBHOOK_SECRET
    # .. setting_default: None
    # .. setting_description: The secret that orders are signed with, or a list of them while one rotates. None: every
    #   order is answered with 401.
    settings.LERNITO_WEBHOOK_SECRET = app_settings.LERNITO_WEBHOOK_SECRET.default

    # .. setting_name: OPENEDX_WEBHOOKS_LERNITO_REQUIRE_STANDARD
    # .. setting_default: False
    # .. setting_description: Accept orders with the headers of Standard Webhooks alone.
    settings.OPENEDX_WEBHOOKS_LERNITO_REQUIRE_STANDARD = app_settings.LERNITO_REQUIRE_STANDARD.default

    # .. setting_name: OPENEDX_WEBHOOKS_LERNITO_CHECK_ACCESS
    # .. setting_default: False
    # .. setting_description: Refuse orders for closed, full and invite-only courses.
    settings.OPENEDX_WEBHOOKS_LERNITO_CHECK_ACCESS = app_settings.LERNITO_CHECK_ACCESS.default

    # .. setting_name: OPENEDX_WEBHOOKS_LERNITO_THROTTLE_RATE
    # .. setting_default: 600/minute
    # .. setting_description: Signed orders of one network address, and, counted apart, as many of its requests without
    #   a valid signature, as Django REST framework writes a rate. None: no limit. The throttle scopes are ``lernito``
    #   and ``lernito_refused``; a rate for them in ``DEFAULT_THROTTLE_RATES`` does not count.
    settings.OPENEDX_WEBHOOKS_LERNITO_THROTTLE_RATE = app_settings.LERNITO_THROTTLE_RATE.default

    # .. setting_name: OPENEDX_WEBHOOKS_LERNITO_MAX_BODY
    # .. setting_default: 65536
    # .. setting_description: Bytes, from 1024 to 1048576, of the largest order that is read.
    settings.OPENEDX_WEBHOOKS_LERNITO_MAX_BODY = app_settings.LERNITO_MAX_BODY.default

    # .. setting_name: OPENEDX_WEBHOOKS_LERNITO_MAX_COURSES
    # .. setting_default: 50
    # .. setting_description: Courses of one order, from 1 to 1000.
    settings.OPENEDX_WEBHOOKS_LERNITO_MAX_COURSES = app_settings.LERNITO_MAX_COURSES.default
