"""A policy as somebody writes it: what is wrong is named by its place; what is right freezes and loads unchanged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.campaigns.policy import BadPolicy, freeze, load, problems


@dataclass(frozen=True)
class Facts:
    id: int
    code: str
    kind: str = "sms_aliyun"
    address_kind: str = "phone"
    receipts: str = "push"
    reports_read: bool = False
    reports_clicks: bool = False
    active: bool = True


ACCOUNTS = [
    Facts(1, "sms"),
    Facts(2, "push", "push_jpush", "jpush", "poll"),
    Facts(3, "mail", "email_smtp", "email", "failures"),
]
STEPS = [{"channels": [{"account": "sms"}]}]
WRONG: dict[str, tuple[object, str]] = {
    "nothing": (None, "steps"),
    "a list": ([], "steps"),
    "no step": ({"steps": []}, "steps"),
    "a step without channels": ({"steps": [{}]}, "steps[0].channels"),
    "a channel without account": ({"steps": [{"channels": [{"kind": "x"}]}]}, "steps[0].channels[0].account"),
    "an unknown mode": ({"steps": [{"channels": [{"account": "sms"}], "mode": "some"}]}, "steps[0].mode"),
    "an unknown goal": ({"steps": [{"channels": [{"account": "sms"}], "until": "loved"}]}, "steps[0].until"),
    "a wait of nothing": ({"steps": [{"channels": [{"account": "sms"}], "wait_seconds": 0}]}, "steps[0].wait_seconds"),
    "a wait that is true": (
        {"steps": [{"channels": [{"account": "sms"}], "wait_seconds": True}]},
        "steps[0].wait_seconds",
    ),
    "a wait of years": ({"steps": [{"channels": [{"account": "sms"}], "wait_seconds": 1e9}]}, "steps[0].wait_seconds"),
    "an expiry in words": (
        {"steps": [{"channels": [{"account": "sms"}]}], "expires_seconds": "1 d"},
        "expires_seconds",
    ),
    "a channel of one account and several": (
        {"steps": [{"channels": [{"account": "sms", "vendors": [{"account": "a"}, {"account": "b"}]}]}]},
        "steps[0].channels[0].vendors",
    ),
    "a group of one": ({"steps": [{"channels": [{"vendors": [{"account": "a"}]}]}]}, "steps[0].channels[0].vendors"),
    "a vendor without account": (
        {"steps": [{"channels": [{"vendors": [{"account": "a"}, {"weight": 1}]}]}]},
        "steps[0].channels[0].vendors[1].account",
    ),
    "a weight below nothing": (
        {"steps": [{"channels": [{"vendors": [{"account": "a"}, {"account": "b", "weight": -1}]}]}]},
        "steps[0].channels[0].vendors[1].weight",
    ),
    "a group without weight": (
        {"steps": [{"channels": [{"vendors": [{"account": "a", "weight": 0}, {"account": "b", "weight": 0}]}]}]},
        "steps[0].channels[0].vendors",
    ),
    "a slip of the pen": ({"steps": [{"channels": [{"account": "sms"}], "wait_second": 5}]}, "steps[0].wait_second"),
    "a condition without words": (
        {"steps": [{"channels": [{"account": "sms", "only_if": {}}]}]},
        "steps[0].channels[0].only_if",
    ),
    "a condition on no tag": (
        {"steps": [{"channels": [{"account": "sms", "only_if": {"tags_any": []}}]}]},
        "steps[0].channels[0].only_if.tags_any",
    ),
    "a condition nobody knows": (
        {"steps": [{"channels": [{"account": "sms", "only_if": {"tag": ["x"]}}]}]},
        "steps[0].channels[0].only_if.tag",
    ),
    "a variant that is none": (
        {"steps": [{"channels": [{"account": "sms", "body": "A/B"}]}]},
        "steps[0].channels[0].body",
    ),
    "a failover of a day": (
        {"steps": [{"channels": [{"account": "sms", "failover_seconds": 86400}]}]},
        "steps[0].channels[0].failover_seconds",
    ),
    "a ceiling as a number": ({"steps": STEPS, "ceiling_per_person": 0.1}, "ceiling_per_person"),
    "a ceiling of nothing": ({"steps": STEPS, "ceiling_per_person": "0.00"}, "ceiling_per_person"),
    "a ceiling with too fine a grain": ({"steps": STEPS, "ceiling_per_person": "0.000001"}, "ceiling_per_person"),
    "an order nobody knows": ({"steps": STEPS, "order": "best"}, "order"),
    "weights in words": ({"steps": STEPS, "weights": {"price": "high"}}, "weights"),
    "perhaps": ({"steps": STEPS, "unknown_starts_next": "perhaps"}, "unknown_starts_next"),
    "a version to come": ({"steps": STEPS, "version": 3}, "version"),
    "eleven steps": ({"steps": [{"channels": [{"account": "sms"}]}] * 11}, "steps"),
}
UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "an account nobody knows": ({"account": "fax"}, "steps[0].channels[0].account"),
    "a vendor nobody knows": (
        {"vendors": [{"account": "sms"}, {"account": "fax"}]},
        "steps[0].channels[0].vendors[1].account",
    ),
    "vendors for two kinds of address": (
        {"vendors": [{"account": "sms"}, {"account": "mail"}]},
        "steps[0].channels[0].vendors",
    ),
    "an account of another kind": ({"account": "sms", "kind": "push_jpush"}, "steps[0].channels[0].kind"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_named_by_its_place(what: str) -> None:
    policy, place = WRONG[what]
    assert list(problems(policy)) == [place]


@pytest.mark.parametrize("what", UNUSABLE)
def test_accounts_are_checked_when_it_is_frozen(what: str) -> None:
    channel, place = UNUSABLE[what]
    policy = {"steps": [{"channels": [channel]}]}
    assert problems(policy) == {}
    with pytest.raises(BadPolicy) as caught:
        freeze(policy, ACCOUNTS)
    assert list(caught.value.problems) == [place]


def test_a_paused_vendor_keeps_its_place_while_another_one_works() -> None:
    asleep, awake = Facts(4, "a", active=False), Facts(5, "b")
    group = {"steps": [{"channels": [{"vendors": [{"account": "a"}, {"account": "b"}]}]}]}
    assert [one.account for one in load(freeze(group, [asleep, awake])).channels()] == ["a", "b"]
    with pytest.raises(BadPolicy, match="Every account of this channel is paused"):
        freeze(group, [asleep, Facts(5, "b", active=False)])
    with pytest.raises(BadPolicy, match="'a' is paused"):
        freeze({"steps": [{"channels": [{"account": "a"}]}]}, [asleep, awake])


def test_an_account_stands_once_in_a_step() -> None:
    with pytest.raises(BadPolicy, match="already"):
        freeze({"steps": [{"channels": [{"account": "sms"}, {"account": "sms"}]}]}, ACCOUNTS)


steps = st.fixed_dictionaries(
    {"channels": st.lists(st.sampled_from([one.code for one in ACCOUNTS]), min_size=1, max_size=3, unique=True).map(
        lambda codes: [{"account": code} for code in codes])},
    optional={
        "mode": st.sampled_from(["all", "first"]),
        "until": st.sampled_from(["accepted", "delivered"]),
        "wait_seconds": st.one_of(st.none(), st.integers(1, 86400), st.floats(0.5, 3600)),
    },
)  # fmt: skip


@given(st.lists(steps, min_size=1, max_size=10), st.one_of(st.none(), st.integers(1, 86400)))
def test_what_is_right_freezes_and_loads(written: list[dict[str, Any]], expires: int | None) -> None:
    policy: dict[str, Any] = {"steps": written, "expires_seconds": expires}
    assert problems(policy) == {}
    plan = load(freeze(policy, ACCOUNTS))
    assert [channel.slot for channel in plan.channels()] == list(range(len(plan.channels())))
    assert plan.expires == (None if expires is None else timedelta(seconds=expires))
    for number, (step, source) in enumerate(zip(plan.steps, written, strict=True)):
        assert (step.number, step.mode, step.until) == (
            number,
            source.get("mode", "first"),
            source.get("until", "delivered"),
        )
        assert [one.account for one in step.channels] == [one["account"] for one in source["channels"]]
        wait = source.get("wait_seconds")
        assert step.wait == (None if wait is None else timedelta(seconds=wait))


def test_the_second_version_freezes_and_loads() -> None:
    accounts = [*ACCOUNTS, Facts(4, "sms-b", "sms_tencent")]
    only = {"tags_any": ["vip"], "attributes": {"age": {"min": 18}}}
    push_or_mail = [{"account": "push", "only_if": only, "only_tag": "gold", "body": "short"}, {"account": "mail"}]
    vendors = [{"account": "sms", "weight": 3}, {"account": "sms-b", "weight": 0}]
    policy = {
        "version": 2,
        "steps": [
            {"channels": push_or_mail, "mode": "smart"},
            {"channels": [{"vendors": vendors, "failover_seconds": 5, "body": "short"}]},
        ],
        "ceiling_per_person": "0.10",
        "unknown_starts_next": False,
        "order": "cheapest",
        "weights": {"price": 2},
    }
    frozen = freeze(policy, accounts)
    plan = load(json.loads(json.dumps(frozen)))
    assert frozen["version"] == 2 and (plan.ceiling, plan.unknown_starts_next) == (Decimal("0.10"), False)
    assert (plan.order, plan.weights, plan.chooses) == ("cheapest", {"price": 2}, True)
    push, mail, a, b = plan.channels()
    assert push.conditions == only | {"tags_all": ["gold"]} and mail.conditions == {}
    assert [one.body_key for one in (push, mail, a, b)] == [
        "push_jpush/short", "email_smtp", "sms_aliyun/short", "sms_tencent/short",
    ]  # fmt: skip
    assert [(one.group, one.weight, one.failover_seconds) for one in (a, b)] == [(2, 3, 5), (2, 0, 5)]
    assert plan.steps[1].places == ((a, b),) and plan.steps[0].places == ((push,), (mail,))
    assert plan.steps[0].alternatives({push.slot}) == (mail,)
    assert plan.steps[1].alternatives({a.slot}) == (b,) and plan.steps[1].alternatives({a.slot, b.slot}) == ()


def test_a_plan_frozen_by_the_first_version_loads_as_it_was() -> None:
    old = {
        "slot": 0,
        "kind": "sms_aliyun",
        "account": "sms",
        "account_id": 1,
        "address_kind": "phone",
        "receipts": "push",
    }
    step = {"channels": [old | {"only_tag": "vip"}], "mode": "first", "until": "delivered", "wait_seconds": 60}
    plan = load({"steps": [step], "expires_seconds": None})
    (only,) = plan.channels()
    assert (only.conditions, only.body_key, plan.chooses, plan.strict) == (
        {"tags_all": ["vip"]},
        "sms_aliyun",
        False,
        False,
    )


@pytest.mark.parametrize(("until", "place"), [("read", None), ("clicked", "steps[0].until")])
def test_nobody_waits_for_what_no_channel_tells(until: str, place: str | None) -> None:
    told = [Facts(1, "sms", reports_read=True), Facts(2, "push")]
    policy = {"steps": [{"channels": [{"account": "sms"}, {"account": "push"}], "until": until}]}
    if place is None:
        assert load(freeze(policy, told)).strict
    else:
        with pytest.raises(BadPolicy, match="tells when something was clicked") as caught:
            freeze(policy, told)
        assert list(caught.value.problems) == [place]
        assert freeze(policy | {"own_reports": True}, told)["own_reports"] is True
        assert "own_reports" in problems(policy | {"own_reports": "yes"})


def test_what_can_be_measured() -> None:
    plan = load(freeze({"steps": [{"channels": [{"account": one.code} for one in ACCOUNTS]}]}, ACCOUNTS))
    assert [channel.measurable for channel in plan.channels()] == [True, True, False]
    assert plan.account_ids() == [1, 2, 3]
