"""The form of a template: its variables, and a part for each kind of channel, made from what the kind declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.channels.contract import ContentField
from apps.channels.registry import adapters
from apps.templates.admin.rows import Column, RowsField
from apps.templates.models import MessageTemplate

PREFIX = "body"
VARIABLES = (
    Column("name", _("name")),
    Column("label", _("label")),
    Column(
        "type",
        _("type"),
        (
            ("text", _("text")),
            ("number", _("number")),
            ("money", _("money")),
            ("date", _("date")),
            ("datetime", _("date and time")),
            ("boolean", _("yes or no")),
        ),
    ),
    Column("currency", _("currency")),
    Column("source", _("comes from"), (("payload", _("the request")), ("attribute", _("the person")))),
    Column("example", _("example")),
)
MAPPING = (Column("key", _("name")), Column("text", _("text"), long=True))


def field_name(kind: str, field: ContentField) -> str:
    """The name in the form of one content field."""
    return f"{PREFIX}__{kind}__{field.name}"


class TemplateForm(forms.ModelForm):
    """Reads and shows; `with_bodies` adds the fields of every kind."""

    variable_rows = RowsField(
        VARIABLES,
        key="name",
        label=_("variables"),
        help_text=_("Use them in the texts as ${name}; $$ is a dollar sign. Money needs a currency such as CNY."),
    )

    class Meta:
        model = MessageTemplate
        fields = ["code", "name", "language"]
        widgets = {
            "code": UnfoldAdminTextInputWidget(),
            "name": UnfoldAdminTextInputWidget(),
            "language": UnfoldAdminSelectWidget(),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["variable_rows"].initial = self.instance.variables
        for one in adapters():
            body = self.instance.bodies.get(one.kind, {})
            for field in one.content_fields:
                held = body.get(field.name)
                if isinstance(held, Mapping):
                    held = [{"key": key, "text": text} for key, text in held.items()]
                self.fields[field_name(one.kind, field)].initial = held

    def bodies(self) -> dict[str, dict[str, Any]]:
        """The bodies as `MessageTemplate.bodies` has them, blank fields included."""
        return {
            one.kind: {field.name: self._held(one.kind, field) for field in one.content_fields} for one in adapters()
        }

    def _held(self, kind: str, field: ContentField) -> Any:
        held = self.cleaned_data[field_name(kind, field)]
        return {row["key"]: row["text"] for row in held} if field.mapping else held.replace("\r\n", "\n")


def with_bodies() -> type[TemplateForm]:
    """TemplateForm with the content fields of every kind there is now. A draft may leave any of them empty."""
    fields = {field_name(one.kind, field): _form_field(field) for one in adapters() for field in one.content_fields}
    return type("TemplateForm", (TemplateForm,), fields | {"Meta": TemplateForm.Meta})


def _form_field(field: ContentField) -> forms.Field:
    label = f"{_(field.label)} *" if field.required else _(field.label)
    if field.mapping:
        return RowsField(MAPPING, key="key", label=label, help_text=_help(field))
    widget = UnfoldAdminTextareaWidget({"rows": 6}) if field.multiline else UnfoldAdminTextInputWidget()
    return forms.CharField(required=False, label=label, help_text=_help(field), widget=widget)


def _help(field: ContentField) -> str:
    said = [str(_(field.help))] if field.help else []
    if field.max_length:
        said.append(str(_("At most %(limit)s characters.") % {"limit": field.max_length}))
    if field.literal:
        said.append(str(_("The same for everybody: variables have no place here.")))
    return " ".join(said)


class PreviewForm(forms.Form):
    """Whose values a preview shows; `typed` are values written by hand, which win."""

    user_id = forms.CharField(label=_("user id"), required=False, max_length=64, widget=UnfoldAdminTextInputWidget())
    typed = RowsField((Column("name", _("name")), Column("value", _("value"))), key="name", label=_("values"))
