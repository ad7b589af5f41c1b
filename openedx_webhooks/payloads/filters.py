"""The arguments of one filter as a body: what the receiver of a webfilter is asked about.

One key per argument; the learner goes as ``user`` and ``profile``, in allow-listed fields. Objects that have
no JSON form by themselves (blocks, fragments, grades, forms) go as the few facts that name them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from django.db.models import Model, QuerySet
from django.http import QueryDict
from django.utils.functional import LazyObject
from opaque_keys import OpaqueKey

from openedx_webhooks.catalog.contracts import Contract
from openedx_webhooks.catalog.filters import Filter
from openedx_webhooks.data import Encoding
from openedx_webhooks.payloads import formats
from openedx_webhooks.payloads.events import Payload
from openedx_webhooks.payloads.objects import Walk
from openedx_webhooks.payloads.redaction import is_credential

USER_FIELDS = ("id", "username", "email", "first_name", "last_name", "is_active", "last_login", "date_joined")
PROFILE_FIELDS = (
    "id", "user_id", "name", "language", "location", "year_of_birth", "gender", "level_of_education",
    "mailing_address", "city", "country", "state", "goals", "bio", "profile_image_uploaded_at", "phone_number",
)  # fmt: skip
MODEL_FIELDS: Mapping[str, tuple[str, ...]] = {
    "courseenrollment": ("id", "user_id", "course_id", "created", "is_active", "mode"),
    "courseusergroup": ("id", "name", "course_id", "group_type"),
    "cohortmembership": ("id", "user_id", "course_user_group_id", "course_id"),
    "certificatetemplate": ("id", "name", "organization_id", "course_key", "mode"),
}
"""By a model's name: the columns that leave. Of any other model, its label and primary key do."""

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "fragment": ("content",),
    "grade": ("percent", "passed", "letter_grade"),
    "form_desc": ("method", "submit_url"),
    "current_provider": ("provider_id", "name", "skip_registration_form"),
    "course_mode_data": ("slug", "name", "currency", "sku"),
}
"""By the name of an argument: the attributes of an object that leave."""

BLOCK_FACTS = ("usage_key", "block_type", "display_name")
"""What leaves of an XBlock."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """What a call is about, as far as a webfilter may be limited to it."""

    course_keys: frozenset[str]
    organizations: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterPayload:
    """One call of a filter, read once; the body of every encoding is written from it."""

    message_id: str
    current: Payload
    legacy: Payload
    bodies: dict[Encoding, bytes] = field(default_factory=dict)

    def body(self, encoding: Encoding, *, max_body: int) -> bytes:
        """Return the body in one encoding, ASCII, written once however many webfilters ask for it."""
        if encoding not in self.bodies:
            is_legacy = encoding in (Encoding.LEGACY, Encoding.LEGACY_FORM)
            payload = self.legacy if is_legacy else self.current
            self.bodies[encoding] = formats.render(payload, encoding, max_body=max_body).encode()
        return self.bodies[encoding]


def read(found: Filter, contract: Contract, arguments: Mapping[str, Any], message_id: str) -> FilterPayload:
    """Read a filter's arguments, whatever they hold; never evaluates a QuerySet.

    The learner's profile is read from the database where it is not loaded yet.
    """
    walk = Walk()
    tree = _walked(walk, _sent(contract, arguments))
    return _payload(found, walk, {**_people(walk, contract, arguments), **tree}, message_id)


def unread(found: Filter, message_id: str) -> FilterPayload:
    """Return what stands for the arguments where they could not be read."""
    return _payload(found, Walk(), {}, message_id)


def places(contract: Contract, arguments: Mapping[str, Any]) -> Places:
    """Return the courses and organisations that a call is about, without a query.

    Keys, text, rows and blocks are looked at first, and pages and other containers only where those name no course:
    a page may be large.
    """
    walk = Walk()
    sent = _sent(contract, arguments)
    single = {name: value for name, value in sent.items() if _is_single(value)}
    _walked(walk, single)
    if not walk.course_keys:
        _walked(walk, {name: value for name, value in sent.items() if name not in single})
    return Places(course_keys=frozenset(walk.course_keys), organizations=frozenset(walk.organizations))


def _is_single(value: Any) -> bool:
    return isinstance(value, (str, OpaqueKey, Model)) or _quietly(lambda: value.scope_ids) is not None


def _walked(walk: Walk, sent: Mapping[str, Any]) -> dict[str, Any]:
    tree = {name: walk.argument(name, _shown(walk, name, value)) for name, value in sent.items()}
    if isinstance(sent.get("org"), str):
        walk.organizations.add(sent["org"])
    return tree


def _payload(found: Filter, walk: Walk, tree: dict[str, Any], message_id: str) -> FilterPayload:
    now = datetime.now(UTC)
    current = Payload(
        name=found.name,
        event_type=found.filter_type,
        message_id=message_id,
        course_keys=tuple(sorted(walk.course_keys)),
        organizations=tuple(sorted(walk.organizations)),
        tree=tree,
        metadata=_metadata(found.filter_type, now, message_id, walk.notes),
        class_names=MappingProxyType({}),
    )
    return FilterPayload(message_id=message_id, current=current, legacy=_legacy(current, found, now))


def learner(contract: Contract, arguments: Mapping[str, Any]) -> Model | None:
    """Return the account that a filter is about; None where there is none, or nobody is logged in."""
    name, _, attribute = contract.learner.partition(".")
    value = arguments.get(name)
    if attribute:
        value = _quietly(lambda: getattr(arguments.get(name), attribute))
    if not isinstance(value, Model):
        return None
    # ``request.user`` is lazy, and only looks like a model.
    return value._wrapped if isinstance(value, LazyObject) else value  # noqa: SLF001


def profile_of(user: Model) -> Model | None:
    """Return a user's profile, or None where the user has none."""
    found = _quietly(lambda: getattr(user, "profile", None))
    return found if isinstance(found, Model) else None


