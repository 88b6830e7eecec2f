"""What a forecast counts in each chunk (`planning`). What comes of it stands in forecast_result.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from apps.campaigns.foresight import STOPS
from apps.campaigns.models import Campaign
from apps.campaigns.pipeline.choice import taken
from apps.campaigns.pipeline.offline import UNREACHED
from apps.campaigns.pipeline.plan import loaded_plan
from apps.campaigns.pipeline.window import values_of
from apps.campaigns.policy import Plan
from apps.channels.registry import adapter
from apps.templates.errors import NoBody
from apps.templates.render import RenderError
from apps.templates.selectors import compiled
from apps.templates.words import Words, words_for
from ums_site.crypto import SealBroken
from ums_site.ids import first_row_id

LACKING, WORD = "!", "#"  # in place of pieces
COUNT = "SELECT state, reason, {pattern}, count(*) FROM planning GROUP BY 1, 2, 3"
PATTERN = "CASE state WHEN 'ACTIVE' THEN step || '|' || {reached} || '|' || {taken} ELSE '' END"
KEPT_LATER = f"UPDATE planning SET state = 'SAVED', reason = 'offline_saved' WHERE {UNREACHED}"
STOPPED = """
UPDATE planning p SET state = 'BLOCKED', reason = %s FROM users_recipient r
WHERE r.id = p.recipient_id AND p.state = 'ACTIVE' AND ({stop})
"""
SAMPLED = """
SELECT {pattern}, r.user_id, r.attributes, r.sealed_attributes, {payload}
FROM planning LEFT JOIN users_recipient r ON r.id = planning.recipient_id {payload_join}
WHERE planning.state = 'ACTIVE' AND random() < %s
"""
PAYLOAD = "LEFT JOIN campaigns_messagepayload y ON y.message_id = planning.message_id AND y.message_id >= {first}"


def add_chunk(campaign: Campaign, totals: Mapping[str, Any], share: float) -> tuple[dict[str, Any], int]:
    """`totals` with the chunk in `planning` added, and how many people it had; `share` of them are rendered.

    Whom offline save would keep is counted under `kept`.
    """
    held = {
        name: Counter(totals.get(name, {}))
        for name in ("invalid", "blocked", "kept", "foreseen", "patterns", "sampled")
    }
    plan = loaded_plan(campaign)
    stopped = _stop_foreseen(campaign)
    seen = 0
    with connection.cursor() as cursor:
        if plan.offline:
            cursor.execute(KEPT_LATER)
        cursor.execute(COUNT.format(pattern=_pattern(plan)))
        for state, reason, pattern, people in cursor.fetchall():
            seen += people
            if state == "ACTIVE":
                held["patterns"][pattern] += people
            else:
                held[{"INVALID": "invalid", "SAVED": "kept"}.get(state, "blocked")][reason] += people
    held["foreseen"].update(stopped)
    _add_sample(campaign, plan, share, held["sampled"])
    return {name: dict(counter) for name, counter in held.items()}, seen


def _stop_foreseen(campaign: Campaign) -> dict[str, int]:
    """Marks whom the rules of the gate would stop now; returns how many each."""
    found = {}
    for code, stop in STOPS.items():
        said = stop(campaign)
        if said is not None:
            with connection.cursor() as cursor:
                cursor.execute(STOPPED.format(stop=said[0]), [code, *said[1]])
                if cursor.rowcount:
                    found[code] = cursor.rowcount
    return found


def _pattern(plan: Plan) -> str:
    """SQL over `planning`: the pattern of forecast_figures.py."""
    reached = [f"CASE WHEN bindings[{one.slot + 1}] IS NULL THEN '-' ELSE '+' END" for one in plan.channels()]
    first = [
        f"CASE WHEN step = {step.number} AND ({taken(step, one)}) THEN '+' ELSE '-' END"
        for step in plan.steps
        for one in step.channels
    ]
    return PATTERN.format(reached=" || ".join(reached), taken=" || ".join(first))


def _add_sample(campaign: Campaign, plan: Plan, share: float, sampled: Counter[str]) -> None:
    """Renders a share of the chunk; counts texts as `pattern;account=pieces,…`, `!` where a value is missing, `#` where a
    sensitive word stops it."""
    given = campaign.audience["kind"] != "filter"
    join = PAYLOAD.format(first=first_row_id(campaign.pk)) if given else ""
    sql = SAMPLED.format(pattern=_pattern(plan), payload="y.sealed" if given else "NULL", payload_join=join)
    bodies = _bodies(campaign, plan)
    with connection.cursor() as cursor:
        cursor.execute(sql, [share if share < 1 else 2.0])
        for pattern, *values in cursor.fetchall():
            sampled[f"{pattern};{_pieces(plan, bodies, pattern, values)}"] += 1


def _bodies(campaign: Campaign, plan: Plan) -> dict[str, tuple[Any, Any, Words | None]]:
    found = {}
    for one in plan.channels():
        try:
            words = words_for(message_class=campaign.message_class, line=campaign.business_line_id, kind=one.kind)
            found[one.body_key] = compiled(campaign.template_version_id, one.body_key), adapter(one.kind), words
        except NoBody:
            continue
    return found


def _pieces(
    plan: Plan, bodies: Mapping[str, tuple[Any, Any, Words | None]], pattern: str, values: Sequence[Any]
) -> str:
    """`slot=pieces` of every slot that reaches this person, from their own text."""
    reached = pattern.split("|")[1]
    made: dict[str, str] = {}
    for one in plan.channels():
        if reached[one.slot] == "+" and one.body_key in bodies and one.body_key not in made:
            body, kind, words = bodies[one.body_key]
            try:
                content = body.render(values_of(body, *values))
                made[one.body_key] = WORD if words and words.refuses(content) else str(kind.pieces(content))
            except (RenderError, SealBroken):
                made[one.body_key] = LACKING
    slots = [one for one in plan.channels() if reached[one.slot] == "+" and one.body_key in made]
    return ",".join(f"{one.slot}={made[one.body_key]}" for one in slots)
