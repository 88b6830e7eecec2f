"""What a policy would do for one person now: the planning that a campaign would get, made for one and rolled back.

Nothing is sent and nothing is kept. Rules, conditions, addresses, health and scores are asked of the very code that plans
campaigns; the price is that of the text rendered with the person's own values.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign, Policy
from apps.campaigns.pipeline.choice import choose, healthy_accounts, taken
from apps.campaigns.pipeline.expand import fill_from_audience
from apps.campaigns.pipeline.loaded import loaded_plan
from apps.campaigns.pipeline.people_rules import PEOPLE_RULES, forbidden_way
from apps.campaigns.pipeline.plan import clear_planning
from apps.campaigns.pipeline.score_sql import class_experience, person_experience, weights_for
from apps.campaigns.pipeline.smart import prices_now
from apps.campaigns.pipeline.window import values_of
from apps.campaigns.policy import Plan, Step, StepChannel
from apps.campaigns.scoring import NONE, Candidate, Experience, Scored, Weights, scored
from apps.campaigns.services import new_campaign
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.channels.selectors import account_facts
from apps.partners.models import BusinessLine
from apps.templates.models import TemplateVersion
from apps.templates.render import RenderError
from apps.templates.selectors import compiled
from apps.users.audience import condition
from apps.users.models import Binding, Recipient
from apps.users.protection import blocked_binding
from ums_site.clock import database_now


@dataclass(slots=True)
class Way:
    """One slot of the policy for this person. `place` is its turn in the step, from 1; None where it is not taken.

    `why_not` are the codes of what keeps it from reaching the person, `scored` its terms among the step's reachable slots.
    """

    channel: StepChannel
    account: ChannelAccount
    address: str = ""
    why_not: list[str] = field(default_factory=list)
    healthy: bool = True
    unit: Decimal = Decimal(0)
    pieces: int | None = None
    price: Decimal | None = None
    no_text: str = ""
    person: Experience = NONE
    of_class: Experience = NONE
    scored: Scored | None = None
    place: int | None = None


@dataclass(frozen=True, slots=True)
class StepOfOne:
    step: Step
    ways: list[Way]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """`stopped_by` are the codes of every rule that forbids writing to the person now; `first` the step that would begin."""

    campaign: Campaign
    plan: Plan
    weights: Weights
    stopped_by: list[str]
    state: str
    reason: str
    first: int | None
    steps: list[StepOfOne]


def ask_what_if(
    *, person: Recipient, policy: Policy, business_line: BusinessLine, message_class: str, version: TemplateVersion
) -> WhatIf:
    """The answer for one person. Raises CampaignError where no campaign could be made of this."""
    campaign = new_campaign(
        name="what if",
        business_line=business_line,
        message_class=message_class,
        template_version=version,
        policy=policy,
        audience={"kind": "filter"},
        expires_at=None,
        now=database_now(),
        campaign_id=0,
        accounts=account_facts(business_line),
    )
    with transaction.atomic():
        found = _ask(campaign, person)
        transaction.set_rollback(True)
    return found


def _ask(campaign: Campaign, person: Recipient) -> WhatIf:
    plan = loaded_plan(campaign)
    weights = weights_for(campaign.message_class, plan.weights, plan.order)
    ways = _ways(campaign, person)
    # Planning reckons with the average pieces of the audience; the audience is this person.
    campaign.forecast = {
        "reachable": {way.channel.account: 1 for way in ways.values()},
        "pieces": {way.channel.account: way.pieces or 1 for way in ways.values()},
    }
    clear_planning()
    fill_from_audience(campaign, person.pk, person.pk)
    with connection.cursor() as cursor:
        cursor.execute("SELECT state, reason, step, bindings FROM planning")
        row = cursor.fetchone()
    if row is None:
        raise CampaignError(_("The person is gone."), "user_id")
    state, reason, first, bindings = row
    _addresses(ways, bindings)
    steps = [_step(campaign, plan, step, [ways[one.slot] for one in step.channels], weights) for step in plan.steps]
    return WhatIf(campaign, plan, weights, _stops(campaign, person), state, reason, first, steps)


def _stops(campaign: Campaign, person: Recipient) -> list[str]:
    """The codes of all rules about people that forbid it, in their order."""
    rules = {code: found for code, rule in PEOPLE_RULES.items() if (found := rule(campaign)) is not None}
    columns = ", ".join(f"({sql})" for sql, _values in rules.values())
    if not columns:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {columns} FROM users_recipient r WHERE r.id = %s",
            [*(value for _sql, values in rules.values() for value in values), person.pk],
        )
        return [code for code, fires in zip(rules, cursor.fetchone(), strict=True) if fires]


def _ways(campaign: Campaign, person: Recipient) -> dict[int, Way]:
    plan = loaded_plan(campaign)
    ids = plan.account_ids()
    accounts = ChannelAccount.objects.in_bulk(ids)
    prices = prices_now(ids, campaign.message_class)
    own, of_class = person_experience(person.pk, ids), class_experience(campaign.message_class, ids)
    healthy = healthy_accounts(ids)
    ways: dict[int, Way] = {}
    for channel in plan.channels():
        one = channel.account_id
        way = Way(channel, accounts[one], healthy=one in healthy)
        way.person, way.of_class = own.get(one, NONE), of_class.get(one, NONE)
        way.unit = prices[one]
        way.why_not = _why_not(campaign, channel, person)
        _price(way, campaign.template_version_id, person)
        ways[channel.slot] = way
    return ways


def _price(way: Way, version_id: int, person: Recipient) -> None:
    """Pieces and price of the person's own text; where it cannot be written, why (never with a value in it)."""
    body = compiled(version_id, way.channel.body_key)
    try:
        content = body.render(
            values_of(body, person.user_id, json.dumps(person.attributes), person.sealed_attributes, None)
        )
    except RenderError as bad:
        way.no_text = str(bad)
        return
    way.pieces = adapter(way.channel.kind).pieces(content)
    way.price = way.pieces * way.unit