def _metadata(event_type: str, now: datetime, message_id: str, notes: list[str]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"event_type": event_type, "time": now, "id": message_id}
    return {**metadata, "notes": list(notes)} if notes else metadata


def _sent(contract: Contract, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that leave, without the keys that never do."""
    withheld = {*contract.withheld, contract.learner}
    sent = {name: value for name, value in arguments.items() if name not in withheld and not is_credential(name)}
    for name in {path.partition(".")[0] for path in contract.withheld} & set(sent):
        value = sent[name]
        if isinstance(value, Mapping):
            sent[name] = {key: item for key, item in value.items() if f"{name}.{key}" not in withheld}
    return sent


def _people(walk: Walk, contract: Contract, arguments: Mapping[str, Any]) -> dict[str, Any]:
    if not contract.learner:
        return {}
    user = learner(contract, arguments)
    profile = profile_of(user) if user is not None else None
    return {
        "user": walk.argument("user", user and _columns(user, USER_FIELDS)),
        "profile": walk.argument("profile", profile and _columns(profile, PROFILE_FIELDS)),
    }


def _columns(row: Model, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the columns of a row that are loaded: reading a deferred one would be a query."""
    return {name: row.__dict__[name] for name in names if name in row.__dict__}


def _shown(walk: Walk, name: str, value: Any) -> Any:
    """Return what of an argument is walked: for objects that have no JSON form, the facts that name them."""
    walk.about(name)
    if isinstance(value, QueryDict):
        return {key: values[0] if len(values) == 1 else values for key, values in value.lists()}
    if isinstance(value, QuerySet):
        return {"model": value.model._meta.label_lower}
    if isinstance(value, Model):
        columns = MODEL_FIELDS.get(value._meta.model_name or "")
        return _columns(value, columns) if columns else value
    scope_ids = _attribute(walk, value, "scope_ids")
    if scope_ids is not None:
        return _block(walk, value, scope_ids)
    attributes = ATTRIBUTES.get(name, ())
    if attributes and not isinstance(value, (dict, list, str, int, float, type(None))):
        return {attribute: _attribute(walk, value, attribute) for attribute in attributes}
    return value


def _block(walk: Walk, block: Any, scope_ids: Any) -> dict[str, Any]:
    facts = ((scope_ids, "usage_id"), (scope_ids, "block_type"), (block, "display_name"))
    return {name: _attribute(walk, *fact) for name, fact in zip(BLOCK_FACTS, facts, strict=True)}


def _attribute(walk: Walk, value: Any, name: str) -> Any:
    """Return an attribute; None where there is none, and with a note where it cannot be read.

    A property may query a store, or be wrong: the receiver is asked all the same.
    """
    try:
        return getattr(value, name, None)
    except Exception as error:  # noqa: BLE001  foreign code
        walk.note(f"{name} could not be read ({type(error).__name__})")
        return None


def _quietly(get: Callable[[], Any]) -> Any:
    try:
        return get()
    except Exception:  # noqa: BLE001  foreign code, as above
        return None


def _legacy(current: Payload, found: Filter, now: datetime) -> Payload:
    """Return the body as openedx-webhooks before 23 shaped it: a form's fields at the top, the class name."""
    tree: dict[str, Any] = {}
    for name, value in current.tree.items():
        is_form = name == "form_data" and isinstance(value, Mapping)
        if value is not None or name not in ("user", "profile"):
            tree |= value if is_form else {name: value}
    metadata = {"event_type": found.name, "time": now.replace(tzinfo=None)}
    return replace(current, tree=tree, metadata=metadata, class_names={name: name for name in tree})
