"""Pages that hold a campaign back and let it go: pause with a reason, another pace, the canary's verdict by hand."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from apps.campaigns import services
from apps.campaigns.errors import CampaignError
from apps.campaigns.forms import WhyForm
from apps.campaigns.models import Campaign
from apps.campaigns.states import CampaignState
from apps.campaigns.words import pace_as_set
from ums_site.confirm import Question, confirmed

MOST_NAMED = 30
WHAT_ENDS = _("What is on the wire ends; nothing new leaves until it is resumed.")
OPEN = frozenset({CampaignState.SCHEDULED, CampaignState.EXPANDING, CampaignState.RUNNING, CampaignState.PAUSED})


class PaceForm(forms.Form):
    """Messages per second or minute; empty for as fast as the accounts allow."""

    pace = forms.DecimalField(
        label=_("Pace"), required=False, min_value=0, max_digits=9, decimal_places=2,
        help_text=_("Empty: as fast as the accounts allow."), widget=forms.NumberInput(attrs={"class": "ums-input"}),
    )  # fmt: skip
    per = forms.ChoiceField(
        label=_("per"),
        choices=[("second", _("second")), ("minute", _("minute"))],
        widget=forms.Select(attrs={"class": "ums-input"}),
    )

    def per_second(self) -> Any:
        """The pace a second, None for none."""
        pace = self.cleaned_data["pace"]
        return pace if pace is None or self.cleaned_data["per"] == "second" else services.per_minute(pace)


def _back(campaign: Campaign) -> str:
    return reverse("admin:campaigns_campaign_change", args=[campaign.pk])


def deeds(campaign: Campaign) -> list[tuple[str, Any, bool]]:
    """(URL, label, dangerous) of what may be done besides pause, resume and cancel."""
    found: list[tuple[str, Any, bool]] = []
    if campaign.state in OPEN:
        found.append((reverse("admin:campaign_pace", args=[campaign.pk]), _("Change the pace"), False))
    if campaign.state in OPEN and campaign.canary_left is not None:
        found.append((reverse("admin:campaign_canary", args=[campaign.pk]), _("Let the others follow"), False))
    return found


def pause(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    """Asks why, and pauses."""
    form = WhyForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            services.pause_campaign(actor=request.user, campaign=campaign, reason=form.cleaned_data["reason"])
        except CampaignError as refused:
            messages.error(request, refused.message)
        else:
            messages.success(request, _("The campaign is paused."))
        return redirect(_back(campaign))
    return _page(request, campaign, form, _("Pause the campaign"), _("Pause “%(name)s”?"), [WHAT_ENDS], _("Pause"))


def pause_many(request: HttpRequest, campaigns: QuerySet[Campaign]) -> HttpResponse | None:
    """Asks why, then pauses all that were chosen and can be; None once it is done: the list follows."""
    running = campaigns.filter(state__in=OPEN - {CampaignState.PAUSED})
    found = running.count()
    if not found:
        messages.warning(
            request, _("None of the chosen campaigns can be paused: choose some that are scheduled or sending.")
        )
        return None
    form = WhyForm(request.POST if "confirmed" in request.POST else None)
    if form.is_bound and form.is_valid():
        reason = form.cleaned_data["reason"]
        count = services.pause_campaigns(actor=request.user, campaigns=list(running), reason=reason)
        said = ngettext("%(count)s campaign is paused.", "%(count)s campaigns are paused.", count)
        messages.success(request, said % {"count": count})
        return None
    asked = ngettext("Pause %(count)s campaign?", "Pause %(count)s campaigns?", found) % {"count": found}
    context = {
        **admin.site.each_context(request), "title": _("Pause campaigns"), "form": form, "question": asked,
        "consequences": [one.name for one in running[:MOST_NAMED]] + [WHAT_ENDS], "verb": _("Pause"),
        "back": reverse("admin:campaigns_campaign_changelist"), "selected": [one.pk for one in running],
    }  # fmt: skip
    return render(request, "campaigns/hold.html", context)


def pace(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    """Another pace, from the next window on."""
    amount, per = pace_as_set(campaign.pace_per_second)
    form = PaceForm(request.POST or None, initial={"pace": amount, "per": per})
    if form.is_bound and form.is_valid():
        try:
            services.change_pace(actor=request.user, campaign=campaign, pace_per_second=form.per_second())
        except CampaignError as refused:
            form.add_error("pace", refused.message)
        else:
            messages.success(request, _("The pace is changed."))
            return redirect(_back(campaign))
    words = [_("It holds from the next window on, also while the campaign is paused.")]
    return _page(request, campaign, form, _("Change the pace"), _("How fast may “%(name)s” go?"), words, _("Change it"))


def canary(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    """Lets the rest follow without waiting for the verdict."""
    question = Question(
        title=_("Let the others follow"),
        question=_("Send “%(name)s” to everybody else now?") % {"name": campaign.name},
        consequences=[_("The canary is not judged any more; the rules that pause a campaign still hold.")],
        verb=_("Let them follow"),
        done=_("The others follow."),
        back=_back(campaign),
    )
    return confirmed(
        request,
        question,
        lambda: services.pass_canary(actor=request.user, campaign=campaign, verdict="by hand"),
        (CampaignError,),
    )


def _page(
    request: HttpRequest, campaign: Campaign, form: forms.Form, title: Any, question: Any, words: list[Any], verb: Any
) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": title, "form": form, "consequences": words, "verb": verb}
    context |= {"question": question % {"name": campaign.name}, "back": _back(campaign)}
    return render(request, "campaigns/hold.html", context)
