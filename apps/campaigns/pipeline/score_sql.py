"""The score of scoring.py as SQL, for whole chunks of people at once: one index look-up a person and account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection

from apps.campaigns.models import SmartWeights
from apps.campaigns.pipeline.experience import faded
from apps.campaigns.scoring import (
    DECIMALS,
    NAMES,
    NONE,
    Candidate,
    Experience,
    Weights,
    class_log_seconds,
    class_rate,
    fade,
    scored,
    weights_of,
)


@dataclass(frozen=True, slots=True)
class Priced:
    """A slot with what a score needs beside the person: the text's price over its account, and the class's experience."""

    slot: int
    account_id: int
    price: float
    of_class: Experience = NONE


def held_weights(message_class: str) -> dict[str, float]:
    """What the console says of a class: its own weights, else everybody's, else nothing (then scoring's defaults hold)."""
    rows = {one.message_class: one for one in SmartWeights.objects.filter(message_class__in=["", message_class])}
    row = rows.get(message_class) or rows.get("")
    return {name: getattr(row, name) for name in NAMES} if row else {}


def weights_for(message_class: str, said: Mapping[str, Any] | None, order: str = "") -> Weights:
    """The weights in force for a campaign: the console's, with what its policy says over them."""
    return weights_of(held_weights(message_class), said, order=order)


def class_experience(message_class: str, account_ids: Sequence[int]) -> dict[int, Experience]:
    """Account -> what is known of it for a class, faded to now."""
    return _faded("campaigns_classexperience", "message_class", message_class, account_ids)


def person_experience(recipient_id: int, account_ids: Sequence[int]) -> dict[int, Experience]:
    """Account -> what is known of a person, faded to now."""
    return _faded("campaigns_personexperience", "recipient_id", recipient_id, account_ids)


def _faded(table: str, column: str, value: object, account_ids: Sequence[int]) -> dict[int, Experience]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT account_id, tried, delivered, timed, log_seconds, extract(epoch FROM now() - at)::float8 "
            f"FROM {table} WHERE {column} = %s AND account_id = ANY(%s)",
            [value, list(account_ids)],
        )
        rows = cursor.fetchall()
    found = {}
    for account_id, tried, delivered, timed, log_seconds, age in rows:
        left = fade(timedelta(seconds=age))
        found[account_id] = Experience(tried * left, delivered * left, timed * left, log_seconds * left)
    return found


def score_sql(
    one: Priced, step: Sequence[Priced], weights: Weights, bindings: str, person: str
) -> tuple[str, list[Any]]:
    """SQL and values of the score of a slot; never null.

    `bindings` is SQL of the array with the person's binding for each slot, `person` SQL of the recipient's id (null for
    an address without a person). `step` are all slots that it is compared with.
    """
    if weights.total() <= 0:
        return "0::float8", []
    unknown = scored([Candidate(one.slot, 0.0, NONE, one.of_class)], weights)[0]
    dearest = ", ".join(f"CASE WHEN {bindings}[{other.slot + 1}] IS NOT NULL THEN %s::float8 END" for other in step)
    known = f"""(SELECT %s::float8 * (e.delivered * e.f + %s) / (e.tried * e.f + %s)
        + %s::float8 * %s::float8 / (%s::float8 + exp((e.log_seconds * e.f + %s) / (e.timed * e.f + %s)) - 1)
        FROM (SELECT x.*, {faded("x")} AS f FROM campaigns_personexperience x
              WHERE x.recipient_id = {person} AND x.account_id = %s) e)"""
    strength, half = weights.strength, weights.half_seconds
    prior = strength * class_rate(one.of_class, weights)
    prior_log = strength * class_log_seconds(one.of_class, weights)
    values: list[Any] = [weights.reach, prior, strength, weights.speed, half, half, prior_log, strength, one.account_id]
    values += [weights.reach * unknown.rate + weights.speed * unknown.quickness, weights.price, one.price]
    values += [other.price for other in step]
    cheapness = f"coalesce(1 - %s::float8 / nullif(greatest({dearest}), 0), 1)"
    sql = f"floor((coalesce({known}, %s::float8) + %s::float8 * {cheapness}) * %s::float8 + 0.5) / 1e{DECIMALS}::float8"
    return f"({sql})", [*values, 10**DECIMALS / weights.total()]