def _why_not(campaign: Campaign, channel: StepChannel, person: Recipient) -> list[str]:
    """Codes of what stands between the person and the slot, looked at one by one."""
    line, account = campaign.business_line_id, channel.account_id
    blocked, blocked_values = blocked_binding(
        message_class=campaign.message_class, business_line_id=line, account_id=account, kind=channel.kind
    )
    scope = (
        "(b.scope = 'everywhere' OR (b.scope = 'business_line' AND b.scope_id = %s) "
        "OR (b.scope = 'account' AND b.scope_id = %s))"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*), count(*) FILTER (WHERE {scope}), count(*) FILTER (WHERE {scope} AND b.state = 'ACTIVE'), "
            f"count(*) FILTER (WHERE {scope} AND b.state = 'ACTIVE' AND NOT {blocked}) "
            f"FROM users_binding b WHERE b.recipient_id = %s AND b.address_kind = %s",
            [line, account, line, account, line, account, *blocked_values, person.pk, channel.address_kind],
        )
        some, in_scope, active, free = cursor.fetchone()
        fits = _fits(cursor, channel, person)
        forbidden = _forbidden(cursor, campaign, channel, person)
    found = [] if fits else ["condition"]
    if not some:
        found.append("no_address")
    elif not in_scope:
        found.append("other_scope")
    elif not active:
        found.append("address_invalid")
    elif not free:
        found.append("address_blacklisted")
    if some and forbidden:
        found.append(forbidden)
    return found


def _forbidden(cursor: Any, campaign: Campaign, channel: StepChannel, person: Recipient) -> str | None:
    sql, values = forbidden_way(campaign, account_id=channel.account_id, kind=channel.kind)
    cursor.execute(f"SELECT {sql} FROM users_recipient r WHERE r.id = %s", [*values, person.pk])
    return cursor.fetchone()[0]


def _fits(cursor: Any, channel: StepChannel, person: Recipient) -> bool:
    if not channel.conditions:
        return True
    sql, values = condition(channel.conditions)
    cursor.execute(f"SELECT {sql} FROM users_recipient r WHERE r.id = %s", [*values, person.pk])
    return bool(cursor.fetchone()[0])


def _addresses(ways: dict[int, Way], bindings: list[int | None]) -> None:
    masked = dict(Binding.objects.filter(pk__in=[one for one in bindings if one]).values_list("pk", "address_masked"))
    for slot, binding in enumerate(bindings):
        if binding is not None:
            ways[slot].address, ways[slot].why_not = masked[binding], []


def _step(campaign: Campaign, plan: Plan, step: Step, ways: list[Way], weights: Weights) -> StepOfOne:
    """The ways of a step with their scores and their turns, were the person at this step."""
    reached = [way for way in ways if way.address]
    candidates = [
        Candidate(way.channel.slot, float(way.unit * (way.pieces or 1)), way.person, way.of_class) for way in reached
    ]
    terms = {one.slot: one for one in scored(candidates, weights)}
    for way in reached:
        way.scored = terms[way.channel.slot]
    for turn, slots in enumerate(_turns(campaign, plan, step, reached), 1):
        for way in reached:
            if way.channel.slot in slots:
                way.place = turn
    return StepOfOne(step, ways)


def _turns(campaign: Campaign, plan: Plan, step: Step, reached: list[Way]) -> list[list[int]]:
    """The slots in the order in which they are tried, those that are tried together as one list."""
    first = _taken(campaign, plan, step)
    if not step.chooses:
        return [first] if first else []
    turns, tried = [first] if first else [], list(first)
    while tried and (left := step.alternatives(tried)):
        reachable = [way for way in reached if way.channel in left]
        if not reachable:
            break
        following = min(reachable, key=lambda way: _rank(step, way)).channel.slot
        turns.append([following])
        tried.append(following)
    return turns


def _rank(step: Step, way: Way) -> tuple[bool, float, int]:
    """The lower is tried first: the healthy, then the better score or the heavier vendor, then the one named first."""
    better = way.scored.score if step.mode == "smart" and way.scored else way.channel.weight
    return not way.healthy, -better, way.channel.slot


def _taken(campaign: Campaign, plan: Plan, step: Step) -> list[int]:
    """The slots that planning takes at a step."""
    columns = ", ".join(f"({taken(step, one)})" for one in step.channels)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE planning SET step = %s, state = 'ACTIVE', chosen = NULL", [step.number])
        choose(campaign, plan)
        cursor.execute(f"SELECT {columns} FROM planning")
        return [one.slot for one, is_taken in zip(step.channels, cursor.fetchone(), strict=True) if is_taken]
