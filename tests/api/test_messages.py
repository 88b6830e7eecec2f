"""Sending over the API: what is taken, what is refused and how it says so, who may see what."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.campaigns import serializers as described
from apps.campaigns.api_bodies import read_batch, read_single
from apps.campaigns.models import Campaign, Message, MessagePayload
from apps.campaigns.pipeline.window import PAYLOAD_PLACE
from apps.partners.models import IdempotencyKey
from apps.partners.services import revoke_api_key
from apps.users.services import add_binding, ensure_recipient
from tests.api.bodies import PHONE, VALUES, batch, single
from tests.api.conftest import BATCH, Caller
from ums_site.crypto import keyring

pytestmark = pytest.mark.django_db
STEPS = [{"channels": [{"account": "push-main"}], "wait_seconds": 60}, {"channels": [{"account": "sms-main"}]}]


def errors(answer: Any) -> dict[str, str]:
    """Field -> sentence of a 400."""
    assert answer.status_code == 400, answer.content
    return {one["field"]: one["message"] for one in answer.json()["errors"]}


def test_a_message_is_durable_when_it_is_answered(bank: Caller) -> None:
    answer = bank.post(single(client_ref="r-1"))
    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert (told["state"], told["reason"], told["client_ref"]) == ("PLANNED", "", "r-1")
    message = Message.objects.get(pk=int(told["id"]))
    campaign = Campaign.objects.get(pk=int(told["campaign_id"]))
    assert (message.campaign_id, message.state, campaign.business_line) == (campaign.pk, "PLANNED", bank.line)
    assert (campaign.lane, campaign.state, campaign.source) == ("notice", "EXPANDING", "api")
    sealed = MessagePayload.objects.get(pk=message.pk).sealed
    assert json.loads(keyring().open(sealed, PAYLOAD_PLACE)) == VALUES


def test_a_person_is_named_by_user_id_and_steps_may_stand_in_the_call(bank: Caller) -> None:
    person = ensure_recipient(actor="test", user_id="u-1")
    add_binding(actor="test", recipient=person, kind="phone", address="13800000002")
    until = (timezone.now() + timedelta(hours=1)).isoformat()
    answer = bank.post(single(to={"user_id": "u-1"}, policy=None, steps=STEPS, expires_at=until))
    assert answer.status_code == 202, answer.content
    message = Message.objects.get(pk=int(answer.json()["id"]))
    assert message.recipient_id == person.pk
    assert len(Campaign.objects.get(pk=message.campaign_id).plan["steps"]) == 2


def test_unknown_people_and_bad_addresses_are_taken_as_invalid(bank: Caller) -> None:
    wrong = {"address_kind": "phone", "address": "12345"}
    items = [{"to": to, "variables": VALUES} for to in ({"user_id": "nobody"}, wrong, PHONE)]
    answer = bank.post(batch(*items), path=BATCH)
    assert answer.status_code == 202, answer.content
    told = [(one["state"], one["reason"].split(":")[0]) for one in answer.json()["messages"]]
    assert told == [("INVALID", "unknown_user"), ("INVALID", "bad_address"), ("PLANNED", "")]
    assert "12345" not in answer.content.decode()


def test_five_thousand_in_one_call_in_their_order(bank: Caller) -> None:
    items = [
        {
            "to": {"address_kind": "phone", "address": f"138{number:08}"},
            "variables": VALUES,
            "client_ref": f"row-{number}",
        }
        for number in range(5000)
    ]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = bank.post(batch(*items), path=BATCH)
    told = answer.json()
    assert (answer.status_code, told["accepted"]) == (202, 5000)
    assert [one["client_ref"] for one in told["messages"]] == [f"row-{number}" for number in range(5000)]
    assert Message.objects.filter(campaign_id=int(told["campaign_id"]), state="PLANNED").count() == 5000
    assert len(queries) < 40
    assert "messages" in errors(bank.post(batch(*items, items[0]), path=BATCH))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "template": (single(template="no-such"), "publish"),
    "policy": (single(policy="no-such"), "make it"),
    "class": (single(**{"class": "spam"}), "otp, transactional, marketing"),
    "to": (single(to={"user_id": "u", "address": "x"}), "`user_id`"),
    "to.user_id": (single(to={"user_id": 7}), "text"),
    "to.address_kind": (single(to={"address_kind": "pigeon", "address": "x"}), "phone"),
    "to.address": (single(to={"address_kind": "phone", "address": "1\x00"}), "text"),
    "variables": (single(variables=[1]), "object"),
    "variables.name": (single(variables={"balance": "1"}), "needs a value"),
    "variables.balance": (single(variables={"name": "x", "balance": {"a": 1}}), "a number"),
    "expires_at": (single(expires_at="tomorrow"), "2026-11-23T18:00:00+08:00"),
    "client_ref": (single(client_ref="x" * 129), "128"),
    "templte": (single(templte="x"), "template"),
    "ceiling_per_person": (single(ceiling_per_person="0.10"), "with `steps` only"),
    "steps[0].channels": (single(policy=None, steps=[{}]), "at least one"),
    "steps[0].channels[0].account": (single(policy=None, steps=[{"channels": [{"account": ["x"]}]}]), "Name the code"),
    "steps[0].channels[0].vendors[0].account": (
        single(policy=None, steps=[{"channels": [{"vendors": [{"account": {}}, {"account": "sms-main"}]}]}]), "Name the code",
    ),
    "steps": (single(policy=None, steps=[{"channels": [{"account": "sms-main", "only_tag": "\0"}]}]), "cannot be kept"),
    "body": (single(variables={"name": "\ud800", "balance": "1"}), "half a character"),
}  # fmt: skip


@pytest.mark.parametrize("field", BAD)
def test_a_refusal_names_the_field_and_the_remedy(bank: Caller, field: str) -> None:
    body, remedy = BAD[field]
    found = errors(bank.post(json.dumps(body)))
    assert remedy in found[field]
    assert not Message.objects.exists() and not IdempotencyKey.objects.exists()


def test_what_the_service_refuses_names_its_field_too(bank: Caller) -> None:
    past = (timezone.now() - timedelta(minutes=1)).isoformat()
    assert "later" in errors(bank.post(single(expires_at=past)))["expires_at"]
    assert "nope" in errors(bank.post(single(policy=None, steps=[{"channels": [{"account": "nope"}]}])))["policy"]


def test_vendors_conditions_and_a_ceiling_may_stand_in_the_call(bank: Caller) -> None:
    channel = {"account": "sms-main", "only_if": {"tags_none": ["silent"]}}
    body = single(policy=None, steps=[{"channels": [channel], "mode": "smart"}], ceiling_per_person="0.10")
    answer = bank.post(body)
    assert answer.status_code == 202
    plan = Campaign.objects.get(pk=Message.objects.get(pk=answer.json()["id"]).campaign_id).plan
    assert (plan["ceiling_per_person"], plan["steps"][0]["channels"][0]["only_if"]) == (
        "0.10",
        {"tags_none": ["silent"]},
    )
    wrong = single(policy=None, steps=[{"channels": [channel | {"only_if": {"attributes": {"shoe": 44}}}]}])
    assert "shoe" in errors(bank.post(wrong))["policy"]
    assert "ceiling_per_person" in errors(bank.post(body | {"ceiling_per_person": 0.1}))


def test_policy_and_steps_exclude_each_other(bank: Caller) -> None:
    assert "policy" in errors(bank.post(single(steps=STEPS)))
    assert "policy" in errors(bank.post(single(policy=None)))


def test_a_batch_says_which_item_is_wrong_and_takes_none(bank: Caller) -> None:
    good = {"to": PHONE, "variables": VALUES, "client_ref": "a"}
    found = errors(bank.post(batch(good, 7, {**good, "to": {}}, {**good, "variables": {}}), path=BATCH))  # type: ignore[arg-type]
    assert set(found) == {"messages[1]", "messages[2].to", "messages[2].client_ref", "messages[3].client_ref"}
    found = errors(bank.post(batch(good, {"to": PHONE, "variables": {"name": "x"}}), path=BATCH))
    assert set(found) == {"messages[1].variables.balance"}
    assert not Message.objects.exists()


@pytest.mark.parametrize("key", ["", "x" * 129, "a b", "naïve"])
def test_an_idempotency_key_is_required(bank: Caller, key: str) -> None:
    assert "Idempotency-Key" in errors(bank.post(single(), key))


def test_no_json_is_refused_in_json(bank: Caller) -> None:
    answer = bank.post("{")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/json")


def test_without_a_live_key_nothing_is_taken(bank: Caller) -> None:
    answer = bank.client.post("/api/v1/messages", single(), content_type="application/json")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    revoke_api_key(actor="test", key=bank.line.api_keys.get())
    assert bank.post(single()).status_code == 401
    assert not Message.objects.exists()


def test_the_newest_version_and_the_changed_policy_are_used_at_once(bank: Caller) -> None:
    from apps.campaigns.drafting import save_policy
    from apps.campaigns.models import Policy
    from apps.templates.models import MessageTemplate
    from apps.templates.services import publish_version, save_draft
    from tests.installation import BODIES, VARIABLES

    first = Campaign.objects.get(pk=int(bank.post(single()).json()["campaign_id"]))
    draft = MessageTemplate.objects.get(code="balance")
    save_draft(
        actor="t", template=draft, code="balance", name="balance", variables=VARIABLES, language="en", bodies=BODIES
    )
    publish_version(actor="t", template=draft)
    policy = Policy.objects.get(code="sms-only")
    policy.plan = {"steps": [{"channels": [{"account": "sms-main"}], "until": "accepted"}]}
    save_policy(actor="t", policy=policy)
    second = Campaign.objects.get(pk=int(bank.post(single()).json()["campaign_id"]))
    assert (first.template_version.number, second.template_version.number) == (1, 2)
    assert (first.plan["steps"][0]["until"], second.plan["steps"][0]["until"]) == ("delivered", "accepted")
    assert (first.policy_number, second.policy_number) == (0, 1), "which version it froze is on record"


def test_the_state_of_a_message_is_its_lines_own(bank: Caller, callers: Callable[[str], Caller]) -> None:
    message_id = bank.post(single()).json()["id"]
    told = bank.get(message_id)
    assert told.status_code == 200
    assert (told.json()["id"], told.json()["state"], told.json()["deliveries"]) == (message_id, "PLANNED", [])
    assert callers("shop").get(message_id).status_code == 404
    for unknown in ("1", "9" * 19, "9" * 20):
        assert bank.get(unknown).status_code == 404
    assert bank.client.get(f"/api/v1/messages/{message_id}").status_code == 401


def test_deliveries_are_shown_masked(bank: Caller) -> None:
    from apps.campaigns.pipeline.expand import expand_next

    message_id = bank.post(single()).json()["id"]
    assert expand_next("notice")
    told = bank.get(message_id).json()
    (delivery,) = told["deliveries"]
    assert told["state"] == "ACTIVE"
    assert (delivery["channel"], delivery["account"], delivery["step"]) == ("sms_aliyun", "sms-main", 1)
    assert (delivery["state"], delivery["address"], delivery["sent_at"]) == ("PENDING", "138****0001", None)


def test_the_documented_examples_are_taken_by_the_reader() -> None:
    for body in (described.SINGLE, described.SINGLE_STEPS):
        assert read_single(body).template == body["template"]
    assert len(read_batch(described.BATCH).items) == 2


def test_the_documented_answers_have_the_fields_of_the_real_ones(bank: Caller) -> None:
    from apps.campaigns.pipeline.expand import expand_next

    single_answer = bank.post(single()).json()
    batch_answer = bank.post(batch({"to": PHONE, "variables": VALUES}), path=BATCH).json()
    assert expand_next("notice")
    status = bank.get(single_answer["id"]).json()
    assert described.ACCEPTED.keys() == single_answer.keys()
    assert described.ACCEPTED_BATCH.keys() == batch_answer.keys()
    assert described.STATUS.keys() == status.keys()
    assert described.STATUS["deliveries"][0].keys() == status["deliveries"][0].keys()  # type: ignore[index]
