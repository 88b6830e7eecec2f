"""Figures against rows written by hand, and against counting person by person."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from apps.campaigns.states import DeliveryState, MessageState
from apps.reports.figures import Figures, campaign_figures
from tests.reports.rows import Person, Sent, World

pytestmark = pytest.mark.django_db


def push(state: str, **more: object) -> Sent:
    return Sent("push-main", 0, state, **more)  # type: ignore[arg-type]


def sms(state: str, **more: object) -> Sent:
    return Sent("sms-main", 1, state, **more)  # type: ignore[arg-type]


CASES: dict[str, tuple[Person, set[str]]] = {
    "unknown user": (Person("INVALID", reason="unknown_user"), {"invalid"}),
    "blacklisted": (Person("BLOCKED", reason="blacklisted"), {"blocked"}),
    "planned": (Person("PLANNED"), {"in_progress"}),
    "waiting to be sent": (Person("ACTIVE", (push("PENDING", tried=False),)), {"in_progress"}),
    "held": (Person("ACTIVE", (push("HELD"),)), {"in_progress"}),
    "in the call": (Person("ACTIVE", (push("SENDING"),)), {"in_progress"}),
    "outcome open": (Person("ACTIVE", (push("UNKNOWN"),)), {"in_progress"}),
    "outcome open though called off": (Person("CANCELLED", (push("UNKNOWN"),)), {"in_progress"}),
    "refused, next step to come": (Person("ACTIVE", (push("REJECTED"),)), {"in_progress"}),
    "refused everywhere": (Person("FAILED", (push("REJECTED"), sms("REJECTED"))), {"refused", "reissued"}),
    "expired unsent": (Person("EXPIRED", (push("CANCELLED", tried=False),)), {"refused"}),
    "called off unsent": (Person("CANCELLED", (push("CANCELLED", tried=False),)), {"recalled"}),
    "accepted, window open": (Person("ACTIVE", (push("ACCEPTED"),)), {"accepted", "in_window"}),
    "delivered": (Person("SUCCEEDED", (push("DELIVERED"),)), {"accepted", "delivered"}),
    "read": (Person("SUCCEEDED", (push("READ"),)), {"accepted", "delivered", "read"}),
    "clicked": (Person("SUCCEEDED", (push("CLICKED"),)), {"accepted", "delivered", "read", "clicked"}),
    "reported as failed": (Person("FAILED", (push("UNDELIVERED"),)), {"accepted", "undelivered"}),
    "window over": (Person("UNKNOWN", (push("CLOSED"),)), {"accepted", "unknown"}),
    "outcome never known": (Person("UNKNOWN", (push("UNKNOWN_FINAL"),)), {"accepted", "unknown"}),
    "failed, then rescued": (
        Person("SUCCEEDED", (push("UNDELIVERED"), sms("DELIVERED"))),
        {"accepted", "delivered", "reissued", "rescued"},
    ),
    "straight to the second step": (Person("SUCCEEDED", (sms("DELIVERED"),)), {"accepted", "delivered"}),
    "refused, then window open": (
        Person("ACTIVE", (push("REJECTED"), sms("ACCEPTED"))),
        {"accepted", "in_window", "reissued"},
    ),
    "failed, second outcome open": (
        Person("ACTIVE", (push("UNDELIVERED"), sms("UNKNOWN"))),
        {"accepted", "in_window", "reissued"},
    ),
    "silent, then failed": (
        Person("UNKNOWN", (push("CLOSED"), sms("UNDELIVERED"))),
        {"accepted", "unknown", "reissued"},
    ),
    "both failed": (
        Person("FAILED", (push("UNDELIVERED"), sms("UNDELIVERED"))),
        {"accepted", "undelivered", "reissued"},
    ),
    "second first, then the first after all": (
        Person("SUCCEEDED", (push("DELIVERED", at=90), sms("DELIVERED", at=80))),
        {"accepted", "delivered", "reissued", "rescued", "delivered_on_several"},
    ),
    "first first, then the second too": (
        Person("SUCCEEDED", (push("DELIVERED", at=70), sms("DELIVERED", at=80))),
        {"accepted", "delivered", "reissued", "delivered_on_several"},
    ),
    "forbidden after the first step was accepted": (
        Person("BLOCKED", (push("UNDELIVERED"),), "blacklisted"),
        {"accepted", "undelivered"},
    ),
    "expired after acceptance": (Person("EXPIRED", (push("CLOSED"),)), {"accepted", "unknown"}),
}
COUNTS = (
    "invalid", "blocked", "accepted", "refused", "in_progress", "recalled", "delivered", "undelivered", "unknown",
    "in_window", "read", "clicked", "reissued", "rescued", "delivered_on_several",
)  # fmt: skip


def counted(figures: Figures) -> dict[str, int]:
    return {name: getattr(figures, name) for name in COUNTS}


@pytest.mark.parametrize("case", CASES)
def test_one_person_is_counted_where_they_belong(world: World, case: str) -> None:
    person, expected = CASES[case]
    campaign = world.campaign()
    world.write(campaign, [person])
    figures = campaign_figures(campaign.pk)
    assert {name for name, count in counted(figures).items() if count} == expected
    assert figures.targets == 1
    assert figures.valid == int(not {"invalid", "blocked"} & expected)
    assert figures.identities_hold, figures.identities()


def test_all_of_them_together_with_strangers_around(world: World) -> None:
    stranger = world.campaign()
    world.write(stranger, [Person("SUCCEEDED", (push("DELIVERED", pieces=1, cost="9"),))])
    campaign = world.campaign()
    world.write(campaign, [person for person, _expected in CASES.values()])
    world.write(stranger, [Person("SUCCEEDED", (sms("DELIVERED"),))])
    figures = campaign_figures(campaign.pk)
    expected = Counter(name for _person, names in CASES.values() for name in names)
    assert counted(figures) == {name: expected[name] for name in COUNTS}
    assert (figures.targets, figures.cost) == (len(CASES), Decimal(0))
    assert figures.identities_hold and figures.window_open


def test_reasons_are_columns_of_their_own(world: World) -> None:
    campaign = world.campaign()
    people = [Person("BLOCKED", reason="blacklisted")] * 3 + [Person("BLOCKED", reason="quiet_hours")]
    world.write(
        campaign, [*people, Person("INVALID", reason="unknown_user"), Person("INVALID", reason="no_usable_address")]
    )
    figures = campaign_figures(campaign.pk)
    assert figures.blocked_reasons == {"blacklisted": 3, "quiet_hours": 1}
    assert figures.invalid_reasons == {"unknown_user": 1, "no_usable_address": 1}
    assert (figures.targets, figures.invalid, figures.blocked, figures.valid) == (6, 2, 4, 0)


def test_channels_routes_pieces_and_money(world: World) -> None:
    campaign = world.campaign()
    spare = Sent("sms-spare", 1, "UNDELIVERED", pieces=2, cost="0.1")
    people = [
        Person("SUCCEEDED", (push("DELIVERED", pieces=1, cost="0"),)),
        Person("SUCCEEDED", (push("DELIVERED", pieces=1, cost="0"),)),
        Person("SUCCEEDED", (push("REJECTED"), sms("DELIVERED", pieces=3, cost="0.135"))),
        Person("ACTIVE", (push("CLOSED", pieces=1, cost="0"), sms("ACCEPTED", pieces=1, cost="0.045"), spare)),
        Person("FAILED", (push("REJECTED"),)),
        Person("ACTIVE", (push("PENDING", tried=False),)),
    ]
    world.write(campaign, people)
    figures = campaign_figures(campaign.pk)
    assert (figures.pieces, figures.cost, figures.currency) == (9, Decimal("0.28"), "CNY")
    assert figures.by_route == {
        "push_jpush": {"people": 3, "delivered": 2},
        "push_jpush > sms_aliyun": {"people": 2, "delivered": 1},
    }
    told = {code: dict(one) for code, one in figures.by_channel.items()}
    assert told["push-main"] == {
        "billed": 0, "billed_failed": 0, "failed_cost": Decimal(0),
        "tried": 5, "accepted": 3, "delivered": 2, "undelivered": 0, "unknown": 1, "in_window": 0, "pieces": 3,
        "cost": Decimal(0), "measurable": True,
    }  # fmt: skip
    assert told["sms-main"] == {
        "billed": 2, "billed_failed": 0, "failed_cost": Decimal(0),
        "tried": 2, "accepted": 2, "delivered": 1, "undelivered": 0, "unknown": 0, "in_window": 1, "pieces": 4,
        "cost": Decimal("0.18"), "measurable": True,
    }  # fmt: skip
    assert (told["sms-spare"]["undelivered"], told["sms-spare"]["pieces"]) == (1, 2)


def test_channels_of_one_step_stand_together_in_a_route(world: World) -> None:
    steps = [{"channels": [{"account": "push-main"}, {"account": "sms-main"}], "mode": "all"}]
    campaign = world.campaign(steps)
    world.write(campaign, [Person("SUCCEEDED", (push("DELIVERED"), Sent("sms-main", 0, "DELIVERED")))])
    figures = campaign_figures(campaign.pk)
    assert figures.by_route == {"push_jpush + sms_aliyun": {"people": 1, "delivered": 1}}
    assert (figures.reissued, figures.rescued, figures.delivered_on_several) == (0, 0, 1)


def test_a_channel_without_receipts_is_not_measurable(world: World) -> None:
    campaign = world.campaign()
    campaign.plan["steps"][0]["channels"][0]["receipts"] = "none"
    campaign.save()
    measurable = {code: one["measurable"] for code, one in campaign_figures(campaign.pk).by_channel.items()}
    assert measurable == {"push-main": False, "sms-main": True, "sms-spare": True}


def test_money_in_two_currencies_is_not_added_up(world: World) -> None:
    world.accounts["push-main"].currency = "USD"
    world.accounts["push-main"].save()
    campaign = world.campaign()
    world.write(campaign, [Person("SUCCEEDED", (push("UNDELIVERED", cost="1"), sms("DELIVERED", cost="2")))])
    figures = campaign_figures(campaign.pk)
    assert (figures.cost, figures.currency) == (None, "")
    assert figures.by_channel["sms-main"]["cost"] == Decimal(2)


def test_an_empty_campaign_has_zeros(world: World) -> None:
    figures = campaign_figures(world.campaign().pk)
    assert figures.targets == 0 and figures.identities_hold and not figures.window_open


def test_the_identities_notice_what_does_not_add_up(world: World) -> None:
    """A message that succeeded though nothing was accepted: the books do not balance, and say so."""
    campaign = world.campaign()
    world.write(campaign, [Person("SUCCEEDED", (push("REJECTED"),))])
    figures = campaign_figures(campaign.pk)
    assert not figures.identities_hold
    assert not figures.identities()["V = S + SF + P + R"]
    sound = replace(figures, valid=0, targets=0)
    assert sound.identities_hold
    for name in ("targets", "accepted", "delivered", "invalid", "blocked"):
        assert not replace(sound, **{name: 1}).identities_hold, name


def test_it_is_a_handful_of_statements(world: World) -> None:
    campaign = world.campaign()
    world.write(campaign, [person for person, _expected in CASES.values()])
    with CaptureQueriesContext(connection) as queries:
        campaign_figures(campaign.pk)
    over_rows = [one for one in queries if "campaigns_delivery" in one["sql"] or "campaigns_message" in one["sql"]]
    assert (len(over_rows), len(queries) <= 5) == (2, True)


deliveries = st.lists(
    st.builds(
        lambda place, state, at: Sent(*place, state, at=at, tried=state not in ("PENDING", "CANCELLED")),
        st.sampled_from([("push-main", 0), ("sms-main", 1), ("sms-spare", 1)]),
        st.sampled_from([str(one) for one in DeliveryState]),
        st.integers(0, 3),
    ),
    max_size=3,
    unique_by=lambda one: one.account,
)
people = st.builds(
    lambda state, sent: Person(state, tuple(sent), "a reason"),
    st.sampled_from([str(one) for one in MessageState]),
    deliveries,
)
TAKEN = {"ACCEPTED", "DELIVERED", "READ", "CLICKED", "UNDELIVERED", "CLOSED", "UNKNOWN_FINAL"}


def explained(person: Person) -> bool:
    """Whether settling can have left it so: success and unknown need something that was accepted or is open."""
    states = {one.state for one in person.deliveries}
    return person.state not in ("SUCCEEDED", "UNKNOWN") or bool(states & (TAKEN | {"UNKNOWN"}))


def by_hand(person: Person) -> set[str]:
    """The definitions of product terms, read off for one person."""
    states = [one.state for one in person.deliveries]
    arrived = [one for one in person.deliveries if one.state in ("DELIVERED", "READ", "CLICKED")]
    found = {"reissued"} if len({one.step for one in person.deliveries if one.tried}) > 1 else set()
    found |= {"read"} if {"READ", "CLICKED"} & set(states) else set()
    found |= {"clicked"} if "CLICKED" in states else set()
    found |= {"delivered_on_several"} if len(arrived) > 1 else set()
    if "reissued" in found and arrived and min((one.at, one.step) for one in arrived)[1] > 0:
        found |= {"rescued"}
    if TAKEN & set(states):
        if arrived:
            return found | {"accepted", "delivered"}
        if "ACCEPTED" in states or "UNKNOWN" in states:
            return found | {"accepted", "in_window"}
        silent = "CLOSED" in states or "UNKNOWN_FINAL" in states
        return found | {"accepted", "unknown" if silent else "undelivered"}
    if "UNKNOWN" in states:
        return found | {"in_progress"}
    named = {
        "INVALID": "invalid",
        "BLOCKED": "blocked",
        "CANCELLED": "recalled",
        "FAILED": "refused",
        "EXPIRED": "refused",
    }
    return found | {named.get(person.state, "in_progress")}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crowd=st.lists(people, max_size=12))
def test_whatever_happens_the_figures_are_those_counted_by_hand(world: World, crowd: list[Person]) -> None:
    assume(all(explained(person) for person in crowd))
    campaign = world.campaign()
    world.write(campaign, crowd)
    figures = campaign_figures(campaign.pk)
    expected = Counter(name for person in crowd for name in by_hand(person))
    assert counted(figures) == {name: expected[name] for name in COUNTS}
    assert figures.identities_hold, figures.identities()
