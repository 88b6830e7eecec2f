"""Receipts: twice, in any order, before our own result, for nobody, unreadable – the states only ever rise."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, connections, transaction
from django.utils import timezone

from apps.campaigns.models import Campaign, Delivery, Message, Receipt, ReceiptInbox
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.pipeline.inbox import store
from apps.campaigns.pipeline.receipts import merge_next
from apps.campaigns.reporting import Report, take_reports
from apps.channels.models import ChannelAccount
from tests.db.conftest import World
from tests.waiting import until
from ums_site.ids import to_base36

DELIVERED_SMS = {"steps": [{"channels": [{"account": "sms-main"}], "until": "delivered"}]}


def _report(reference: str, phone: str, success: bool = True, minute: int = 4, **extra: Any) -> dict[str, Any]:
    code = extra.pop("err_code", "DELIVERED" if success else "UNDELIV")
    told = {"phone_number": phone, "success": success, "err_code": code, "out_id": reference, "biz_id": "1^0"}
    return {
        **told,
        "report_time": f"2026-11-02 11:{minute:02d}:09",
        "send_time": "2026-11-02 11:04:05",
        "sms_size": "1",
        **extra,
    }


def _store(*reports: dict[str, Any], body: bytes | None = None) -> int:
    account = ChannelAccount.objects.get(code="sms-main")
    raw = body if body is not None else json.dumps(reports).encode()
    return store(account_id=account.pk, headers={}, query={}, body=raw)


def _sent(world: World, count: int = 1) -> tuple[Campaign, list[Delivery]]:
    world.outside.control({"receipts": {"auto": False}})
    world.people(count)
    campaign = world.campaign(DELIVERED_SMS)
    world.run(campaign, until=lambda: world.states(campaign).get("ACCEPTED") == count)
    return campaign, list(Delivery.objects.filter(campaign_id=campaign.pk).order_by("id"))


def test_a_deadlock_costs_a_second_try_and_no_receipt(world: World) -> None:
    """Somebody holds the second message and asks for the first, while a merge holds the first and asks for the second."""
    world.people(2, ("jpush",))
    campaign = world.campaign({"steps": [{"channels": [{"account": "push-main"}], "until": "delivered"}]})
    world.outside.control({"world": {"jpush": {"offline": 1.0}}})
    world.run(campaign, until=lambda: world.states(campaign).get("ACCEPTED") == 2)
    first, second = Delivery.objects.filter(campaign_id=campaign.pk).order_by("message_id")
    reports = [Report("read", message_id=one.message_id) for one in (first, second)]
    merged: list[list[int]] = []

    def merge() -> None:
        try:
            merged.append(take_reports(business_line_id=world.line.pk, reports=reports))
        finally:
            connections.close_all()

    lock = "SELECT 1 FROM campaigns_message WHERE id = %s FOR UPDATE"
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL deadlock_timeout = '60s'")  # so that the merge is the one that is ended
        cursor.execute(lock, [second.message_id])
        other = threading.Thread(target=merge)
        other.start()

        def stands() -> bool:
            cursor.execute(waiting)
            return bool(cursor.fetchone()[0])

        until(stands)
        cursor.execute(lock, [first.message_id])
    other.join()
    assert merged == [[]] and world.states(campaign) == {"READ": 2}
    assert world.messages(campaign) == {"SUCCEEDED": 2}


def test_the_same_receipt_five_times_is_one_fact(world: World) -> None:
    campaign, (delivery,) = _sent(world)
    report = _report(to_base36(delivery.pk), "13900000000")
    for _time in range(5):
        _store(report, report)
        merge_next()
    assert Receipt.objects.filter(delivery_id=delivery.pk).count() == 1
    delivery.refresh_from_db()
    assert delivery.state == "DELIVERED"
    assert world.messages(campaign) == {"SUCCEEDED": 1}


def test_good_news_outranks_bad_news_in_either_order(world: World) -> None:
    _campaign, (one, two) = _sent(world, 2)
    good = [_report(to_base36(d.pk), f"1390000000{n}", minute=4) for n, d in enumerate((one, two))]
    bad = [_report(to_base36(d.pk), f"1390000000{n}", success=False, minute=5) for n, d in enumerate((one, two))]
    _store(good[0])
    merge_next()
    _store(bad[0], bad[1])
    merge_next()
    _store(good[1])
    merge_next()
    assert set(Delivery.objects.filter(pk__in=[one.pk, two.pk]).values_list("state", flat=True)) == {"DELIVERED"}


def test_a_receipt_may_overtake_our_own_result(world: World) -> None:
    world.outside.control({"receipts": {"auto": False}})
    world.people(1)
    campaign = world.campaign(DELIVERED_SMS)
    while expand_next(campaign.lane):
        pass
    delivery = Delivery.objects.get(campaign_id=campaign.pk)
    Delivery.objects.filter(pk=delivery.pk).update(state="SENDING", epoch=1, attempts=1, first_intent_at=timezone.now())
    _store(_report(to_base36(delivery.pk), "13900000000"))
    merge_next()
    delivery.refresh_from_db()
    assert delivery.state == "DELIVERED" and delivery.accepted_at
    assert Message.objects.get(pk=delivery.message_id).state == "SUCCEEDED"


def test_a_receipt_for_nobody_waits_and_is_given_up_after_three_days(world: World) -> None:
    row = _store(_report("zzzzzzzzzzz", "13900000000"))
    merge_next()
    held = ReceiptInbox.objects.get(pk=row)
    assert held.state == "UNMATCHED" and held.next_try_at > timezone.now()
    ReceiptInbox.objects.filter(pk=row).update(
        received_at=datetime.now(UTC) - timedelta(days=4), next_try_at=timezone.now()
    )
    merge_next()
    held.refresh_from_db()
    assert held.state == "UNMATCHED" and held.next_try_at is None


def test_an_unreadable_body_holds_nobody_up(world: World) -> None:
    _campaign, (delivery,) = _sent(world)
    bad = _store(body=b'{"not": ')
    worse = _store(body=b"\xff\xfe[[[[")
    _store(_report(to_base36(delivery.pk), "13900000000"))
    merge_next()
    assert set(ReceiptInbox.objects.filter(pk__in=[bad, worse]).values_list("state", flat=True)) == {"BAD"}
    delivery.refresh_from_db()
    assert delivery.state == "DELIVERED"


def test_an_address_that_does_not_exist_is_not_tried_again(world: World) -> None:
    campaign, (delivery,) = _sent(world)
    _store(_report(to_base36(delivery.pk), "13900000000", success=False, err_code="MK:0001"))
    merge_next()
    assert world.messages(campaign) == {"FAILED every_step_failed": 1}
    again = world.run(world.campaign(DELIVERED_SMS))
    assert world.messages(again) == {"INVALID no_usable_address": 1}
