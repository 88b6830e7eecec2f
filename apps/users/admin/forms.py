"""Forms of the people pages. They parse; services decide."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.channels.families import families, ways
from apps.channels.models import ChannelAccount
from apps.channels.registry import KINDS as CHANNEL_KINDS
from apps.partners.models import BusinessLine
from apps.users.addresses import IMPORT_KINDS
from apps.users.addressing import hash_of
from apps.users.attribute_values import BadValue, read_value
from apps.users.errors import PeopleError
from apps.users.importing.rejects import in_words
from apps.users.importing.rows import RowRefused, check_user_id, read_tags
from apps.users.lists import checked_region
from apps.users.models import (
    Attribute,
    Binding,
    BlacklistEntry,
    ConsentRecord,
    MessageClass,
    PeopleImport,
    Recipient,
    Scope,
)


def way_choices() -> list[tuple[str, Any]]:
    """Families of channels, and the kinds of each."""
    whole = [(word, title) for word, title in ways().items() if word not in CHANNEL_KINDS]
    kinds = [(one.title, [(kind.kind, _(kind.label)) for kind in one.kinds]) for one in families()]
    return [(_("a whole family"), whole), *kinds]


ATTRIBUTE = "attribute_"
KINDS = [(kind, kind) for kind in IMPORT_KINDS]


def text_field(label: Any, **options: Any) -> forms.CharField:
    """A one-line text in the console's style."""
    return forms.CharField(label=label, widget=UnfoldAdminTextInputWidget(), **options)


def checked_address(form: forms.Form | forms.ModelForm, kind: str, address: str) -> None:
    """Puts a refusal of the address to its field."""
    try:
        hash_of(kind, address)
    except PeopleError as refused:
        form.add_error("raw_address", str(refused))


def recipient_of(user_id: str) -> Recipient:
    """Raises ValidationError for an unknown user id."""
    recipient = Recipient.objects.filter(user_id=user_id.strip()).first()
    if recipient is None:
        raise forms.ValidationError(_("There is no recipient with this user id."))
    return recipient


