"""Frequency caps and the duplicate guard: one row a person, exact whatever works at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.campaigns.accepting import NewMessage, accept_messages
from apps.campaigns.caps import capped_now
from apps.campaigns.models import Campaign, Contact, Decision, Delivery, DuplicateGuard, FrequencyCap, Withheld
from apps.campaigns.pipeline import contacts
from apps.campaigns.pipeline.contacts import Cap, Limits, Place
from apps.campaigns.tasks import drain
from apps.partners.allowances import save_allowance
from apps.partners.models import Allowance
from apps.users.lists import add_blacklist
from apps.users.models import Recipient
from tests.conftest import ROOT
from tests.db.conftest import PUSH_THEN_SMS, SMS, World

DAY = timedelta(days=1)
HOUR = Cap("hour", 2, 1, "hours", "UTC", ["marketing"], None, "")


def limits(
    *caps: Cap, repeats: timedelta = timedelta(0), line: int = 1, kind: str = "sms", of: str = "marketing"
) -> Limits:
    return Limits(of, line, kind, caps, repeats, 10 * DAY)


def take(held: Limits, *places: tuple[int, int, int], now: datetime | None = None) -> dict[int, str]:
    """Message id -> why not, of (person, message, content), in a transaction of its own."""
    asked = [Place(contacts.subject_of(person, b""), message, content) for person, message, content in places]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        refused = contacts.take(cursor, held, asked, now or cursor.fetchone()[0])
    return {message: one.cap or one.rule for message, one in refused.items()}


def age(seconds: float) -> None:
    """Everything that was counted was counted so much earlier."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_contact SET contacts = ARRAY(SELECT ROW(o.at - make_interval(secs => %s), o.message_id, "
            "o.content, o.line, o.class, o.kind, o.first)::campaigns_contacted FROM unnest(contacts) o)",
            [seconds],
        )


@pytest.mark.django_db(transaction=True)
def test_a_message_counts_once_whatever_follows() -> None:
    held = limits(HOUR)
    assert take(held, (1, 11, 1), (1, 12, 2), (1, 13, 3), (2, 21, 1)) == {13: "hour"}
    assert take(held, (1, 11, 1)) == {}, "a retry has its pass"
    by_push = limits(HOUR, kind="push")
    assert take(by_push, (1, 12, 9)) == {}, "so has its next step over another channel"
    assert take(by_push, (1, 14, 4)) == {14: "hour"}, "which does not count again, nor makes room"
    age(3601)
    assert take(held, (1, 15, 5), (1, 16, 6), (1, 17, 7)) == {17: "hour"}
    other = limits(HOUR._replace(classes=["transactional"]), of="transactional")
    assert take(other, (1, 18, 1)) == {}, "what a cap does not count does not fill it"


@pytest.mark.django_db(transaction=True)
def test_a_cap_of_a_line_and_a_kind_counts_only_those() -> None:
    sms, line = HOUR._replace(code="sms", most=1, kind="sms"), HOUR._replace(code="line", most=1, line=7)
    assert take(limits(line, sms, line=7, kind="sms"), (1, 1, 1)) == {}
    assert take(limits(line, line=7, kind="push"), (1, 2, 2)) == {2: "line"}
    assert take(limits(kind="push", line=8), (1, 3, 3)) == {}
    assert take(limits(sms, line=8), (1, 4, 4), (1, 3, 3)) == {4: "sms", 3: "sms"}, (
        "over SMS message 3 would be the second"
    )
    assert take(limits(sms, line=7), (1, 1, 1)) == {}


@pytest.mark.django_db(transaction=True)
def test_the_same_text_goes_once() -> None:
    held = limits(repeats=DAY)
    assert take(held, (1, 1, 77), (1, 2, 77), (2, 3, 77), (1, 4, 78)) == {2: "duplicate_content"}
    assert take(held, (1, 1, 77)) == {}, "a retry of the same message is no repetition"
    age(86401)
    assert take(held, (1, 5, 77)) == {}


