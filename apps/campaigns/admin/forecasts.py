"""What the forecast page shows."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.campaigns.approving import PERMISSION
from apps.campaigns.editing import is_changeable
from apps.campaigns.models import Approval, Campaign, TargetList
from apps.campaigns.pipeline.plan import loaded_plan
from apps.campaigns.policy_picture import account_names
from apps.campaigns.policy_words import GOALS, policy_in_words
from apps.campaigns.rates import LOOKED_BACK
from apps.campaigns.somebody import values_of_somebody
from apps.campaigns.states import CampaignState
from apps.campaigns.words import APPROVAL_REASONS, APPROVAL_STATES, CLASSES, reason_in_words, seconds_in_words
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.templates.errors import NoBody
from apps.templates.render import RenderError
from apps.templates.selectors import example_values, preview


def forecast_context(request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
    """The stored forecast ready for the page, with one rendered sample for each kind of channel."""
    under_way = campaign.forecasts.order_by("-id").first()
    approval = campaign.approvals.order_by("-id").first()
    return {
        "campaign": campaign,
        **about_campaign(campaign),
        "is_draft": campaign.state == CampaignState.DRAFT,
        "is_changeable": is_changeable(campaign),
        "has_begun": campaign.state not in ("DRAFT", "AWAITING_APPROVAL", "REJECTED"),
        "is_waiting": campaign.state == CampaignState.AWAITING_APPROVAL,
        "may_send": request.user.has_perm("campaigns.send_campaign"),
        "forecasting": under_way if under_way and under_way.state in ("WAITING", "RUNNING") else None,
        "failed": under_way.error if under_way and under_way.state == "FAILED" and not campaign.forecast else "",
        "approval": approval,
        "approval_state": APPROVAL_STATES.get(approval.state, "") if approval else "",
        "approval_reason": approval_reason(approval) if approval else "",
        "may_see_approval": request.user.has_perm(PERMISSION) or request.user.has_perm("campaigns.view_approval"),
        **(figures_context(campaign, campaign.forecast) if campaign.forecast else {}),
    }


def approval_reason(approval: Approval) -> str:
    """Why a request ended, in words: a code of ours, or what the approver wrote."""
    return str(APPROVAL_REASONS.get(approval.reason) or approval.reason)


def about_campaign(campaign: Campaign) -> dict[str, Any]:
    """Audience, policy, class and samples in words."""
    return {
        "sentences": policy_in_words(campaign.plan, account_names()),
        "shown_class": CLASSES.get(campaign.message_class, campaign.message_class),
        "audience": audience_in_words(campaign.audience),
        "samples": samples(campaign),
    }


def figures_context(campaign: Campaign, said: dict[str, Any]) -> dict[str, Any]:
    """The figures of a forecast for its tables; what an API call named has size and price only."""
    if said.get("given"):
        return {"given": said}
    blocked = sum(said["blocked"].values())
    valid = said["targets"] - said["invalid"] - blocked - said.get("kept", 0)
    return {
        "said": said,
        "blocked": blocked,
        "valid": valid,
        "between": said.get("range", {}) if said.get("assumed") else {},
        "assumed": ", ".join(said.get("assumed", [])),
        "rates": [_rate(one) for one in said.get("rates", []) if isinstance(one, dict)],
        "reasons": [(reason_in_words(reason), people) for reason, people in said["blocked"].items()],
        "invalid_reasons": [(reason_in_words(one), people) for one, people in said.get("invalid_reasons", {}).items()],
        "channels": _channels(campaign, said),
        "routes": [
            (route_in_words(name), people, f"{people * 100 / valid:.1f} %" if valid else "—")
            for name, people in said.get("routes", {}).items()
        ],
        "costs": [(COSTS[name], said["costs"][name]) for name in COSTS if said.get("costs", {}).get(name)],
        "effects": [(one, UNITS.get(one["unit"], one["unit"])) for one in said.get("effects", [])],
        "delays": [(reason_in_words(one["code"]), seconds_in_words(one["seconds"])) for one in said.get("delays", [])],
        "duration": seconds_in_words(said["duration_seconds"]) if said["duration_seconds"] else "",
        "last_step": seconds_in_words(said["last_step_seconds"]) if said.get("last_step_seconds") else "",
        "slowest": _("the pace") if said.get("slowest") == "pace" else said.get("slowest", ""),
        "as_of": parse_datetime(said["as_of"]),
    }


COSTS = {"first": gettext_lazy("first step"), "expected": gettext_lazy("expected"), "worst": gettext_lazy("every step")}
UNITS = {"messages": gettext_lazy("messages"), "pieces": gettext_lazy("pieces"), "money": gettext_lazy("money")}


def route_in_words(name: str) -> str:
    """`push_jpush > sms_aliyun` with the names of the channels."""
    return " → ".join(" + ".join(_(adapter(kind).label) for kind in part.split(" + ")) for part in name.split(" > "))


def _channels(campaign: Campaign, said: dict[str, Any]) -> list[dict[str, Any]]:
    codes = list(said["reachable"])
    accounts = {one.code: one for one in ChannelAccount.objects.filter(code__in=codes)}
    return [_channel(code, accounts.get(code), said) for code in codes]


def _channel(code: str, account: ChannelAccount | None, said: dict[str, Any]) -> dict[str, Any]:
    return {
        "account": account or code,
        "kind": adapter(account.kind).label if account else "",
        "reachable": said["reachable"].get(code, 0),
        "first": said["first"].get(code, 0),
        "expected": said.get("expected", {}).get(code),
        "pieces": said["pieces"].get(code, 0),
        "price": account.price.normalize() if account else None,
        "currency": account.currency if account else "",
    }


def _rate(one: dict[str, Any]) -> dict[str, Any]:
    """How often one step reaches its goal in time over one account, and on what that rests."""
    goal = str(GOALS[one["until"]])
    if one["wait_seconds"] is not None:
        goal = _("%(goal)s within %(time)s") % {"goal": goal, "time": seconds_in_words(one["wait_seconds"])}
    return {
        "step": one["step"] + 1,
        "account": one["account"],
        "goal": goal,
        "rate": f"{one['rate'] * 100:.1f} %",
        "between": f"{one['low'] * 100:.0f} – {one['high'] * 100:.0f} %",
        "evidence": _evidence(one),
    }


def _evidence(one: dict[str, Any]) -> str:
    if not one["tried"]:
        return _("assumed: no history")
    words = ngettext(
        "from %(count)s delivery of the last %(days)s days",
        "from %(count)s deliveries of the last %(days)s days",
        one["tried"],
    ) % {"count": f"{one['tried']:,}", "days": LOOKED_BACK.days}
    if not one["of_class"]:
        words = _("%(evidence)s, of all classes") % {"evidence": words}
    return _("%(evidence)s, and assumed besides: too few") % {"evidence": words} if one["assumed"] else words


def samples(campaign: Campaign) -> list[dict[str, Any]]:
    """One text for each body of the plan, with the values of somebody of the audience.

    Sensitive attributes are not opened for a preview: the template's examples stand in their place.
    """
    version = campaign.template_version
    values = {**example_values(version), **values_of_somebody(campaign)}
    return [_sample(version, slot.kind, slot.body_key, values) for slot in _texts(campaign)]


def _texts(campaign: Campaign) -> list[Any]:
    return list({slot.body_key: slot for slot in loaded_plan(campaign).channels()}.values())


def _sample(version: Any, kind: str, body_key: str, values: dict[str, object]) -> dict[str, Any]:
    label = adapter(kind).label
    try:
        made = preview(version, body_key, values)
    except (NoBody, RenderError, ValueError) as refused:
        return {"label": label, "error": str(refused)}
    parts = [
        (part.label, made.content[part.name])
        for part in adapter(kind).content_fields
        if isinstance(made.content.get(part.name), str) and made.content[part.name] and part.escape != "html"
    ]
    return {"label": label, "parts": parts, "pieces": made.pieces, "unit": made.price_unit}


def audience_in_words(audience: dict[str, Any]) -> list[str]:
    """A sentence for each condition of an audience definition."""
    if audience.get("kind") == "given":
        return [_("The people that the request named.")]
    if audience.get("kind") == "list":
        held = TargetList.objects.filter(pk=audience["list"]).first()
        facts = {"name": held.name if held else audience["list"], "count": f"{held.targets:,}" if held else "?"}
        return [_("The imported list “%(name)s” with %(count)s targets.") % facts]
    sentences = {
        "tags_any": _("With at least one of the tags %(tags)s."),
        "tags_all": _("With all of the tags %(tags)s."),
        "tags_none": _("With none of the tags %(tags)s."),
    }
    said = [words % {"tags": ", ".join(audience[part])} for part, words in sentences.items() if audience.get(part)]
    if audience.get("attributes"):
        said.append(_("With the attributes %(keys)s as set.") % {"keys": ", ".join(audience["attributes"])})
    if audience.get("user_ids"):
        said.append(_("Only %(count)s named people.") % {"count": len(audience["user_ids"])})
    return said or [_("Everybody.")]
