"""Imported lists: each target exactly once, with its own values, whatever dies on the way; the same file sends nothing more."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import translation

from apps.campaigns import approvals, target_lists
from apps.campaigns.approving import save_rule
from apps.campaigns.drafting import store_forecast
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import (
    Approval,
    ApprovalRule,
    Campaign,
    Delivery,
    Message,
    MessagePayload,
    SavedMessage,
    TargetList,
    TargetListRow,
)
from apps.campaigns.pipeline import expand
from apps.campaigns.pipeline.window import PAYLOAD_PLACE
from apps.campaigns.services import create_campaign, submit_campaign
from apps.users.models import Binding
from apps.users.services import add_blacklist, ensure_recipient
from tests.db.conftest import SMS, World
from tests.workbooks import workbook
from ums_site.crypto import keyring


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Refusals are compared in the language of the code."""
    with translation.override("en"):
        yield


ROOT = Path(__file__).resolve().parents[2]
FILE = """用户编号,手机号码,姓名,余额
P000000,,张三,1.5
,13911110001,李四,2.5
nobody,,王五,3
P000000,,赵六,4
,１３９ 1111 0001,again,5
,123,bad,6
P000001,,=1+1,7
,13911110002,,8
"""


def imported(text: str = FILE, *, encoding: str = "gb18030", **extra: Any) -> TargetList:
    held = target_lists.start_list(
        actor="test", file=io.BytesIO(text.encode(encoding)), file_name="vip.csv", name="VIP", **extra
    )
    target_lists.run_due()
    return TargetList.objects.get(pk=held.pk)


def draft(world: World, held: TargetList, **extra: Any) -> Campaign:
    return create_campaign(
        actor="test", name="List", business_line=world.line, message_class="marketing", policy=extra.pop("policy", SMS),
        template_version=world.version, audience={"kind": "list", "list": held.pk}, **extra,
    )  # fmt: skip


def test_whom_offline_save_would_keep_is_foreseen_as_kept(world: World) -> None:
    world.people(1)
    ensure_recipient(actor="test", user_id="NOBODY")
    held = imported("user_id,name,balance\nP000000,一,1.5\nNOBODY,二,1.5\nSTRANGER,三,1.5\n")
    campaign = draft(world, held, policy={**SMS, "offline_save": {"seconds": 3600}})
    figures = store_forecast(actor="test", campaign=campaign)
    assert (figures["targets"], figures["kept"], figures["blocked"]) == (3, 1, {})
    assert figures["invalid_reasons"] == {"unknown_user": 1}
    world.run(submit_campaign(actor="test", campaign=campaign), until=SavedMessage.objects.exists)
    assert SavedMessage.objects.count() == 1


def test_people_and_addresses_with_their_own_values(world: World) -> None:
    people = world.people(2)
    held = imported()
    assert (held.state, held.error, held.variables) == ("DONE", "", ["name", "balance"])
    counts = (held.rows_read, held.targets, held.people, held.unknown, held.addresses, held.rows_repeated)
    assert counts == (8, 4, 1, 1, 2, 2) and held.rows_rejected == 2
    said = Path(held.rejects_path).read_text(encoding="utf-8-sig")
    assert "7," in said and "8," in said and not Path("/" + held.path).is_file()
    assert b"13911110001" not in bytes(TargetListRow.objects.get(number=2).sealed)

    campaign = draft(world, held)
    figures = store_forecast(actor="test", campaign=campaign)
    assert (figures["targets"], figures["invalid_reasons"], figures["missing_values"]) == (4, {"unknown_user": 1}, 1)
    assert not Message.objects.exists(), "a forecast leaves nothing behind"
    world.run(submit_campaign(actor="test", campaign=campaign))
    assert world.messages(campaign) == {"SUCCEEDED": 2, "INVALID unknown_user": 1, "FAILED every_step_failed": 1}
    message = Message.objects.get(campaign_id=campaign.pk, recipient_id=people[0].pk)
    payload = MessagePayload.objects.get(pk=message.pk).sealed
    assert json.loads(keyring().open(payload, PAYLOAD_PLACE)) == {"name": "张三", "balance": "1.5"}, (
        "over the person's own"
    )


def test_a_workbook_is_a_list_like_any(world: World) -> None:
    world.people(2)
    rows = [["用户编号", "phone", "姓名", "余额"], ["P000000", None, "张三", 1.5], [None, 13911110001, "两\n行", 2],
            ["P000001", None, "=1+1", 3], [None, 123, "bad", 4], ["P000001", None, "王五", 5]]  # fmt: skip
    held = workbook(rows, hidden=True, saved={"1+1": "2"})

    def read(**extra: Any) -> TargetList:
        made = target_lists.start_list(actor="test", file=io.BytesIO(held), file_name="vip.xlsx", **extra)
        target_lists.run_due()
        return TargetList.objects.get(pk=made.pk)

    trial = read(dry_run=True)
    assert (trial.state, trial.error, trial.targets, trial.rows_rejected) == ("DONE", "", 3, 1)
    real = target_lists.repeat_for_real(actor="test", held=trial)
    target_lists.run_due()
    real.refresh_from_db()
    assert (real.targets, real.people, real.rows_repeated, real.rows_rejected) == (3, 2, 1, 1)
    assert "\n5," in Path(real.rejects_path).read_text(encoding="utf-8-sig"), "the row of the spreadsheet"
    sealed = TargetListRow.objects.get(target_list_id=real.pk, number=2).sealed
    assert json.loads(keyring().open(sealed, PAYLOAD_PLACE)) == {"name": "两\n行", "balance": "2"}
    assert read().pk == real.pk, "the same file again is the same list"
    campaign = world.run(submit_campaign(actor="test", campaign=draft(world, real)))
    assert world.messages(campaign) == {"SUCCEEDED": 3}