@pytest.mark.django_db(transaction=True)
def test_calendar_days_begin_at_midnight_of_their_zone() -> None:
    day = Cap("day", 1, 1, "calendar_days", "Asia/Shanghai", ["marketing"], None, "")
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        now = cursor.fetchone()[0]
    assert take(limits(day), (1, 1, 1)) == {}
    assert take(limits(day), (1, 2, 2), now=now) == {2: "day"}
    assert take(limits(day), (1, 2, 2), now=now + DAY) == {}, "asked tomorrow, today's does not count"


Granted = tuple[int, int, datetime]  # person, message, the transaction's time


def _busy(held: Limits, seed: int, seconds: float) -> tuple[list[Granted], list[tuple[int, datetime, datetime]]]:
    """One dispatcher's windows for a while, on a connection of its own: what was granted, and what was refused when."""
    chance, granted, refused = random.Random(seed), [], []
    end = timezone.now() + timedelta(seconds=seconds)
    message = seed * 1_000_000
    try:
        while timezone.now() < end:
            people = [chance.randrange(6) for _number in range(chance.randint(1, 8))]
            places = []
            for person in people:
                message += 1
                places.append(Place(contacts.subject_of(person, b""), message, message))
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT now()")
                now = cursor.fetchone()[0]
                no = contacts.take(cursor, held, places, now)
            for person, place in zip(people, places, strict=True):
                if place.message_id in no:
                    refused.append((person, now, timezone.now()))
                else:
                    granted.append((person, place.message_id, now))
    finally:
        connection.close()
    return granted, refused


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("most", [1, 4])
def test_window_n_means_n_and_never_fewer(most: int) -> None:
    """Six dispatchers at once: in no span are more than N, and nobody is refused while fewer than N stand in the span."""
    span = timedelta(seconds=0.5)
    held = limits(Cap("fast", most, 500, "milliseconds", "UTC", ["marketing"], None, ""))
    with ThreadPoolExecutor(6) as pool:
        heard = list(pool.map(lambda seed: _busy(held, seed, 2.2), range(1, 7)))
    granted = [one for some, _no in heard for one in some]
    refused = [one for _some, no in heard for one in no]
    assert len(refused) > 100 and len(granted) >= 6 * most * 4
    for person in range(6):
        times = sorted(at for who, _message, at in granted if who == person)
        assert all(later - first >= span for first, later in zip(times, times[most:], strict=False))
        for at, until in [(at, until) for who, at, until in refused if who == person]:
            assert sum(at - span < one <= until for one in times) >= most, "refused while there was room"


# the same through campaigns, workers and the simulated providers


@pytest.fixture
def twice(world: World) -> World:
    """Two messages a day for everybody."""
    FrequencyCap.objects.create(code="two", name="two a day", most=2, span_count=1, span_unit="days")
    return world


def _drain(lane: str) -> None:
    try:
        drain(lane, 20)
    finally:
        connection.close()


def test_campaigns_and_workers_at_once_stay_under_the_cap(twice: World) -> None:
    """The capped stand among those who are not, and hold nobody up; each refusal is on record with what it spared."""
    twice.people(40)
    first = twice.campaign(audience={"kind": "filter", "user_ids": [f"P{number:06d}" for number in range(0, 40, 2)]})
    twice.run(first)
    campaigns = [first, *(twice.campaign() for _number in range(3))]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_drain, ["bulk"] * 4))
    for one in campaigns:
        twice.run(one)
    got = Counter(Delivery.objects.filter(state="ACCEPTED").values_list("recipient_id", flat=True))
    assert len(twice.ledger()) == 80 and len(got) == 40 and set(got.values()) == {2}
    states = sum((Counter(twice.messages(one)) for one in campaigns), Counter())
    assert states == {"SUCCEEDED": 80, "BLOCKED frequency_cap: two": 60}
    withheld = Withheld.objects.all()
    assert withheld.count() == 60 and set(withheld.values_list("rule", "cap")) == {("frequency_cap", "two")}
    assert {(one.pieces, one.price) for one in withheld} == {(1, Decimal("0.045"))}
    told = Decision.objects.filter(message_id__in=withheld.values("message_id"), rule="frequency_cap")
    assert set(told.values_list("verdict", "detail")) == {("stop", "two")} and told.count() == 60


