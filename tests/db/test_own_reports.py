"""What the business line's own systems report: reads and clicks that no provider tells, over the API, as receipts are merged."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

from django.db import connections
from django.test import Client
from django.utils import timezone, translation

from apps.campaigns.models import Campaign, Decision, Delivery, Receipt
from apps.campaigns.reporting import Report, take_reports
from apps.campaigns.timeline import message_timeline
from tests import installation
from tests.db.conftest import World

CLICK_OR_SMS = {
    "steps": [
        {"channels": [{"account": "push-main"}], "until": "clicked", "wait_seconds": 4},
        {"channels": [{"account": "sms-main"}], "until": "accepted"},
    ],
    "own_reports": True,
}


def pushed(world: World, count: int) -> tuple[Campaign, dict[str, int]]:
    """A campaign whose pushes were delivered and wait for a click, and its messages by user id."""
    people = world.people(count, ("phone", "jpush"))
    campaign = world.campaign(CLICK_OR_SMS)
    world.run(campaign, until=lambda: world.states(campaign).get("DELIVERED") == count)
    names = {one.pk: one.user_id for one in people}
    held = Delivery.objects.filter(campaign_id=campaign.pk).values_list("recipient_id", "message_id")
    return campaign, {names[person]: message for person, message in held}


def test_who_clicked_gets_no_sms_and_everybody_else_does(world: World) -> None:
    campaign, messages = pushed(world, 4)
    told = [
        Report("clicked", message_id=messages["P000000"]),
        Report("clicked", campaign_id=campaign.pk, user_id="P000001"),
        Report("read", message_id=messages["P000002"]),
        Report("clicked", campaign_id=campaign.pk, user_id="nobody"),
        Report("clicked", message_id=messages["P000003"], account="sms-main"),  # nothing went over it
    ]
    assert take_reports(business_line_id=world.line.pk, reports=told) == [3, 4]
    assert world.states(campaign) == {"CLICKED": 2, "READ": 1, "DELIVERED": 1}
    world.run(campaign)
    followed = set(Delivery.objects.filter(campaign_id=campaign.pk, step=1).values_list("message_id", flat=True))
    assert followed == {messages["P000002"], messages["P000003"]}
    assert set(Decision.objects.filter(rule="reissue").values_list("detail", flat=True)) == {"not_clicked_in_time"}
    with translation.override("en"):
        said = [one.words for one in message_timeline(messages["P000000"])]
    assert "The business line reports for App 推送: clicked." in said
    assert len(world.ledger()) == 4 + 2


def test_the_same_report_counts_once_in_any_order_and_at_once(world: World) -> None:
    campaign, messages = pushed(world, 3)
    at = timezone.now() - timedelta(seconds=1)
    told = [Report(state, at=at, message_id=one) for one in messages.values() for state in ("clicked", "read")]

    def again(order: int) -> None:
        try:
            take_reports(business_line_id=world.line.pk, reports=told[::order])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=again, args=(order,)) for order in (1, -1, 1, -1)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert world.states(campaign) == {"CLICKED": 3}
    assert Receipt.objects.filter(code="own_report").count() == 6
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 3} and len(world.ledger()) == 3


def test_a_click_after_the_next_step_has_gone_still_counts(world: World) -> None:
    campaign, messages = pushed(world, 1)
    world.run(campaign)
    assert Delivery.objects.filter(campaign_id=campaign.pk, step=1).exists()
    (message,) = messages.values()
    told = Report("clicked", message_id=message, account="push-main")
    assert take_reports(business_line_id=world.line.pk, reports=[told]) == []
    assert Delivery.objects.get(message_id=message, step=0).state == "CLICKED"
    assert world.messages(campaign) == {"SUCCEEDED": 1}


def test_the_call_names_what_is_wrong_and_tells_other_lines_nothing(world: World, client: Client) -> None:
    campaign, messages = pushed(world, 1)
    _line, stranger = installation.business_line("stranger")
    (message,) = messages.values()

    def post(events: Any, key: str) -> Any:
        headers = {"Authorization": f"Bearer {key}", "Accept-Language": "en"}
        return client.post("/api/v1/events", {"events": events}, content_type="application/json", headers=headers)

    event = {"state": "clicked", "message": str(message)}
    assert client.post("/api/v1/events", {"events": [event]}, content_type="application/json").status_code == 401
    assert post([event], stranger).json() == {"taken": 0, "unknown": [0]}
    assert (
        post([{"state": "clicked", "campaign": str(campaign.pk), "user_id": "P000000"}], stranger).json()["taken"] == 0
    )
    assert world.states(campaign) == {"DELIVERED": 1}
    later = (timezone.now() + timedelta(hours=1)).isoformat()
    for bad, place in (
        ({"state": "bought", "message": "1"}, "events[1].state"),
        ({"state": "read"}, "events[1].message"),
        ({"state": "read", "message": "1", "campaign": "1", "user_id": "x"}, "events[1].message"),
        ({"state": "read", "campaign": "1"}, "events[1].message"),
        ({"state": "read", "message": "9" * 19}, "events[1].message"),
        ({"state": "read", "message": "x"}, "events[1].message"),
        ({"state": "read", "message": "1", "at": later}, "events[1].at"),
        ({"state": "read", "message": "1", "at": "yesterday"}, "events[1].at"),
    ):
        refused = post([event, bad], stranger)
        assert refused.status_code == 400, bad
        assert [one["field"] for one in refused.json()["errors"]] == [place], bad
    assert post([], stranger).status_code == post([event] * 501, stranger).status_code == 400
    assert world.states(campaign) == {"DELIVERED": 1}, "nothing of a refused call is taken"
