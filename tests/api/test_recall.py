"""DELETE of a message: what was not sent is called off, what was accepted is being taken back, once and for its own line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from apps.campaigns.models import Batch, Delivery, Message, RecallOrder
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.serializers import CALLED_OFF, CalledOffSerializer
from apps.channels.models import ChannelAccount
from apps.operators.models import AuditEvent
from tests.api.bodies import single
from tests.api.conftest import SINGLE, Caller

pytestmark = pytest.mark.django_db


def delete(caller: Caller, message_id: object, query: str = "") -> Any:
    return caller.client.delete(f"{SINGLE}/{message_id}{query}", headers=caller.headers())


def planned(bank: Caller) -> int:
    """A message with one delivery that waits to be sent."""
    made = int(bank.post(single()).json()["id"])
    while expand_next("notice"):
        pass
    return made


def taken(message_id: int, kind: str, **changes: Any) -> Delivery:
    """Its delivery as if a provider of this kind had taken it."""
    given = {"state": "ACCEPTED", "provider_id": f"id-{message_id}", "accepted_at": timezone.now(), "attempts": 1}
    Delivery.objects.filter(message_id=message_id).update(**given | changes)
    ChannelAccount.objects.update(kind=kind)
    return Delivery.objects.get(message_id=message_id)


def test_what_waits_is_called_off_and_stays_so(bank: Caller) -> None:
    message = planned(bank)
    for called_off in (1, 0):
        answer = delete(bank, message, "?reason=wrong+balance")
        assert answer.status_code == 202, answer.content
        told = answer.json()
        assert (told["id"], told["called_off"], told["recalling"]) == (str(message), called_off, 0)
        assert [one["state"] for one in told["deliveries"]] == ["CANCELLED"]
    assert bank.get(message).json()["state"] == "CANCELLED"
    assert RecallOrder.objects.get().reason == "wrong balance"
    assert {event.actor for event in AuditEvent.objects.filter(verb="recall")} == {"API bank"}


def test_a_message_that_is_not_even_planned_is_called_off(bank: Caller) -> None:
    message = int(bank.post(single()).json()["id"])
    assert delete(bank, message).status_code == 202
    while expand_next("notice"):
        pass
    assert not Delivery.objects.filter(message_id=message).exists()
    assert (Message.objects.get(pk=message).state, Message.objects.get(pk=message).reason) == ("CANCELLED", "recalled")


def test_what_was_accepted_is_being_taken_back(bank: Caller) -> None:
    message = planned(bank)
    delivery = taken(message, "wecom_app")
    told = delete(bank, message).json()
    assert (told["called_off"], told["recalling"]) == (0, 1)
    assert told["deliveries"][0]["recall"] == {"state": "WAITING", "code": "", "at": None}
    assert Batch.objects.get(pk=delivery.batch_id).recall_at is not None
    assert bank.get(message).json()["deliveries"][0]["recall"]["state"] == "WAITING"


@pytest.mark.parametrize(
    ("kind", "changes", "code"),
    [("sms_aliyun", {}, "no_recall"), ("wecom_app", {"provider_id": ""}, "no_provider_id")],
)
def test_what_cannot_be_taken_back_says_why(bank: Caller, kind: str, changes: dict[str, Any], code: str) -> None:
    message = planned(bank)
    taken(message, kind, **changes)
    told = delete(bank, message).json()
    assert told["recalling"] == 0
    assert (told["deliveries"][0]["recall"]["state"], told["deliveries"][0]["recall"]["code"]) == ("REFUSED", code)


def test_only_its_own_line_may(bank: Caller, callers: Callable[[str], Caller]) -> None:
    message = planned(bank)
    for caller, asked in ((callers("shop"), message), (bank, 1), (bank, "9" * 20)):
        assert delete(caller, asked).status_code == 404
    assert bank.client.delete(f"{SINGLE}/{message}").status_code == 401
    assert Delivery.objects.get(message_id=message).state == "PENDING"


def test_a_reason_that_is_too_long_is_refused(bank: Caller) -> None:
    message = planned(bank)
    answer = delete(bank, message, f"?reason={'x' * 201}")
    assert answer.status_code == 400 and answer.json()["errors"][0]["field"] == "reason"


def test_the_example_has_the_fields_of_the_answer(bank: Caller) -> None:
    message = planned(bank)
    taken(message, "wecom_app")
    told = delete(bank, message).json()
    assert told.keys() == CALLED_OFF.keys() == CalledOffSerializer().fields.keys()
    assert told["deliveries"][0].keys() == CALLED_OFF["deliveries"][0].keys()  # type: ignore[index]
