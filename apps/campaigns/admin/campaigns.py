"""Campaigns: planned, forecast, sent with a confirmation, paused, resumed, cancelled, taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from apps.campaigns import services
from apps.campaigns.admin import ceilings, pauses, recalls
from apps.campaigns.admin.forecasts import forecast_context
from apps.campaigns.approvals import needed_for
from apps.campaigns.approving import withdraw_approval
from apps.campaigns.editing import change_campaign, is_changeable
from apps.campaigns.errors import CampaignError
from apps.campaigns.forecast import order_forecast, progress_of_forecast
from apps.campaigns.forms import TAG_PARTS, CampaignForm, audience_of, entered
from apps.campaigns.models import Campaign, TargetList
from apps.campaigns.policy_picture import account_names
from apps.campaigns.policy_words import policy_in_words
from apps.campaigns.progress import is_over, progress
from apps.campaigns.states import CampaignState, may
from apps.campaigns.words import CAMPAIGN_STATES, CLASSES
from apps.users import audience
from ums_site.confirm import Question, confirmed

LABELS = {
    "DRAFT": "default", "SCHEDULED": "info", "EXPANDING": "info", "RUNNING": "info", "PAUSED": "warning",
    "FINISHED": "success", "CANCELLED": "default", "AWAITING_APPROVAL": "warning", "REJECTED": "danger",
}  # fmt: skip
FORM_FIELDS = {"class": "message_class", "template": "template_version", "audience": "tags_any"}


class StateFilter(admin.SimpleListFilter):
    """By state."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(CAMPAIGN_STATES.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(state=self.value()) if self.value() else queryset


