"""Messages that callers name one by one: read what accepting needs in one statement, decide, write in one statement.

A call of the API has few milliseconds. So what must be read can ride along with another look (`asked_of`), and what is
written is SQL that others put their own row beside (`Accepted.writes`), all of it one statement.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.campaigns.accepting_approval import ask_for_approval
from apps.campaigns.approvals import RULES_COLUMN
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign, Policy
from apps.campaigns.pipeline.window import PAYLOAD_PLACE
from apps.campaigns.services import new_campaign
from apps.campaigns.states import CampaignState
from apps.channels.selectors import USABLE_COLUMN, AccountFacts, facts_from
from apps.partners.counting import DOOR_COLUMN, at_the_door, walls
from apps.partners.models import BusinessLine
from apps.templates.models import TemplateVersion
from apps.users.services import bind_raw_addresses
from ums_site.crypto import keyring
from ums_site.queues import ring

MOST_AT_ONCE = 5000
Statement = tuple[str, Sequence[Any]]

COLUMNS = f"""
clock_timestamp(), ARRAY(SELECT ums_id() FROM generate_series(1, %s)), {USABLE_COLUMN}, {DOOR_COLUMN}, {RULES_COLUMN},
(SELECT json_object_agg(r.user_id, r.id)::text FROM users_recipient r
 WHERE r.user_id = ANY(ARRAY(SELECT json_array_elements_text(%s::json))))
"""
INSERT_CAMPAIGN = """
INSERT INTO campaigns_campaign (id, name, business_line_id, message_class, template_version_id, policy_code, policy_number,
  plan, audience, state, lane, priority, expires_at, expand_cursor, expand_end, planned_count, source, created_at, started_at,
  forecast)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0, %s, %s, %s, %s, %s, %s)
"""
INSERT_MESSAGES = """
INSERT INTO campaigns_message (id, campaign_id, recipient_id, binding_id, state, reason, step, finished_at)
SELECT id, %s::bigint, recipient_id, binding_id, CASE reason WHEN '' THEN 'PLANNED' ELSE 'INVALID' END, reason, 0,
       CASE reason WHEN '' THEN NULL ELSE now() END
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[]) AS v(id, recipient_id, binding_id, reason)
"""
INSERT_PAYLOADS = """
INSERT INTO campaigns_messagepayload (message_id, sealed)
SELECT id, decode(sealed, 'hex') FROM unnest(%s::bigint[], %s::text[]) AS v(id, sealed)
"""
_as_json = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class NewMessage:
    """One target of an API call: a person by `user_id`, or an address; `variables` override the person's attributes."""

    user_id: str = ""
    address_kind: str = ""
    address: str = field(default="", repr=False)
    variables: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Known:
    """What was read for an order: the database's clock, ids for the campaign and its messages, accounts, people, quotas."""

    now: datetime
    campaign_id: int
    ids: list[int]
    accounts: Sequence[AccountFacts]
    people: Mapping[str, int]
    quotas: str | None = None  # what the line's quotas of messages are, as DOOR_COLUMN says it
    rules: str | None = None  # the rules of approval, as RULES_COLUMN says them


@dataclass(frozen=True, slots=True)
class Accepted:
    """An order that is decided and not written yet. `reasons`, one a message, are empty for those that will be sent."""

    campaign: Campaign
    ids: list[int]
    reasons: list[str]
    writes: list[Statement] = field(repr=False)


def asked_of(business_line: BusinessLine, items: Sequence[NewMessage], message_class: str) -> Statement:
    """The columns, and their values, of a SELECT whose row `known` reads."""
    people = _as_json(list({item.user_id for item in items if item.user_id}))
    return COLUMNS, [len(items) + 1, business_line.pk, business_line.pk, message_class, people]


def known(row: Sequence[Any]) -> Known:
    """Reads the columns of `asked_of`."""
    now, ids, accounts, quotas, rules, people = row
    campaign_id, *rest = sorted(ids)
    return Known(now, campaign_id, rest, facts_from(accounts or "[]"), json.loads(people or "{}"), quotas, rules)


@transaction.atomic(savepoint=False)
def accept_messages(
    *,
    actor: object,
    business_line: BusinessLine,
    template_version: TemplateVersion,
    policy: Policy | Mapping[str, Any],
    message_class: str,
    items: Sequence[NewMessage],
    expires_at: datetime | None = None,
    name: str = "",
) -> tuple[Campaign, list[int]]:
    """Writes a campaign of exactly these messages and returns it with their ids, in order of `items`.

    Once the caller's transaction commits, every message is durable and will end in one final state. An unknown person
    or an address that is none becomes a message that is INVALID with its reason. Raises CampaignError, and
    QuotaReached where a quota of the line has no room for all of them.
    """
    columns, values = asked_of(business_line, items, message_class)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns}", values)
        row = cursor.fetchone()
        done = decide(
            business_line=business_line,
            template_version=template_version,
            policy=policy,
            message_class=message_class,
            items=items,
            known=known(row),
            expires_at=expires_at,
            name=name,
            actor=actor,
        )
        with walls():
            for statement, its_values in done.writes:
                cursor.execute(statement, its_values)
    return done.campaign, done.ids


