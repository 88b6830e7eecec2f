"""Campaigns written row by row: messages and deliveries in whatever state a test needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.utils import timezone

from tests import installation

if TYPE_CHECKING:
    from apps.campaigns.models import Campaign
    from apps.channels.models import ChannelAccount

NOON = datetime.fromisoformat("2026-11-23T12:00:00+08:00")


@dataclass(frozen=True, slots=True)
class Sent:
    """One delivery: account code, step (from 0), state; `tried` false where no call was made."""

    account: str
    step: int
    state: str
    pieces: int = 0
    cost: str | None = None
    at: int = 0  # seconds after noon of the receipt
    tried: bool = True


@dataclass(frozen=True, slots=True)
class Person:
    """One message with its deliveries."""

    state: str
    deliveries: tuple[Sent, ...] = ()
    reason: str = ""


@dataclass(slots=True)
class World:
    """Accounts push-main, sms-main and sms-spare in a policy: push, then sms-main and sms-spare."""

    accounts: dict[str, ChannelAccount] = field(default_factory=dict)

    def build(self) -> World:
        self.line, _key = installation.business_line()
        self.accounts["push-main"] = installation.account("push_jpush", "push-main")
        self.accounts["sms-main"] = installation.account("sms_aliyun", "sms-main", "0.045")
        self.accounts["sms-spare"] = installation.account("sms_aliyun", "sms-spare", "0.05")
        self.version = installation.template()
        return self

    line: Any = None
    version: Any = None

    def campaign(self, steps: list[dict[str, Any]] | None = None, **changes: Any) -> Campaign:
        from apps.campaigns.models import Campaign
        from apps.campaigns.policy import freeze
        from apps.channels.selectors import account_facts

        policy = {"steps": steps or STEPS}
        with connection.cursor() as cursor:
            cursor.execute("SELECT ums_id()")
            (number,) = cursor.fetchone()
        values: dict[str, Any] = {
            "name": "test",
            "business_line": self.line,
            "message_class": "marketing",
            "template_version": self.version,
            "plan": freeze(policy, account_facts(self.line)),
            "audience": {"kind": "given"},
            "lane": "bulk",
            "state": "RUNNING",
            "created_at": timezone.now(),
            "started_at": timezone.now(),
        }
        return Campaign.objects.create(id=number, **values | changes)

    def write(self, campaign: Campaign, people: list[Person]) -> None:
        """Adds these people to the campaign."""
        from apps.campaigns.models import Delivery, Message

        with connection.cursor() as cursor:
            cursor.execute("SELECT ums_id() FROM generate_series(1, %s)", [len(people)])
            ids = [row[0] for row in cursor.fetchall()]
            cursor.execute("SELECT ums_id() FROM generate_series(1, %s)", [sum(len(one.deliveries) for one in people)])
            delivery_ids = iter([row[0] for row in cursor.fetchall()])
        Message.objects.bulk_create(
            [
                Message(id=number, campaign_id=campaign.pk, state=one.state, reason=one.reason)
                for number, one in zip(ids, people, strict=True)
            ]
        )
        Delivery.objects.bulk_create(
            [
                Delivery(
                    id=next(delivery_ids),
                    message_id=number,
                    campaign_id=campaign.pk,
                    batch_id=1,
                    account_id=self.accounts[sent.account].pk,
                    binding_id=1,
                    step=sent.step,
                    state=sent.state,
                    attempts=int(sent.tried),
                    first_intent_at=NOON if sent.tried else None,
                    accepted_at=timezone.now() if sent.cost is not None else None,
                    receipt_at=NOON + timedelta(seconds=sent.at) if sent.state in HEARD else None,
                    pieces=sent.pieces,
                    cost=None if sent.cost is None else Decimal(sent.cost),
                )
                for number, one in zip(ids, people, strict=True)
                for sent in one.deliveries
            ]
        )


HEARD = ("DELIVERED", "READ", "CLICKED", "UNDELIVERED")
STEPS: list[dict[str, Any]] = [
    {"channels": [{"account": "push-main"}], "wait_seconds": 60},
    {"channels": [{"account": "sms-main"}, {"account": "sms-spare"}], "mode": "all"},
]
