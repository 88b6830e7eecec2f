"""The what-if page: which order a policy comes to for one person, and why. Nothing is sent and nothing is kept."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from apps.campaigns.errors import CampaignError
from apps.campaigns.forms import VersionChoice
from apps.campaigns.models import Policy
from apps.campaigns.policy_words import ORDERS, WEIGHTS, condition_in_words, whom_in_words
from apps.campaigns.scoring import said_by
from apps.campaigns.what_if import StepOfOne, Way, WhatIf, ask_what_if
from apps.campaigns.words import CLASSES, reason_in_words, seconds_in_words
from apps.partners.models import BusinessLine
from apps.templates.models import TemplateVersion
from apps.users.models import Recipient

FIELDS = {"policy": "policy", "template": "template_version", "class": "message_class"}


class WhatIfForm(forms.Form):
    """For whom, with which policy and which text."""

    user_id = forms.CharField(label=_("User id"), max_length=100)
    policy = forms.ModelChoiceField(label=_("Policy"), queryset=Policy.objects.order_by("name"), empty_label=None)
    template_version = VersionChoice(
        label=_("Message template, published version"),
        queryset=TemplateVersion.objects.select_related("template").order_by("template__name", "-number"),
        empty_label=None,
        help_text=_("For the price of the text."),
    )
    message_class = forms.ChoiceField(label=_("Class"), choices=list(CLASSES.items())[::-1])
    business_line = forms.ModelChoiceField(
        label=_("Business line"), queryset=BusinessLine.objects.filter(active=True).order_by("name"), empty_label=None
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["class"] = "ums-input"

    def clean_user_id(self) -> Recipient:
        found = Recipient.objects.filter(user_id=self.cleaned_data["user_id"].strip()).first()
        if found is None:
            raise forms.ValidationError(_("Nobody has this user id."))
        return found


def what_if_view(request: HttpRequest) -> HttpResponse:
    """The form, and below it the answer once everything is chosen."""
    if not request.user.has_perm("campaigns.ask_what_if"):
        raise PermissionDenied
    asked = "user_id" in request.GET
    form = WhatIfForm(request.GET if asked else None, initial={"policy": request.GET.get("policy")})
    context: dict[str, Any] = {"title": _("What if"), "opts": Policy._meta, "form": form}
    if asked and form.is_valid():
        said = form.cleaned_data
        try:
            found = ask_what_if(
                person=said["user_id"],
                policy=said["policy"],
                business_line=said["business_line"],
                message_class=said["message_class"],
                version=said["template_version"],
            )
        except CampaignError as refused:
            form.add_error(FIELDS.get(refused.field), refused.message)
        else:
            context |= _shown(found)
    return render(request, "campaigns/what_if.html", {**admin.site.each_context(request), **context})


def _shown(found: WhatIf) -> dict[str, Any]:
    reasons = list(dict.fromkeys([*found.stopped_by, *([found.reason] if found.reason else [])]))
    return {
        "found": found,
        "reasons": [reason_in_words(code) for code in reasons],
        "steps": [_step(step, found, last=step is found.steps[-1]) for step in found.steps],
        "weights": [(WEIGHTS[name], f"{value:g}") for name, value in said_by(found.weights).items()],
        "order": ORDERS.get(found.plan.order or "smart", ""),
    }


def _step(held: StepOfOne, found: WhatIf, *, last: bool) -> dict[str, Any]:
    step = held.step
    wait = step.wait.total_seconds() if step.wait is not None else None
    return {
        "number": step.number + 1,
        "first": step.number == found.first and not found.stopped_by,
        "mode": step.mode if len(step.places) > 1 else "",
        "then": "" if last else condition_in_words({"until": step.until, "wait_seconds": wait}),
        "ways": [_way(way) for way in sorted(held.ways, key=lambda way: (way.place or 99, way.channel.slot))],
    }


def _way(way: Way) -> dict[str, Any]:
    why_not = [reason_in_words(code) for code in way.why_not]
    if "condition" in way.why_not:
        why_not += whom_in_words({"only_if": way.channel.conditions})
    return {
        "way": way,
        "why_not": why_not,
        "class_rate": 100 * way.scored.class_rate if way.scored else None,
        "rate": 100 * way.scored.rate if way.scored else None,
        "cheapness": 100 * way.scored.cheapness if way.scored else None,
        "quickness": 100 * way.scored.quickness if way.scored else None,
        "seconds": seconds_in_words(way.scored.seconds) if way.scored else "",
        "score": f"{100 * way.scored.score:.1f}" if way.scored else "",
        "measurable": way.channel.measurable,
    }
