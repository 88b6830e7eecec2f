"""Approvals: the approver's inbox, exactly what would go out, and the rules that ask for it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from apps.campaigns.admin.caps import CheckedForm
from apps.campaigns.admin.forecasts import about_campaign, approval_reason, figures_context
from apps.campaigns.approval_rules import missing
from apps.campaigns.approvals import agreed
from apps.campaigns.approving import PERMISSION, check_rule, decide_approval, save_rule, why_not
from apps.campaigns.binding import bound_of, digest_of, still_bound
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Approval, ApprovalRule, Campaign
from apps.campaigns.states import ApprovalState
from apps.campaigns.words import APPROVAL_STATES, APPROVAL_TONES, CLASSES, SOURCES, pace_in_words

LABELS = {"PENDING": "warning", "APPROVED": "success", "REJECTED": "danger", "VOID": "default", "EXPIRED": "default"}


class ApprovalStateFilter(admin.SimpleListFilter):
    """By state; what is to be decided comes first."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(APPROVAL_STATES.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(state=self.value()) if self.value() else queryset


@admin.register(Approval)
class ApprovalAdmin(ModelAdmin):
    """Requests are made by submitting a campaign and decided on their page; nothing is edited here."""

    when_empty = (
        _("Nothing was submitted for approval"),
        _("What an approval rule concerns waits here until somebody else has agreed to exactly what would go out."),
    )

    list_display = [
        "shown_name",
        "shown_state",
        "shown_class",
        "shown_targets",
        "shown_price",
        "asked_by",
        "requested_at",
    ]
    list_filter = [ApprovalStateFilter, "campaign__business_line"]
    list_select_related = ["campaign__business_line", "requested_by", "requested_key"]
    search_fields = ["campaign__name"]
    ordering = ["-id"]
    list_per_page = 30
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Approval | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Approval | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Approval | None = None) -> bool:
        return request.user.has_perm(PERMISSION) or super().has_view_permission(request, obj)

    @admin.display(description=_("campaign"), ordering="campaign__name")
    def shown_name(self, approval: Approval) -> str:
        return approval.campaign.name

    @display(description=_("state"), ordering="state", label=LABELS)
    def shown_state(self, approval: Approval) -> tuple[str, Any]:
        return approval.state, APPROVAL_STATES.get(approval.state, approval.state)

    @admin.display(description=_("class"))
    def shown_class(self, approval: Approval) -> Any:
        return CLASSES.get(approval.campaign.message_class, approval.campaign.message_class)

    @admin.display(description=_("targets"))
    def shown_targets(self, approval: Approval) -> str:
        targets = approval.bound.get("people", {}).get("targets")
        return "—" if targets is None else f"{targets:,}"

    @admin.display(description=_("costs at most"))
    def shown_price(self, approval: Approval) -> str:
        said = approval.bound.get("people", {})
        return f"{said['worst_price']} {said['currency']}" if said.get("worst_price") else "—"

    @admin.display(description=_("requested by"))
    def asked_by(self, approval: Approval) -> str:
        return str(approval.requested_by or approval.requested_key or SOURCES[approval.campaign.source])

    def get_urls(self) -> list[URLPattern]:
        decide = self.admin_site.admin_view(self.decide)
        return [path("<int:approval_id>/decide/", decide, name="approval_decide"), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Exactly what would go out, to whom, how, when and at what price; and the two buttons."""
        approval = self._seen(request, int(object_id) if object_id.isdecimal() else 0)
        context = {**self.admin_site.each_context(request), "title": approval.campaign.name, "opts": self.opts}
        return render(request, "campaigns/approval.html", context | approval_context(request, approval))

    def decide(self, request: HttpRequest, approval_id: int) -> HttpResponse:
        """Takes the verdict on what the page had shown (POST only)."""
        approval = self._seen(request, approval_id)
        if request.method != "POST" or not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        verdict = request.POST.get("verdict", "")
        try:
            decide_approval(
                actor=request.user, approval=approval, verdict=verdict, seen_hash=request.POST.get("hash", ""),
                note=request.POST.get("note", ""),
            )  # fmt: skip
        except CampaignError as refused:
            messages.error(request, refused.message)
        else:
            messages.success(request, _("You have agreed to it.") if verdict == "approve" else _("It is refused."))
        return redirect(reverse("admin:campaigns_approval_change", args=[approval_id]))

    def _seen(self, request: HttpRequest, approval_id: int) -> Approval:
        related = Approval.objects.select_related("campaign__business_line", "requested_by", "requested_key")
        approval = get_object_or_404(related, pk=approval_id)
        if not self.has_view_permission(request, approval):
            raise PermissionDenied
        return approval


def approval_context(request: HttpRequest, approval: Approval) -> dict[str, Any]:
    """What the page shows. While it waits, everything is as it stands now, and the hash is that of what is shown."""
    related = Campaign.objects.select_related("template_version__template", "business_line", "created_by", "edited_by")
    campaign = related.get(pk=approval.campaign_id)
    waits = approval.state == ApprovalState.PENDING
    bound = bound_of(campaign) if waits else approval.bound
    said = campaign.frozen.figures if campaign.frozen else campaign.forecast
    return {
        "approval": approval,
        "campaign": campaign,
        "state": APPROVAL_STATES.get(approval.state, approval.state),
        "tone": APPROVAL_TONES.get(approval.state, "dim"),
        "source": SOURCES[campaign.source],
        "waits": waits,
        "hash": digest_of(bound) if waits else approval.bound_hash,
        "was_changed": waits and bool(approval.bound_hash) and digest_of(bound) != approval.bound_hash,
        "changed_since": not waits
        and bool(approval.bound)
        and not still_bound(campaign, approval.bound, approval.bound_hash),
        "pace": pace_in_words(campaign.pace_per_second) if campaign.pace_per_second else "",
        "people": bound.get("people", {}),
        "reason": approval_reason(approval),
        "needs": approval.needs,
        "missing": missing(approval.needs, agreed(approval, campaign)) if waits else [],
        "votes": approval.votes.select_related("operator", "api_key").order_by("at"),
        "why_not": why_not(actor=request.user, approval=approval, campaign=campaign) if waits else "",
        **about_campaign(campaign),
        **(figures_context(campaign, said) if said else {}),
    }


class RuleForm(CheckedForm):
    """What is right the service decides."""

    check = staticmethod(check_rule)


@admin.register(ApprovalRule)
class ApprovalRuleAdmin(ModelAdmin):
    """When somebody else must agree."""

    when_empty = (
        _("No approval rule yet"),
        _(
            "Without a rule whoever may send, sends. A rule says from how many people or how much money on "
            "somebody else must agree first."
        ),
    )

    list_display = [
        "name",
        "active",
        "shown_class",
        "business_line",
        "source",
        "min_targets",
        "min_money",
        "approvers",
        "role",
    ]
    form = RuleForm
    list_filter = ["active", "message_class", "business_line"]
    list_select_related = ["business_line", "role"]
    ordering = ["name"]
    actions = None
    fields = [
        "name", "active", "message_class", "business_line", "source", "min_targets", "min_money", "over_day", "approvers",
        "role", "valid_for",
    ]  # fmt: skip

    @admin.display(description=_("class"), ordering="message_class")
    def shown_class(self, rule: ApprovalRule) -> Any:
        return CLASSES.get(rule.message_class, _("every class"))

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "message_class":
            kwargs["choices"] = [("", _("every class")), *CLASSES.items()]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: ApprovalRule | None = None) -> bool:
        return False  # a rule that is not in force any more stays readable: approvals name it

    def save_model(self, request: HttpRequest, obj: ApprovalRule, form: Any, change: bool) -> None:
        save_rule(actor=request.user, rule=obj)
