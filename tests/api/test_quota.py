"""Quotas of messages at the door of the API: exact, all or nothing, told in words, and never taken twice."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from apps.campaigns.models import Message
from apps.partners.allowances import remaining, save_allowance
from apps.partners.models import Allowance, AllowanceUse, BusinessLine
from tests import installation
from tests.api.bodies import PHONE, VALUES, batch, single
from tests.api.conftest import BATCH, Caller, make_installation
from tests.api.test_idempotency import emptied  # noqa: F401

AT_ONCE = 24


def quota(line: BusinessLine, most: int, **changes: Any) -> Allowance:
    values: dict[str, Any] = {"name": "notices", "unit": "messages", "period": "day", "most": Decimal(most)}
    return save_allowance(actor="test", allowance=Allowance(business_line=line, **values | changes))


def used(allowance: Allowance) -> Decimal:
    return sum(AllowanceUse.objects.filter(allowance=allowance).values_list("used", flat=True), Decimal(0))


@pytest.mark.django_db
def test_a_quota_is_taken_once_for_what_was_accepted_and_refuses_the_rest(bank: Caller) -> None:
    day, month = quota(bank.line, 4), quota(bank.line, 100, name="all", period="month")
    quota(bank.line, 1, message_class="marketing")  # not of this class
    three = batch(*[{"to": PHONE, "variables": VALUES}] * 3)
    assert bank.post(three, "b", BATCH).status_code == bank.post(three, "b", BATCH).status_code == 202
    assert bank.post(single(template="no-such")).status_code == 400
    assert bank.post(single(to={"user_id": "nobody"})).json()["state"] == "INVALID"
    assert (used(day), used(month)) == (3, 3)

    refused = bank.post(three, "c", BATCH)
    body = refused.json()
    assert refused.status_code == 429 and 0 < int(refused["Retry-After"]) <= 86400
    assert "notices" in body["detail"] and (body["quota"]["remaining"], body["quota"]["limit"]) == ("1", "4")
    assert body["quota"]["resets_at"] and AllowanceUse.objects.get(allowance=day).walled_at
    assert bank.post(single(), "c2").status_code == 202, "what fits still goes"
    assert bank.post(three, "c", BATCH).status_code == 429
    assert (used(day), used(month), Message.objects.count()) == (4, 4, 5)

    save_allowance(actor="test", allowance=_changed(day, most=Decimal(9)))
    assert bank.post(three, "c", BATCH).status_code == 202, "a refusal does not use up the key"
    told = bank.client.get("/api/v1/quota", headers=bank.headers()).json()["quotas"]
    assert [(one["name"], one["remaining"]) for one in told[:2]] == [("notices", "2"), ("all", "93")]
    assert bank.client.get("/api/v1/quota").status_code == 401


def _changed(allowance: Allowance, **changes: Any) -> Allowance:
    held = Allowance.objects.get(pk=allowance.pk)
    for name, value in changes.items():
        setattr(held, name, value)
    return held


@pytest.mark.usefixtures("emptied")
@pytest.mark.django_db(transaction=True)
def test_two_clients_of_a_line_at_once_are_granted_the_limit_exactly() -> None:
    make_installation()
    line, key = installation.business_line()
    held = quota(line, AT_ONCE * 2 - 7)
    start = Barrier(AT_ONCE)

    def send(_number: int) -> list[int]:
        caller = Caller(line, key, Client())
        try:
            start.wait(20)
            return [caller.post(single()).status_code for _again in range(3)]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = Counter(status for some in pool.map(send, range(AT_ONCE)) for status in some)
    granted = AT_ONCE * 2 - 7
    assert answers == {202: granted, 429: AT_ONCE * 3 - granted}
    assert used(held) == Message.objects.count() == granted
    (left,) = remaining(line)
    assert (left.left, left.full, left.percent) == (0, True, 100)
