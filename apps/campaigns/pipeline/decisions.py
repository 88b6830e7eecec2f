"""The decision ledger's writers: a decision is noted in the transaction that carries it out, hundreds in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from apps.campaigns.pipeline.columns import numbers, texts

MOST_DETAIL = 400
Verdict = Literal["go", "hold", "stop", "let"]


class Decided(NamedTuple):
    """One decision about a message; `detail` has reason codes and moments, never an address, a name or a text."""

    message_id: int
    rule: str
    verdict: Verdict
    step: int = 0
    detail: str = ""


NOTE = """
INSERT INTO campaigns_decision (message_id, step, rule, verdict, detail)
SELECT * FROM unnest(%s::bigint[], %s::smallint[], %s::text[], %s::text[], %s::text[])
"""


def note(cursor: Any, decided: Sequence[Decided]) -> None:
    """Writes decisions with the transaction's time. Call inside the transaction that they are about."""
    if not decided:
        return
    ordered = sorted(decided, key=lambda one: one.message_id)  # the ledger is found by ranges of message ids
    cursor.execute(
        NOTE,
        [
            numbers(one.message_id for one in ordered),
            numbers(one.step for one in ordered),
            texts([one.rule for one in ordered]),
            texts([one.verdict for one in ordered]),
            texts([one.detail[:MOST_DETAIL] for one in ordered]),
        ],
    )
