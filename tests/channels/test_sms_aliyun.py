"""What is Aliyun's alone: its signature, the windows of its limits, its way to write numbers."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.channels.contract import Account, Envelope, HttpAnswer
from apps.channels.outcomes import Rejected, Throttled, Unknown
from apps.channels.providers.sms_aliyun.adapter import SmsAliyun
from apps.channels.wire.alibaba_answers import plain_phone
from apps.channels.wire.alibaba_signature import Signer, canonical_query, percent
from apps.channels.wire.sms_receipts import kept_phone
from tests.channels.golden_files import hook_request

ACCOUNT = Account("a", "sms_aliyun", {"access_key_id": "k", "access_key_secret": "s", "base_url": "http://127.0.0.1:1"})
ENVELOPE = Envelope("k", "r1", "13800138000", {"sign_name": "【签】", "template_code": "T", "params": {}, "text": "x"})


def test_the_published_vector() -> None:
    """help.aliyun.com, "V3 request body and signature mechanism", fixed parameter example."""
    signer = Signer.at("https://ecs.cn-shanghai.aliyuncs.com", "YourAccessKeyId", "YourAccessKeySecret", "2014-05-26")
    query = canonical_query(
        (("RegionId", "cn-shanghai"), ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"))
    )
    signature = signer.sign("RunInstances", query, "2023-10-26T10:22:32Z", "3156853299f313e23d1673dc12e1703d")
    assert signature == "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"


def test_the_official_clients_signature() -> None:
    """Same inputs given to alibabacloud_dysmsapi20170525 4.6.0."""
    adapter = SmsAliyun(nonce=lambda: "0123456789abcdef0123456789abcdef")
    account = Account(
        "a",
        "sms_aliyun",
        {
            "access_key_id": "LTAI5tTestKey0000001",
            "access_key_secret": "TestSecret0000000000000000000001",
            "base_url": "https://dysmsapi.aliyuncs.com:443",
        },
    )
    content = {"sign_name": "测试签名", "template_code": "SMS_100000001", "params": {"code": "8848"}}
    envelopes = [Envelope("", "ums-evt-42", f"1380013800{number}", content) for number in range(2)]
    request = adapter.build(account, envelopes, datetime(2025, 1, 2, 11, 4, 5, tzinfo=UTC) - timedelta(hours=8))
    assert request.headers[-1].endswith("Signature=6f2cca15e6d3a2cd233a132817c20355ee73bfcbc8581bf3f734352e88fd6d63")


OWN = {
    "access_key_id": "LTAI5tTestKey0000001",
    "access_key_secret": "TestSecret0000000000000000000001",
    "base_url": "https://dysmsapi.aliyuncs.com",
    "texts_of_call": "own",
    "recipients_per_call": 1000,
}


def own_texts(*changes: dict[str, Any]) -> list[Envelope]:
    content = {"sign_name": "测试签名", "template_code": "SMS_100000001"}
    people = enumerate(changes)
    return [Envelope("", f"o{number + 1}", f"1380013800{number}", content | change) for number, change in people]


def test_the_official_clients_signature_over_a_form() -> None:
    """The same, for SendBatchSms: the columns stand in the body."""
    adapter = SmsAliyun(nonce=lambda: "0123456789abcdef0123456789abcdef")
    envelopes = own_texts({"params": {"code": "1"}}, {"params": {"code": "2"}})
    request = adapter.build(Account("a", "sms_aliyun", OWN), envelopes, datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert urlsplit(request.url).query == "OutId=o1&TemplateCode=SMS_100000001"
    assert hashlib.sha256(request.body or b"").hexdigest().startswith("4a4a94cfa583241a2e2f2c0eaa1b2b62")
    assert "Content-Type: application/x-www-form-urlencoded" in request.headers
    signed = "SignedHeaders=content-type;host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;"
    assert signed in request.headers[-1]
    assert request.headers[-1].endswith("Signature=fd2da86259175c9966bd7f4b9408242e93c92da5dae50aaa6f78ff8545a5cf97")


def test_own_texts_are_one_template_and_at_most_a_hundred() -> None:
    account = Account("a", "sms_aliyun", OWN | {"extend_code": "12"})
    assert SmsAliyun().call_size(account) == 100
    assert set(SmsAliyun().check_config(OWN)) == {"recipients_per_call"}
    request = SmsAliyun().build(account, own_texts({}, {}), datetime.now(UTC))
    form = dict(parse_qsl((request.body or b"").decode(), strict_parsing=True))
    assert form["SmsUpExtendCodeJson"] == '["12","12"]' and form["TemplateParamJson"] == "[{},{}]"
    with pytest.raises(ValueError):
        SmsAliyun().build(account, own_texts({}, {"template_code": "SMS_2"}), datetime.now(UTC))
    assert "PhoneNumbers=" in SmsAliyun().build(account, own_texts({}), datetime.now(UTC)).url


@pytest.mark.parametrize("code", ["isv.PARAM_NOT_SUPPORT_URL", "isv.MOBILE_NUMBER_ILLEGAL"])
def test_whose_of_several_own_texts_was_refused_is_looked_for(code: str) -> None:
    answer = HttpAnswer(200, {}, f'{{"Code":"{code}"}}'.encode())
    outcome = SmsAliyun().read(Account("a", "sms_aliyun", OWN), own_texts({}, {}), answer)
    assert isinstance(outcome, Rejected) and outcome.scope == "call"


@given(st.text())
def test_percent_is_rfc_3986(text: str) -> None:
    clean = text.encode("utf-8", "ignore").decode()
    assert percent(clean) == quote(clean, safe="-_.~")


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=30), min_size=1, max_size=4))
def test_any_values_travel_whole(params: dict[str, str]) -> None:
    clean = {n.encode("utf-8", "ignore").decode(): v.encode("utf-8", "ignore").decode() for n, v in params.items()}
    request = SmsAliyun().build(
        ACCOUNT, [Envelope("k", "r", "1", {**ENVELOPE.content, "params": clean})], datetime.now(UTC)
    )
    fields = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True, strict_parsing=True))
    assert fields["SignName"] == "签" and json.loads(fields["TemplateParam"]) == clean


@pytest.mark.parametrize(
    ("given_", "sent"),
    [
        ("13800138000", "13800138000"),
        ("+8613800138000", "13800138000"),
        ("008613800138000", "13800138000"),
        ("8613800138000", "13800138000"),
        ("+85261234567", "85261234567"),
        ("+447911123456", "447911123456"),
        ("+6591234567", "6591234567"),
        ("+12125550100", "12125550100"),
    ],
)
def test_numbers(given_: str, sent: str) -> None:
    assert plain_phone(given_) == sent
    assert plain_phone(kept_phone(given_)) == sent


@pytest.mark.parametrize("address", ["+13125550100", "0013125550100"])
def test_a_foreign_number_is_not_sent_to_whom_it_would_be_on_the_mainland(address: str) -> None:
    """+1 312 555 0100 without its plus sign is somebody's number in China."""
    for envelopes in ([replace(ENVELOPE, address=address)], [ENVELOPE, replace(ENVELOPE, address=address)]):
        with pytest.raises(ValueError):
            SmsAliyun().build(ACCOUNT, envelopes, datetime.now(UTC))


