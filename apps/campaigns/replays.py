"""Replays: a finished campaign is gone through with another policy, in the background, and the result is kept.

A chunk of messages is read, thought through (replaying.py) and added to the figures in one transaction together with the
cursor behind it, so a replay may die anywhere and go on, and two runners take turns. It reads; nothing of the campaign changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign, Policy, Replay
from apps.campaigns.pipeline.columns import numbers
from apps.campaigns.pipeline.experience import measurable_accounts
from apps.campaigns.pipeline.plan import reach_joins, slots_array
from apps.campaigns.pipeline.score_sql import class_experience, weights_for
from apps.campaigns.pipeline.smart import pieces_of, prices_at
from apps.campaigns.policy import BadPolicy, Plan, freeze, load
from apps.campaigns.replaying import PersonFacts, Prices, Seen, add, replayed, without_hindsight
from apps.campaigns.scoring import NONE, Experience, Weights, fade, said_by, weights_of, weights_problems
from apps.campaigns.states import CampaignState
from apps.channels.selectors import account_facts
from apps.operators import audit
from ums_site.clock import boottime, transaction_now
from ums_site.failpoints import failpoint
from ums_site.ids import first_row_id
from ums_site.queues import ring

CHUNK = 2000
SECONDS = 10.0
Figures = dict[str, Any]


@transaction.atomic
def make_replay(
    *, actor: object, campaign: Campaign, policy: Policy, weights: Mapping[str, float] | None = None
) -> Replay:
    """Orders a replay of a finished campaign with a policy as it is now; `weights` go over those in force for its class.

    The plan, the weights and the time are kept with the result. Raises CampaignError naming the field.
    """
    if campaign.state != CampaignState.FINISHED:
        raise CampaignError(_("Choose a finished campaign: of another one not all outcomes are known."), "campaign")
    found = weights_problems(weights or {})
    for name, words in found.items():
        raise CampaignError(words, name)
    try:
        plan = freeze(policy.plan, account_facts(campaign.business_line))
    except BadPolicy as bad:
        raise CampaignError(str(bad), "policy") from bad
    used = weights_of(
        said_by(weights_for(campaign.message_class, plan.get("weights"))), weights, order=plan.get("order", "")
    )
    made = Replay.objects.create(
        campaign=campaign,
        policy_name=f"{policy.name} v{policy.number}",
        plan=plan,
        weights=said_by(used),
        made_by=str(actor),
        made_at=transaction_now(),
    )
    detail = {"campaign": str(campaign.pk), "policy": policy.code, "version": policy.number}
    audit.record(actor=actor, verb="replay", what=made, detail=detail)
    ring("work")
    return made


def replay_due(seconds: float = SECONDS) -> int:
    """Goes on with the replays that wait, for so long; returns how many chunks were done."""
    end = boottime() + seconds
    done = 0
    while _next_chunk():
        done += 1
        if boottime() >= end:
            ring("work")
            break
    return done


def _next_chunk() -> bool:
    """One chunk of the oldest replay that nobody is at; False where there is none."""
    with transaction.atomic():
        held = (
            Replay.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("campaign__business_line", "campaign__template_version")
            .filter(state__in=[Replay.State.WAITING, Replay.State.RUNNING])
            .order_by("id")
            .first()
        )
        if held is None:
            return False
        try:
            with transaction.atomic():
                rows = _advance(held)
        except (ArithmeticError, LookupError, TypeError, ValueError) as fault:  # ours: said, and not tried for ever
            rows, held.fault = [], f"{type(fault).__name__}"
        _note(held, rows)
        failpoint("replay_before_commit")
    return True


def _note(held: Replay, rows: Sequence[tuple[Any, ...]]) -> None:
    held.heartbeat_at = transaction_now()
    if rows:
        held.state, held.cursor = Replay.State.RUNNING, rows[-1][0]
        held.seen += len(rows)
    else:
        held.state = Replay.State.FAILED if held.fault else Replay.State.DONE
        held.finished_at = held.heartbeat_at
    held.save()


def _advance(held: Replay) -> list[tuple[Any, ...]]:
    """Adds the next chunk of messages to the figures; returns its rows, none where all are through."""
    campaign = held.campaign
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, recipient_id, state FROM campaigns_message WHERE campaign_id = %s AND id > %s ORDER BY id LIMIT %s",
            [campaign.pk, max(held.cursor, first_row_id(campaign.pk)), CHUNK],
        )
        rows = cursor.fetchall()
    if not rows:
        return []
    plan, weights = load(held.plan), weights_of(held.weights)
    people = [row for row in rows if row[1] is not None and row[2] not in ("BLOCKED", "CANCELLED")]
    figures: Figures = held.figures
    figures["left_out"] = figures.get("left_out", 0) + len(rows) - len(people)
    if people:
        _replay(held, plan, weights, people, figures.setdefault("groups", {}))
    return rows


def _replay(held: Replay, plan: Plan, weights: Weights, people: Sequence[tuple[Any, ...]], groups: Figures) -> None:
    campaign = held.campaign
    recipients = [row[1] for row in people]
    seen = _seen([row[0] for row in people])
    slots = _slots(campaign, plan, recipients)
    own = _own(recipients, plan.account_ids())
    known = _known(campaign, plan)
    left = fade(transaction_now() - campaign.finished_at) if campaign.finished_at else 1.0
    for message_id, recipient_id, _state in people:
        here = seen.get(message_id, {})
        before = {
            account: without_hindsight(what, here.get(account), left)
            for account, what in own.get(recipient_id, {}).items()
        }
        facts = PersonFacts(slots.get(recipient_id, frozenset()), here, before)
        outcome = replayed(plan, facts, known, weights)
        add(groups, outcome, any(one.arrived for one in here.values()), sum(one.cost for one in here.values()))


SEEN = """
SELECT d.message_id, d.account_id, d.state, coalesce(d.cost, 0)::float8 FROM campaigns_delivery d
WHERE d.message_id = ANY(%s::bigint[]) AND d.id > %s AND d.state <> 'CANCELLED'
"""
ARRIVED = {"DELIVERED": True, "READ": True, "CLICKED": True, "UNDELIVERED": False, "CLOSED": False, "REJECTED": False}


def _seen(message_ids: Sequence[int]) -> dict[int, dict[int, Seen]]:
    """Message -> account -> what the campaign saw there. Silence tells nothing of an account that gives no receipts."""
    found: dict[int, dict[int, Seen]] = {}
    with connection.cursor() as cursor:
        cursor.execute(SEEN, [numbers(message_ids), message_ids[0]])
        rows = cursor.fetchall()
    measurable = measurable_accounts()
    for message_id, account_id, state, cost in rows:
        arrived = None if state == "CLOSED" and account_id not in measurable else ARRIVED.get(state)
        before = found.setdefault(message_id, {}).get(account_id)
        if before is not None:
            arrived, cost = before.arrived or arrived, before.cost + cost
        found[message_id][account_id] = Seen(arrived, cost, state == "REJECTED")
    return found


def _slots(campaign: Campaign, plan: Plan, recipients: Sequence[int]) -> dict[int, frozenset[int]]:
    """Recipient -> the slots that reach them, by addresses and conditions as they are now."""
    like = Campaign(
        message_class=campaign.message_class, business_line=campaign.business_line, audience={"kind": "filter"}
    )
    like.__dict__["_loaded_plan"] = plan
    joins, values = reach_joins(like, "b.recipient_id = ANY(%s)", [list(recipients)])
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.id, {slots_array(plan)} FROM users_recipient r {joins} WHERE r.id = ANY(%s)",
            [*values, list(recipients)],
        )
        return {
            pk: frozenset(slot for slot, binding in enumerate(bindings) if binding is not None)
            for pk, bindings in cursor.fetchall()
        }


def _own(recipients: Sequence[int], account_ids: Sequence[int]) -> dict[int, dict[int, Experience]]:
    found: dict[int, dict[int, Experience]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT recipient_id, account_id, tried, delivered, timed, log_seconds, extract(epoch FROM now() - at)::float8 "
            "FROM campaigns_personexperience WHERE recipient_id = ANY(%s) AND account_id = ANY(%s)",
            [list(recipients), list(account_ids)],
        )
        for recipient, account, tried, delivered, timed, log_seconds, age in cursor.fetchall():
            left = fade(timedelta(seconds=age))
            one = Experience(tried * left, delivered * left, timed * left, log_seconds * left)
            found.setdefault(recipient, {})[account] = one
    return found


def _known(campaign: Campaign, plan: Plan) -> Prices:
    """Prices as they were when the campaign started, and what is known of its class now."""
    accounts = plan.account_ids()
    prices = prices_at(accounts, campaign.message_class, campaign.started_at)
    return Prices(
        {one.slot: float(prices[one.account_id]) * pieces_of(campaign, one) for one in plan.channels()},
        {account: what for account, what in class_experience(campaign.message_class, accounts).items() if what != NONE},
    )
