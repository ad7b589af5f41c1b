"""What a person reads about a filter: what it sends, what a reply may change, and how it can be halted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from openedx_webhooks import app_settings
from openedx_webhooks.catalog import contracts, events, filters
from openedx_webhooks.catalog.contracts import Account, Contract, Response
from openedx_webhooks.catalog.filters import Filter, Halt
from openedx_webhooks.payloads.filters import ATTRIBUTES, BLOCK_FACTS, MODEL_FIELDS, PROFILE_FIELDS, USER_FIELDS
from openedx_webhooks.payloads.redaction import is_credential
from openedx_webhooks.webfilters.objects import is_closed

_CHANGED_AS: Mapping[str, str] = {
    "form_data": gettext_noop("the fields of the form, such as name; no password, and no account flag"),
    "course_key": gettext_noop("another course key, as text"),
    "mode": gettext_noop("another mode, as text"),
    "fragment": gettext_noop("content, which is HTML: only where the webfilter allows HTML"),
    "readonly_fields": gettext_noop("another list of names of fields"),
    "form_desc": gettext_noop("properties of its fields: label, instructions, default, field_type, restrictions"),
    "template_name": gettext_noop("another template, as a relative path"),
    "tabs": gettext_noop("another list of tabs"),
    "enrollments_data": gettext_noop("another list of enrollments"),
    "price": gettext_noop("another number"),
    "status": gettext_noop("another status, as text"),
    "generation_mode": gettext_noop("another mode, as text"),
}
_MERGED = gettext_noop("keys are merged deep; objects of the platform stay")
_BY_TYPE = gettext_noop(
    "by its type: plain values and lists are replaced, keys of dicts are merged deep, objects of the platform stay"
)
_PLAIN = gettext_noop("another text, number, date or key, as it has one; a list, dict or object stays")

_ROWS: Mapping[str, str] = {
    "enrollment": "courseenrollment",
    "current_membership": "cohortmembership",
    "target_cohort": "courseusergroup",
    "custom_template": "certificatetemplate",
}
"""Arguments that are rows, with the names of their models."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """One filter, for the form."""

    name: str
    value: str
    """What the form stores: the name, or the filter_type where two filters share a name."""
    filter_type: str
    purpose: str
    note: str
    sends: list[str]
    changes: list[str]
    halts: list[str]


def described() -> list[Described]:
    """Return every filter of this platform."""
    known = list(filters.all_filters().values())
    names = [f.name for f in known]
    return [_described(f, f.name if names.count(f.name) == 1 else f.filter_type) for f in known]


def grouped() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the filters as ``(group, [(value, filter_type), ...])``, for a list to choose from."""
    known = sorted(described(), key=lambda d: (events.group_of(d.filter_type), d.name.lower()))
    return [
        (group, [(d.value, d.filter_type) for d in members])
        for group, members in groupby(known, key=lambda d: events.group_of(d.filter_type))
    ]


def _described(found: Filter, value: str) -> Described:
    contract = contracts.contract(found)
    return Described(
        name=found.name,
        value=value,
        filter_type=found.filter_type,
        purpose=found.purpose,
        note=_(contract.note) if contract.note else "",
        sends=list(_sends(found, contract)),
        changes=list(_changes(contract)) or [_("Nothing: the receiver is told, and may halt where that is possible.")],
        halts=list(_halts(found, contract)),
    )


def _sends(found: Filter, contract: Contract) -> Iterator[str]:
    if contract.learner:
        yield _with_parts("user", USER_FIELDS)
        yield _with_parts("profile", PROFILE_FIELDS)
    unsent = {*contract.withheld, contract.learner, *contract.lookups}
    for name in found.arguments:
        if name not in unsent and not is_credential(name):
            keys = sorted(key.partition(".")[2] for key in contract.withheld if key.startswith(f"{name}."))
            yield f"{name}, {_('without')} {', '.join(keys)}" if keys else _with_parts(name, _parts(name))
    yield _with_parts("event_metadata", ("event_type", "time", "id"))


def _parts(name: str) -> tuple[str, ...]:
    """Return the columns or attributes of an argument that leave; none where it leaves whole."""
    if name == "block":
        return BLOCK_FACTS
    return MODEL_FIELDS.get(_ROWS.get(name, ""), ()) or ATTRIBUTES.get(name, ())


def _with_parts(name: str, parts: tuple[str, ...]) -> str:
    return f"{name}: {', '.join(parts)}" if parts else name


def _changes(contract: Contract) -> Iterator[str]:
    if contract.account != Account.NEVER:
        opened = "".join(f", user.{name}" for name in sorted(app_settings.WRITABLE_FIELDS()))
        when = _(", once the login has succeeded") if contract.account == Account.AT_LOGIN else ""
        yield f"user.first_name, user.last_name{opened}, profile.name, profile.country …{when}"
    for name in contract.changes:
        if is_closed(name):
            continue
        if name in contract.lookups:
            yield f"{name}: " + _("filter and exclude by ") + ", ".join(contract.lookups[name])
        elif name == "url" or name.endswith("_url"):
            yield f"{name}: " + _("another URL or path")
        elif contract.known:
            yield f"{name}: " + _(_CHANGED_AS.get(name, _MERGED))
        else:
            yield f"{name}: " + _(_PLAIN if contract.plain else _BY_TYPE)


def _halts(found: Filter, contract: Contract) -> Iterator[str]:
    if not found.halts or not contract.raises:
        yield _("It cannot be halted: the platform would answer with a server error, or has no exception for it.")
        return
    for halt in found.halts:
        yield _halt(halt, contract)
    if not contract.main and not contract.redirecting:
        yield _("Only a reply can halt it; the switches below cannot.")


def _halt(halt: Halt, contract: Contract) -> str:
    named = ", ".join(p.name for p in halt.parameters)
    uses = [_("ignored here: it would be a server error")] if halt.name in contract.unsafe else []
    if halt.name == contract.main:
        uses.append(_("what the switches below raise"))
    if halt.name == contract.redirecting:
        uses.append(_("what they raise where a redirect is filled in"))
    if halt.parameter("response"):
        is_html = contract.response == Response.HTML
        uses.append(_("response: HTML") if is_html else _("response: content, status, content_type, headers"))
    return f"{halt.name}({named})" + (f": {'; '.join(uses)}" if uses else "")