@admin.register(Campaign)
class CampaignAdmin(ModelAdmin):
    """A campaign is never changed or deleted: a draft is left, what runs is cancelled."""

    when_empty = (
        _("No campaign yet"),
        _(
            "A campaign sends one template to people over the channels of a policy. Nothing leaves before you "
            "have seen its forecast."
        ),
    )

    list_display = ["name", "shown_state", "shown_progress", "shown_class", "business_line", "created_by", "created_at"]
    list_filter = [StateFilter, "business_line", "source"]
    list_select_related = ["business_line", "created_by"]
    search_fields = ["name"]
    ordering = ["-id"]
    list_per_page = 30
    actions = ["pause_chosen"]

    def has_change_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        return False

    @display(description=_("state"), ordering="state", label=LABELS)
    def shown_state(self, campaign: Campaign) -> tuple[str, Any]:
        return campaign.state, CAMPAIGN_STATES.get(campaign.state, campaign.state)

    @admin.display(description=_("progress"))
    def shown_progress(self, campaign: Campaign) -> str:
        if campaign.started_at is None:
            return "—"
        if _is_counted(campaign):
            return _("%(people)s people") % {"people": f"{campaign.figures['targets']:,}"}
        now = campaign.progress_now  # type: ignore[attr-defined]
        return _("%(percent)s %% of %(people)s people") % {"percent": now.percent, "people": f"{now.total:,}"}

    @admin.display(description=_("class"), ordering="message_class")
    def shown_class(self, campaign: Campaign) -> Any:
        return CLASSES.get(campaign.message_class, campaign.message_class)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Each row that is under way knows how far it is, all read in one go."""
        shown = super().get_changelist_instance(request)
        held = list(shown.result_list)
        found = progress([one.pk for one in held if one.started_at is not None and not _is_counted(one)])
        for one in held:
            one.progress_now = found.get(one.pk)
        shown.result_list = held
        return shown

    def has_send_permission(self, request: HttpRequest) -> bool:
        """Who may pause many; the action asks for it by name."""
        return bool(request.user.has_perm("campaigns.send_campaign"))

    @admin.action(description=_("Pause …"), permissions=["send"])
    def pause_chosen(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        return pauses.pause_many(request, queryset)

    def get_urls(self) -> list[URLPattern]:
        deeds: dict[str, Callable[..., HttpResponse]] = {
            "forecast": self.forecast, "send": self.send, "pause": self.pause, "resume": self.resume, "cancel": self.cancel,
            "recall": self.recall, "ceiling": self.ceiling, "pace": self.pace, "canary": self.canary,
            "edit": self.edit, "withdraw": self.withdraw, "progress": self.forecast_progress,
        }  # fmt: skip
        own = [
            path(f"<int:campaign_id>/{name}/", self.admin_site.admin_view(view), name=f"campaign_{name}")
            for name, view in deeds.items()
        ]
        count = path("people/", self.admin_site.admin_view(self.people), name="campaign_people")
        return [count, *own, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Three steps on one page, then the forecast."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = CampaignForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            campaign = self._created(request, form)
            if campaign is not None:
                return redirect(reverse("admin:campaign_forecast", args=[campaign.pk]))
        context = {"title": _("New campaign"), "opts": self.opts, "form": form, "policies": _policies(form)}
        return render(request, "campaigns/new.html", {**self.admin_site.each_context(request), **context})

    def _created(self, request: HttpRequest, form: CampaignForm) -> Campaign | None:
        said = form.cleaned_data
        try:
            campaign = services.create_campaign(
                actor=request.user, audience=form.audience(), **{name: said[name] for name in ENTERED}
            )
            order_forecast(actor=request.user, campaign=campaign)
        except CampaignError as refused:
            return self._refused(form, refused)
        return campaign

    def _refused(self, form: CampaignForm, refused: CampaignError) -> None:
        field = FORM_FIELDS.get(refused.field, refused.field)
        form.add_error(field if field in form.fields else None, refused.message)

    def edit(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        """The same three steps for what stands; saving makes it a draft again."""
        campaign = self._seen(request, campaign_id)
        if not self.has_add_permission(request):
            raise PermissionDenied
        if not is_changeable(campaign):
            messages.error(request, _("It has begun, or is over: it cannot be changed any more."))
            return redirect(page_of(campaign))
        form = CampaignForm(request.POST or None, initial=entered(campaign))
        if request.method == "POST" and form.is_valid() and self._changed(request, campaign, form):
            return redirect(reverse("admin:campaign_forecast", args=[campaign_id]))
        context = {
            "title": campaign.name,
            "opts": self.opts,
            "form": form,
            "policies": _policies(form),
            "editing": True,
        }
        return render(request, "campaigns/new.html", {**self.admin_site.each_context(request), **context})

    def _changed(self, request: HttpRequest, campaign: Campaign, form: CampaignForm) -> bool:
        said = {name: form.cleaned_data[name] for name in ENTERED}
        try:
            held = change_campaign(actor=request.user, campaign=campaign, audience=_kept_parts(campaign, form), **said)
            if held.state == CampaignState.DRAFT:
                order_forecast(actor=request.user, campaign=held)
        except CampaignError as refused:
            self._refused(form, refused)
            return False
        return True

    def withdraw(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        campaign = self._sendable(request, campaign_id)
        question = Question(
            title=_("Take the request back"),
            question=_("Make “%(name)s” a draft again?") % {"name": campaign.name},
            consequences=[_("Nobody can approve it any more until it is submitted anew.")],
            verb=_("Take it back"),
            done=_("It is a draft again."),
            back=page_of(campaign),
        )
        return confirmed(request, question, lambda: withdraw_approval(actor=request.user, campaign=campaign), REFUSED)

    def forecast_progress(self, request: HttpRequest, campaign_id: int) -> JsonResponse:
        """How far the forecast under way is, asked for every second by its page."""
        self._seen(request, campaign_id)
        return JsonResponse(progress_of_forecast(campaign_id))

    def people(self, request: HttpRequest) -> JsonResponse:
        """How many people the tags chosen so far find."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.GET.get("target_list", "").isdecimal():
            held = TargetList.objects.filter(pk=int(request.GET["target_list"])).first()
            return JsonResponse({"people": held.targets if held else 0})
        try:
            found = audience.count(audience_of({part: request.GET.getlist(part) for part in TAG_PARTS}))
        except audience.BadAudience as bad:
            return JsonResponse({"error": str(bad)}, status=400)
        return JsonResponse({"people": found})

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """A draft opens at its forecast; the page of a campaign that was sent is made where the figures are."""
        campaign = get_object_or_404(Campaign, pk=int(object_id) if object_id.isdecimal() else 0)
        return redirect(reverse("admin:campaign_forecast", args=[campaign.pk]))

    def forecast(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        """What the campaign would do. POST makes the forecast anew."""
        campaign = self._seen(request, campaign_id)
        if request.method == "POST":
            if not self.has_add_permission(request):
                raise PermissionDenied
            try:
                order_forecast(actor=request.user, campaign=campaign)
            except CampaignError as refused:
                messages.error(request, refused.message)
            return redirect(reverse("admin:campaign_forecast", args=[campaign_id]))
        context = {**self.admin_site.each_context(request), "title": campaign.name, "opts": self.opts}
        context |= forecast_context(request, campaign) | {"may_add": self.has_add_permission(request)}
        return render(request, "campaigns/forecast.html", context)

    def send(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        campaign = self._sendable(request, campaign_id)
        said = campaign.forecast
        if not said:
            messages.error(request, _("Make the forecast first: it says how many people and what price."))
            return redirect(reverse("admin:campaign_forecast", args=[campaign_id]))
        people = said["targets"] - said["invalid"] - sum(said["blocked"].values())
        facts = {"people": f"{people:,}", "name": campaign.name}
        price = {"price": said["price"], "worst": said["worst_price"], "currency": said["currency"]}
        needs = needed_for(campaign)
        question = Question(
            title=_("Submit for approval") if needs else _("Send the campaign"),
            question=(_("Submit “%(name)s” to %(people)s people for approval?") if needs
                      else _("Send “%(name)s” to %(people)s people?")) % facts,
            consequences=[
                *([_("Rules: %(rules)s. It is sent once somebody else has approved exactly this.")
                   % {"rules": ", ".join(need["rule"] for need in needs)}] if needs else []),
                _("The first step costs about %(price)s %(currency)s; if every step is needed for everybody, "
                  "%(worst)s %(currency)s.") % price,
                *policy_in_words(campaign.plan, account_names()),
                _("What has been sent can be taken back over few channels only, and may have been read."),
            ],
            verb=_("Submit for approval") if needs else _("Send to %(people)s people") % facts,
            done=_("It waits for approval.") if needs else _("The campaign is on its way."),
            back=page_of(campaign),
        )  # fmt: skip
        return confirmed(
            request, question, lambda: services.submit_campaign(actor=request.user, campaign=campaign), REFUSED
        )

    def pause(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        return pauses.pause(request, self._sendable(request, campaign_id))

    def pace(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        return pauses.pace(request, self._sendable(request, campaign_id))

    def canary(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        return pauses.canary(request, self._sendable(request, campaign_id))

    def resume(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        campaign = self._sendable(request, campaign_id)
        question = Question(
            title=_("Resume the campaign"),
            question=_("Resume “%(name)s”?") % {"name": campaign.name},
            consequences=[_("Messages that expired in the meantime are not sent.")],
            verb=_("Resume"),
            done=_("The campaign goes on."),
            back=page_of(campaign),
        )
        return confirmed(
            request, question, lambda: services.resume_campaign(actor=request.user, campaign=campaign), REFUSED
        )

    def cancel(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        campaign = self._sendable(request, campaign_id)
        question = Question(
            title=_("Cancel the campaign"),
            question=_("Cancel “%(name)s” for good?") % {"name": campaign.name},
            consequences=[_("Whoever was not written to yet will not be. A cancelled campaign cannot go on.")],
            verb=_("Cancel it for good"),
            done=_("The campaign is cancelled."),
            back=page_of(campaign),
            dangerous=True,
        )
        return confirmed(
            request, question, lambda: services.cancel_campaign(actor=request.user, campaign=campaign), REFUSED
        )

    def recall(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        return recalls.of_campaign(request, self._seen(request, campaign_id))

    def ceiling(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        return ceilings.of_campaign(request, self._sendable(request, campaign_id))

    def _seen(self, request: HttpRequest, campaign_id: int) -> Campaign:
        related = Campaign.objects.select_related("business_line", "template_version__template", "created_by")
        campaign = get_object_or_404(related, pk=campaign_id)
        if not self.has_view_permission(request, campaign):
            raise PermissionDenied
        return campaign

    def _sendable(self, request: HttpRequest, campaign_id: int) -> Campaign:
        if not request.user.has_perm("campaigns.send_campaign"):
            raise PermissionDenied
        return self._seen(request, campaign_id)


def _is_counted(campaign: Campaign) -> bool:
    """Whether it is over and its figures stand."""
    return is_over(campaign) and "targets" in (campaign.figures or {})


ENTERED = (
    "name", "business_line", "message_class", "template_version", "policy", "scheduled_at", "pace_per_second", "cost_ceiling",
    "canary_size",
)  # fmt: skip
REFUSED = (CampaignError,)


def page_of(campaign: Campaign) -> str:
    """The URL of a campaign's page."""
    return reverse("admin:campaigns_campaign_change", args=[campaign.pk])


def deeds_of(request: HttpRequest, campaign: Campaign) -> list[tuple[str, Any, bool]]:
    """(URL, label, dangerous) of what this person may do to the campaign as it stands."""
    change = [(reverse("admin:campaign_edit", args=[campaign.pk]), _("Change"), False)]
    recall = [(reverse("admin:campaign_recall", args=[campaign.pk]), _("Take back"), True)]
    may_change = is_changeable(campaign) and request.user.has_perm("campaigns.add_campaign")
    return (
        (change if may_change else [])
        + _sending_deeds(request, campaign)
        + (recall if recalls.may_recall(request, campaign) else [])
    )


def _sending_deeds(request: HttpRequest, campaign: Campaign) -> list[tuple[str, Any, bool]]:
    if not request.user.has_perm("campaigns.send_campaign"):
        return []
    found: list[tuple[str, Any, bool]] = []
    for name, label, state in (
        ("pause", _("Pause"), CampaignState.PAUSED),
        ("resume", _("Resume"), CampaignState.RUNNING),
        ("cancel", _("Cancel"), CampaignState.CANCELLED),
    ):
        automatic = name == "resume" and campaign.state != CampaignState.PAUSED
        if may("campaign", campaign.state, state) and not automatic:
            found.append((reverse(f"admin:campaign_{name}", args=[campaign.pk]), label, name == "cancel"))
    if not is_over(campaign):
        found.append((reverse("admin:campaign_ceiling", args=[campaign.pk]), _("Cost ceiling"), False))
    return found + pauses.deeds(campaign)


def _kept_parts(campaign: Campaign, form: CampaignForm) -> dict[str, Any]:
    """The audience as entered; parts that the form does not show (attributes, named people) stay as they are."""
    entered_now = form.audience()
    if entered_now["kind"] != "filter" or campaign.audience["kind"] != "filter":
        return entered_now
    unseen = {part: held for part, held in campaign.audience.items() if part not in (*TAG_PARTS, "kind")}
    return {**entered_now, **unseen}


def _policies(form: CampaignForm) -> list[dict[str, Any]]:
    chosen = form.fields["policy"].queryset  # type: ignore[attr-defined]
    names = account_names()
    return [{"id": str(one.pk), "sentences": policy_in_words(one.plan, names)} for one in chosen]
