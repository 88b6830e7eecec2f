"""Tencent Cloud SMS: what is accepted, and each refusal. The caller here signs by the provider's document."""

import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.channels.peers import HttpPeer, http_answer
from tests.simulator.clients import Reply, Simulator, wait_for

ID, KEY = "AKIDtestsecretid000000000000000000", "testsecretkey000000000000000000"
SEND: dict[str, Any] = {
    "PhoneNumberSet": ["+8613800138000"],
    "SmsSdkAppId": "1400000001",
    "TemplateId": "100002",
    "SignName": "优选银行",
    "TemplateParamSet": ["杜萍", "12.50"],
    "SessionContext": "k3x9",
}


def mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def call(
    simulator: Simulator,
    document: Any,
    action: str = "SendSms",
    key: str = KEY,
    at: float | None = None,
    day: str = "",
    more: str = "",
    **headers: str,
) -> Reply:
    """One signed call; `more` is one more signed header."""
    stamp = int(time.time() if at is None else at)
    day = day or time.strftime("%Y-%m-%d", time.gmtime(stamp))
    body = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    sent = {
        "Host": urlsplit(simulator.http).netloc,
        "Content-Type": "application/json",
        "X-TC-Action": action,
        "X-TC-Version": "2021-01-11",
        "X-TC-Region": "ap-guangzhou",
        "X-TC-Timestamp": str(stamp),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    names = sorted(["content-type", "host", *([more] if more else [])])
    values = {name.lower(): value.lower() for name, value in sent.items()}
    lines = "".join(f"{name}:{values[name]}\n" for name in names)
    canonical = f"POST\n/\n\n{lines}\n{';'.join(names)}\n{hashlib.sha256(body.encode()).hexdigest()}"
    text = f"TC3-HMAC-SHA256\n{stamp}\n{day}/sms/tc3_request\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = mac(mac(mac(mac(b"TC3" + key.encode(), day), "sms"), "tc3_request"), text).hex()
    sent.setdefault(
        "Authorization",
        f"TC3-HMAC-SHA256 Credential={ID}/{day}/sms/tc3_request, SignedHeaders={';'.join(names)}, Signature={signature}",
    )
    return simulator.call("POST", "/", body.encode(), sent)


def code(reply: Reply) -> str:
    assert reply.status == 200
    error: dict[str, str] = reply.json["Response"].get("Error", {})
    return error.get("Code", "")


def test_a_number_has_a_status_and_a_serial_number_of_its_own(simulator: Simulator) -> None:
    before = len(simulator.ledger())
    reply = call(simulator, SEND | {"PhoneNumberSet": ["+8613800138000", "+8612", "+8613800138001"]})
    rows = reply.json["Response"]["SendStatusSet"]
    assert [row["Code"] for row in rows] == ["Ok", "InvalidParameterValue.IncorrectPhoneNumber", "Ok"]
    lines = simulator.ledger(before)
    assert [line["pid"] for line in lines] == [rows[0]["SerialNo"], rows[2]["SerialNo"]]
    assert {line["delivery_ref"] for line in lines} == {"k3x9"} and {row["SessionContext"] for row in rows} == {"k3x9"}
    assert lines[0]["addr_hash"] == hashlib.sha256(b"13800138000").hexdigest()
    text = "【优选银行】尊敬的杜萍，您的账户余额为12.50元。回T退订"
    assert lines[0]["body_hash"] == hashlib.sha256(text.encode()).hexdigest()


def test_nothing_stops_a_repeat(simulator: Simulator) -> None:
    before = len(simulator.ledger())
    assert code(call(simulator, SEND)) == code(call(simulator, SEND)) == ""
    assert len(simulator.ledger()) - before == 2


def test_more_headers_may_be_signed(simulator: Simulator) -> None:
    assert code(call(simulator, SEND, more="x-tc-action")) == ""
    assert code(call(simulator, SEND, Content_Type="application/json; charset=utf-8")) == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"key": "wrong"}, "AuthFailure.SignatureFailure"),
        ({"day": "2020-01-01"}, "AuthFailure.SignatureFailure"),
        ({"at": 1}, "AuthFailure.SignatureExpire"),
        ({"action": "SendSMS"}, "InvalidAction"),
        ({"X_TC_Version": "2019-07-11"}, "NoSuchVersion"),
        ({"Authorization": "none"}, "AuthFailure.InvalidAuthorization"),
    ],
)
def test_who_may_not_call(simulator: Simulator, changes: dict[str, Any], expected: str) -> None:
    assert code(call(simulator, SEND, **changes)) == expected


