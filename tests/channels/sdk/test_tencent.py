"""Tencent Cloud's own client: its calls against the simulator, its signature of what our adapter sends."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from apps.channels.contract import Account, Envelope, HttpRequest
from apps.channels.registry import adapter
from tests.channels.sdk.environment import run
from tests.simulator.clients import Simulator

pytestmark = pytest.mark.sdk

KEYS = {"secret_id": "AKIDtestsecretid000000000000000000", "secret_key": "testsecretkey000000000000000000"}
SEND = {
    "PhoneNumberSet": ["+8613800138000"],
    "SmsSdkAppId": "1400000001",
    "TemplateId": "100002",
    "SignName": "优选银行",
    "TemplateParamSet": ["杜萍", "12.50"],
    "SessionContext": "k3x9",
}


def client(sdk_python: Callable[[str], Path], simulator: Simulator, **document: Any) -> Any:
    endpoint = urlsplit(simulator.http).netloc
    return run(sdk_python("tencent"), "tencent/client.py", KEYS | {"endpoint": endpoint} | document)


def test_its_calls_are_taken(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    now = int(time.time())
    pull = {
        "PhoneNumber": "+8613800138000",
        "SmsSdkAppId": "1400000001",
        "BeginTime": now - 60,
        "Offset": 0,
        "Limit": 100,
    }
    several = SEND | {"PhoneNumberSet": ["+8613800138000", "+8612345"]}
    answers = client(
        sdk_python,
        simulator,
        calls=[
            ("SendSms", SEND),
            ("SendSms", several),
            ("PullSmsSendStatusByPhoneNumber", pull | {"EndTime": now + 60}),
            ("SendSms", SEND | {"TemplateId": "1"}),
        ],
    )["answers"]
    (first,) = answers[0]["SendStatusSet"]
    assert (first["Code"], first["Fee"], first["SessionContext"]) == ("Ok", 1, "k3x9")
    assert [one["Code"] for one in answers[1]["SendStatusSet"]] == ["Ok", "InvalidParameterValue.IncorrectPhoneNumber"]
    assert "PullSmsSendStatusSet" in answers[2]
    assert answers[3] == {"error": "FailedOperation.TemplateIncorrectOrUnapproved"}


def test_a_wrong_key_is_told(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    said = client(sdk_python, simulator, secret_key="wrong", calls=[("SendSms", SEND)])
    assert said["answers"] == [{"error": "AuthFailure.SignatureFailure"}]


def test_it_signs_what_our_adapter_sends_as_we_do(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    config = KEYS | {"sdk_app_id": "1400000001", "base_url": "https://sms.tencentcloudapi.com"}
    content = {
        "sign_name": "优选银行",
        "template_id": "100002",
        "params": {"1": "杜萍 & Söhne", "2": "12.50"},
        "text": "x",
    }
    now = datetime.now(UTC)
    request = adapter("sms_tencent").build(
        Account("a", "sms_tencent", config), [Envelope("", "k3x9", "13800138000", content)], now
    )
    assert isinstance(request, HttpRequest) and request.body is not None
    headers = dict(line.split(": ", 1) for line in request.headers)
    signed = {
        "headers": {"Content-Type": headers["Content-Type"], "Host": "sms.tencentcloudapi.com"}
        | {"X-TC-Timestamp": headers["X-TC-Timestamp"], "X-TC-Action": headers["X-TC-Action"]},
        "body": request.body.decode(),
        "day": f"{now:%Y-%m-%d}",
        "secret_key": KEYS["secret_key"],
    }
    (theirs,) = client(sdk_python, simulator, sign=[signed])["signatures"]
    found = re.search("Signature=([0-9a-f]+)$", headers["Authorization"])
    assert found and theirs == found[1]
