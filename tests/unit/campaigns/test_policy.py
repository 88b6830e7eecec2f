"""A policy as somebody writes it: what is wrong is named by its place; what is right freezes and loads unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
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


ACCOUNTS = [
    Facts(1, "sms"),
    Facts(2, "push", "push_jpush", "jpush", "poll"),
    Facts(3, "mail", "email_smtp", "email", "failures"),
]
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
    "eleven steps": ({"steps": [{"channels": [{"account": "sms"}]}] * 11}, "steps"),
}
UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "an account nobody knows": ({"account": "fax"}, "steps[0].channels[0].account"),
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


def test_what_can_be_measured() -> None:
    plan = load(freeze({"steps": [{"channels": [{"account": one.code} for one in ACCOUNTS]}]}, ACCOUNTS))
    assert [channel.measurable for channel in plan.channels()] == [True, True, False]
    assert plan.account_ids() == [1, 2, 3]
