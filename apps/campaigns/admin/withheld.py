"""What caps and the duplicate guard spared people: every message that would have been sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from apps.campaigns.admin.messages import CampaignFilter
from apps.campaigns.admin.reading import MOST_COUNTED, ReadOnlyAdmin
from apps.campaigns.models import Campaign, FrequencyCap, Withheld
from apps.campaigns.words import REASONS
from apps.channels.models import ChannelAccount
from apps.users.models import Recipient

NEWEST_GROUPS = 20
CENT = Decimal("0.01")


class WithheldCampaignFilter(CampaignFilter):
    """What one campaign did not send."""

    own_id = "delivery_id"


class RuleFilter(admin.SimpleListFilter):
    """By cap, or by the duplicate guard."""

    title = _("rule")
    parameter_name = "rule"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        caps = [(f"frequency_cap {one.code}", one.name) for one in FrequencyCap.objects.order_by("name")]
        return [("duplicate_content ", REASONS["duplicate_content"]), *caps]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        rule, _blank, cap = str(self.value()).partition(" ")
        return queryset.filter(rule=rule, cap=cap)


@admin.register(Withheld)
class WithheldAdmin(ReadOnlyAdmin):
    """One row a delivery that a rule stopped right before it was sent, and what it would have cost."""

    when_empty = (
        _("Nothing was withheld"),
        _(
            "Here stands every message that a frequency cap or the duplicate guard stopped right before it was "
            "sent, with what it would have cost."
        ),
    )

    list_display = ["shown_message", "person", "campaign", "account", "shown_rule", "pieces", "shown_price", "at"]
    list_display_links = None
    list_filter = [WithheldCampaignFilter, RuleFilter]
    search_fields = ["message_id"]
    search_help_text = _("A message id or a whole user id")
    ordering = ["-delivery_id"]
    list_per_page = 50
    list_before_template = "campaigns/withheld_before.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Withheld]:
        user = Recipient.objects.filter(pk=OuterRef("recipient_id")).values("user_id")
        name = Campaign.objects.filter(pk=OuterRef("campaign_id")).values("name")
        code = ChannelAccount.objects.filter(pk=OuterRef("account_id")).values("code")
        return (
            super()
            .get_queryset(request)
            .annotate(user_id=Subquery(user), campaign_name=Subquery(name), account_code=Subquery(code))
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Withheld], search_term: str
    ) -> tuple[QuerySet[Withheld], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        people = list(Recipient.objects.filter(user_id=term).values_list("id", flat=True))
        found = queryset.filter(recipient_id__in=people)
        if term.isdecimal() and int(term) < 1 << 63:
            found = found | queryset.filter(message_id=int(term))
        return found, False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list below the sums of its newest campaigns and rules."""
        shown = super().changelist_view(request, extra_context)
        changelist = getattr(shown, "context_data", {}).get("cl") if hasattr(shown, "context_data") else None
        if changelist is not None:
            shown.context_data["groups"] = _groups(changelist.queryset)
        return shown

    @admin.display(description=_("message id"))
    def shown_message(self, one: Withheld) -> str:
        link = reverse("admin:campaigns_message_change", args=[one.message_id])
        return format_html('<a class="ums-link" href="{}">{}</a>', link, one.message_id)

    @admin.display(description=_("recipient"))
    def person(self, one: Withheld) -> str:
        return one.user_id or "—"  # type: ignore[attr-defined]

    @admin.display(description=_("campaign"))
    def campaign(self, one: Withheld) -> str:
        return one.campaign_name or str(one.campaign_id)  # type: ignore[attr-defined]

    @admin.display(description=_("account"))
    def account(self, one: Withheld) -> str:
        return one.account_code or str(one.account_id)  # type: ignore[attr-defined]

    @admin.display(description=_("price"), ordering="price")
    def shown_price(self, one: Withheld) -> str:
        return money_text(one.price)

    @admin.display(description=_("rule"))
    def shown_rule(self, one: Withheld) -> str:
        return rule_in_words(one.rule, one.cap)


def money_text(amount: Decimal) -> str:
    """At least cents, and whatever a fraction of one there is."""
    return f"{max(amount.normalize(), amount.quantize(CENT), key=lambda one: -one.as_tuple().exponent):f}"


def rule_in_words(rule: str, cap: str) -> str:
    """The rule, and the code of the cap."""
    words = str(REASONS.get(rule, rule))
    return f"{words} ({cap})" if cap else words


def _groups(rows: QuerySet[Withheld]) -> list[dict[str, Any]]:
    """Counts and money of a list's newest rows by campaign and rule."""
    newest = rows.order_by("-delivery_id").values_list("delivery_id", flat=True)[:MOST_COUNTED]
    counted = Withheld.objects.filter(delivery_id__in=list(newest)).values("campaign_id", "rule", "cap")
    found = counted.annotate(messages=Count("message_id", distinct=True), money=Sum("price")).order_by("-campaign_id")
    held = list(found[:NEWEST_GROUPS])
    names = dict(Campaign.objects.filter(pk__in=[one["campaign_id"] for one in held]).values_list("pk", "name"))
    return [
        {
            **one,
            "name": names.get(one["campaign_id"], one["campaign_id"]),
            "money": money_text(one["money"]),
            "words": rule_in_words(one["rule"], one["cap"]),
            "query": f"campaign={one['campaign_id']}&rule={one['rule']}+{one['cap']}",
        }
        for one in held
    ]