def test_an_unknown_key(simulator: Simulator) -> None:
    other = f"TC3-HMAC-SHA256 Credential=AKIDx/2025-01-01/sms/tc3_request, SignedHeaders=content-type;host, Signature={'0' * 64}"
    assert code(call(simulator, SEND, Authorization=other)) == "AuthFailure.SecretIdNotFound"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"PhoneNumberSet": []}, "MissingParameter.EmptyPhoneNumberSet"),
        ({"PhoneNumberSet": ["+8613800138000"] * 201}, "LimitExceeded.PhoneNumberCountLimit"),
        ({"PhoneNumberSet": ["+8613800138000", "+85261234567"]},
         "UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber"),
        ({"PhoneNumberSet": "+8613800138000"}, "InvalidParameter"),
        ({"SmsSdkAppId": "1400000002"}, "UnauthorizedOperation.SmsSdkAppIdVerifyFail"),
        ({"SignName": "别人"}, "FailedOperation.SignatureIncorrectOrUnapproved"),
        ({"TemplateId": "7"}, "FailedOperation.TemplateIncorrectOrUnapproved"),
        ({"TemplateParamSet": ["杜萍"]}, "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"),
        ({"TemplateParamSet": ["杜萍", "http://x"]}, "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter"),
        ({"TemplateParamSet": ["杜萍", "长" * 500]}, "InvalidParameterValue.ContentLengthLimit"),
        ({"TemplateId": "100001", "TemplateParamSet": ["abc", "5"]}, "InvalidParameterValue.TemplateParameterFormatError"),
        ({"SessionContext": "x" * 512}, "InvalidParameterValue"),
        ({"Surprise": "x"}, "UnknownParameter"),
        ({"TemplateId": None}, "InvalidParameter"),
    ],
)  # fmt: skip
def test_what_is_refused_as_a_whole(simulator: Simulator, changes: dict[str, Any], expected: str) -> None:
    before = len(simulator.ledger())
    assert code(call(simulator, SEND | changes)) == expected
    assert len(simulator.ledger()) == before


def test_frequency_holds_a_number(simulator: Simulator) -> None:
    simulator.control({"tencent": {"frequency_limits": True}})
    phones = SEND | {"PhoneNumberSet": ["+8613900000001"]}
    rows = [call(simulator, phones).json["Response"]["SendStatusSet"][0]["Code"] for _ in range(2)]
    assert rows == ["Ok", "LimitExceeded.PhoneNumberThirtySecondLimit"]


def test_who_unsubscribed_is_refused_alone(simulator: Simulator) -> None:
    people = [{"id": "u", "phone": "13900000002", "states": {"phone": "unsubscribed"}}]
    simulator.call("PUT", "/_sim/people", json.dumps(people))
    reply = call(simulator, SEND | {"PhoneNumberSet": ["+8613900000002", "+8613900000003"]})
    codes = [row["Code"] for row in reply.json["Response"]["SendStatusSet"]]
    assert codes == ["FailedOperation.PhoneNumberInBlacklist", "Ok"]


def test_too_many_calls_in_a_second(simulator: Simulator) -> None:
    simulator.control({"tencent": {"per_second": {"SendSms": 0}}})
    assert code(call(simulator, SEND)) == "RequestLimitExceeded"


def test_states_are_pulled_by_number_and_once_from_the_queue(simulator: Simulator) -> None:
    simulator.control({"receipts": {"delay": [0.0, 0.0]}})
    call(simulator, SEND | {"PhoneNumberSet": ["+8613900000004"]})
    now = int(time.time())
    asked = {
        "PhoneNumber": "+8613900000004",
        "SmsSdkAppId": "1400000001",
        "BeginTime": now - 60,
        "Offset": 0,
        "Limit": 100,
    }
    name = "PullSmsSendStatusByPhoneNumber"
    (row,) = call(simulator, asked, name).json["Response"]["PullSmsSendStatusSet"]
    assert (row["ReportStatus"], row["SessionContext"], row["SubscriberNumber"]) == ("SUCCESS", "k3x9", "13900000004")
    queue = {"Limit": 100, "SmsSdkAppId": "1400000001"}
    pulled = [call(simulator, queue, "PullSmsSendStatus").json["Response"]["PullSmsSendStatusSet"] for _ in range(2)]
    assert row in pulled[0] and pulled[1] == []
    for change, expected in (
        ({"Limit": 101}, "LimitVerifyFail"),
        ({"Offset": 1}, "OffsetVerifyFail"),
        ({"BeginTime": now - 8 * 86400}, "BeginTimeVerifyFail"),
    ):
        assert code(call(simulator, asked | change, name)) == f"InvalidParameterValue.{expected}"


def test_callbacks_are_repeated_until_they_are_taken(simulator: Simulator) -> None:
    answers = iter([b'{"result":1}', b'{"result":0,"errmsg":"OK"}'])
    peer = HttpPeer(lambda *_: http_answer(next(answers)))
    simulator.control({"receipts": {"urls": {"tencent": peer.url("/r")}, "delay": [0.0, 0.0], "retry_scale": 0.001}})
    call(simulator, SEND)
    wait_for(lambda: len(peer.bodies) == 2, "the repetition")
    first, second = (json.loads(body) for body in peer.bodies)
    assert first == second and set(first[0]) == {
        "user_receive_time", "nationcode", "mobile", "report_status", "errmsg", "description", "sid"
    }  # fmt: skip
    peer.close()
