"""Forms of campaigns and policies. What is right is decided by the services; forms ask and pass on."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.campaigns.models import Campaign, Policy, TargetList
from apps.campaigns.policy_problems import found_in
from apps.campaigns.services import per_minute
from apps.campaigns.words import CLASSES, pace_as_set
from apps.partners.models import BusinessLine
from apps.templates.models import TemplateVersion
from apps.users.models import Tag

TAG_PARTS = ("tags_any", "tags_all", "tags_none")
MOST_TAGS = 300


class VersionChoice(forms.ModelChoiceField):
    """Template versions, the newest of each template first."""

    def label_from_instance(self, version: TemplateVersion) -> str:
        return f"{version.template.name} · v{version.number} ({version.template.code})"


class CampaignForm(forms.Form):
    """The three steps of a new campaign on one page: what, to whom, how."""

    name = forms.CharField(label=_("Name"), max_length=200)
    business_line = forms.ModelChoiceField(
        label=_("Business line"), queryset=BusinessLine.objects.filter(active=True).order_by("name"), empty_label=None
    )
    template_version = VersionChoice(
        label=_("Message template, published version"),
        queryset=TemplateVersion.objects.select_related("template").order_by("template__name", "-number"),
        empty_label=_("Choose …"),
    )
    message_class = forms.ChoiceField(
        label=_("Class"),
        choices=list(CLASSES.items())[::-1],
        help_text=_("Decides which lane it takes: a one-time password never waits behind marketing."),
    )
    tags_any = forms.MultipleChoiceField(
        label=_("People with at least one of these tags"), required=False, widget=forms.CheckboxSelectMultiple
    )
    tags_all = forms.MultipleChoiceField(
        label=_("and with all of these tags"), required=False, widget=forms.CheckboxSelectMultiple
    )
    tags_none = forms.MultipleChoiceField(
        label=_("and with none of these tags"), required=False, widget=forms.CheckboxSelectMultiple
    )
    target_list = forms.ModelChoiceField(
        label=_("or an imported list"), queryset=TargetList.objects.none(), required=False, empty_label=_("No list: by tags"),
        help_text=_("Everybody whom the list names, once, with the list's own values. Tags do not count then."),
    )  # fmt: skip
    policy = forms.ModelChoiceField(
        label=_("Policy"), queryset=Policy.objects.order_by("name"), empty_label=_("Choose …")
    )
    scheduled_at = forms.DateTimeField(
        label=_("Send at"), required=False, help_text=_("Empty: as soon as somebody confirms."),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"],
    )  # fmt: skip
    pace_per_second = forms.DecimalField(
        label=_("Pace, messages"), required=False, min_value=0.01, max_digits=9, decimal_places=2,
        help_text=_("Empty: as fast as the accounts allow."),
    )  # fmt: skip
    pace_per = forms.ChoiceField(
        label=_("per"), choices=[("second", _("second")), ("minute", _("minute"))], required=False
    )
    cost_ceiling = forms.DecimalField(
        label=_("Cost ceiling"), required=False, min_value=0, max_digits=14, decimal_places=5,
        help_text=_("What the whole campaign may cost; before it costs more it pauses itself. Empty: no ceiling."),
    )  # fmt: skip

    canary_size = forms.IntegerField(
        label=_("Canary, sends that go first"), required=False, min_value=1,
        help_text=_("So many go first; two minutes later the others follow if nothing went wrong. Empty: all at once."),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tags = [(name, name) for name in Tag.objects.order_by("name").values_list("name", flat=True)[:MOST_TAGS]]
        for part in TAG_PARTS:
            self.fields[part].choices = tags  # type: ignore[attr-defined]
        lists = TargetList.objects.filter(state=TargetList.State.DONE, dry_run=False).order_by("-id")
        self.fields["target_list"].queryset = lists  # type: ignore[attr-defined]
        for field in self.fields.values():
            if not isinstance(field.widget, forms.CheckboxSelectMultiple):
                field.widget.attrs["class"] = "ums-input"

    def clean_scheduled_at(self) -> Any:
        moment = self.cleaned_data["scheduled_at"]
        if moment and moment < timezone.now() - timedelta(minutes=1):
            raise forms.ValidationError(_("This moment is over: choose a later one, or leave it empty."))
        return moment

    def clean(self) -> dict[str, Any]:
        held: dict[str, Any] = super().clean() or self.cleaned_data
        if held.get("pace_per_second") and held.get("pace_per") == "minute":
            held["pace_per_second"] = per_minute(held["pace_per_second"])
        return held

    def audience(self) -> dict[str, Any]:
        """The audience definition that was entered."""
        chosen = self.cleaned_data.get("target_list")
        if chosen is not None:
            return {"kind": "list", "list": chosen.pk}
        return audience_of({part: self.cleaned_data[part] for part in TAG_PARTS})


def entered(campaign: Campaign) -> dict[str, Any]:
    """What the form shows of a campaign that is to be changed."""
    pace, per = pace_as_set(campaign.pace_per_second)
    return {
        "name": campaign.name,
        "business_line": campaign.business_line_id,
        "template_version": campaign.template_version_id,
        "message_class": campaign.message_class,
        **{part: campaign.audience.get(part, []) for part in TAG_PARTS},
        "target_list": campaign.audience.get("list"),
        "policy": Policy.objects.filter(code=campaign.policy_code).values_list("pk", flat=True).first(),
        "scheduled_at": campaign.scheduled_at and timezone.localtime(campaign.scheduled_at),
        "pace_per_second": pace,
        "pace_per": per,
        "cost_ceiling": campaign.cost_ceiling,
        "canary_size": campaign.canary_size,
    }


def audience_of(parts: dict[str, list[str]]) -> dict[str, Any]:
    """A definition from lists of tags, empty lists left out."""
    return {"kind": "filter", **{part: tags for part, tags in parts.items() if tags}}


class PolicyForm(forms.ModelForm):
    """Code, name and the plan, whose field is JSON that the page's editor fills. `problems` are those of the plan by place."""

    plan = forms.CharField(
        label=_("Plan"), widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false"}), strip=True
    )
    note = forms.CharField(
        label=_("What changed and why"), max_length=200, required=False, help_text=_("It stands beside the version.")
    )
    based_on = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Policy
        fields = ["code", "name", "plan"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.problems: dict[str, str] = {}
        if self.instance.pk:
            self.initial["plan"] = json.dumps(self.instance.plan, ensure_ascii=False, indent=2)
            self.initial["based_on"] = self.instance.number
            self.fields["code"].disabled = True
        for field in self.fields.values():
            field.widget.attrs["class"] = "ums-input"

    def clean_plan(self) -> dict[str, Any]:
        plan = read_plan(self.cleaned_data["plan"])
        self.problems = found_in(plan)
        if self.problems:
            raise forms.ValidationError([f"{place}: {words}" for place, words in self.problems.items()])
        return dict(plan)


def read_plan(text: str) -> Any:
    """The JSON of a plan. Raises ValidationError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as bad:
        raise forms.ValidationError(_("The plan is not readable as JSON: %(why)s."), params={"why": bad}) from bad


class ReasonForm(forms.Form):
    """Why something is taken back; others will ask."""

    reason = forms.CharField(
        label=_("Reason"), max_length=200, help_text=_("It stands in the audit log and in the story of each message.")
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        self.fields["reason"].widget.attrs["class"] = "ums-input"


class WhyForm(ReasonForm):
    """Why sending is held back or let go."""

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        self.fields["reason"].help_text = _(
            "Others will ask: it is shown with the pause or switch and kept in the audit log."
        )