def decide(
    *,
    business_line: BusinessLine,
    template_version: TemplateVersion,
    policy: Policy | Mapping[str, Any],
    message_class: str,
    items: Sequence[NewMessage],
    known: Known,
    expires_at: datetime | None = None,
    name: str = "",
    actor: object = None,
) -> Accepted:
    """What `accept_messages` promises, once the caller has run `writes` in this transaction. Raises CampaignError.

    What a rule of approval asks for is durable just the same, and waits as AWAITING_APPROVAL; `actor` (a caller or its
    key) is then nobody to approve it.
    """
    if not 0 < len(items) <= MOST_AT_ONCE:
        raise CampaignError(_("Give between 1 and %(most)s messages.") % {"most": MOST_AT_ONCE}, "messages")
    campaign = new_campaign(
        name=name or template_version.template.code,
        business_line=business_line,
        message_class=message_class,
        template_version=template_version,
        policy=policy,
        audience={"kind": "given"},
        expires_at=expires_at,
        now=known.now,
        campaign_id=known.campaign_id,
        accounts=known.accounts,
    )
    campaign.source, campaign.state, campaign.started_at = "api", CampaignState.EXPANDING, campaign.created_at
    campaign.planned_count, campaign.expand_end = len(items), known.ids[-1]
    addresses, refused = _addresses(items)
    rows = [_row(item, known.people, addresses, refused) for item in items]
    people, bindings, reasons = (list(column) for column in zip(*rows, strict=True))
    ids = _array(known.ids)
    messages = (INSERT_MESSAGES, [campaign.pk, ids, _array(people), _array(bindings), _words(reasons)])
    approval = ask_for_approval(
        actor=actor,
        campaign=campaign,
        version=template_version,
        items=items,
        accounts=known.accounts,
        rules=known.rules,
    )
    if not approval:
        ring(campaign.lane)
    quotas = at_the_door(
        known.quotas, reasons.count(""), known.now
    )  # the last to be locked, the first to be free again
    writes = [_campaign_row(campaign), messages, *_payloads(known.ids, items), *approval, *quotas]
    return Accepted(campaign, known.ids, reasons, writes)


def _campaign_row(held: Campaign) -> Statement:
    values = [
        held.pk, held.name, held.business_line_id, held.message_class, held.template_version_id, held.policy_code,
        held.policy_number, json.dumps(held.plan), json.dumps(held.audience), str(held.state), str(held.lane), held.priority,
        held.expires_at, held.expand_end, held.planned_count, held.source, held.created_at, held.started_at,
        None if held.forecast is None else json.dumps(held.forecast),
    ]  # fmt: skip
    return INSERT_CAMPAIGN, values


def _payloads(ids: Sequence[int], items: Sequence[NewMessage]) -> list[Statement]:
    seal = keyring().seal
    given = [
        (one, seal(_as_json(item.variables), PAYLOAD_PLACE).hex())
        for one, item in zip(ids, items, strict=True)
        if item.variables
    ]
    if not given:
        return []
    owners, sealed = zip(*given, strict=True)
    return [(INSERT_PAYLOADS, [_array(owners), "{" + ",".join(sealed) + "}"])]


def _array(numbers: Iterable[int | None]) -> str:
    """An array as Postgres writes it: one text is read twice as fast as an expression of thousands of elements."""
    return "{" + ",".join(["NULL" if one is None else str(one) for one in numbers]) + "}"


def _words(texts: Iterable[str]) -> str:
    """The same of our own reasons, which hold neither quote nor backslash."""
    return '{"' + '","'.join(texts) + '"}'


def _addresses(items: Sequence[NewMessage]) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], str]]:
    by_kind: dict[str, list[str]] = {}
    for item in items:
        if not item.user_id:
            by_kind.setdefault(item.address_kind, []).append(item.address)
    bound: dict[tuple[str, str], int] = {}
    refused: dict[tuple[str, str], str] = {}
    for kind, texts in by_kind.items():
        made = bind_raw_addresses(kind=kind, addresses=texts)
        bound |= {(kind, text): binding for text, binding in made.bound.items()}
        refused |= {(kind, text): f"bad_address: {bad.code}" for text, bad in made.refused.items()}
    return bound, refused


def _row(
    item: NewMessage,
    people: Mapping[str, int],
    addresses: Mapping[tuple[str, str], int],
    refused: Mapping[tuple[str, str], str],
) -> tuple[int | None, int | None, str]:
    """Person, binding and reason."""
    if item.user_id:
        person = people.get(item.user_id)
        return (person, None, "") if person else (None, None, "unknown_user")
    place = (item.address_kind, item.address)
    return (None, addresses[place], "") if place in addresses else (None, None, refused[place])
