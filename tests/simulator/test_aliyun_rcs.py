"""Alibaba Cloud in the simulated world, beside SendSms: 5G messages, their fall back and reports; the list of templates."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.channels.peers import HttpPeer, http_answer
from tests.simulator.clients import Simulator, wait_for

CARD = {
    "SignName": "优选银行",
    "TemplateCode": "RCS_SMS_100000001",
    "TemplateParam": '{"name":"杜萍","balance":"12.50"}',
}


def send(simulator: Simulator, phone: str = "13800138000", **changes: str) -> Any:
    return simulator.aliyun("SendRCS", {"PhoneNumbers": phone, "OutId": "k3x9"} | CARD | changes).json


@pytest.fixture
def reports(simulator: Simulator) -> Iterator[HttpPeer]:
    peer = HttpPeer(lambda *_: http_answer(b'{"code":0}', "200 OK", "Content-Type: application/json"))
    simulator.control({"receipts": {"urls": {"aliyun:rcs": peer.url("/rcs")}, "delay": [0.0, 0.0]}})
    yield peer
    peer.close()


def report(reports: HttpPeer) -> Any:
    wait_for(lambda: reports.bodies, "a report")
    (one,) = json.loads(reports.bodies[0])
    return one


def test_it_is_taken_and_its_id_comes_with_the_report(simulator: Simulator, reports: HttpPeer) -> None:
    before = len(simulator.ledger())
    answer = send(simulator)
    assert (answer["Code"], answer["Success"]) == ("OK", True) and "BizId" not in answer
    (line,) = simulator.ledger(before)
    told = report(reports)
    assert (told["phone_number"], told["send_status"], told["err_code"]) == ("13800138000", "SEND_SUCCESS", "DELIVERED")
    assert (told["out_id"], told["biz_id"], told["rcs_template_format"]) == ("k3x9", line["pid"], "RCS")


@pytest.mark.parametrize(
    ("falls_back", "status", "code"),
    [(True, "SEND_SUCCESS", "DELIVERED"), (False, "SEND_FAILED", "MOBILE_NOT_SUPPORT_RCS")],
)
def test_a_number_without_5g_messages(
    simulator: Simulator, reports: HttpPeer, falls_back: bool, status: str, code: str
) -> None:
    simulator.control({"world": {"aliyun": {"unsupported": 1.0}}, "aliyun": {"rcs_falls_back": falls_back}})
    assert send(simulator)["Code"] == "OK"
    told = report(reports)
    assert (told["send_status"], told["err_code"], told["rcs_template_format"]) == (status, code, "PLAIN_TEXT")


def test_an_empty_number_fails(simulator: Simulator, reports: HttpPeer) -> None:
    simulator.control({"world": {"aliyun": {"empty": 1.0}}})
    send(simulator)
    assert report(reports)["err_code"] == "MK:0001"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"PhoneNumbers": "13800138000,13800138001"}, "isv.MOBILE_COUNT_OVER_LIMIT"),
        ({"PhoneNumbers": "+8613800138000"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"TemplateCode": "SMS_100000002"}, "isv.SMS_TEMPLATE_ILLEGAL"),
        ({"TemplateCode": "RCS_SMS_9"}, "isv.SMS_TEMPLATE_ILLEGAL"),
        ({"SignName": "nobody"}, "isv.SMS_SIGNATURE_ILLEGAL"),
        ({"TemplateParam": '{"name":"杜萍"}'}, "isv.TEMPLATE_MISSING_PARAMETERS"),
        ({"TemplateParam": "{"}, "isv.INVALID_JSON_PARAM"),
        ({"SignName": ""}, "isv.INVALID_PARAMETERS"),
        ({"OutId": "x" * 256}, "isv.INVALID_PARAMETERS"),
    ],
)
def test_wrong_messages_are_refused(simulator: Simulator, changes: dict[str, str], code: str) -> None:
    assert send(simulator, **changes)["Code"] == code


def test_an_sms_takes_no_template_of_5g_messages(simulator: Simulator) -> None:
    assert simulator.send_sms(**CARD).json["Code"] == "isv.SMS_TEMPLATE_ILLEGAL"


def test_the_list_of_templates_has_pages(simulator: Simulator) -> None:
    templates = {
        f"SMS_77{n}": {"text": "x", "name": f"n{n}", "state": state} for n, state in enumerate(("pending", "no"))
    }
    simulator.control({"aliyun": {"account": "LTAIlist", "secret": "s3", "signs": [], "templates": templates}})
    pages = [
        simulator.aliyun("QuerySmsTemplateList", {"PageIndex": page, "PageSize": "1"}, key="LTAIlist", secret="s3").json
        for page in ("1", "2")
    ]
    rows = [row for page in pages for row in page["SmsTemplateList"]]
    assert [page["TotalCount"] for page in pages] == [2, 2]
    assert [(row["TemplateCode"], row["TemplateName"], row["AuditStatus"]) for row in rows] == [
        ("SMS_770", "n0", "AUDIT_STATE_INIT"),
        ("SMS_771", "n1", "AUDIT_STATE_NOT_PASS"),
    ]
    assert simulator.aliyun("QuerySmsTemplateList", {"PageIndex": "1", "PageSize": "51"}).json["Code"] != "OK"


def test_columns_of_a_batch_have_one_length(simulator: Simulator) -> None:
    form = {
        "PhoneNumberJson": '["13800138000"]',
        "SignNameJson": '["优选银行"]',
        "TemplateParamJson": '[{"code":"1"}]',
        "SmsUpExtendCodeJson": '["1","2"]',
    }
    said = simulator.aliyun("SendBatchSms", {"TemplateCode": "SMS_100000001"}, form).json
    assert said["Code"] == "isv.INVALID_PARAMETERS"
