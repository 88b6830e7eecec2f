"""What an approval is bound to: one hash over everything that decides what goes out, to whom, when and at what price.

Every column of the campaign is bound except those that the send story itself moves, so that a setting added later is
bound without anybody thinking of it. Behind the campaign stand the content (the published version's bodies), the frozen
audience (ids, by their digest), the messages and values that an API call named, or the imported list.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.db import connection

from apps.campaigns.freezing import digest_of_rows
from apps.campaigns.models import Campaign, Forecast, TargetList
from apps.templates.models import TemplateVersion
from ums_site.ids import first_row_id

# Moved by the send story, or saying only how the campaign came about.
NOT_BOUND = frozenset(
    {
        "state", "forecast", "figures", "baseline_code", "expand_cursor", "expand_end", "planned_count", "created_by",
        "edited_by", "created_at", "started_at", "expanded_at", "finished_at", "lane", "priority",
        "pause_reason", "paused_by", "resume_to", "resumed_at", "canary_left", "canary_judge_at",
    }
)  # fmt: skip

# What may be changed of a campaign that has begun, each by whoever may: it need not be approved once more for that.
WHILE_RUNNING = frozenset({"pace_per_second", "cost_ceiling", "canary_size", "canary_seconds"})
NOT_FORECAST = frozenset({"cost_ceiling", "frozen_id", "name", "scheduled_at", "policy_code", "expires_at", "source"})

GIVEN_DIGEST = """
SELECT count(*), encode(sha256(coalesce(string_agg(
    int8send(m.id) || int8send(coalesce(m.recipient_id, 0)) || int8send(coalesce(m.binding_id, 0))
    || coalesce(p.sealed, ''::bytea),
    ''::bytea ORDER BY m.id), ''::bytea)), 'hex')
FROM campaigns_message m LEFT JOIN campaigns_messagepayload p ON p.message_id = m.id AND p.message_id >= %(first)s
WHERE m.campaign_id = %(campaign)s AND m.id >= %(first)s
"""


def digest_of(held: object) -> str:
    """SHA-256 (hex) of anything that JSON can say, in one spelling."""
    text = json.dumps(held, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def bound_of(campaign: Campaign) -> dict[str, Any]:
    """What an approval of this campaign is bound to, as JSON has it. Give a campaign as it was just read."""
    held = {**_columns(campaign), "content": _content(campaign), "people": _people(campaign)}
    return json.loads(json.dumps(held, default=str))  # type: ignore[no-any-return]


def bound_hash(campaign: Campaign) -> str:
    """The hash over `bound_of`."""
    return digest_of(bound_of(campaign))


def still_bound(campaign: Campaign, bound: Mapping[str, Any], hashed: str) -> bool:
    """Whether the campaign is still what `bound`, whose hash is `hashed`, says; begun, what may change then is left out."""
    now = bound_of(campaign)
    if campaign.expand_cursor == 0:
        return digest_of(now) == hashed
    names = (now.keys() | bound.keys()) - WHILE_RUNNING
    return digest_of(bound) == hashed and all(now.get(name) == bound.get(name) for name in names)


def definition_hash(campaign: Campaign) -> str:
    """The hash of what a forecast depends on: what is sent to whom, how and how fast, whatever it is called."""
    columns = {name: held for name, held in _columns(campaign).items() if name not in NOT_FORECAST}
    return digest_of({**columns, "content": _content(campaign)})


def _columns(campaign: Campaign) -> dict[str, Any]:
    fields = [field for field in Campaign._meta.concrete_fields if field.name not in NOT_BOUND]
    return {field.attname: getattr(campaign, field.attname) for field in fields}


def _content(campaign: Campaign) -> str:
    version = TemplateVersion.objects.get(pk=campaign.template_version_id)
    return digest_of([version.bodies, version.variables, version.language])


def _people(campaign: Campaign) -> dict[str, Any]:
    kind = campaign.audience["kind"]
    if kind == "given":
        with connection.cursor() as cursor:
            cursor.execute(GIVEN_DIGEST, {"campaign": campaign.pk, "first": first_row_id(campaign.pk)})
            count, digest = cursor.fetchone()
        return {"targets": count, "digest": digest}
    if kind == "list":
        held = TargetList.objects.get(pk=campaign.audience["list"])
        begun = campaign.expand_cursor > 0  # the rows themselves are read once, right before the first of them goes
        return {"targets": held.targets, "digest": held.digest if begun else digest_of_rows(held.pk)}
    frozen = Forecast.objects.filter(pk=campaign.frozen_id).first() if campaign.frozen_id else None
    if frozen is None:
        return {"targets": None, "digest": ""}
    said = frozen.figures or {}
    return {
        "targets": frozen.targets,
        "digest": frozen.digest,
        "as_of": str(frozen.as_of),
        "worst_price": said.get("worst_price"),
        "currency": said.get("currency"),
    }
