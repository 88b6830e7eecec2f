"""Forms of accounts, made from what each kind declares."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.channels.contract import ConfigField, ContentField
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.channels.services import RECEIPT_WINDOW, UNKNOWN_WINDOW, merged, open_secrets

SETTING = "setting_"
COLUMNS = ["code", "name", "business_line", "rate_per_second", "burst", "max_in_flight", "price", "currency"]
WINDOWS = ["receipt_hours", "unknown_minutes"]


class AccountForm(forms.ModelForm):
    """The columns of an account; `with_settings` adds the fields of its kind. Nothing here ever shows a secret."""

    kind: str
    receipt_hours = forms.DecimalField(
        label=_("Receipt window, hours"), min_value=0, max_value=24 * 90, decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget, help_text=_("After this no receipt is expected any more."),
    )  # fmt: skip
    unknown_minutes = forms.DecimalField(
        label=_("Unknown window, minutes"), min_value=0, max_value=60 * 24 * 30, decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text=_("How long an unknown outcome waits for a receipt or an answer before it is final."),
    )  # fmt: skip

    class Meta:
        model = ChannelAccount
        fields = COLUMNS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.kind = self.kind
        held = self.instance
        self.initial["receipt_hours"] = _in(held.receipt_window or RECEIPT_WINDOW, 3600)
        self.initial["unknown_minutes"] = _in(held.unknown_window or UNKNOWN_WINDOW, 60)
        kept = open_secrets(held) if held.pk else {}
        for one in adapter(self.kind).config_fields:
            if not one.secret:
                self.initial[SETTING + one.name] = held.config.get(one.name, one.default)
            elif kept.get(one.name):
                self.fields[SETTING + one.name].required = False
                self.fields[SETTING + one.name].help_text = _("One is stored. Leave empty to keep it.")

    def settings(self) -> dict[str, Any]:
        """What was entered for the kind's own fields, by the names of its declaration."""
        return {
            name.removeprefix(SETTING): value for name, value in self.cleaned_data.items() if name.startswith(SETTING)
        }

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        config, secrets = merged(self.instance, self.settings())
        for name, words in adapter(self.kind).check_config({**config, **secrets}).items():
            field = SETTING + name
            if field not in self.fields:
                self.add_error(None, words)
            elif field not in self.errors:
                self.add_error(field, gettext(words))
        return cleaned

    def _post_clean(self) -> None:
        cleaned = self.cleaned_data
        if "receipt_hours" in cleaned and (not self.instance.pk or "receipt_hours" in self.changed_data):
            self.instance.receipt_window = timedelta(hours=float(cleaned["receipt_hours"]))
        if "unknown_minutes" in cleaned and (not self.instance.pk or "unknown_minutes" in self.changed_data):
            self.instance.unknown_window = timedelta(minutes=float(cleaned["unknown_minutes"]))
        super()._post_clean()


def _in(window: timedelta, seconds: int) -> float | int:
    """A window as a number of units, whole where it is."""
    count = window.total_seconds() / seconds
    return int(count) if count == int(count) else round(count, 2)


def with_settings(kind: str) -> type[AccountForm]:
    """The form for accounts of this kind."""
    fields = {SETTING + one.name: _setting(one) for one in adapter(kind).config_fields}
    return type("KindForm", (AccountForm,), {**fields, "kind": kind})


def setting_names(kind: str) -> list[str]:
    """The form fields of the kind's settings, in order of the declaration."""
    return [SETTING + one.name for one in adapter(kind).config_fields]


def _setting(one: ConfigField) -> forms.Field:
    said: dict[str, Any] = {"label": _said(one.label), "required": one.required, "help_text": _said(one.help)}
    if one.secret:
        quiet = UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "new-password"})
        return forms.CharField(**said, widget=quiet, strip=False)
    if one.type == "integer":
        return forms.IntegerField(**said, widget=UnfoldAdminIntegerFieldWidget)
    if one.type == "boolean":
        return forms.BooleanField(**said | {"required": False}, widget=UnfoldBooleanSwitchWidget)
    if one.type == "choice":
        return forms.ChoiceField(**said, choices=_choices(one.choices), widget=UnfoldAdminSelectWidget)
    if one.type == "json":
        return OptionalJson(**said, widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}))
    return forms.CharField(**said, widget=UnfoldAdminTextInputWidget)


def _choices(names: Sequence[str]) -> list[tuple[str, Any]]:
    return [(name, name or _("not set")) for name in names]


def _said(text: str) -> Any:
    return _(text) if text else ""


class OptionalJson(forms.JSONField):
    """JSON that may be left out: nothing is shown as nothing, not as null."""

    def prepare_value(self, value: Any) -> Any:
        return "" if value in (None, "", {}) else super().prepare_value(value)


class TestSendForm(forms.Form):
    """An address of the account's kind and the raw content fields of its channel."""

    address = forms.CharField(label=_("Address"), max_length=200)

    def __init__(self, kind: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parts = adapter(kind).content_fields
        self.fields["address"].help_text = adapter(kind).capabilities.address_kind
        for one in self.parts:
            self.fields[one.name] = _content(one)
        for field in self.fields.values():
            field.widget.attrs["class"] = "ums-input"

    def content(self) -> dict[str, Any]:
        """The content as an adapter wants it."""
        return {one.name: self.cleaned_data[one.name] or ({} if one.mapping else "") for one in self.parts}


def _content(one: ContentField) -> forms.Field:
    said: dict[str, Any] = {"label": _said(one.label), "required": one.required, "help_text": _said(one.help)}
    if one.mapping:
        return OptionalJson(**said, widget=forms.Textarea(attrs={"rows": 2, "placeholder": "{}"}))
    if one.multiline:
        return forms.CharField(**said, widget=forms.Textarea(attrs={"rows": 4}))
    return forms.CharField(**said, max_length=one.max_length)
