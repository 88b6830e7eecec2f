"""What the forecast page shows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from apps.campaigns.forecast import one_person
from apps.campaigns.models import Campaign
from apps.campaigns.policy_words import policy_in_words
from apps.campaigns.states import CampaignState
from apps.campaigns.words import CLASSES, reason_in_words, seconds_in_words
from apps.channels.contract import Adapter
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.templates.errors import NoBody
from apps.templates.render import RenderError
from apps.templates.selectors import example_values, preview


def forecast_context(request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
    """The stored forecast ready for the page, with one rendered sample for each kind of channel."""
    said = campaign.forecast
    context: dict[str, Any] = {
        "campaign": campaign,
        "said": said,
        "sentences": policy_in_words(campaign.plan),
        "shown_class": CLASSES.get(campaign.message_class, campaign.message_class),
        "audience": audience_in_words(campaign.audience),
        "is_draft": campaign.state == CampaignState.DRAFT,
        "may_send": request.user.has_perm("campaigns.send_campaign"),
        "samples": samples(campaign),
    }
    if said:
        blocked = sum(said["blocked"].values())
        context |= {
            "blocked": blocked,
            "valid": said["targets"] - said["invalid"] - blocked,
            "reasons": [(reason_in_words(reason), people) for reason, people in said["blocked"].items()],
            "channels": _channels(campaign, said),
            "duration": seconds_in_words(said["duration_seconds"]) if said["duration_seconds"] else "",
            "as_of": parse_datetime(said["as_of"]),
            "saving": Decimal(said["baseline_price"]) - Decimal(said["price"]) if said["baseline_price"] else None,
        }
    return context


def _channels(campaign: Campaign, said: dict[str, Any]) -> list[dict[str, Any]]:
    codes = dict.fromkeys(channel["account"] for step in campaign.plan["steps"] for channel in step["channels"])
    accounts = {one.code: one for one in ChannelAccount.objects.filter(code__in=codes)}
    return [
        {
            "account": accounts.get(code, code),
            "kind": adapter(accounts[code].kind).label if code in accounts else "",
            "reachable": said["reachable"].get(code, 0),
            "first": said["first"].get(code, 0),
            "pieces": said["pieces"].get(code, 0),
            "price": accounts[code].price.normalize() if code in accounts else None,
            "currency": accounts[code].currency if code in accounts else "",
        }
        for code in codes
    ]


def samples(campaign: Campaign) -> list[dict[str, Any]]:
    """One text for each kind of the plan, with the values of somebody of the audience.

    Sensitive values are not opened for a preview: the template's examples stand in their place.
    """
    version = campaign.template_version
    person = one_person(campaign) if campaign.audience.get("kind") == "filter" else None
    values = example_values(version)
    if person is not None:
        values = {**values, **person.attributes, "user_id": person.user_id}
    kinds = dict.fromkeys(channel["kind"] for step in campaign.plan["steps"] for channel in step["channels"])
    return [_sample(version, adapter(kind), values) for kind in kinds]


def _sample(version: Any, kind: Adapter, values: dict[str, object]) -> dict[str, Any]:
    try:
        made = preview(version, kind.kind, values)
    except (NoBody, RenderError, ValueError) as refused:
        return {"label": kind.label, "error": str(refused)}
    parts = [
        (part.label, made.content[part.name])
        for part in kind.content_fields
        if isinstance(made.content.get(part.name), str) and made.content[part.name] and part.escape != "html"
    ]
    return {"label": kind.label, "parts": parts, "pieces": made.pieces, "unit": made.price_unit}


def audience_in_words(audience: dict[str, Any]) -> list[str]:
    """A sentence for each condition of an audience definition."""
    if audience.get("kind") == "given":
        return [_("The people that the request named.")]
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
