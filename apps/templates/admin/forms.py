"""The form of a template: its variables, and a part for each kind of channel, made from what the kind declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.channels.contract import ContentField
from apps.channels.registry import adapter, adapters
from apps.templates.admin.rows import Column, RowsField
from apps.templates.bodies import body_key, kind_of, well_named
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
VARIANTS = (
    Column("kind", _("channel"), tuple((one.kind, _(one.label)) for one in adapters())),
    Column("name", _("name")),
)
MAPPING = (Column("key", _("name")), Column("text", _("text"), long=True))


def field_name(key: str, field: ContentField) -> str:
    """The name in the form of one content field of a body."""
    return f"{PREFIX}__{key}__{field.name}"


class TemplateForm(forms.ModelForm):
    """Reads and shows; `with_bodies` adds the fields of the bodies, whose names are `keys`."""

    keys: Sequence[str] = ()

    variable_rows = RowsField(
        VARIABLES,
        key="name",
        label=_("variables"),
        help_text=_("Use them in the texts as ${name}; $$ is a dollar sign. Money needs a currency such as CNY."),
    )

    variant_rows = RowsField(
        VARIANTS,
        key="name",
        repeats=True,
        label=_("new variants"),
        help_text=_(
            "Another text for the same channel, which a policy chooses by its name: it begins as a copy of the channel's own "
            "and goes away when it is emptied. Small letters, digits and hyphens."
        ),
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
        for key in self.keys:
            body = self.instance.bodies.get(key, {})
            for field in adapter(kind_of(key)).content_fields:
                held = body.get(field.name)
                if isinstance(held, Mapping):
                    held = [{"key": name, "text": text} for name, text in held.items()]
                self.fields[field_name(key, field)].initial = held

    def clean_variant_rows(self) -> list[dict[str, str]]:
        rows: list[dict[str, str]] = self.cleaned_data["variant_rows"]
        for row in rows:
            key = body_key(row["kind"], row["name"])
            if not well_named(key):
                words = _("A variant is named with small letters, digits and hyphens, at most 30.")
                raise forms.ValidationError(words)
            if key in self.keys:
                raise forms.ValidationError(
                    _("%(name)s is there already: write its text below.") % {"name": row["name"]}
                )
        return rows

    def clean(self) -> dict[str, Any]:
        held: dict[str, Any] = super().clean()
        for row in held.get("variant_rows") or []:
            if not any(held.get(field_name(row["kind"], field)) for field in adapter(row["kind"]).content_fields):
                words = _("%(name)s: write the channel's own text first, the variant begins as a copy of it.")
                self.add_error("variant_rows", words % {"name": row["name"]})
        return held

    def bodies(self) -> dict[str, dict[str, Any]]:
        """The bodies as `MessageTemplate.bodies` has them, blank fields included; new variants are copies."""
        held = {
            key: {field.name: self._held(key, field) for field in adapter(kind_of(key)).content_fields}
            for key in self.keys
        }
        new = {body_key(row["kind"], row["name"]): held[row["kind"]] for row in self.cleaned_data["variant_rows"]}
        return held | new

    def _held(self, key: str, field: ContentField) -> Any:
        held = self.cleaned_data[field_name(key, field)]
        return {row["key"]: row["text"] for row in held} if field.mapping else held.replace("\r\n", "\n")


def with_bodies(keys: Sequence[str]) -> type[TemplateForm]:
    """TemplateForm with the content fields of these bodies. A draft may leave any of them empty."""
    fields = {
        field_name(key, field): _form_field(field) for key in keys for field in adapter(kind_of(key)).content_fields
    }
    return type("TemplateForm", (TemplateForm,), fields | {"Meta": TemplateForm.Meta, "keys": keys})


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
