"""Choice: where a step has alternatives, which slots each message in `planning` takes – by order, weight, score and health.

Of the vendors of a group one is chosen by weight among the healthy ones, with a hash of the message's id, so that asking
again gives the same answer while health stays the same. A smart step takes the healthy slot of the highest score; there
weights decide between equal scores. Who is reached by unhealthy slots only gets the best of these, and waits.

The choice is one statement for all of `planning` and one for the ledger; a plan without alternatives pays for neither.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.db import connection

from apps.campaigns.models import Campaign
from apps.campaigns.pipeline.smart import score_of
from apps.campaigns.pipeline.stops import ACCOUNT_STOPPED
from apps.campaigns.policy import Plan, Step, StepChannel

HEALTHY = f"(a.state = 'ACTIVE' AND (a.open_until IS NULL OR a.open_until <= now()) AND NOT {ACCOUNT_STOPPED})"
CHOOSE = """
UPDATE planning held SET chosen = made.chosen FROM (
    SELECT p.message_id, CASE p.step {cases} END AS chosen
    FROM planning p LEFT JOIN users_recipient r ON r.id = p.recipient_id
    WHERE p.state = 'ACTIVE' AND p.step IS NOT NULL
) made WHERE made.message_id = held.message_id
"""
# Of the slots that reach the person the best one's bit, null where none does. `pick` makes each win as often as its
# weight says: the largest of -w/ln(u) over numbers u that a hash spreads evenly.
PICK = """
(SELECT v.bit FROM unnest(ARRAY[{bits}]::bigint[], ARRAY[{bindings}]::bigint[], ARRAY[{healthy}]::boolean[],
                          ARRAY[{scores}]::float8[], ARRAY[{picks}]::float8[]) v(bit, binding, healthy, score, pick)
 WHERE v.binding IS NOT NULL
 ORDER BY v.healthy DESC, v.score DESC, v.pick DESC, v.bit LIMIT 1)
"""
EVEN = "((hashint8extended(p.message_id, {account}) & 2147483647) + 1) / 2147483649.0"
# One line for everybody whose step had something to choose from: the accounts that reached them, and those that they got.
NOTE_ROUTES = """
INSERT INTO campaigns_decision (message_id, step, rule, verdict, detail)
SELECT message_id, step, 'route', 'go', CASE step {cases} END
FROM planning WHERE state = 'ACTIVE' AND step = ANY(%s)
"""


def healthy_accounts(account_ids: Collection[int]) -> set[int]:
    """Those of the accounts that may be called now."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT a.id FROM ums_channels_channelaccount a WHERE a.id = ANY(%s) AND {HEALTHY}", [list(account_ids)]
        )
        return {row[0] for row in cursor.fetchall()}


def choose(campaign: Campaign, plan: Plan) -> None:
    """Fills `planning.chosen` with the bits of the slots that each message takes at its step."""
    steps = [step for step in plan.steps if step.chooses]
    if not steps:
        return
    healthy = healthy_accounts(plan.account_ids())
    cases, values = [], []
    for step in steps:
        sql, its_values = _chosen(campaign, step, healthy)
        cases.append(f"WHEN {step.number} THEN {sql}")
        values += its_values
    with connection.cursor() as cursor:
        cursor.execute(CHOOSE.format(cases=" ".join(cases)), values)


def taken(step: Step, channel: StepChannel) -> str:
    """SQL over `planning`: whether a message at this step is sent over this slot."""
    if step.chooses:
        return f"chosen & {channel.bit} <> 0"
    earlier = [one.slot for one in step.channels if one.slot < channel.slot] if step.mode == "first" else []
    reached = f"bindings[{channel.slot + 1}] IS NOT NULL"
    return " AND ".join([reached, *(f"bindings[{slot + 1}] IS NULL" for slot in earlier)])


def _chosen(campaign: Campaign, step: Step, healthy: Collection[int]) -> tuple[str, list[Any]]:
    """SQL over alias p: the bits of the slots taken at this step."""
    if step.mode == "smart":
        scores = [score_of(campaign, one) for one in step.channels]
        sql = _pick(step.channels, healthy, [score for score, _values in scores])
        return sql, [value for _score, values in scores for value in values]
    picks = [_pick(place, healthy, ["0"] * len(place)) for place in step.places]
    if step.mode == "first":
        return f"coalesce({', '.join(picks)})", []
    return " | ".join(f"coalesce({pick}, 0)" for pick in picks), []


def _pick(slots: Sequence[StepChannel], healthy: Collection[int], scores: Sequence[str]) -> str:
    picks = [f"-{one.weight} / ln({EVEN.format(account=one.account_id)})" if one.weight else "-1" for one in slots]
    columns: dict[str, Iterable[object]] = {
        "bits": (one.bit for one in slots),
        "bindings": (f"p.bindings[{one.slot + 1}]" for one in slots),
        "healthy": (one.account_id in healthy for one in slots),
        "scores": scores,
        "picks": picks,
    }
    return PICK.format(**{name: ", ".join(map(str, held)) for name, held in columns.items()})


def note_routes(plan: Plan) -> None:
    """The ledger's lines of what was chosen: `by=weight of=sms-a,sms-b chosen=sms-b`, in codes of accounts."""
    steps = [step for step in plan.steps if step.chooses]
    if not steps:
        return
    cases = [f"WHEN {step.number} THEN {_route(step)}" for step in steps]
    with connection.cursor() as cursor:
        cursor.execute(NOTE_ROUTES.format(cases=" ".join(cases)), [[step.number for step in steps]])


def _route(step: Step) -> str:
    """SQL over `planning`: the detail of a route. Codes of accounts are slugs: they need no quoting."""
    by = "score" if step.mode == "smart" else "weight"
    reached = _codes(step, [f"bindings[{one.slot + 1}] IS NOT NULL" for one in step.channels])
    chosen = _codes(step, [f"chosen & {one.bit} <> 0" for one in step.channels])
    return f"'by={by} of=' || {reached} || ' chosen=' || {chosen}"


def _codes(step: Step, conditions: Sequence[str]) -> str:
    cases = [f"CASE WHEN {sql} THEN '{one.account}' END" for one, sql in zip(step.channels, conditions, strict=True)]
    return f"concat_ws(',', {', '.join(cases)})"
