"""Followers come and go: bindings follow them, in the order in which it happened, whatever the order of the news."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.users import services
from apps.users.models import Binding, Recipient
from apps.users.reachability import UNIONID, Said, note

pytestmark = pytest.mark.django_db
OPENID, OTHER, UNION = "oUMS_0000000000000000000001x", "oMINI_000000000000000000001x", "oUnion_000000000000000000001"
THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def person() -> Recipient:
    made = services.ensure_recipient(actor="test", user_id="U1")
    services.add_binding(actor="test", recipient=made, kind="wechat_oa", address=OPENID)
    return made


def said(reachable: bool, minutes: int = 0, **other: str) -> Said:
    values = {"kind": "wechat_oa", "address": OPENID, "reason": "" if reachable else "unfollowed"} | other
    return Said(reachable=reachable, at=THEN + timedelta(minutes=minutes), **values)


def state() -> tuple[str, str]:
    return Binding.objects.values_list("state", "state_reason").get(address_kind="wechat_oa")


def test_an_unfollowed_address_comes_back_by_itself(person: Recipient) -> None:
    assert note([said(False)]) == 1 and state() == ("UNREACHABLE", "unfollowed")
    assert note([said(False)]) == 0, "the same event twice"
    assert note([said(True, 1)]) == 1 and state() == ("ACTIVE", "")


def test_late_news_changes_nothing(person: Recipient) -> None:
    note([said(True, 2)])
    assert note([said(False, 1)]) == 0 and state() == ("ACTIVE", "")
    assert note([said(False, 4), said(True, 3)]) == 1 and state() == ("UNREACHABLE", "unfollowed")


def test_strangers_and_nonsense_are_left_alone(person: Recipient) -> None:
    assert note([said(False, address="oStranger_00000000000000001"), said(False, address="?")]) == 0
    assert note([]) == 0 and state() == ("ACTIVE", "")


def test_a_unionid_ties_a_new_identity_to_its_person(person: Recipient) -> None:
    services.add_binding(actor="test", recipient=person, kind=UNIONID, address=UNION)
    note([said(True, kind="wechat_mini", address=OTHER, unionid=UNION)])
    note([said(True, 1, kind="wechat_mini", address=OTHER, unionid=UNION)])
    assert Binding.objects.get(address_kind="wechat_mini").recipient_id == person.pk
    note([said(True, kind="wechat_mini", address="oMINI_stranger_000000000001", unionid="oUnion_nobody_0000000000001")])
    assert Binding.objects.filter(address_kind="wechat_mini").count() == 1
