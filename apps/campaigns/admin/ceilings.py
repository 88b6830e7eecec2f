"""The page that sets the cost ceiling of a campaign."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.campaigns import allowances_in_words as words
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign
from apps.campaigns.raising import set_cost_ceiling
from apps.partners.allowances import remaining


class CeilingForm(forms.Form):
    """An amount, or none."""

    amount = forms.DecimalField(
        label=gettext_lazy("Cost ceiling"),
        required=False,
        min_value=0,
        max_digits=14,
        decimal_places=5,
        help_text=gettext_lazy("Of the whole campaign, in the currency of its accounts. Empty: none."),
    )

    def __init__(self, data: Any, campaign: Campaign) -> None:
        standing = campaign.cost_ceiling
        super().__init__(data, initial={"amount": None if standing is None else f"{standing.normalize():f}"})
        self.fields["amount"].widget.attrs["class"] = "ums-input"


def of_campaign(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    """Shows how it stands and asks; the caller has checked permission."""
    form = CeilingForm(request.POST if request.method == "POST" else None, campaign)
    back = reverse("admin:campaigns_campaign_change", args=[campaign.pk])
    if form.is_valid():
        try:
            set_cost_ceiling(actor=request.user, campaign=campaign, amount=form.cleaned_data["amount"])
        except CampaignError as refused:
            form.add_error("amount", refused.message)
        else:
            messages.success(request, _("The cost ceiling is set."))
            return redirect(back)
    rows = words.rows(one for one in remaining(None, campaign.pk) if one.allowance.is_ceiling)
    context = {"title": _("Cost ceiling"), "campaign": campaign, "form": form, "rows": rows, "back": back}
    return render(request, "campaigns/ceiling.html", {**admin.site.each_context(request), **context})
