"""A receipt that says "arrived" decides its message inside the merge's own statement: exactly as `next_step` would."""

from __future__ import annotations

from datetime import datetime
from itertools import product
from typing import Any

import pytest
from django.db import connection, transaction

from apps.campaigns.models import Delivery, Message
from apps.campaigns.pipeline.plan import loaded_plan
from apps.campaigns.pipeline.receipts import merge_events
from apps.campaigns.pipeline.settle import settle
from apps.campaigns.states import MESSAGE_MOVES, DeliveryState
from apps.channels.contract import ReceiptEvent
from apps.channels.models import ChannelAccount
from tests.db.conftest import World
from ums_site.clock import transaction_now
from ums_site.ids import to_base36

SMS, PUSH = {"channels": [{"account": "sms-main"}]}, {"channels": [{"account": "push-main"}]}
STEPS: dict[str, list[dict[str, Any]]] = {
    "one": [SMS],
    "both at once": [{"channels": [*SMS["channels"], *PUSH["channels"]], "mode": "all"}],
    "sms, then push": [{**SMS, "wait_seconds": 60}, PUSH],
    "push, then sms": [{**PUSH, "wait_seconds": 60}, SMS],
}
NEVER_CALLED = ("PENDING", "CANCELLED")
ACCEPTED_ONCE = ("ACCEPTED", "DELIVERED", "READ", "CLICKED", "UNDELIVERED", "CLOSED")
SAID = ("delivered", "read", "failed", "accepted")


class Ground:
    """A campaign with a message for every combination of states; a receipt comes for the SMS of each."""

    def __init__(self, world: World, name: str, until: str, message_class: str) -> None:
        policy = {"steps": [{**step, "until": until} for step in STEPS[name]]}
        nobody = {"kind": "filter", "tags_any": ["nobody"]}
        self.campaign = world.campaign(policy, message_class=message_class, audience=nobody)
        self.plan = loaded_plan(self.campaign)
        self.sms = ChannelAccount.objects.get(code="sms-main")
        self.push = ChannelAccount.objects.get(code="push-main")
        others = [None, *DeliveryState] if len(self.plan.channels()) > 1 else [None]
        cases = list(product(range(len(self.plan.steps)), MESSAGE_MOVES, DeliveryState, others, SAID))
        ids, now = iter(_new_ids(3 * len(cases))), transaction_now()
        messages, deliveries = [], []
        self.said: dict[int, str] = {}  # delivery -> what is said of it
        for step, message_state, state, other, said in cases:
            messages.append(
                Message(id=next(ids), campaign_id=self.campaign.pk, state=message_state, step=step, reason="before")
            )
            deliveries.append(self._delivery(next(ids), messages[-1].pk, self.sms, state, now))
            self.said[deliveries[-1].pk] = said
            if other is not None:
                deliveries.append(self._delivery(next(ids), messages[-1].pk, self.push, other, now))
        Message.objects.bulk_create(messages)
        Delivery.objects.bulk_create(deliveries)

    def _delivery(self, pk: int, message_id: int, account: ChannelAccount, state: str, now: datetime) -> Delivery:
        return Delivery(
            id=pk,
            message_id=message_id,
            campaign_id=self.campaign.pk,
            batch_id=0,
            account_id=account.pk,
            binding_id=0,
            step=next(s.number for s in self.plan.steps for c in s.channels if c.account_id == account.pk),
            state=state,
            attempts=0 if state in NEVER_CALLED else 1,
            first_intent_at=None if state in NEVER_CALLED else now,
            accepted_at=now if state in ACCEPTED_ONCE else None,
        )

    def events(self, now: datetime) -> list[ReceiptEvent]:
        return [ReceiptEvent(said, "X", now, to_base36(pk)) for pk, said in self.said.items()]  # type: ignore[arg-type]

    def outcome(self) -> dict[int, list[Any]]:
        """By message: its state, reason and step, and the account, state and reason of each delivery."""
        columns = ("id", "state", "reason", "step")
        rows = {row[0]: [row[1:]] for row in Message.objects.filter(campaign_id=self.campaign.pk).values_list(*columns)}
        found = Delivery.objects.filter(campaign_id=self.campaign.pk).order_by("id")
        for row in found.values_list("message_id", "account_id", "state", "reason"):
            rows[row[0]].append(row[1:])
        return rows


def _new_ids(count: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT ums_id() FROM generate_series(1, %s)", [count])
        return sorted(row[0] for row in cursor.fetchall())


Moved = list[tuple[int, int, str, str, datetime, datetime]]


def _moved(ground: Ground) -> Moved:
    """The deliveries that a receipt moved, with what it wrote."""
    columns = ("message_id", "id", "state", "reason", "accepted_at", "receipt_at")
    found = Delivery.objects.filter(campaign_id=ground.campaign.pk, receipt_at__isnull=False)
    return list(found.values_list(*columns))


def _move(moved: Moved) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_delivery d SET state = v.state, reason = v.reason, accepted_at = v.accepted, receipt_at = v.at "
            "FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[]) "
            "AS v(id, state, reason, accepted, at) WHERE d.id = v.id",
            [list(column) for column in zip(*(row[1:] for row in moved), strict=True)],
        )


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(("until", "message_class"), [("delivered", "marketing"), ("accepted", "otp")])
def test_the_statement_and_next_step_agree_on_every_combination(
    world: World, name: str, until: str, message_class: str
) -> None:
    with transaction.atomic():
        ground = Ground(world, name, until, message_class)
        now = transaction_now()
        before = transaction.savepoint()
        merge_events(ground.sms, ground.events(now), now)
        by_statement, moved = ground.outcome(), _moved(ground)
        transaction.savepoint_rollback(before)
        _move(moved)
        settle(ground.campaign, [row[0] for row in moved], now)
        by_next_step = ground.outcome()
        transaction.set_rollback(True)
    assert len(moved) > len(ground.said) // 3
    assert {pk: (by_statement[pk], row) for pk, row in by_next_step.items() if by_statement[pk] != row} == {}
    assert {row[0][0] for row in by_statement.values()} == set(MESSAGE_MOVES)
