"""Money: what is shown is the sum of its rows – by account, by class, by day – and leads to the people behind it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.campaigns.models import Campaign, Delivery, Message
from apps.operators.models import Operator
from apps.reports.costs import Only, Span, costs
from apps.reports.drill import MONEY_FIGURES, behind
from apps.reports.figures import campaign_figures
from tests.reports.rows import Person, Sent, World

pytestmark = pytest.mark.django_db
CROWD = [
    Person("SUCCEEDED", (Sent("push-main", 0, "UNDELIVERED", 1, "0"), Sent("sms-main", 1, "DELIVERED", 2, "0.09"))),
    Person("SUCCEEDED", (Sent("sms-main", 1, "READ", 1, "0.045"), Sent("sms-spare", 1, "UNDELIVERED", 3, "0.15"))),
    Person("FAILED", (Sent("sms-main", 1, "UNDELIVERED", 1, "0.045"), Sent("sms-spare", 1, "REJECTED", 3))),
    Person("FAILED", (Sent("sms-main", 1, "UNDELIVERED", 1, "0"),)),
    Person("UNKNOWN", (Sent("sms-main", 1, "UNKNOWN_FINAL", 2),)),
    Person("ACTIVE", (Sent("push-main", 0, "DELIVERED", 1, "0"), Sent("sms-main", 1, "HELD", tried=False))),
]


def held_for_room(campaign: Campaign) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_delivery SET reason = 'quota' WHERE state = 'HELD' AND campaign_id = %s", [campaign.pk]
        )


def test_totals_are_the_sums_of_their_rows_and_lead_to_them(world: World) -> None:
    campaign = world.campaign()
    world.write(campaign, CROWD)
    held_for_room(campaign)
    figures = campaign_figures(campaign.pk)
    rows = Delivery.objects.filter(campaign_id=campaign.pk, cost__isnull=False)
    assert figures.cost == sum(rows.values_list("cost", flat=True)) == Decimal("0.33")
    assert figures.pieces == sum(rows.values_list("pieces", flat=True)) == 10
    assert (figures.billed, figures.billed_failed, figures.failed_cost, figures.without_room) == (
        3,
        2,
        Decimal("0.195"),
        1,
    )
    assert figures.cost_per_delivered == Decimal("0.33") / 3
    by_account = figures.by_channel.values()
    assert sum(one["cost"] for one in by_account) == figures.cost
    assert sum(one["failed_cost"] for one in by_account) == figures.failed_cost
    assert figures.identities_hold, figures.identities()
    messages = Message.objects.filter(campaign_id=campaign.pk)
    assert {name: behind(name, messages).count() for name in MONEY_FIGURES} == {
        name: getattr(figures, name) for name in MONEY_FIGURES
    }
    for code, one in figures.by_channel.items():
        for name in ("billed", "billed_failed"):
            assert behind(f"{name}@{world.accounts[code].pk}", messages).count() == one[name], code  # type: ignore[literal-required]


def test_the_costs_of_a_span_are_the_same_whichever_way_they_are_added_up(world: World, client: Client) -> None:
    for message_class in ("marketing", "otp"):
        world.write(world.campaign(message_class=message_class), CROWD)
    today = timezone.localdate()
    span = Span(today, today)
    found = costs(span)
    (total,) = found.totals
    assert (total.currency, total.cost, total.failed_cost, total.pieces) == (
        "CNY",
        Decimal("0.66"),
        Decimal("0.39"),
        20,
    )
    for rows in (found.by_account, found.by_class, found.by_day, found.by_line, found.by_campaign):
        assert sum((row.cost for row in rows), Decimal(0)) == total.cost
        assert sum(row.pieces for row in rows) == total.pieces
        assert sum((row.failed_cost for row in rows), Decimal(0)) == total.failed_cost
    assert {row.label: row.cost for row in found.by_account} == {
        "sms-main (sms-main)": Decimal("0.36"), "sms-spare (sms-spare)": Decimal("0.30"), "push-main (push-main)": Decimal(0),
    }  # fmt: skip
    assert len(found.by_class) == len(found.by_campaign) == 2
    sms, otp = costs(span, Only(account=world.accounts["sms-main"].pk)), costs(span, Only(message_class="otp"))
    assert (sms.totals[0].cost, otp.totals[0].cost) == (Decimal("0.36"), Decimal("0.33"))
    assert costs(span, Only(line=-1)).totals == []
    place = "/console/costs/"
    client.force_login(Operator.objects.create_user("reader", password="x", is_staff=True))
    assert client.get(place).status_code == 403
    client.force_login(Operator.objects.create_superuser("boss", password="x"))
    page = client.get(place, {"from": today.isoformat(), "to": today.isoformat()}).content.decode()
    assert "0.66" in page and "0.39" in page
    narrow = client.get(place, {"from": today.isoformat(), "to": today.isoformat(), "class": "otp"}).content.decode()
    assert "0.33" in narrow and "0.66" not in narrow
    assert client.get(place, {"account": "no number"}).status_code == 200
    assert client.get(place, {"from": "2020-01-02", "to": "2020-01-01"}).status_code == 200, (
        "a wrong span is said, not thrown"
    )
