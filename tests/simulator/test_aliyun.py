"""Alibaba Cloud SMS: what is accepted, and each refusal."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.simulator.clients import ALIYUN_KEY, ALIYUN_SECRET, NOTICE, Simulator, encode, v3_authorization, v3_headers

NOTICE_TEXT = "【优选银行】尊敬的杜萍，您的账户余额为12.50元。回T退订"


def today() -> str:
    return time.strftime("%Y%m%d", time.gmtime(time.time() + 8 * 3600))


def utc(offset: float = 0.0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset))


def v1_call(simulator: Simulator, method: str, in_body: bool = False, **parameters: str) -> Any:
    common = {"AccessKeyId": ALIYUN_KEY, "Format": "JSON", "RegionId": "cn-hangzhou", "SignatureMethod": "HMAC-SHA1"}
    common |= {"SignatureNonce": uuid.uuid4().hex, "SignatureVersion": "1.0", "SignatureType": "", "Timestamp": utc()}
    every = common | {"Version": "2017-05-25", "Action": "SendSms"} | parameters
    query = "&".join(f"{encode(name)}={encode(value)}" for name, value in sorted(every.items()))
    text = f"{method}&%2F&{encode(query)}"
    sign = base64.b64encode(hmac.digest(f"{ALIYUN_SECRET}&".encode(), text.encode(), "sha1")).decode()
    signed = f"{query}&Signature={encode(sign)}"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return simulator.call(method, "/", signed, kind) if in_body else simulator.call(method, f"/?{signed}")


def test_one_call_has_one_biz_id_and_a_ledger_line_per_number(simulator: Simulator) -> None:
    before = len(simulator.ledger())
    reply = simulator.send_sms("13800138000,+8613800138001,008613800138002", "ums-evt-42")
    assert reply.status == 200 and reply.json["Code"] == "OK"
    assert set(reply.json) == {"Code", "Message", "BizId", "RequestId"}
    lines = simulator.ledger(before)
    assert {line["pid"] for line in lines} == {reply.json["BizId"]} and len(lines) == 3
    assert {line["key"] for line in lines} == {"ums-evt-42"} == {line["delivery_ref"] for line in lines}
    numbers = {hashlib.sha256(f"1380013800{digit}".encode()).hexdigest() for digit in range(3)}
    assert {line["addr_hash"] for line in lines} == numbers
    assert lines[0]["body_hash"] == hashlib.sha256(NOTICE_TEXT.encode()).hexdigest()


def test_out_id_does_not_de_duplicate(simulator: Simulator) -> None:
    first, second = simulator.send_sms(out_id="same"), simulator.send_sms(out_id="same")
    assert first.json["BizId"] != second.json["BizId"]


@pytest.mark.parametrize(("method", "in_body"), [("GET", False), ("POST", False), ("POST", True)])
def test_legacy_signature(simulator: Simulator, method: str, in_body: bool) -> None:
    assert v1_call(simulator, method, in_body, PhoneNumbers="13800138000", **NOTICE).json["Code"] == "OK"
    bad = v1_call(simulator, method, in_body, PhoneNumbers="13800138000", AccessKeyId="nobody", **NOTICE)
    assert bad.json["Code"] == "InvalidAccessKeyId.NotFound"


def test_batch_matches_by_index_and_takes_form_and_query(simulator: Simulator) -> None:
    form = {
        "PhoneNumberJson": '["13800138000","13800138001"]',
        "SignNameJson": '["测试签名","优选银行"]',
        "TemplateParamJson": '[{"code":"1"},{"code":"2"}]',
    }
    reply = simulator.aliyun("SendBatchSms", {"TemplateCode": "SMS_100000001", "OutId": "o1"}, form)
    assert reply.json["Code"] == "OK"
    query = {"PhoneNumber": "13800138001", "SendDate": today(), "PageSize": "10", "CurrentPage": "1"}
    found = simulator.aliyun("QuerySendDetails", query | {"BizId": reply.json["BizId"]}).json
    row = found["SmsSendDetailDTOs"]["SmsSendDetailDTO"][0]
    assert found["TotalCount"] == "1" and row["OutId"] == "o1"
    assert row["Content"] == "【优选银行】您的验证码为2，请勿告知他人。"


BATCH_FAULTS = [
    ({"PhoneNumberJson": json.dumps(["13800138000"] * 101)}, "isv.MOBILE_COUNT_OVER_LIMIT"),
    ({"PhoneNumberJson": '["13800138000"]'}, "isv.INVALID_PARAMETERS"),
    ({"TemplateParamJson": '[{"code":"1"},{}]'}, "isv.TEMPLATE_MISSING_PARAMETERS"),
    ({"TemplateParamJson": "[{"}, "isv.INVALID_JSON_PARAM"),
]


@pytest.mark.parametrize(("change", "code"), BATCH_FAULTS)
def test_batch_refusals(simulator: Simulator, change: dict[str, str], code: str) -> None:
    form = {
        "PhoneNumberJson": '["13800138000","13800138001"]',
        "SignNameJson": '["测试签名","优选银行"]',
        "TemplateParamJson": '[{"code":"1"},{"code":"2"}]',
    }
    reply = simulator.aliyun("SendBatchSms", {"TemplateCode": "SMS_100000001"}, form | change)
    assert (reply.status, reply.json["Code"]) == (200, code)


BUSINESS = [
    ({"PhoneNumbers": "12345"}, "isv.MOBILE_NUMBER_ILLEGAL"),
    ({"PhoneNumbers": "8612345678901"}, "isv.MOBILE_NUMBER_ILLEGAL"),
    ({"PhoneNumbers": "13800138000,138"}, "isv.MOBILE_NUMBER_ILLEGAL"),
    ({"PhoneNumbers": ",".join(["13800138000"] * 1001)}, "isv.MOBILE_COUNT_OVER_LIMIT"),
    ({"PhoneNumbers": ""}, "isv.INVALID_PARAMETERS"),
    ({"SignName": "别人"}, "isv.SMS_SIGNATURE_ILLEGAL"),
    ({"TemplateCode": "SMS_1"}, "isv.SMS_TEMPLATE_ILLEGAL"),
    ({"TemplateParam": '{"name":"杜萍"}'}, "isv.TEMPLATE_MISSING_PARAMETERS"),
    ({"TemplateParam": ""}, "isv.TEMPLATE_MISSING_PARAMETERS"),
    ({"TemplateParam": "name=1"}, "isv.INVALID_JSON_PARAM"),
    ({"TemplateParam": '{"name":["a"],"balance":"1"}'}, "isv.INVALID_JSON_PARAM"),
    ({"TemplateParam": '{"name":"https://a.example","balance":"1"}'}, "isv.PARAM_NOT_SUPPORT_URL"),
    ({"TemplateParam": json.dumps({"name": "长" * 480, "balance": "1"})}, "isv.PARAM_LENGTH_LIMIT"),
    ({"OutId": "x" * 256}, "isv.INVALID_PARAMETERS"),
]


@pytest.mark.parametrize(("change", "code"), BUSINESS)
def test_business_refusals_come_with_http_200_and_accept_nothing(
    simulator: Simulator, change: dict[str, str], code: str
) -> None:
    before = len(simulator.ledger())
    reply = simulator.send_sms(**change)
    assert (reply.status, reply.json["Code"]) == (200, code)
    assert "HostId" not in reply.json and len(simulator.ledger()) == before


GATEWAY = [
    ({"secret": "wrong"}, "SignatureDoesNotMatch"),
    ({"key": "LTAInobody"}, "InvalidAccessKeyId.NotFound"),
    ({"x_acs_date": utc(-16 * 60)}, "InvalidTimeStamp.Expired"),
    ({"x_acs_date": utc(24 * 3600)}, "InvalidTimeStamp.Expired"),
    ({"x_acs_date": "2025-01-02 03:04:05"}, "InvalidTimeStamp.Format"),
    ({"x_acs_content_sha256": "00"}, "SignatureDoesNotMatch"),
    ({"x_acs_version": "2016-01-01"}, "InvalidVersion"),
    ({"x_acs_action": "SendFax"}, "InvalidAction.NotFound"),
]


@pytest.mark.parametrize(("change", "code"), GATEWAY)
def test_gateway_refusals_come_with_http_4xx(simulator: Simulator, change: dict[str, str], code: str) -> None:
    parameters = {"PhoneNumbers": "13800138000", "OutId": "d", **NOTICE}
    reply = simulator.aliyun("SendSms", parameters, **change)
    assert 400 <= reply.status < 500 and reply.json["Code"] == code and reply.json["HostId"]


def test_a_clock_that_is_14_minutes_off_is_taken(simulator: Simulator) -> None:
    parameters = {"PhoneNumbers": "13800138000", **NOTICE}
    assert simulator.aliyun("SendSms", parameters, x_acs_date=utc(-14 * 60)).json["Code"] == "OK"


def test_a_nonce_is_taken_once(simulator: Simulator) -> None:
    parameters, nonce = {"PhoneNumbers": "13800138000", **NOTICE}, uuid.uuid4().hex
    assert simulator.aliyun("SendSms", parameters, x_acs_signature_nonce=nonce).json["Code"] == "OK"
    assert simulator.aliyun("SendSms", parameters, x_acs_signature_nonce=nonce).json["Code"] == "SignatureNonceUsed"


def test_every_provider_header_must_be_signed(simulator: Simulator) -> None:
    headers = v3_headers(urlsplit(simulator.http).netloc, "SendSms", b"")
    headers["Authorization"] = v3_authorization(ALIYUN_KEY, ALIYUN_SECRET, "POST", "", headers, b"")
    headers["x-acs-security-token"] = "late"
    assert simulator.call("POST", "/", b"", headers).json["Code"] == "IncompleteSignature"


@pytest.mark.parametrize("change", [{"SendDate": "20200101"}, {"SendDate": "x"}, {"PageSize": "51"}, {"PageSize": "0"}])
def test_query_refusals(simulator: Simulator, change: dict[str, str]) -> None:
    query = {"PhoneNumber": "13800138000", "SendDate": today(), "PageSize": "10", "CurrentPage": "1"}
    assert simulator.aliyun("QuerySendDetails", query | change).json["Code"] == "isv.INVALID_PARAMETERS"


def test_frequency_of_codes_and_notices(simulator: Simulator) -> None:
    simulator.control({"aliyun": {"frequency_limits": True}})
    code = {"TemplateCode": "SMS_100000001", "TemplateParam": '{"code":"1"}'}
    answers = [simulator.send_sms("13800139001", **code).json for _ in range(3)]
    refused = [answer["Message"] for answer in answers if answer["Code"] == "isv.BUSINESS_LIMIT_CONTROL"]
    assert answers[0]["Code"] == "OK" and "触发分钟级流控Permits:1" in refused
    notices = [simulator.send_sms("13800139002").json["Code"] for _ in range(51)]
    assert notices == ["OK"] * 50 + ["isv.BUSINESS_LIMIT_CONTROL"]


def test_new_objects_can_be_approved(simulator: Simulator) -> None:
    template = {
        "SMS_9": {"text": "您好${who}", "type": "marketing", "state": "approved"},
        "SMS_8": {"text": "x", "state": "pending"},
    }
    simulator.control({"aliyun": {"signs": ["新签名"], "templates": template}})
    reply = simulator.send_sms(SignName="新签名", TemplateCode="SMS_9", TemplateParam='{"who":"a"}')
    assert reply.json["Code"] == "OK"
    assert simulator.send_sms(TemplateCode="SMS_8").json["Code"] == "isv.SMS_TEMPLATE_ILLEGAL"