class RecipientForm(forms.ModelForm):
    """User id and tags; `with_attributes` adds a field for each declared attribute."""

    tags_text = text_field(_("tags"), required=False, help_text=_("Separate several with |."))

    class Meta:
        model = Recipient
        fields = ["user_id"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["tags_text"].initial = " | ".join(self.instance.tags)
        for name in self.fields:
            if name.startswith(ATTRIBUTE):
                self.fields[name].initial = self.instance.attributes.get(name.removeprefix(ATTRIBUTE))

    def clean_user_id(self) -> str:
        return _words_of(check_user_id, self.cleaned_data["user_id"])

    def clean_tags_text(self) -> list[str]:
        return _words_of(read_tags, self.cleaned_data["tags_text"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        types = dict(Attribute.objects.values_list("key", "type"))
        for name in [name for name in cleaned if name.startswith(ATTRIBUTE) and cleaned[name]]:
            try:
                read_value(types[name.removeprefix(ATTRIBUTE)], cleaned[name])
            except BadValue as bad:
                self.add_error(name, in_words(bad.words, bad.params))
        return cleaned

    def changed_attributes(self) -> dict[str, str | None]:
        """Key and text of what was edited; None for a value that was emptied."""
        names = [name for name in self.changed_data if name.startswith(ATTRIBUTE)]
        return {name.removeprefix(ATTRIBUTE): self.cleaned_data[name].strip() or None for name in names}


def with_attributes() -> type[RecipientForm]:
    """RecipientForm with the attributes declared now. Of a sensitive one only a new value is taken, none is shown."""
    fields: dict[str, Any] = {}
    for attribute in Attribute.objects.order_by("key"):
        hidden = _("Kept sealed and not shown. Leave it empty to keep what is there.") if attribute.sensitive else ""
        fields[ATTRIBUTE + attribute.key] = text_field(attribute.label, required=False, help_text=hidden)
    return type("RecipientForm", (RecipientForm,), fields | {"Meta": RecipientForm.Meta})


class BindingForm(forms.ModelForm):
    """A new address of a person."""

    user_id = text_field(_("user id"))
    kind = forms.ChoiceField(label=_("address kind"), choices=KINDS, widget=UnfoldAdminSelectWidget())
    raw_address = text_field(_("address"))

    class Meta:
        model = Binding
        fields: list[str] = []

    def clean_user_id(self) -> Recipient:
        return recipient_of(self.cleaned_data["user_id"])

    def clean(self) -> None:
        super().clean()
        if {"kind", "raw_address"} <= self.cleaned_data.keys():
            checked_address(self, self.cleaned_data["kind"], self.cleaned_data["raw_address"])


class BlacklistForm(forms.ModelForm):
    """A person, an address or a region, and where the entry counts. The address itself is not kept."""

    user_id = text_field(_("user id"), required=False, help_text=_("Give a user id, an address or a region."))
    kind = forms.ChoiceField(
        label=_("address kind"), choices=[("", "—"), *KINDS], required=False, widget=UnfoldAdminSelectWidget()
    )
    raw_address = text_field(_("address"), required=False, help_text=_("Only its keyed hash is kept."))
    region = text_field(
        _("region"),
        required=False,
        max_length=60,
        help_text=_("Everybody of this region, as the people's attribute says it."),
    )
    channel = forms.ChoiceField(
        label=_("over which channels"),
        choices=lambda: [("", _("every channel")), *way_choices()],
        required=False,
        widget=UnfoldAdminSelectWidget(),
        help_text=_("One kind only: whoever is blocked there is still reached over the other channels."),
    )
    business_line = forms.ModelChoiceField(
        label=_("business line"), queryset=BusinessLine.objects.all(), required=False, widget=UnfoldAdminSelectWidget()
    )
    account = forms.ModelChoiceField(
        label=_("account"), queryset=ChannelAccount.objects.all(), required=False, widget=UnfoldAdminSelectWidget()
    )

    classes = forms.MultipleChoiceField(
        label=_("message classes"),
        choices=MessageClass.choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text=_("Which messages it concerns. None chosen: all of them."),
    )

    class Meta:
        model = BlacklistEntry
        fields = ["effect", "scope", "reason", "expires_at"]

    def clean_expires_at(self) -> datetime | None:
        return later(self.cleaned_data["expires_at"])

    def clean_user_id(self) -> Recipient | None:
        return recipient_of(self.cleaned_data["user_id"]) if self.cleaned_data["user_id"] else None

    def clean_region(self) -> str:
        try:
            return checked_region(self.cleaned_data["region"].strip())
        except PeopleError as refused:
            raise forms.ValidationError(str(refused)) from None

    def clean(self) -> None:
        super().clean()
        said = self.cleaned_data
        if {"user_id", "region"} & self.errors.keys():
            return
        if sum(bool(said.get(name)) for name in ("user_id", "raw_address", "region")) != 1:
            self.add_error("user_id", _("Give a user id, an address or a region: one of them."))
        elif said.get("raw_address"):
            if said.get("kind"):
                checked_address(self, said["kind"], said["raw_address"])
            else:
                self.add_error("kind", _("Say of which kind the address is."))
        for scope in (Scope.BUSINESS_LINE, Scope.ACCOUNT):
            if said.get("scope") == scope and not said.get(str(scope)):
                self.add_error(str(scope), _("Choose where the entry counts."))

    def scope_id(self) -> int:
        """The id of the chosen business line or account; 0 for everywhere."""
        chosen = self.cleaned_data.get(self.cleaned_data["scope"])
        return chosen.pk if chosen else 0


class ConsentForm(forms.ModelForm):
    """What somebody agreed to or took back, and what proves it."""

    user_id = text_field(_("user id"), required=False, help_text=_("Give a user id, an address, or both."))
    kind = forms.ChoiceField(
        label=_("address kind"), choices=[("", "—"), *KINDS], required=False, widget=UnfoldAdminSelectWidget()
    )
    raw_address = text_field(_("address"), required=False, help_text=_("Only its keyed hash is kept."))

    class Meta:
        model = ConsentRecord
        fields = ["state", "message_class", "business_line", "evidence", "reference"]
        help_texts = {
            "message_class": _("None chosen: messages of every class."),
            "business_line": _("None chosen: every business line."),
            "evidence": _(
                "The words that were shown or said, and where. It is kept for good: no more of a person than needed."
            ),
            "reference": _("Where to find it: the number of a form, a call, a letter."),
        }

    def clean_user_id(self) -> Recipient | None:
        return recipient_of(self.cleaned_data["user_id"]) if self.cleaned_data["user_id"] else None

    def clean(self) -> None:
        super().clean()
        said = self.cleaned_data
        if "user_id" in said and not said["user_id"] and not said.get("raw_address"):
            self.add_error("user_id", _("Say whose consent it is: a user id or an address."))
        if said.get("raw_address"):
            if said.get("kind"):
                checked_address(self, said["kind"], said["raw_address"])
            else:
                self.add_error("kind", _("Say of which kind the address is."))


class LiftForm(forms.Form):
    """Why somebody may be written to again, or is no longer spared."""

    reason = text_field(_("reason"), max_length=200, help_text=_("It stands in the audit log."))


class UploadForm(forms.ModelForm):
    """A file of people, of entries of a list, or of consents, to bring in."""

    may_consents = True
    file = forms.FileField(
        label=_("file"),
        widget=UnfoldAdminFileFieldWidget(),
        help_text=_(
            "XLSX (its first sheet), or CSV in UTF-8, GB18030 or UTF-16 with comma, semicolon or tab. Several addresses or "
            "tags: a|b."
        ),
    )
    dry_run = forms.BooleanField(
        label=_("dry run"),
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text=_("Check every row and count, but change nothing."),
    )

    class Meta:
        model = PeopleImport
        fields = ["sort", "reason"]
        help_texts = {
            "sort": _(
                "A list has a user id, one address or one region a row; reason, expires_at, classes, channel, business_line "
                "and account where a row has its own. Consents have a user id or an address, state, time, evidence; class, "
                "business_line, source, text_version, operator and reference."
            ),
            "reason": _("Of a list: the reason, of consents: the evidence, of every row that has none of its own."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["sort"].required = False
        if not self.may_consents:
            choices = [one for one in PeopleImport.Sort.choices if one[0] != PeopleImport.Sort.CONSENT]
            self.fields["sort"].choices = choices  # type: ignore[attr-defined]

    def clean_sort(self) -> str:
        return self.cleaned_data["sort"] or PeopleImport.Sort.PEOPLE


def later(until: datetime | None) -> datetime | None:
    """Raises ValidationError for a moment that is over."""
    if until is not None and until <= timezone.now():
        raise forms.ValidationError(_("Choose a later time, or none."))
    return until


def _words_of(check: Any, text: str) -> Any:
    try:
        return check(text)
    except RowRefused as refused:
        raise forms.ValidationError(in_words(refused.words, refused.params)) from None