def test_a_worker_killed_between_take_and_commit_takes_no_place(twice: World) -> None:
    FrequencyCap.objects.update(most=1)
    twice.people(3)
    campaign = twice.campaign()
    place = {**os.environ, "UMS_FAILPOINT": "intent_before_commit:kill9"}
    done = subprocess.run([sys.executable, "manage.py", "work", "bulk", "--direct"], cwd=ROOT, env=place, timeout=60)
    assert done.returncode == -signal.SIGKILL and not Contact.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE campaigns_batch SET lease_until = now() - interval '1 h' WHERE state = 'LEASED'")
    twice.run(campaign)
    assert twice.messages(campaign) == {"SUCCEEDED": 3} and Contact.objects.count() == 3


def test_what_a_budget_holds_back_has_taken_no_place(twice: World) -> None:
    """The wall of the day's quota stands behind the caps: who waits for tomorrow counts tomorrow."""
    twice.people(4)
    quota = Allowance(name="q", business_line=twice.line, unit="messages", period="day", most=Decimal(1), wall="hold")
    save_allowance(actor="test", allowance=quota)
    campaign = twice.run(twice.campaign(), until=lambda: Delivery.objects.filter(state="HELD").count() == 3)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM campaigns_contact WHERE cardinality(contacts) = 1")
        assert cursor.fetchone()[0] == 1 and Delivery.objects.filter(campaign_id=campaign.pk).count() == 4


def test_a_step_that_follows_a_refusal_is_no_new_message(twice: World) -> None:
    FrequencyCap.objects.update(most=1)
    twice.people(2, kinds=("jpush", "phone"))
    twice.script("jpush", "refuse")
    campaign = twice.run(twice.campaign(PUSH_THEN_SMS))
    assert twice.messages(campaign) == {"SUCCEEDED": 2}
    vip = Recipient.objects.get(user_id="P000001")
    add_blacklist(actor="test", recipient=vip, effect="allow", reason="tester", source="test")
    campaign = twice.run(twice.campaign())
    assert twice.messages(campaign) == {"SUCCEEDED": 1, "BLOCKED frequency_cap: two": 1}, "the whitelist lifts it"


def test_the_same_text_from_two_calls_of_the_api_goes_once(world: World) -> None:
    """Four connections, four idempotency keys, one body: exactly one of the messages goes."""
    DuplicateGuard.objects.all().delete()

    def send() -> Campaign:
        item = NewMessage(address_kind="phone", address="13900000077", variables={"name": "杜", "balance": 1})
        return accept_messages(
            actor=world.line, business_line=world.line, template_version=world.version, policy=SMS,
            message_class="transactional", items=[item],
        )[0]  # fmt: skip

    campaigns = [send() for _number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_drain, ["notice"] * 4))
    for one in campaigns:
        world.run(one)
    ends = sorted(state for one in campaigns for state in world.messages(one))
    assert ends == ["BLOCKED duplicate_content"] * 3 + ["SUCCEEDED"] and len(world.ledger()) == 1
    DuplicateGuard.objects.create(business_line=world.line, message_class="transactional", window_hours=0)
    world.run(send())
    assert len(world.ledger()) == 2, "this line wants no guard"


def test_those_who_are_full_can_be_counted_beforehand(twice: World) -> None:
    twice.people(4)
    twice.run(twice.campaign(audience={"kind": "filter", "user_ids": ["P000000", "P000001"]}))
    FrequencyCap.objects.update(most=1)
    campaign = twice.campaign(scheduled_at=timezone.now() + DAY)
    sql, values = capped_now(campaign)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM users_recipient r WHERE {sql}", values)
        assert cursor.fetchone()[0] == 2
    contacts.forget()
    assert Contact.objects.count() == 2
    Contact.objects.update(last_at=timezone.now() - 2 * DAY)
    contacts.forget()
    assert not Contact.objects.exists()
