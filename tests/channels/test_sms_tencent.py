"""What is Tencent Cloud's alone: its signature, a status for each number, the windows of its limits."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from apps.channels.contract import Account, Envelope, HttpAnswer, ReceiptEvent
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, Throttled, Unknown
from apps.channels.providers.sms_tencent.adapter import SmsTencent
from apps.channels.providers.sms_tencent.answers import e164
from apps.channels.providers.sms_tencent.signature import Signer
from tests.channels.golden_files import hook_request

CONFIG = {
    "secret_id": "AKIDtestsecretid000000000000000000",
    "secret_key": "testsecretkey000000000000000000",
    "sdk_app_id": "1400000001",
    "base_url": "https://sms.tencentcloudapi.com:443",
}
ACCOUNT = Account("a", "sms_tencent", CONFIG)
CONTENT = {"sign_name": "【测试签名】", "template_id": "100001", "params": {"1": "8848", "2": "5"}, "text": "x"}
PHONES = ["13800138000", "13800138001", "13800138002"]


def envelopes(*phones: str) -> list[Envelope]:
    return [Envelope("", f"r{number}", phone, CONTENT) for number, phone in enumerate(phones)]


def statuses(*codes: str, phones: list[str] = PHONES) -> HttpAnswer:
    rows = [
        {"SerialNo": f"5000:{number}" if code == "Ok" else "", "PhoneNumber": e164(phone), "Fee": 1, "Code": code}
        for number, (code, phone) in enumerate(zip(codes, phones, strict=True))
    ]
    return HttpAnswer(200, {}, json.dumps({"Response": {"SendStatusSet": rows, "RequestId": "1"}}).encode())


def test_the_published_vector() -> None:
    """cloud.tencent.com, "signature method v3", with its example keys."""
    signer = Signer.at(
        "https://cvm.tencentcloudapi.com",
        "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE",
        "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
        "cvm",
    )
    body = rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
    assert signer.sign(body, 1551113065) == "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"


def test_a_send_is_signed_over_the_bytes_that_leave() -> None:
    content = {**CONTENT, "params": {"2": "5", "1": "8848"}}
    request = SmsTencent().build(
        ACCOUNT, [Envelope("", "ums-evt-42", "13800138000", content)], datetime.fromtimestamp(1735787045, UTC)
    )
    assert request.body is not None and len(request.body) == 174
    assert (
        hashlib.sha256(request.body).hexdigest() == "675217e89b5f45d5e126127f3aee8fe3ab5c06930681b168e4e46f043a85071f"
    )
    assert request.headers[-1].endswith("Signature=97a329835f542259c7006222cdef841c257d71465c15dd9dc96e8d4b07366e04")


def test_the_day_that_is_signed_is_that_of_utc() -> None:
    early = datetime(2025, 1, 1, 23, 30, tzinfo=UTC)  # already the next day in Beijing
    assert "/2025-01-01/sms/tc3_request" in SmsTencent().build(ACCOUNT, envelopes("1"), early).headers[-1]


def test_each_number_has_an_outcome_of_its_own() -> None:
    answer = statuses("Ok", "FailedOperation.PhoneNumberInBlacklist", "LimitExceeded.PhoneNumberThirtySecondLimit")
    found = SmsTencent().read(ACCOUNT, envelopes(*PHONES), answer)
    assert isinstance(found, list)
    assert [type(one) for one in found] == [Accepted, Rejected, Throttled]
    assert found[0] == Accepted("5000:0") and found[1].scope == "recipient"
    assert (found[2].scope, found[2].retry_after) == ("recipient", timedelta(seconds=30))


def test_statuses_in_another_order_are_told_apart_by_number() -> None:
    answer = statuses("Ok", "Ok", phones=[PHONES[2], PHONES[0]])
    found = SmsTencent().read(ACCOUNT, envelopes(*PHONES), answer)
    assert isinstance(found, list)
    assert found[0] == Accepted("5000:1") and found[2] == Accepted("5000:0")
    assert isinstance(found[1], Unknown) and found[1].code == "no_status"


@pytest.mark.parametrize("code", ["ok", "OK", "", None])
def test_only_the_exact_word_is_acceptance(code: str | None) -> None:
    row = {"SerialNo": "5000:1", "PhoneNumber": "+8613800138000", "Code": code}
    body = json.dumps({"Response": {"SendStatusSet": [row]}}).encode()
    assert isinstance(SmsTencent().read(ACCOUNT, envelopes(PHONES[0]), HttpAnswer(200, {}, body)), Unknown)


def test_an_ok_without_a_serial_number_is_unknown() -> None:
    body = b'{"Response":{"SendStatusSet":[{"Code":"Ok","PhoneNumber":"+8613800138000","SerialNo":""}]}}'
    assert isinstance(SmsTencent().read(ACCOUNT, envelopes(PHONES[0]), HttpAnswer(200, {}, body)), Unknown)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("13800138000", "+8613800138000"),
        ("+8613800138000", "+8613800138000"),
        ("008613800138000", "+8613800138000"),
        ("8613800138000", "+8613800138000"),
        ("+85261234567", "+85261234567"),
    ],
)
def test_numbers(given: str, sent: str) -> None:
    assert e164(given) == sent


@pytest.mark.parametrize(
    ("code", "date", "wait"),
    [
        ("LimitExceeded.PhoneNumberDailyLimit", "Thu, 02 Jan 2025 15:59:00 GMT", timedelta(seconds=61)),
        ("LimitExceeded.AppDailyLimit", "Thu, 02 Jan 2025 16:00:00 GMT", timedelta(days=1, seconds=1)),
        ("LimitExceeded.DailyLimit", "no date", timedelta(hours=1)),
        (
            "FailedOperation.MarketingSendTimeConstraint",
            "Thu, 02 Jan 2025 14:00:00 GMT",
            timedelta(hours=10, seconds=1),
        ),
        ("FailedOperation.MarketingSendTimeConstraint", "Thu, 02 Jan 2025 23:59:00 GMT", timedelta(seconds=61)),
        ("LimitExceeded.PhoneNumberOneHourLimit", "", timedelta(hours=1)),
    ],
)
def test_a_limit_is_waited_out_on_beijings_clock(code: str, date: str, wait: timedelta) -> None:
    body = json.dumps({"Response": {"Error": {"Code": code}}}).encode()
    outcome = SmsTencent().read(ACCOUNT, envelopes(PHONES[0]), HttpAnswer(200, {"date": date}, body))
    assert isinstance(outcome, Throttled) and outcome.retry_after == wait
    assert outcome.scope == ("recipient" if "PhoneNumber" in code or "Marketing" in code else "account")


def test_variables_are_numbered_without_a_gap() -> None:
    check = SmsTencent().check_content
    assert check(CONTENT) == check({**CONTENT, "params": {}}) == {}
    for names in ("13", "02", ["name"]):
        assert set(check({**CONTENT, "params": dict.fromkeys(names, "x")})) == {"params"}
    ten = {str(number): f"v{number}" for number in range(10, 0, -1)}
    request = SmsTencent().build(ACCOUNT, [Envelope("", "r", "1", {**CONTENT, "params": ten})], datetime.now(UTC))
    assert json.loads(request.body or b"")["TemplateParamSet"] == [f"v{number}" for number in range(1, 11)]


def test_a_full_page_is_no_proof_of_absence() -> None:
    rows = [{"SessionContext": "other"}] * 100
    body = json.dumps({"Response": {"PullSmsSendStatusSet": rows}}).encode()
    outcome = SmsTencent().read_query(ACCOUNT, envelopes(PHONES[0])[0], HttpAnswer(200, {}, body))
    assert isinstance(outcome, Unknown) and outcome.code == "more_rows"


def test_words_that_stop_the_account_say_so_for_each_number() -> None:
    found = SmsTencent().read(
        ACCOUNT, envelopes(*PHONES), statuses(*["FailedOperation.InsufficientBalanceInSmsPackage"] * 3)
    )
    kinds: set[type[Outcome]] = {type(one) for one in found} if isinstance(found, list) else set()
    assert kinds == {Misconfigured}


def report(config: dict[str, object], **changes: object) -> ReceiptEvent:
    row = {
        "user_receive_time": "2025-01-02 11:04:09",
        "nationcode": "86",
        "mobile": "13800138000",
        "report_status": "FAIL",
        "errmsg": "MK:0001",
        "sid": "5000:1",
    }
    account = replace(ACCOUNT, config=CONFIG | config)
    (event,) = SmsTencent().parse_hook(account, hook_request({"body": json.dumps([row | changes])}))
    return event


def test_the_clock_of_reports_is_the_accounts() -> None:
    assert report({}).occurred_at == datetime(2025, 1, 2, 3, 4, 9, tzinfo=UTC)
    assert report({"receipt_utc_offset": 0}).occurred_at == datetime(2025, 1, 2, 11, 4, 9, tzinfo=UTC)


def test_a_report_names_the_number_as_it_is_kept() -> None:
    assert report({}).address == "13800138000"
    assert report({}, nationcode="1", mobile="3125550100").address == "+13125550100"


def test_only_a_failure_says_that_a_number_is_bad() -> None:
    assert report({}).bad_address
    assert not report({}, report_status="SUCCESS").bad_address
    assert not report({}, errmsg="UNDELIV").bad_address and not report({"bad_number_codes": "MK:0002"}).bad_address
    for status, words, bad in (("FAIL", "MK:0001", True), ("SUCCESS", "MK:0001", False), ("FAIL", "UNDELIV", False)):
        row = {
            "UserReceiveTime": 1735787049,
            "PhoneNumber": "+8613800138000",
            "SerialNo": "5000:1",
            "ReportStatus": status,
            "Description": words,
            "SessionContext": "r0",
        }
        body = json.dumps({"Response": {"PullSmsSendStatusSet": [row, row | {"SessionContext": "r7"}]}}).encode()
        found = SmsTencent().read_query(ACCOUNT, envelopes(PHONES[0])[0], HttpAnswer(200, {}, body))
        assert isinstance(found, list)
        assert [(one.address, one.reference, one.bad_address) for one in found] == [("13800138000", "r0", bad)]
        assert found[0].occurred_at == datetime(2025, 1, 2, 3, 4, 9, tzinfo=UTC)


def test_a_question_reaches_beyond_clocks_that_differ() -> None:
    sent_at = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    kind = SmsTencent(clock=lambda: sent_at + timedelta(hours=1))
    asked = json.loads(kind.build_query(ACCOUNT, envelopes(PHONES[0])[0], sent_at).body or b"")
    assert (asked["BeginTime"], asked["EndTime"]) == (1735787045 - 600, 1735787045 + 3600 + 600)


def test_what_the_account_adds_to_a_call() -> None:
    account = replace(ACCOUNT, config=CONFIG | {"extend_code": 12, "sender_id": "UMS"})
    added = json.loads(SmsTencent().build(account, envelopes(PHONES[0]), datetime.now(UTC)).body or b"")
    plain = json.loads(SmsTencent().build(ACCOUNT, envelopes(PHONES[0]), datetime.now(UTC)).body or b"")
    assert added == plain | {"ExtendCode": "12", "SenderId": "UMS"}


def test_whose_of_several_a_refusal_was_is_looked_for() -> None:
    body = b'{"Response":{"Error":{"Code":"InvalidParameterValue.IncorrectPhoneNumber"}}}'
    for people, scope in ((PHONES[:1], "recipient"), (PHONES, "call")):
        outcome = SmsTencent().read(ACCOUNT, envelopes(*people), HttpAnswer(200, {}, body))
        assert isinstance(outcome, Rejected) and outcome.scope == scope
