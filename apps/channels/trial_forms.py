"""Forms of what is tried by hand with an account, and of what is decided about it on pages of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.channels.above import Blank, Bound
from apps.channels.contract import ContentField
from apps.channels.forms import OptionalJson
from apps.channels.models import AccountPrice
from apps.channels.registry import adapter
from apps.partners.classes import CLASSES

VALUE = "value_"


class ChooseForm(forms.Form):
    """Whom and with which text; asked by GET, so that the page with the answer has an address."""

    user_id = forms.CharField(
        label=_("user id"),
        required=False,
        max_length=64,
        help_text=_("Look a person up to write to one of their addresses."),
    )
    version = forms.TypedChoiceField(label=_("text"), required=False, coerce=int, empty_value=0)

    def __init__(self, data: Any, texts: Sequence[tuple[int, str]], *, sees_people: bool) -> None:
        super().__init__(data, auto_id="choose_%s")
        if not sees_people:
            del self.fields["user_id"]
        free = gettext("written here, field by field")
        self.fields["version"].choices = [("", free), *texts]  # type: ignore[attr-defined]
        _dress(self)


class TestSendForm(forms.Form):
    """To one of a person's bindings, or to an address typed in; the content from a text's blanks, or field by field."""

    def __init__(
        self,
        kind: str,
        data: Any = None,
        bindings: Sequence[Bound] | None = None,
        blanks: Sequence[Blank] | None = None,
    ) -> None:
        super().__init__(data)
        self.parts = adapter(kind).content_fields if blanks is None else ()
        self.blanks = blanks or ()
        if bindings is None:
            words = gettext("Of kind “%(kind)s”.") % {"kind": adapter(kind).capabilities.address_kind}
            self.fields["address"] = forms.CharField(label=_("Address"), max_length=1000, help_text=words)
        else:
            self.fields["binding"] = _one_of(bindings)
        for one in self.parts:
            self.fields[one.name] = _content(one)
        for blank in self.blanks:
            self.fields[VALUE + blank.name] = forms.CharField(label=blank.label, initial=blank.value, required=False)
        _dress(self)

    def content(self) -> dict[str, Any]:
        """The content as an adapter wants it, where it is written field by field."""
        return {one.name: self.cleaned_data[one.name] or ({} if one.mapping else "") for one in self.parts}

    def values(self) -> dict[str, str]:
        """What stands in the blanks of the text."""
        return {blank.name: self.cleaned_data[VALUE + blank.name] for blank in self.blanks}

    def refuse(self, problems: Mapping[str, Any]) -> None:
        """Shows what a service refused, beside the field it named."""
        for name, words in problems.items():
            self.add_error(name if name in self.fields else None, str(words))


def _one_of(bindings: Sequence[Bound]) -> forms.Field:
    usable = [(str(one.id), " · ".join(filter(None, [one.masked, one.where]))) for one in bindings if not one.refusal]
    first = usable[0][0] if usable else None
    return forms.ChoiceField(label=_("Address"), choices=usable, initial=first, widget=forms.RadioSelect)


def _content(one: ContentField) -> forms.Field:
    said: dict[str, Any] = {
        "label": _(one.label),
        "required": one.required,
        "help_text": _(one.help) if one.help else "",
    }
    if one.mapping:
        return OptionalJson(**said, widget=forms.Textarea(attrs={"rows": 2, "placeholder": "{}"}))
    if one.multiline:
        return forms.CharField(**said, widget=forms.Textarea(attrs={"rows": 4}))
    return forms.CharField(**said, max_length=one.max_length)


class PauseForm(forms.Form):
    """Why; others will ask."""

    reason = forms.CharField(
        label=_("Reason"), max_length=200, help_text=_("It stands on the account's page and in the audit log.")
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        _dress(self)


class PriceForm(forms.ModelForm):
    """A price and from when."""

    valid_from = forms.DateTimeField(
        label=_("valid from"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("Empty: from now. A later time takes effect by itself; a time that has passed is refused."),
    )

    class Meta:
        model = AccountPrice
        fields = ["price", "message_class", "valid_from", "note"]

    message_class = forms.ChoiceField(
        label=_("class"),
        required=False,
        help_text=_("A price for one class goes before the price for all classes while it lasts."),
    )

    def __init__(self, data: Any = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.fields["message_class"].choices = [("", gettext("every class")), *CLASSES.items()]  # type: ignore[attr-defined]
        _dress(self)

    def refuse(self, problems: Mapping[str, Any]) -> None:
        """Shows what a service refused, beside the field it named."""
        for name, words in problems.items():
            self.add_error(name if name in self.fields else None, str(words))


def _dress(form: forms.BaseForm) -> None:
    for field in form.fields.values():
        if not isinstance(field.widget, forms.RadioSelect):
            field.widget.attrs["class"] = "ums-input"
