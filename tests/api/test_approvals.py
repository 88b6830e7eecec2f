"""Four eyes over the API: kept at once, sent once another key or an operator has agreed, never by the key that asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.campaigns import approvals
from apps.campaigns.approving import decide_approval, save_rule
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Approval, ApprovalRule, AskedFor, Campaign, Delivery, Message
from apps.campaigns.pipeline.expand import expand_next
from apps.operators.models import Operator
from apps.partners.services import issue_api_key
from tests.api.bodies import VALUES, batch, single
from tests.api.conftest import BATCH, Caller

pytestmark = pytest.mark.django_db
PLACE = "/api/v1/approvals"


@pytest.fixture(autouse=True)
def _fresh_rules() -> None:
    approvals._kept.clear()


def other_key(bank: Caller, *scopes: str) -> Caller:
    _key, text = issue_api_key(actor="test", business_line=bank.line, label="other", scopes=scopes)
    return Caller(bank.line, text, bank.client)


def ask(caller: Caller, path: str = PLACE, body: Any = None) -> Any:
    send = caller.client.get if body is None else caller.client.post
    extra = {} if body is None else {"content_type": "application/json"}
    return send(path, body, headers=caller.headers(), **extra)


def rule(**facts: Any) -> ApprovalRule:
    return save_rule(actor="test", rule=ApprovalRule(name=facts.pop("name", "r"), **facts))


def many(count: int) -> dict[str, Any]:
    to = [{"address_kind": "phone", "address": f"138{number:08}"} for number in range(count)]
    return batch(*[{"to": one, "variables": VALUES} for one in to])


def test_another_key_with_the_right_agrees_and_it_goes(bank: Caller) -> None:
    rule(min_targets=3)
    told = bank.post(many(3), path=BATCH).json()
    assert (told["campaign_state"], told["accepted"]) == ("AWAITING_APPROVAL", 3)
    campaign = Campaign.objects.get(pk=int(told["campaign_id"]))
    assert not expand_next("notice") and not Delivery.objects.exists()
    assert bank.get(told["messages"][0]["id"]).json()["campaign_state"] == "AWAITING_APPROVAL"

    approver, plain = other_key(bank, "approve"), other_key(bank)
    assert ask(plain).status_code == 403
    (waiting,) = ask(approver).json()
    assert waiting["campaign_id"] == told["campaign_id"] and waiting["bound"]["people"]["targets"] == 3
    decision = {"verdict": "approve", "hash": waiting["hash"]}
    place = f"{PLACE}/{waiting['id']}/decision"
    assert ask(plain, place, decision).status_code == 403
    assert ask(approver, place, decision | {"hash": "0" * 64}).status_code == 409
    assert ask(approver, place, decision | {"verdict": "reject"}).status_code == 400, "a refusal says why"
    agreed = ask(approver, place, decision)
    assert (agreed.status_code, agreed.json()["state"]) == (200, "APPROVED")
    assert ask(approver, place, decision).status_code == 409
    assert expand_next("notice")
    assert Delivery.objects.filter(campaign_id=campaign.pk).count() == 3


def test_many_small_calls_are_one_large_one(bank: Caller, callers: Callable[[str], Caller]) -> None:
    rule(min_targets=5, over_day=True)

    def asked(caller: Caller, count: int = 2, key: str | None = None) -> str:
        return str(caller.post(many(count), path=BATCH, key=key).json().get("campaign_state", "refused"))

    assert [asked(bank, key="one"), asked(bank, key="one"), asked(bank, 6000), asked(bank)] == [
        "EXPANDING", "EXPANDING", "refused", "EXPANDING",
    ], "a replay and a refused call add nothing"  # fmt: skip
    assert asked(bank) == "AWAITING_APPROVAL"
    while expand_next("notice"):
        pass
    assert Delivery.objects.count() == 4, "what was below goes, though the sum is above by now"
    assert asked(callers("other")) == "EXPANDING"
    AskedFor.objects.update(hour=F("hour") - timedelta(hours=23))
    assert asked(bank) == "AWAITING_APPROVAL"
    AskedFor.objects.update(hour=F("hour") - timedelta(hours=26))
    assert asked(bank) == "EXPANDING"


def test_what_would_never_add_up_is_refused(client: Client) -> None:
    for facts, field in (({}, "over_day"), ({"min_targets": 5, "source": "console"}, "over_day")):
        with pytest.raises(CampaignError) as refused:
            rule(over_day=True, **facts)
        assert refused.value.field == field
    client.force_login(Operator.objects.create_superuser("boss", password="x"))
    said = {"name": "r", "approvers": 1, "valid_for": "0", "min_targets": 5}
    shown = client.post("/console/campaigns/approvalrule/add/", said, headers={"accept-language": "en"})
    assert (shown.status_code, ApprovalRule.objects.count()) == (200, 0) and "Give a time above zero." in shown.text


def test_the_key_that_asked_never_agrees(bank: Caller) -> None:
    rule()
    asking = other_key(bank, "approve")
    asking.post(many(1), path=BATCH)
    (waiting,) = ask(asking).json()
    refused = ask(asking, f"{PLACE}/{waiting['id']}/decision", {"verdict": "approve", "hash": waiting["hash"]})
    assert refused.status_code == 403
    assert not expand_next("notice")


def test_what_another_line_asked_for_is_not_seen(bank: Caller, callers: Any) -> None:
    rule()
    bank.post(single())
    shop = other_key(callers("shop"), "approve")
    number = Approval.objects.get().pk
    assert ask(shop).json() == []
    assert ask(shop, f"{PLACE}/{number}").status_code == 404


@pytest.mark.parametrize(
    "written",
    [
        "UPDATE campaigns_campaign SET state = 'EXPANDING'",
        "UPDATE campaigns_approval SET state = 'APPROVED', needs = '[]'; UPDATE campaigns_campaign SET state = 'EXPANDING'",
        "UPDATE campaigns_campaign SET state = 'EXPANDING', forecast = forecast || '{\"targets\": 1}'",
    ],
)
def test_rows_written_past_the_api_send_nothing(bank: Caller, written: str) -> None:
    rule(min_targets=2)
    bank.post(many(2), path=BATCH)
    with connection.cursor() as cursor:
        cursor.execute(written)
    expand_next("notice")
    assert Campaign.objects.get().state == "AWAITING_APPROVAL" and not Delivery.objects.exists()


def test_other_texts_after_the_agreement_are_noticed(bank: Caller) -> None:
    rule()
    bank.post(many(2), path=BATCH)
    approver = other_key(bank, "approve")
    (waiting,) = ask(approver).json()
    assert ask(approver, f"{PLACE}/{waiting['id']}/decision", {"verdict": "approve", "hash": waiting["hash"]}).json()
    with connection.cursor() as cursor:  # the values of one go to the other
        cursor.execute(
            "UPDATE campaigns_messagepayload SET sealed = (SELECT sealed FROM campaigns_messagepayload LIMIT 1)"
        )
    expand_next("notice")
    assert Campaign.objects.get().state == "AWAITING_APPROVAL" and not Delivery.objects.exists()


def _queries(bank: Caller, body: dict[str, Any]) -> list[str]:
    """The prepared statements of an accepted call."""
    found = []
    for _call in range(4):
        with CaptureQueriesContext(connection) as queries:
            assert bank.post(body).json()["campaign_state"] == "EXPANDING"
        found.append([one["sql"].split("(")[0] for one in queries if one["sql"].startswith("EXECUTE")])
    return found[-1]


def test_money_class_and_line_decide_and_a_password_passes_at_full_speed(bank: Caller, callers: Any) -> None:
    otp = single(**{"class": "otp"})
    before = _queries(bank, otp)
    rule(name="dear", min_money=Decimal("0.13"))  # two short messages of one piece at 0.045 are less
    rule(name="marketing", message_class="marketing")
    rule(name="shop", business_line=callers("shop").line)
    assert len(_queries(bank, otp)) == len(before) == 2, "one look and one write, as without rules"
    assert bank.post(many(2), path=BATCH).json()["campaign_state"] == "EXPANDING"
    assert bank.post(many(3), path=BATCH).json()["campaign_state"] == "AWAITING_APPROVAL"
    assert bank.post(single(**{"class": "marketing"})).json()["campaign_state"] == "AWAITING_APPROVAL"
    while expand_next("notice") or expand_next("otp") or expand_next("bulk"):
        pass
    assert sorted(Campaign.objects.values_list("state", flat=True)) == ["AWAITING_APPROVAL"] * 2 + ["RUNNING"] * 9


def test_an_operator_refuses_and_every_message_says_so(bank: Caller) -> None:
    rule()
    told = bank.post(single()).json()
    boss = Operator.objects.create_user("boss", password="x")
    boss.user_permissions.set(Permission.objects.filter(codename="approve_campaign"))
    boss = Operator.objects.get(pk=boss.pk)
    approval = Approval.objects.get()
    seen = ask(other_key(bank, "approve"), f"{PLACE}/{approval.pk}").json()["hash"]
    decide_approval(actor=boss, approval=approval, verdict="reject", seen_hash=seen, note="not now")
    message = Message.objects.get(pk=int(told["id"]))
    assert (message.state, message.reason) == ("CANCELLED", "approval_rejected")
    assert bank.get(told["id"]).json()["campaign_state"] == "REJECTED"
