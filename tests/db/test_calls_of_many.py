"""Calls for many recipients of equal content: how long batches are, and that a call sees all its rows at once."""

from __future__ import annotations

import pytest

from apps.campaigns.models import Attempt, Batch, Delivery
from apps.campaigns.pipeline import plan
from apps.channels.models import ChannelAccount
from apps.channels.services import save_account
from apps.templates.services import publish_version, save_draft
from tests.db.conftest import World

SMS = {"steps": [{"channels": [{"account": "sms-main"}], "until": "accepted"}]}
TEXT = {
    "sign_name": "优选银行",
    "template_code": "SMS_100000002",
    "params": {"name": "客户", "balance": "0"},
    "text": "尊敬的客户，您的账户余额为0元。回T退订",
}


@pytest.mark.parametrize(
    ("per_call", "sizes", "calls"), [(1, [5, 5, 2], 12), (3, [3, 3, 3, 3], 4), (8, [8, 4], 2), (1000, [10, 2], 2)]
)
def test_a_batch_is_made_of_whole_calls(
    world: World, monkeypatch: pytest.MonkeyPatch, per_call: int, sizes: list[int], calls: int
) -> None:
    monkeypatch.setattr(plan, "BATCH_SIZE", 5)
    monkeypatch.setattr(plan, "LARGEST_BATCH", 10)
    account = ChannelAccount.objects.get(code="sms-main")
    save_account(actor="test", account=account, settings={"recipients_per_call": per_call})
    draft = save_draft(actor="test", code="equal", name="Equal", variables=[], bodies={"sms_aliyun": TEXT})
    world.people(12)
    campaign = world.run(world.campaign(SMS, template_version=publish_version(actor="test", template=draft)))
    assert world.messages(campaign) == {"SUCCEEDED": 12}
    assert list(Batch.objects.filter(campaign=campaign).order_by("-size").values_list("size", flat=True)) == sizes
    assert len(world.ledger()) == 12 and len({line["call"] for line in world.ledger()}) == calls
    mine = Delivery.objects.filter(campaign_id=campaign.pk)
    assert mine.values("provider_id").distinct().count() == calls
    tried = Attempt.objects.filter(delivery_id__in=mine.values("id"), outcome="accepted", number=1)
    assert tried.count() == 12 and tried.values("key").distinct().count() == 12
