"""Alibaba Cloud's own client: its calls against the simulator, its signature of what our adapters send."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from apps.channels.contract import Account, Envelope, HttpRequest
from apps.channels.registry import adapter
from tests.channels.sdk.environment import run
from tests.simulator.clients import ALIYUN_KEY, ALIYUN_SECRET, Simulator

pytestmark = pytest.mark.sdk

SMS = {"sign_name": "优选银行", "template_code": "SMS_100000002"}
VALUES = json.dumps({"name": "杜萍", "balance": "12.50"}, ensure_ascii=False)
CONTENT = SMS | {"params": {"name": "杜萍 & Söhne*~", "balance": "12.50"}, "text": "x"}
RCS = {"sign_name": "优选银行", "template_code": "RCS_SMS_100000001", "template_param": VALUES}


def client(sdk_python: Callable[[str], Path], simulator: Simulator, **document: Any) -> Any:
    given = {"key_id": ALIYUN_KEY, "secret": ALIYUN_SECRET, "endpoint": urlsplit(simulator.http).netloc}
    return run(sdk_python("aliyun"), "aliyun/client.py", given | document)


def test_its_calls_are_taken(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    today = time.strftime("%Y%m%d", time.gmtime(time.time() + 8 * 3600))
    phone = "13800138321"
    batch = {
        "phone_number_json": f'["{phone}","13800138322"]',
        "sign_name_json": '["优选银行","测试签名"]',
        "template_code": "SMS_100000002",
        "template_param_json": f"[{VALUES},{VALUES}]",
        "out_id": "k3xa",
    }
    details = {"phone_number": phone, "send_date": today, "page_size": 50, "current_page": 1}
    before = len(simulator.ledger())
    sms, several, rows, rcs, templates = client(
        sdk_python,
        simulator,
        calls=[
            ("SendSms", SMS | {"phone_numbers": phone, "template_param": VALUES, "out_id": "k3x9"}),
            ("SendBatchSms", batch),
            ("QuerySendDetails", details),
            ("SendRCS", RCS | {"phone_numbers": phone, "out_id": "k3xb"}),
            ("QuerySmsTemplateList", {"page_index": 1, "page_size": 50}),
        ],
    )["answers"]
    assert sms["Code"] == several["Code"] == "OK" and sms["BizId"] != several["BizId"]
    found = {row["OutId"] for row in rows["SmsSendDetailDTOs"]["SmsSendDetailDTO"]}
    assert found == {"k3x9", "k3xa"} and rows["TotalCount"] == "2"
    assert (rcs["Code"], rcs["Success"]) == ("OK", True)
    assert "SMS_100000002" in {row["TemplateCode"] for row in templates["SmsTemplateList"]}
    assert [line["delivery_ref"] for line in simulator.ledger(before)] == ["k3x9", "k3xa", "k3xa", "k3xb"]


def test_refusals_reach_it(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    send = ("SendSms", SMS | {"phone_numbers": "1", "template_param": VALUES})
    assert client(sdk_python, simulator, calls=[send])["answers"][0]["Code"] == "isv.MOBILE_NUMBER_ILLEGAL"
    (refused,) = client(sdk_python, simulator, secret="wrong", calls=[send])["answers"]
    assert refused == {"error": "SignatureDoesNotMatch"}


@pytest.mark.parametrize(
    ("kind", "settings", "content", "count"),
    [
        ("sms_aliyun", {}, CONTENT, 1),
        ("sms_aliyun", {"texts_of_call": "own", "recipients_per_call": 100}, CONTENT, 3),
        ("rcs_aliyun", {}, CONTENT, 1),
    ],
)
def test_it_signs_what_our_adapters_send_as_we_do(
    sdk_python: Callable[[str], Path],
    simulator: Simulator,
    kind: str,
    settings: dict[str, Any],
    content: dict[str, Any],
    count: int,
) -> None:
    keys = {"access_key_id": ALIYUN_KEY, "access_key_secret": ALIYUN_SECRET}
    config = keys | {"base_url": "https://dysmsapi.aliyuncs.com"} | settings
    envelopes = [Envelope("", f"k3x{n}", f"1380013800{n}", content) for n in range(count)]
    request = adapter(kind).build(Account("a", kind, config), envelopes, datetime.now(UTC))
    assert isinstance(request, HttpRequest)
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in request.headers)}
    ours = headers.pop("authorization")
    url = urlsplit(request.url)
    given = {
        "query": dict(parse_qsl(url.query, strict_parsing=True)),
        "headers": headers | {"host": url.netloc},
        "body": (request.body or b"").decode(),
    }
    assert client(sdk_python, simulator, sign=[given])["signatures"] == [ours]