def test_a_number_is_kept_with_its_plus_sign() -> None:
    for said in ("6591234567", "+6591234567", "006591234567"):
        assert kept_phone(said) == "+6591234567"
    assert kept_phone("8613800138000") == kept_phone("+8613800138000") == "13800138000"


@pytest.mark.parametrize(
    ("code", "message", "date", "wait"),
    [
        (
            "isv.BUSINESS_LIMIT_CONTROL",
            "触发分钟级流控Permits:1",
            "Thu, 02 Jan 2025 03:04:50 GMT",
            timedelta(seconds=11),
        ),
        (
            "isv.BUSINESS_LIMIT_CONTROL",
            "触发小时级流控Permits:5",
            "Thu, 02 Jan 2025 03:59:00 GMT",
            timedelta(seconds=61),
        ),
        ("isv.BUSINESS_LIMIT_CONTROL", "触发天级流控Permits:10", "Thu, 02 Jan 2025 03:59:00 GMT", timedelta(days=1)),
        ("isv.BUSINESS_LIMIT_CONTROL", "触发分钟级流控Permits:1", "no date", timedelta(minutes=1)),
        ("isv.DAY_LIMIT_CONTROL", "", "Thu, 02 Jan 2025 15:59:00 GMT", timedelta(seconds=61)),
        ("isv.MONTH_LIMIT_CONTROL", "", "Fri, 31 Jan 2025 15:00:00 GMT", timedelta(hours=1)),
        ("isv.MONTH_LIMIT_CONTROL", "", "", None),
    ],
)
def test_a_limit_is_waited_out_on_beijings_clock(code: str, message: str, date: str, wait: timedelta | None) -> None:
    body = f'{{"Code":"{code}","Message":"{message}"}}'.encode()
    outcome = SmsAliyun().read(ACCOUNT, [ENVELOPE], HttpAnswer(200, {"date": date}, body))
    assert isinstance(outcome, Throttled) and outcome.retry_after == wait
    assert outcome.scope == ("recipient" if "BUSINESS" in code else "account")


