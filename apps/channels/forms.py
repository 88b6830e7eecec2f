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

from apps.channels.contract import ConfigField
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.channels.services import RECEIPT_WINDOW, UNKNOWN_WINDOW, merged, open_secrets

SETTING = "setting_"
FORGET = "forget_"
PRICE = ["price", "currency"]
COLUMNS = ["code", "name", "business_line", "rate_per_second", "burst", "max_in_flight", "bills_failed"]
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
        fields = [*COLUMNS, *PRICE]

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
                field = self.fields[SETTING + one.name]
                field.required = False
                stored = gettext("One is stored. Leave empty to keep it.")
                field.help_text = f"{stored} {_said(one.help)}".strip()
            else:
                self.fields.pop(FORGET + one.name, None)

    def settings(self) -> dict[str, Any]:
        """What was entered for the kind's own fields, by the names of its declaration."""
        return {
            name.removeprefix(SETTING): value for name, value in self.cleaned_data.items() if name.startswith(SETTING)
        }

    def forgotten(self) -> set[str]:
        """The optional secrets that are to be forgotten, by the names of the declaration; one entered anew is kept."""
        asked = {
            name.removeprefix(FORGET) for name, value in self.cleaned_data.items() if name.startswith(FORGET) and value
        }
        return {name for name in asked if not self.cleaned_data.get(SETTING + name)}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        config, secrets = merged(self.instance, self.settings(), self.forgotten())
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
    declared = adapter(kind).config_fields
    fields: dict[str, Any] = {SETTING + one.name: _setting(one) for one in declared}
    fields |= {FORGET + one.name: _forget(one) for one in declared if one.secret and not one.required}
    return type("KindForm", (AccountForm,), {**fields, "kind": kind})


def setting_names(kind: str, account: ChannelAccount | None, *, required: bool) -> list[str]:
    """The form fields of the kind's required or optional settings, in order of the declaration.

    Behind an optional secret of which one is stored comes the box that forgets it.
    """
    held = open_secrets(account) if account else {}
    names = []
    for one in adapter(kind).config_fields:
        if one.required == required:
            names.append(SETTING + one.name)
            if one.secret and not required and held.get(one.name):
                names.append(FORGET + one.name)
    return names


def _forget(one: ConfigField) -> forms.Field:
    label = gettext("Forget the stored “%(secret)s”") % {"secret": _said(one.label)}
    return forms.BooleanField(label=label, required=False, widget=UnfoldBooleanSwitchWidget)


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
