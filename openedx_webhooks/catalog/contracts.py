"""What a webfilter may do with each filter: what leaves, what may come back, and which halts are safe.

One declared table, keyed by filter_type, read from the call sites of the platform. A filter that it does not
know gets a generic contract: plain values may change, nothing in the database does, its own exceptions halt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext_noop as _

from openedx_webhooks.catalog.filters import Filter, Halt


class Account(StrEnum):
    """When a reply's ``user`` and ``profile`` are written to the learner's account."""

    NEVER = "never"
    NOW = "now"
    """Saved in the caller's transaction."""
    AT_LOGIN = "at_login"
    """Kept for the request, and saved once the password was right."""


class Response(StrEnum):
    """What the call site does with the ``response`` of RenderCustomResponse."""

    HTTP = "http"
    """It returns it: an HttpResponse."""
    HTML = "html"
    """It puts it into a page: a string of HTML."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contract:
    """What a webfilter may do with one filter."""

    known: bool = True
    """Whether the table names the filter."""
    withheld: tuple[str, ...] = ()
    """Arguments that never leave, and ``argument.key`` of those that are dicts."""
    changes: tuple[str, ...] = ()
    """Arguments that a reply may change. What each takes follows from its type."""
    plain: bool = False
    """Whether of ``changes`` only plain values change (text, numbers, dates, keys), and no list, dict or object."""
    grows: tuple[str, ...] = ()
    """Sets that a reply may only add to."""
    learner: str = ""
    """Where the account is: an argument, or ``argument.attribute``. It goes as ``user`` and ``profile``."""
    account: Account = Account.NEVER
    lookups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For a QuerySet argument: the lookups that a reply may filter by."""
    main: str = ""
    """The exception that stops the process; none: no switch can halt."""
    redirecting: str = ""
    """The exception that sends the learner elsewhere."""
    raises: bool = True
    """Whether the call site handles the exceptions; where it does not, raising would be a 500."""
    unsafe: tuple[str, ...] = ()
    """Exceptions that the call site answers with a server error, beside others that it handles."""
    in_page: tuple[str, ...] = ()
    """Exceptions whose message the call site puts into a page as HTML."""
    response: Response = Response.HTTP
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the exceptions where a reply gives none."""
    note: str = ""
    """What an operator should know, a sentence for the form, in English; the form translates it."""


def contract(found: Filter) -> Contract:
    """Return the contract of a filter, with its main and redirecting exceptions filled in."""
    declared = TABLE.get(found.filter_type) or _generic(found)
    if not declared.raises:
        return declared
    return replace(
        declared,
        main=declared.main or main_halt(found),
        redirecting=declared.redirecting or redirecting_halt(found),
    )


def main_halt(found: Filter) -> str:
    """Return the exception that stops the process and needs nothing beyond a message; empty where none is."""
    names = [h.name for h in found.halts]
    prevents = [name for name in names if name.startswith("Prevent")]
    if prevents:
        return prevents[0]
    if "RenderCustomResponse" in names:
        return "RenderCustomResponse"
    sole = found.halts[0] if len(found.halts) == 1 else None
    return sole.name if sole and not needs_url(sole) and not template_parameter(sole) else ""


def redirecting_halt(found: Filter) -> str:
    """Return the first exception that states a ``redirect_to`` of its own; bare ones have it unread."""
    return next((h.name for h in found.halts if h.own_init and h.parameter("redirect_to")), "")


def needs_url(halt: Halt) -> bool:
    """Return whether an exception does nothing but redirect, so that it is of no use without a URL."""
    return halt.name.startswith("RedirectTo")


def template_parameter(halt: Halt) -> str:
    """Return the parameter that names the template an exception renders; empty where it renders none."""
    names = (p.name for p in halt.parameters)
    return next((n for n in names if n == "template_name" or n.endswith("_template")), "")


def is_redirect_url(text: str) -> bool:
    """Return whether a learner may be sent there: http, https, or a path of this site."""
    if any(c.isspace() or not c.isprintable() or c in '\\<>"' for c in text):
        return False
    if text.startswith("/"):
        return not text.startswith("//")
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _generic(found: Filter) -> Contract:
    """Return what is safe with a filter that nothing is declared for; less, where another package defines it.

    What openedx-filters defines are pages, forms and steps of a learner; of another package's filter nobody knows
    whether its lists and dicts grant something.
    """
    is_ours = found.module.partition(".")[0] == "openedx_filters"
    learner = "user" if "user" in found.arguments else ""
    changes = tuple(name for name in found.arguments if name != learner and (is_ours or not _speaks_of_rights(name)))
    return Contract(
        known=False, changes=changes, plain=not is_ours, learner=learner, note=_NEWER if is_ours else _FOREIGN
    )


def _speaks_of_rights(argument: str) -> bool:
    return not _RIGHTS.isdisjoint(argument.lower().split("_"))


_RIGHTS = frozenset(
    {
        *("role", "roles", "scope", "scopes", "permission", "permissions", "allow", "allowed", "access", "grant"),
        *("granted", "user", "users", "group", "groups", "action", "actions", "staff", "admin", "superuser"),
    }
)
"""Words in the name of an argument that may say who may do what."""

_NEWER = _(
    "This filter is newer than this version of openedx-webhooks: plain values may change, accounts and other rows of "
    "the database may not."
)
_FOREIGN = _(
    "Another package defines this filter, and openedx-webhooks knows nothing else of it: text, numbers, dates and keys "
    "may change, unless they say who may do what; lists, dicts, accounts and other rows of the database may not."
)


_PAGE = Contract(changes=("context", "template_name"))
_URL = Contract(changes=("url",), raises=False)
_OFTEN = _("It is called very often, several times for one page: each call waits for the receiver.")
_IGNORED = _("The platform does not read what comes back; it can be halted.")
_RIGHTS_ARE_TOLD = Contract(
    raises=False, note=_("The receiver is told. Who may do what is the platform's decision: nothing can change.")
)
_ENROLLMENT_LOOKUPS = ("course_id", "course_id__in", "mode", "mode__in", "is_active")

TABLE: Mapping[str, Contract] = {
    # Authentication
    "org.openedx.learning.student.registration.requested.v1": Contract(
        changes=("form_data",),
        # The view answers with the exception's status, and 200 where it has none.
        defaults={"status_code": 400},
        note=_(
            "Passwords are never sent. A new username or e-mail address is taken only where the setting "
            "OPENEDX_WEBHOOKS_WRITABLE_FIELDS names it."
        ),
    ),
    "org.openedx.learning.student.login.requested.v1": Contract(
        learner="user",
        account=Account.AT_LOGIN,
        note=_(
            "It runs before the password is checked, so changes are applied once the login has succeeded. The "
            "user is null where nobody has the e-mail address."
        ),
    ),
    "org.openedx.authentication.login.alt_redirect_url.requested.v1": Contract(
        changes=("redirect_url",), learner="user", account=Account.NOW, raises=False
    ),
    "org.openedx.authentication.login.form.generated.v1": Contract(
        changes=("form_desc",), withheld=("running_pipeline",), raises=False
    ),
    "org.openedx.authentication.registration.form.generated.v1": Contract(
        changes=("form_desc",), withheld=("running_pipeline",), raises=False
    ),
    "org.openedx.authentication.logistration_view.context.generated.v1": Contract(changes=("context",), raises=False),
    "org.openedx.authentication.logistration_view.render.completed.v1": Contract(
        withheld=("response",), raises=False, note=_("The rendered page is neither sent nor changed.")
    ),
    "org.openedx.authentication.mfe.context.generated.v1": Contract(changes=("context", "extra_context"), raises=False),
    "org.openedx.authentication.account_activation.email.context.generated.v1": Contract(
        changes=("message_context",),
        # Whoever has either of the first two can confirm the account; the last is whatever the site configured.
        withheld=(
            "message_context.key",
            "message_context.confirm_activation_link",
            "message_context.site_configuration_values",
        ),
        learner="user",
        raises=False,
    ),
    # Accounts
    "org.openedx.learning.account.settings.read_only_fields.requested.v1": Contract(
        changes=("readonly_fields",), grows=("readonly_fields",), learner="user", raises=False
    ),
    "org.openedx.learning.student.settings.render.started.v1": _PAGE,
    # Enrollment
    "org.openedx.learning.course.enrollment.started.v1": Contract(
        changes=("course_key", "mode"), learner="user", account=Account.NOW
    ),
    "org.openedx.learning.course.enrollment.view.started.v1": Contract(
        learner="user", account=Account.NOW, note=_("The platform reads nothing else of what comes back.")
    ),
    "org.openedx.learning.course.unenrollment.started.v1": Contract(learner="enrollment.user", account=Account.NOW),
    "org.openedx.learning.course_enrollment_queryset.requested.v1": Contract(
        changes=("enrollments",), lookups={"enrollments": _ENROLLMENT_LOOKUPS}
    ),
    "org.openedx.learning.course_mode.price.requested.v1": Contract(changes=("price",), learner="user", raises=False),
    "org.openedx.learning.discount.eligibility.check.requested.v1": Contract(learner="user", note=_IGNORED),
    # Cohorts
    "org.openedx.learning.cohort.assignment.requested.v1": Contract(learner="user", account=Account.NOW),
    "org.openedx.learning.cohort.change.requested.v1": Contract(
        learner="current_membership.user",
        note=_("It runs while the platform holds locks on rows of the database: keep the receiver fast."),
    ),
    # Certificates and grades
    "org.openedx.learning.certificate.creation.requested.v1": Contract(
        changes=("mode", "status", "generation_mode"), learner="user", account=Account.NOW
    ),
    "org.openedx.learning.certificate.render.started.v1": Contract(changes=("context",)),
    "org.openedx.learning.grade.context.requested.v1": Contract(changes=("context",), raises=False),
    # Courses
    "org.openedx.learning.course_about.render.started.v1": _PAGE,
    "org.openedx.learning.course_about.page.url.requested.v1": replace(_URL, note=_OFTEN),
    "org.openedx.learning.course.homepage.url.creation.started.v1": Contract(
        changes=("course_home_url",), raises=False, note=_OFTEN
    ),
    "org.openedx.learning.course.start_date.validation_failed.v1": Contract(note=_IGNORED),
    "org.openedx.learning.courseware.access_checks.requested.v1": Contract(learner="user", note=_IGNORED),
    "org.openedx.learning.courseware.view.started.v1": Contract(note=_IGNORED),
    "org.openedx.learning.dashboard.render.started.v1": _PAGE,
    "org.openedx.learning.home.courserun.api.rendered.started.v1": Contract(
        changes=("serialized_courserun",), raises=False, note=_OFTEN
    ),
    "org.openedx.learning.home.enrollment.api.rendered.v1": Contract(
        changes=("serialized_enrollment",), raises=False, note=_OFTEN
    ),
    "org.openedx.learning.idv.page.url.requested.v1": _URL,
    "org.openedx.learning.schedule.queryset.requested.v1": Contract(
        changes=("schedules",),
        lookups={"schedules": tuple(f"enrollment__{lookup}" for lookup in _ENROLLMENT_LOOKUPS)},
        raises=False,
        note=_("The schedules themselves are not sent: reading them would cost a query."),
    ),
    # Courseware
    "org.openedx.learning.vertical_block.render.completed.v1": Contract(
        changes=("fragment",),
        in_page=("PreventVerticalBlockRender",),
        note=_(
            "It is called for every unit of a course. A new content of the fragment is HTML, and taken only where the "
            "webfilter allows HTML."
        ),
    ),
    "org.openedx.learning.vertical_block_child.render.started.v1": Contract(changes=("context",), note=_OFTEN),
    "org.openedx.learning.xblock.render.started.v1": Contract(
        changes=("context", "student_view_context"),
        main="RenderCustomResponse",
        unsafe=("PreventXBlockBlockRender",),
        response=Response.HTML,
        note=_OFTEN,
    ),
    "org.openedx.learning.ora.submission_view.render.started.v1": _PAGE,
    # Instructors, support, authoring
    "org.openedx.learning.instructor.dashboard.render.started.v1": _PAGE,
    "org.openedx.learning.instructor.dashboard.tabs.requested.v1": Contract(
        changes=("tabs",), learner="user", defaults={"tabs": []}
    ),
    "org.openedx.learning.support.contact.context.requested.v1": Contract(changes=("context",), raises=False),
    "org.openedx.learning.support.enrollment.data.requested.v1": Contract(
        changes=("enrollments_data",), learner="user", raises=False
    ),
    "org.openedx.content_authoring.lms.page.url.requested.v1": replace(_URL, note=_OFTEN),
    "org.openedx.management.command.contextmanager.requested.v1": Contract(
        withheld=("command_contextmanager",), raises=False, note=_("Nothing can change; it says which command starts.")
    ),
    # Other packages
    "org.openedx.xblock.lti_consumer.configuration.listed.v1": Contract(
        changes=("configurations",),
        withheld=("context", "configurations"),
        raises=False,
        note=_("Configurations hold keys and secrets: they are not sent."),
    ),
    "org.openedx.authz.permission_validation.requested.v1": _RIGHTS_ARE_TOLD,
    "org.openedx.authz.role_assignment.requested.v1": _RIGHTS_ARE_TOLD,
    "org.openedx.authz.role_removal.requested.v1": _RIGHTS_ARE_TOLD,
}
