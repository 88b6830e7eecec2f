"""A policy in words, what differs between two, and problems that can be translated."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import translation

from apps.campaigns import policy_checks
from apps.campaigns.policy import BadPolicy, freeze
from apps.campaigns.policy_changes import changes
from apps.campaigns.policy_problems import SENTENCES, in_words
from apps.campaigns.policy_words import policy_in_words, summary

NAMES = {"push": "App push", "wecom": "WeCom", "sms": "SMS", "sms-b": "Other SMS"}
ROUTE: dict[str, Any] = {
    "steps": [
        {"channels": [{"account": "push"}], "until": "delivered", "wait_seconds": 600},
        {"channels": [{"account": "wecom"}], "until": "read", "wait_seconds": 7200},
        {"channels": [{"account": "sms"}]},
    ],
    "ceiling_per_person": "0.10",
}


def test_the_summary_is_the_sentence_of_the_design() -> None:
    with translation.override("en"):
        assert summary(ROUTE, NAMES) == (
            "App push; if not delivered within 10 minutes, WeCom; if not read within 2 hours, SMS; at most ¥0.10 a person."
        )


def test_everything_that_a_policy_can_say_is_said() -> None:
    vendors = {"vendors": [{"account": "sms", "weight": 3}, {"account": "sms-b", "weight": 1}], "body": "short"}
    condition = {"tags_any": ["vip"], "attributes": {"age": {"min": 18}, "city": ["A", "B"], "member": True}}
    step = {"channels": [{"account": "push", "only_if": condition}, vendors], "mode": "smart", "until": "clicked"}
    policy = {
        "steps": [step | {"wait_seconds": 60}, {"channels": [{"account": "wecom"}, vendors], "mode": "all"}],
        "order": "cheapest",
        "weights": {"reach": 5},
        "unknown_starts_next": True,
        "expires_seconds": 86400,
    }
    with translation.override("en"):
        said = " ".join(policy_in_words(policy, NAMES))
    for words in (
        "scores best", "SMS 75 % / Other SMS 25 %", "any of the tags vip", "age is at least 18", "city is A or B",
        "member is yes", "text “short”", "not clicked within 1 minute", "all of these at once", "by price alone",
        "weight of reach 5", "An unknown outcome starts", "Gives up after 1 day.",
    ):  # fmt: skip
        assert words in said, words
    frozen = {"account": "sms", "group": 0, "weight": 1}, {"account": "sms-b", "group": 0, "weight": 1}
    with translation.override("en"):
        assert "SMS 50 % / Other SMS 50 %" in summary({"steps": [{"channels": list(frozen)}]}, NAMES)


def test_two_versions_differ_by_their_sentences() -> None:
    newer = {**ROUTE, "steps": [*ROUTE["steps"][:2], {"channels": [{"account": "sms-b"}]}]}
    with translation.override("en"):
        found = [(line.change, line.words) for line in changes(ROUTE, newer, NAMES) if line.change]
    assert found == [("gone", "Step 3: Send over SMS."), ("new", "Step 3: Send over Other SMS.")]


def test_every_problem_that_a_policy_can_have_is_known_to_the_translation() -> None:
    bad: list[Any] = [
        {}, {"steps": [{}] * 11, "version": 9, "order": "x", "weights": {"reach": -1}, "unknown_starts_next": 3, "more": 1,
         "offline_save": {"collapse_key": 3}},
        {"steps": [{"channels": [{}], "mode": "x", "until": "x", "wait_seconds": -1}], "ceiling_per_person": 1},
        {"steps": [{"channels": [
            {"account": "a", "vendors": [1], "only_if": {}, "only_tag": 3, "body": "??"}, {"vendors": [1]}, {"vendors": [1, 2]},
            {"vendors": [{"account": "a", "weight": -1}, {"account": "b"}]},
            {"vendors": [{"account": "a", "weight": 0}, {"account": "b", "weight": 0}]},
            {"account": "a", "only_if": {"tags_any": 3, "attributes": 3, "x": 1}},
        ]}]},
    ]  # fmt: skip
    patterns = [re.compile(re.sub(r"%\\\(\w+\\\)s", ".+", re.escape(one))) for one in SENTENCES]
    said = {words for policy in bad for words in policy_checks.problems(policy).values()} | _of_freezing()
    assert len(said) >= 18
    assert [words for words in said if not any(one.fullmatch(words) for one in patterns)] == []
    with translation.override("en"):
        assert in_words("Use one of: a, b.") == "Use one of: a, b."


def _of_freezing() -> set[str]:
    """What only the accounts can tell."""

    def account(pk: int, code: str, receipts: str, address_kind: str = "phone") -> Any:
        return SimpleNamespace(
            id=pk,
            code=code,
            kind="k",
            address_kind=address_kind,
            receipts=receipts,
            reports_read=False,
            reports_clicks=False,
            active=code not in ("asleep", "dozing"),
        )

    held = [
        account(1, "silent", "none"),
        account(2, "push", "push", "device"),
        account(3, "asleep", "push"),
        account(4, "dozing", "push"),
    ]
    steps = [
        {
            "channels": [{"account": "silent", "kind": "other"}, {"account": "silent"}, {"account": "gone"}],
            "until": "read",
        },
        {"channels": [{"vendors": [{"account": "silent"}, {"account": "push"}]}]},
        {"channels": [{"account": "silent"}], "until": "clicked"},
        {"channels": [{"account": "asleep"}, {"vendors": [{"account": "dozing"}, {"account": "gone"}]}]},
    ]
    with pytest.raises(BadPolicy) as bad:
        freeze({"steps": steps}, held)
    many = [
        {"channels": [{"account": "silent"}, {"account": "push"}, *({"account": str(one)} for one in range(9))]}
    ] * 3
    with pytest.raises(BadPolicy) as more:
        freeze({"steps": many}, [*held, *(account(10 + one, str(one), "push") for one in range(9))])
    return {*bad.value.problems.values(), *more.value.problems.values()}
