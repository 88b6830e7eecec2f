"""What became of tries is counted once, whoever dies while counting; and the SQL's score is the pure one's."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
from django.db import connection, connections

from apps.campaigns.models import ClassExperience, Delivery, PersonExperience, SmartWeights
from apps.campaigns.pipeline import experience
from apps.campaigns.pipeline.experience import count_due
from apps.campaigns.pipeline.score_sql import (
    Priced,
    class_experience,
    person_experience,
    score_sql,
    weights_for,
)
from apps.campaigns.scoring import Candidate, Experience, Weights, scored
from apps.channels.models import ChannelAccount
from apps.users.services import delete_recipient
from tests.db.conftest import World

UNTIL_DELIVERED = {"steps": [{"channels": [{"account": "push-main"}], "until": "delivered"}]}


def _forget() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE campaigns_personexperience, campaigns_classexperience, campaigns_experiencedue")
        cursor.execute("DELETE FROM campaigns_experiencemark")
        cursor.execute("INSERT INTO campaigns_experiencemark (batch_id, looked_at) VALUES (0, now())")


def _hurry(sql: str = "UPDATE campaigns_experiencedue SET due_at = now()") -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


class Died(Exception):
    pass


def test_each_try_counts_once_whoever_dies(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _forget()
    people = world.people(40, ("jpush",))
    campaign = world.run(world.campaign(UNTIL_DELIVERED))
    states = world.states(campaign)
    arrived = states.get("DELIVERED", 0)
    assert arrived
    assert count_due() == 0  # noted, and looked at a minute later
    _hurry()

    def die(name: str) -> None:
        raise Died(name)

    with monkeypatch.context() as patched:
        patched.setattr(experience, "failpoint", die)
        with pytest.raises(Died):
            count_due()
    assert not PersonExperience.objects.exists()

    runners = [threading.Thread(target=_count_and_close) for _number in range(3)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert count_due() == 0
    of_class = ClassExperience.objects.get(message_class="marketing")
    measured = sum(states.get(state, 0) for state in ("DELIVERED", "UNDELIVERED", "CLOSED"))
    assert (of_class.tried, of_class.delivered, of_class.timed) == (measured, arrived, arrived)
    assert {row.tried for row in PersonExperience.objects.all()} == {1.0}
    assert PersonExperience.objects.count() == measured <= len(people)

    world.run(world.campaign(UNTIL_DELIVERED))
    count_due()
    _hurry("UPDATE campaigns_experiencedue SET due_at = now()")
    _hurry("UPDATE campaigns_personexperience SET at = at - interval '90 days'")
    count_due()
    row = PersonExperience.objects.first()
    assert row is not None and abs(row.tried - 1.5) < 0.001  # one that faded to a half, and a new one
    delete_recipient(actor="test", recipient=people[0])
    assert PersonExperience.objects.count() == measured - 1, "whoever is deleted takes it along"


def _count_and_close() -> None:
    try:
        count_due()
    finally:
        connections.close_all()


def test_what_is_silent_for_a_day_counts_as_not_delivered_and_not_before(world: World) -> None:
    _forget()
    ChannelAccount.objects.filter(code="push-main").update(receipt_window="3 days")
    world.people(3, ("jpush",))
    campaign = world.campaign(UNTIL_DELIVERED)
    world.run(campaign, until=lambda: sum(world.states(campaign).values()) == 3 and not _open(campaign.pk))
    Delivery.objects.filter(campaign_id=campaign.pk).update(state="ACCEPTED", receipt_at=None)
    count_due()
    _hurry()
    assert count_due() == 0
    Delivery.objects.filter(campaign_id=campaign.pk).update(accepted_at="2026-01-01T00:00:00Z")
    _hurry()
    assert count_due() == 1
    of_class = ClassExperience.objects.get(message_class="marketing")
    assert (of_class.tried, of_class.delivered) == (3.0, 0.0)

    _forget()
    mail = ChannelAccount.objects.get(code="mail-main")
    Delivery.objects.filter(campaign_id=campaign.pk).update(account_id=mail.pk, state="CLOSED")
    count_due()
    _hurry()
    assert count_due() == 1 and not ClassExperience.objects.exists(), "only bounces come back: silence is no failure"


def _open(campaign_id: int) -> int:
    return Delivery.objects.filter(campaign_id=campaign_id, state__in=["PENDING", "SENDING", "HELD"]).count()


@pytest.mark.django_db
def test_the_score_in_sql_is_the_pure_one() -> None:
    dice = random.Random(4)
    people, accounts = range(1, 41), [11, 12, 13]
    with connection.cursor() as cursor:
        for person in people:
            for account in accounts:
                if dice.random() < 0.7:
                    cursor.execute(
                        "INSERT INTO campaigns_personexperience VALUES (%s, %s, %s, %s, %s, %s, now() - %s * interval '1 d')",
                        [person, account, *_some(dice), dice.choice([0, 3, 90, 400])],
                    )
        for account in accounts[:2]:
            cursor.execute(
                "INSERT INTO campaigns_classexperience VALUES ('marketing', %s, %s, %s, %s, %s, now() - interval '9 d')",
                [account, *_some(dice)],
            )
    for by in (Weights(), Weights(reach=1, price=0, speed=7, strength=0.5), Weights(reach=0, price=0, speed=0)):
        of_class = class_experience("marketing", accounts)
        step = [
            Priced(slot, account, dice.choice([0.0, 0.01, 0.045]), of_class.get(account, Experience()))
            for slot, account in enumerate(accounts)
        ]
        for person in people:
            reached = [dice.random() < 0.8 for _account in accounts]
            assert _in_sql(step, by, person, reached) == pytest.approx(_pure(step, by, person, reached), abs=2e-6)


def _some(dice: random.Random) -> list[float]:
    tried = dice.randint(1, 30)
    delivered = dice.randint(0, tried)
    return [tried, delivered, delivered, delivered * dice.random() * 8]


def _in_sql(step: list[Priced], by: Weights, person: int, reached: list[bool]) -> list[float]:
    bindings = "{" + ",".join("1" if one else "NULL" for one in reached) + "}"
    columns, values = [], []
    for one in step:
        sql, its_values = score_sql(one, step, by, "p.bindings", "p.recipient_id")
        columns.append(sql)
        values += its_values
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(columns)} FROM (SELECT %s::bigint AS recipient_id, %s::bigint[] AS bindings) p",
            [*values, person, bindings],
        )
        row = [float(one) for one in cursor.fetchone()]
    return [score for score, here in zip(row, reached, strict=True) if here]


def _pure(step: list[Priced], by: Weights, person: int, reached: list[bool]) -> list[float]:
    own = person_experience(person, [one.account_id for one in step])
    held = [
        Candidate(one.slot, one.price, own.get(one.account_id, Experience()), one.of_class)
        for one, here in zip(step, reached, strict=True)
        if here
    ]
    return [one.score for one in sorted(scored(held, by), key=lambda one: one.slot)]


@pytest.mark.django_db
def test_a_class_has_its_own_weights_or_those_of_all_and_a_policy_over_them() -> None:
    assert weights_for("otp", None) == Weights()
    SmartWeights.objects.create(message_class="", price=5)
    SmartWeights.objects.create(message_class="otp", speed=70)
    found: dict[str, Any] = {one: weights_for(one, {"reach": 1}) for one in ("otp", "marketing")}
    assert (found["otp"].speed, found["otp"].price, found["otp"].reach) == (70, Weights().price, 1)
    assert (found["marketing"].speed, found["marketing"].price) == (Weights().speed, 5)


def test_a_smart_step_sends_each_person_where_it_arrives(world: World) -> None:
    _forget()
    people = world.people(20, ("jpush", "phone"))
    push = ChannelAccount.objects.get(code="push-main")
    with connection.cursor() as cursor:
        for person in people[::2]:
            cursor.execute(
                "INSERT INTO campaigns_personexperience VALUES (%s, %s, 40, 0, 0, 0, now())", [person.pk, push.pk]
            )
    step = {"channels": [{"account": "sms-main"}, {"account": "push-main"}], "mode": "smart", "until": "accepted"}
    campaign = world.run(world.campaign({"steps": [step]}))
    taken = dict(Delivery.objects.filter(campaign_id=campaign.pk).values_list("recipient_id", "account_id"))
    assert {person.pk for person in people if taken[person.pk] != push.pk} == {person.pk for person in people[::2]}
    fixed = world.run(world.campaign({"steps": [step], "order": "fixed"}))
    assert not Delivery.objects.filter(campaign_id=fixed.pk, account_id=push.pk).exists(), "the policy's own order"