def test_the_same_file_again_is_the_same_list(world: World) -> None:
    first = imported()
    again = target_lists.start_list(
        actor="test", file=io.BytesIO(FILE.encode("gb18030")), file_name="again.csv", name="Other"
    )
    assert again.pk == first.pk and TargetList.objects.count() == 1
    assert target_lists.run_due() == 0 and TargetListRow.objects.count() == 4


def test_a_dry_run_writes_nothing_and_can_be_repeated_for_real(world: World) -> None:
    trial = imported(dry_run=True)
    assert (trial.state, trial.targets, trial.rows_rejected) == ("DONE", 4, 2)
    assert not TargetListRow.objects.exists() and not Binding.objects.filter(recipient=None).exists()
    with pytest.raises(CampaignError, match="complete"):
        draft(world, trial)
    real = target_lists.repeat_for_real(actor="test", held=trial)
    target_lists.run_due()
    assert TargetList.objects.get(pk=real.pk).targets == 4 == TargetListRow.objects.count()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,balance\na,1\n", "no column names anybody"),
        ("user_id,1st\na,1\n", "these columns cannot be variables: 1st"),
        ("user_id,x,x\na,1,2\n", "columns given twice: x"),
        ("", "the file is empty"),
    ],
)
def test_a_file_that_is_no_list_says_why(world: World, text: str, said: str) -> None:
    assert imported(text).error.startswith(said)


def test_the_same_rules_hold_for_lists_as_for_people(world: World) -> None:
    people = world.people(2)
    add_blacklist(actor="test", recipient=people[0], reason="asked", source="test")
    add_blacklist(actor="test", kind="phone", address="13911110001", reason="asked", source="test")
    held = imported("user_id,phone,name,balance\nP000000,,a,1\nP000001,,b,1\n,13911110001,c,1\n", encoding="utf-8")
    campaign = draft(world, held)
    figures = store_forecast(actor="test", campaign=campaign)
    assert figures["blocked"] == {"blacklisted": 1, "address_blacklisted": 1}
    world.run(submit_campaign(actor="test", campaign=campaign))
    assert world.messages(campaign) == {
        "SUCCEEDED": 1, "BLOCKED blacklisted": 1, "BLOCKED address_blacklisted": 1,
    }  # fmt: skip


def test_a_list_that_was_exchanged_after_the_approval_sends_nothing(world: World) -> None:
    approvals._kept.clear()
    save_rule(actor="test", rule=ApprovalRule(name="r", min_targets=2))
    campaign = submit_campaign(actor="test", campaign=draft(world, imported()))
    assert campaign.state == "AWAITING_APPROVAL"
    approval = Approval.objects.get()
    assert approval.bound["people"]["targets"] == 4
    with connection.cursor() as cursor:
        cursor.execute("UPDATE campaigns_targetlistrow SET user_id = 'P000001' WHERE number = 1")
        cursor.execute("UPDATE campaigns_approval SET state = 'APPROVED'")
        cursor.execute("UPDATE campaigns_campaign SET state = 'EXPANDING'")
    assert expand.expand_next("bulk")
    assert not Message.objects.exists() and Campaign.objects.get().state == "AWAITING_APPROVAL"
    assert Approval.objects.get(state="PENDING").bound_hash != approval.bound_hash


KILLED = """
import django; django.setup()
from apps.campaigns.pipeline import expand
from apps.campaigns.pipeline.window import PAYLOAD_PLACE
from apps.campaigns import list_rows, target_lists
expand.CHUNK = 40
list_rows.list_chunks.__defaults__ = (0, 40)
{work}
"""


def _dies_at(point: str, work: str) -> None:
    environment = {**os.environ, "UMS_FAILPOINT": f"{point}:kill9@2"}
    done = subprocess.run([sys.executable, "-c", KILLED.format(work=work)], cwd=ROOT, env=environment, check=False)
    assert done.returncode == -9


def test_killed_while_reading_and_while_expanding(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f",1391111{number:04d},人{number},{number}\n" for number in range(200))
    held = target_lists.start_list(
        actor="test", file=io.BytesIO(f"user_id,phone,name,balance\n{rows}".encode()), file_name="many.csv"
    )
    _dies_at("list_after_chunk", "target_lists.run_due()")
    assert 0 < TargetListRow.objects.count() < 200
    TargetList.objects.update(heartbeat_at="2026-01-01T00:00:00Z")
    target_lists.run_due()
    held.refresh_from_db()
    assert (held.state, held.targets, held.rows_repeated, held.crashes) == ("DONE", 200, 0, 0)
    assert list(TargetListRow.objects.order_by("number").values_list("number", flat=True)) == list(range(1, 201))

    campaign = submit_campaign(actor="test", campaign=draft(world, held))
    drain = "\nwhile expand.expand_next('bulk'): pass"
    _dies_at("expand_before_commit", drain)
    _dies_at("expand_after_commit", drain)
    monkeypatch.setattr(expand, "CHUNK", 40)
    world.run(campaign, seconds=60)
    assert world.messages(campaign) == {"SUCCEEDED": 200}
    assert Delivery.objects.filter(campaign_id=campaign.pk).count() == 200
    assert len({line["body_hash"] for line in world.ledger()}) == len(world.ledger()) == 200
