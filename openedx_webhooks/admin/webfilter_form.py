"""The form of a webfilter: the filter is typed or chosen, and what may be done with it stands beside it."""

# Django calls these methods with more than they need.

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from openedx_webhooks.admin import contract
from openedx_webhooks.admin.forms import EventWidget
from openedx_webhooks.catalog import filters
from openedx_webhooks.models import Webfilter


class FilterWidget(EventWidget):
    """A text input for a filter or a pattern, a grouped list, and the contract of each filter that is meant.

    Without JavaScript, the contracts of what is stored are shown.
    """

    template_name = "openedx_webhooks/admin/filter_widget.html"

    class Media:
        js = ("openedx_webhooks/webfilter.js",)
        css = {"all": ("openedx_webhooks/webfilter.css",)}

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Replace the groups of events by those of filters, and add the contracts."""
        context = super().get_context(name, value, attrs)
        meant = {f.filter_type for f in filters.find(str(value or ""))}
        context["widget"]["groups"] = contract.grouped()
        context["widget"]["contracts"] = [(d, d.filter_type in meant) for d in contract.described()]
        context["widget"]["meant"] = len(meant)
        return context


class WebfilterForm(forms.ModelForm):  # type: ignore[type-arg]
    """Everything that the model's ``clean`` judges, in words and widgets for a person."""

    class Meta:
        model = Webfilter
        exclude = ("secret", "previous_secret", "previous_secret_until")  # noqa: DJ006  the admin names the fields
        widgets = {
            "description": forms.Textarea(attrs={"rows": 2, "cols": 60}),
            "event": FilterWidget(attrs={"size": 60, "spellcheck": "false", "autocapitalize": "off"}),
            "webhook_url": forms.TextInput(attrs={"size": 80, "inputmode": "url", "placeholder": "https://"}),
            "headers": forms.Textarea(attrs={"rows": 3, "cols": 60, "spellcheck": "false"}),
            "courses": forms.Textarea(attrs={"rows": 3, "cols": 60, "spellcheck": "false"}),
            "organizations": forms.Textarea(attrs={"rows": 3, "cols": 60, "spellcheck": "false"}),
            "redirect_on_4xx": forms.TextInput(attrs={"size": 60, "inputmode": "url"}),
            "redirect_on_5xx": forms.TextInput(attrs={"size": 60, "inputmode": "url"}),
            "redirect_on_request_exception": forms.TextInput(attrs={"size": 60, "inputmode": "url"}),
            "shadow": forms.CheckboxInput,
            "allow_html": forms.CheckboxInput,
        }
        help_texts = {
            "event": _(
                "Type a filter's name, its filter_type, or a pattern over either, such as Course* or *; "
                "or choose one from the list. What is typed goes before what is chosen."
            ),
            "webhook_url": _(
                "Asked inside the learner's request, by a signed POST. Redirects are not followed; "
                "the learner waits for the answer."
            ),
            "format": _("Rows from before version 23 are Legacy: their receivers go on getting the bodies they know."),
            "use_www_form_encoding": _("The same content as a flat form, its keys joined by underscores."),
            "headers": _("Sent with every request. One 'Name: value' on each line."),
            "timeout": _(
                "For the whole exchange, at most 30. Empty: the site's OPENEDX_WEBHOOKS_FILTER_TIMEOUT. More than "
                "OPENEDX_WEBHOOKS_FILTER_BUDGET, which all webfilters of a filter have together, counts as that."
            ),
            "redirect_on_4xx": _("Where the learner is sent when a 4xx halts. Empty: a message."),
            "redirect_on_5xx": _("Where the learner is sent when a 5xx halts. Empty: a message."),
            "redirect_on_request_exception": _("Where the learner is sent then. Empty: a message."),
            "courses": _("Ask only about these courses. One pattern on each line, such as course-v1:edX+*."),
            "organizations": _("Ask only about courses of these organizations. One on each line, such as edX."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.format is None:
            # The published package wrote this row; its receiver knows the bodies of that.
            self.initial["format"] = Webfilter.Format.LEGACY