@pytest.mark.parametrize(
    ("code", "failed", "bad"),
    [("MK:0001", True, True), ("MK:0001", False, False), ("UNDELIV", True, False), ("", True, False)],
)
def test_only_a_failure_says_that_a_number_is_bad(code: str, failed: bool, bad: bool) -> None:
    report = {"phone_number": "13800138000", "success": not failed, "err_code": code, "out_id": "r1"}
    (told,) = SmsAliyun().parse_hook(ACCOUNT, hook_request({"body": json.dumps([report])}))
    row = {"PhoneNum": "13800138000", "SendStatus": 2 if failed else 3, "ErrCode": code, "OutId": "r1"}
    body = {"Code": "OK", "SmsSendDetailDTOs": {"SmsSendDetailDTO": [row | {"SendDate": "2025-01-02 11:04:05"}]}}
    asked = SmsAliyun().read_query(ACCOUNT, ENVELOPE, HttpAnswer(200, {}, json.dumps(body).encode()))
    assert isinstance(asked, list)
    for event in (told, *asked):
        assert (event.state, event.bad_address) == ("failed" if failed else "delivered", bad)


def test_the_clock_of_reports_is_the_accounts() -> None:
    report = {"phone_number": "13800138000", "success": True, "report_time": "2025-01-02 11:04:09", "out_id": "r1"}
    request = hook_request({"body": json.dumps([report])})
    for hours in (8, 0, -5):
        account = replace(ACCOUNT, config={**ACCOUNT.config, "receipt_utc_offset": hours})
        (event,) = SmsAliyun().parse_hook(account, request)
        assert event.occurred_at == datetime(2025, 1, 2, 11, 4, 9, tzinfo=UTC) - timedelta(hours=hours)


def test_the_day_that_is_asked_for_is_that_of_beijing() -> None:
    late = datetime(2025, 1, 2, 16, 30, tzinfo=UTC)
    asked = dict(parse_qsl(urlsplit(SmsAliyun().build_query(ACCOUNT, ENVELOPE, late).url).query))
    assert (asked["SendDate"], asked["PhoneNumber"]) == ("20250103", "13800138000")


def test_an_extension_code_is_part_of_what_is_signed() -> None:
    plain = SmsAliyun().build(ACCOUNT, [ENVELOPE], datetime(2025, 1, 2, tzinfo=UTC))
    extended = replace(ACCOUNT, config={**ACCOUNT.config, "extend_code": "9 9"})
    request = SmsAliyun().build(extended, [ENVELOPE], datetime(2025, 1, 2, tzinfo=UTC))
    assert "SmsUpExtendCode" not in plain.url
    names = [name for name, _value in parse_qsl(urlsplit(request.url).query)]
    assert names == sorted(names) and "&SmsUpExtendCode=9%209&" in request.url


def test_more_details_than_one_page_are_no_proof_of_absence() -> None:
    body = b'{"Code":"OK","TotalCount":"51","SmsSendDetailDTOs":{"SmsSendDetailDTO":[{"OutId":"other"}]}}'
    outcome = SmsAliyun().read_query(ACCOUNT, ENVELOPE, HttpAnswer(200, {}, body))
    assert isinstance(outcome, Unknown) and outcome.code == "more_pages"
