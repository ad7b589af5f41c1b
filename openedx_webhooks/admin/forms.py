"""The form of a webhook: the event is typed, or chosen from a grouped list."""

# Django calls these methods with more than they need.
# ruff: noqa: ARG002

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from openedx_webhooks.catalog import events as catalog
from openedx_webhooks.models import Webhook


class EventWidget(forms.TextInput):
    """A text input for a name or a pattern, with a grouped list beside it.

    Works without JavaScript: what is chosen from the list counts where the text was left as it was.
    """

    template_name = "openedx_webhooks/admin/event_widget.html"

    class Media:
        js = ("openedx_webhooks/event_widget.js",)
        css = {"all": ("openedx_webhooks/admin.css",)}

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Add the groups of the list."""
        context = super().get_context(name, value, attrs)
        context["widget"]["groups"] = grouped_events()
        return context

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        """Return what was typed; what was chosen where nothing was typed."""
        typed, chosen = data.get(name), data.get(f"{name}_chosen")
        untouched = not typed or typed == data.get(f"{name}_before")
        return chosen if chosen and untouched else typed


def grouped_events() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the events as ``(group, [(value, event_type), ...])``; the value is the name, where it is one event's."""
    entries = catalog.all_events().values()
    names = [entry.name for entry in entries]
    return [
        (group, [(e.name if names.count(e.name) == 1 else e.event_type, e.event_type) for e in members])
        for group, members in groupby(entries, key=lambda entry: entry.group)
    ]


class WebhookForm(forms.ModelForm):  # type: ignore[type-arg]
    """Everything that the model's ``clean`` judges, in words and widgets for a person."""

    class Meta:
        model = Webhook
        exclude = ("secret", "previous_secret", "previous_secret_until")  # noqa: DJ006  the admin names the fields
        widgets = {
            "description": forms.Textarea(attrs={"rows": 2, "cols": 60}),
            "event": EventWidget(attrs={"size": 60, "spellcheck": "false", "autocapitalize": "off"}),
            "webhook_url": forms.TextInput(attrs={"size": 80, "inputmode": "url", "placeholder": "https://"}),
            "headers": forms.Textarea(attrs={"rows": 3, "cols": 60, "spellcheck": "false"}),
            "courses": forms.Textarea(attrs={"rows": 3, "cols": 60, "spellcheck": "false"}),
            "organizations": forms.Textarea(attrs={"rows": 3, "cols": 60, "spellcheck": "false"}),
        }
        help_texts = {
            "event": _(
                "Type a signal's name, its event_type, or a pattern over either, such as COURSE_ENROLLMENT_* or *; "
                "or choose one from the list. What is typed goes before what is chosen."
            ),
            "webhook_url": _("Each event is sent here as a signed POST request. Redirects are not followed."),
            "format": _("Rows from before version 23 are Legacy: their receivers go on getting the bodies they know."),
            "use_www_form_encoding": _("The same content as a flat form, its keys joined by underscores."),
            "headers": _("Sent with every request. One 'Name: value' on each line."),
            "timeout": _(
                "For the whole exchange, from the name lookup to the end of the answer. Empty: the site's default."
            ),
            "courses": _(
                "Send only events of these courses. One pattern on each line, such as course-v1:edX+*. "
                "Empty: all events."
            ),
            "organizations": _("Send only events of courses of these organizations. One on each line, such as edX."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.format is None:
            # The published package wrote this row; its receiver knows the bodies of that.
            self.initial["format"] = Webhook.Format.LEGACY
