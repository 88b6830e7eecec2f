"""Replays: another policy over a past campaign, on paper; what happened and what is only expected are told apart."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.campaigns.admin.reading import ReadOnlyAdmin
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign, Policy, Replay
from apps.campaigns.policy_picture import account_names
from apps.campaigns.policy_words import WEIGHTS, money, summary
from apps.campaigns.replaying import SOURCES
from apps.campaigns.replays import make_replay
from apps.channels.models import ChannelAccount

TONES = {"WAITING": "info", "RUNNING": "info", "DONE": "success", "FAILED": "danger"}
MOST_CAMPAIGNS = 200
WHAT: dict[str, Any] = {
    "observed": _("observed: this campaign shows for every channel needed how it ended"),
    "history": _("expected from the person's own history"),
    "assumed": _("expected from the class: nothing is known of the person there"),
    "unreachable": _("not reachable by this policy"),
}


class CampaignChoice(forms.ModelChoiceField):
    def label_from_instance(self, campaign: Campaign) -> str:
        when = f"{campaign.finished_at:%Y-%m-%d}" if campaign.finished_at else ""
        return f"{campaign.name} · {when} · {campaign.planned_count:,}"


class ReplayForm(forms.Form):
    """Which campaign, with which policy; weights of its own where one wants to try some."""

    campaign = CampaignChoice(label=_("Finished campaign"), queryset=Campaign.objects.none(), empty_label=_("Choose …"))
    policy = forms.ModelChoiceField(
        label=_("Policy"), queryset=Policy.objects.order_by("name"), empty_label=_("Choose …")
    )
    reach = forms.FloatField(label=WEIGHTS["reach"], required=False, min_value=0, max_value=1000)
    price = forms.FloatField(label=WEIGHTS["price"], required=False, min_value=0, max_value=1000)
    speed = forms.FloatField(label=WEIGHTS["speed"], required=False, min_value=0, max_value=1000)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        finished = Campaign.objects.filter(state="FINISHED", planned_count__gt=0).order_by("-id")[:MOST_CAMPAIGNS]
        chosen = Campaign.objects.filter(pk__in=[one.pk for one in finished]).order_by("-id")
        self.fields["campaign"].queryset = chosen  # type: ignore[attr-defined]
        for field in self.fields.values():
            field.widget.attrs["class"] = "ums-input"

    def weights(self) -> dict[str, float]:
        said = {name: self.cleaned_data[name] for name in ("reach", "price", "speed")}
        return {name: value for name, value in said.items() if value is not None}


@admin.register(Replay)
class ReplayAdmin(ReadOnlyAdmin):
    """A replay is ordered, runs in the background, and stays as it came out."""

    when_empty = (
        _("No replay yet"),
        _(
            "A replay goes through a finished campaign once more with another policy, on paper: what it would "
            "have cost and reached. Nothing is sent."
        ),
    )

    list_display = ["campaign", "policy_name", "shown_state", "made_by", "made_at"]
    list_select_related = ["campaign"]
    ordering = ["-id"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("campaigns.add_replay"))

    @display(description=_("state"), label=TONES)
    def shown_state(self, replay: Replay) -> tuple[str, str]:
        return replay.state, replay.get_state_display()

    def get_urls(self) -> list[URLPattern]:
        live = path("<int:replay_id>/live/", self.admin_site.admin_view(self.live), name="replay_live")
        return [live, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ReplayForm(request.POST or None, initial={"campaign": request.GET.get("campaign")})
        if request.method == "POST" and form.is_valid():
            said = form.cleaned_data
            try:
                made = make_replay(
                    actor=request.user, campaign=said["campaign"], policy=said["policy"], weights=form.weights()
                )
            except CampaignError as refused:
                form.add_error(refused.field if refused.field in form.fields else None, refused.message)
            else:
                messages.success(request, _("The replay is on its way."))
                return redirect(reverse("admin:campaigns_replay_change", args=[made.pk]))
        context = {"title": _("New replay"), "opts": self.opts, "form": form}
        return render(request, "campaigns/replay_new.html", {**self.admin_site.each_context(request), **context})

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        replay = self._seen(request, int(object_id) if object_id.isdecimal() else 0)
        context = {**self.admin_site.each_context(request), "title": _("Replay"), "opts": self.opts, **shown(replay)}
        return render(request, "campaigns/replay.html", context)

    def live(self, request: HttpRequest, replay_id: int) -> JsonResponse:
        """The moving part of the page."""
        replay = self._seen(request, replay_id)
        html = render_to_string("campaigns/replay_live.html", shown(replay), request)
        return JsonResponse({"html": html, "over": replay.state in ("DONE", "FAILED")})

    def _seen(self, request: HttpRequest, replay_id: int) -> Replay:
        replay = get_object_or_404(Replay.objects.select_related("campaign"), pk=replay_id)
        if not self.has_view_permission(request, replay):
            raise PermissionDenied
        return replay


def shown(replay: Replay) -> dict[str, Any]:
    """What the page of a replay says."""
    groups = replay.figures.get("groups", {})
    rows = [{"what": WHAT[key], "key": key, **groups[key]} for key in (*SOURCES, "unreachable") if key in groups]
    people = sum(row["people"] for row in rows)
    observed = groups.get("observed", {}).get("people", 0)
    currency = ChannelAccount.objects.values_list("currency", flat=True).first() or "CNY"
    total = max(replay.campaign.planned_count, replay.seen)
    for row in rows:
        row["saved"] = row["actual_cost"] - row["cost"]
    return {
        "replay": replay,
        "rows": rows,
        "people": people,
        "overlap": 100 * observed / people if people else None,
        "left_out": replay.figures.get("left_out", 0),
        "percent": 100 if replay.state == "DONE" else round(100 * replay.seen / total) if total else 0,
        "over": replay.state in ("DONE", "FAILED"),
        "before": summary(replay.campaign.plan, account_names()),
        "after": summary(replay.plan, account_names()),
        "weights": [(WEIGHTS[name], f"{value:g}") for name, value in replay.weights.items()],
        "money": money("", currency),
    }
