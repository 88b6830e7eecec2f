"""What is alone with Alibaba's 5G messages: a success that is denied further inside, and their report."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.channels.contract import Account, Envelope, HttpAnswer, ReceiptEvent
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, Unknown
from apps.channels.providers.rcs_aliyun.adapter import RcsAliyun
from tests.channels.golden_files import hook_request

CONFIG = {"access_key_id": "k", "access_key_secret": "s", "base_url": "http://127.0.0.1:1"}
ONE = [Envelope("k", "k3x9", "13800138000", {"sign_name": "签", "template_code": "RCS_SMS_1", "text": "x"})]


def account(**changes: Any) -> Account:
    return Account("a", "rcs_aliyun", CONFIG | changes)


@pytest.mark.parametrize(
    ("body", "expected", "code"),
    [
        ({"Code": "OK", "Success": True, "Data": {"Success": True}}, Accepted, ""),
        ({"Code": "OK"}, Accepted, ""),
        ({"Code": "OK", "Success": False}, Unknown, "http_200"),
        ({"Code": "OK", "Data": {"Success": False, "Code": "isv.MOBILE_NUMBER_ILLEGAL"}}, Rejected, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"Code": "OK", "Data": {"Success": False, "Code": "isv.OUT_OF_SERVICE"}}, Misconfigured, "isv.OUT_OF_SERVICE"),
        ({"Code": "OK", "Data": {"Success": False, "Code": "OK"}}, Unknown, "http_200"),
        ({"Code": "OK", "Data": {"Success": False}}, Unknown, "http_200"),
    ],
)  # fmt: skip
def test_a_success_is_one_that_nothing_in_it_denies(body: dict[str, Any], expected: type[Outcome], code: str) -> None:
    outcome = RcsAliyun().read(account(), ONE, HttpAnswer(200, {}, json.dumps(body).encode()))
    assert isinstance(outcome, expected) and getattr(outcome, "code", "") == code


def report(config: dict[str, Any], **changes: Any) -> ReceiptEvent:
    body = {
        "phone_number": "13800138000",
        "report_time": "2025-01-02 11:04:09",
        "send_status": "SEND_FAILED",
        "err_code": "MK:0001",
        "out_id": "k3x9",
    }
    (event,) = RcsAliyun().parse_hook(account(**config), hook_request({"body": json.dumps([body | changes])}))
    return event


def test_the_clock_of_reports_is_the_accounts() -> None:
    assert report({}).occurred_at == datetime(2025, 1, 2, 3, 4, 9, tzinfo=UTC)
    assert report({"receipt_utc_offset": 0}).occurred_at == datetime(2025, 1, 2, 11, 4, 9, tzinfo=UTC)


def test_a_number_is_bad_where_the_account_says_so_and_the_message_failed() -> None:
    named = {"bad_number_codes": "MK:0001"}
    assert report(named).bad_address and not report({}).bad_address
    assert not report(named, err_code="MOBILE_NOT_SUPPORT_RCS").bad_address
    assert not report(named, send_status="SEND_SUCCESS").bad_address
