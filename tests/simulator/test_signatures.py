"""The published and the recorded signature vectors of the contract sheets."""

import base64
import hashlib

import pytest

from simulator.providers.aliyun import signature
from tests.simulator.clients import JPUSH_KEY, JPUSH_SECRET

KEY, SECRET = "LTAI5tTestKey0000001", "TestSecret0000000000000000000001"
OURS = {
    "PhoneNumbers": "13800138000,13800138001",
    "SignName": "测试签名",
    "TemplateCode": "SMS_100000001",
    "TemplateParam": '{"code":"8848"}',
    "OutId": "ums-evt-42",
}
PUBLISHED_IMAGE = "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"
BATCH_BODY = (
    b"PhoneNumberJson=%5B%2213800138000%22%2C%2213800138001%22%5D&SignNameJson=%5B%22%E6%B5%8B%E8%AF%95%E7%AD%BE%E5%90%8D"
    b"%22%2C%22%E6%B5%8B%E8%AF%95%E7%AD%BE%E5%90%8D%22%5D&TemplateParamJson=%5B%7B%22code%22%3A%221%22%7D%2C%7B%22code%22"
    b"%3A%222%22%7D%5D"
)


def headers(host: str, action: str, version: str, date: str, nonce: str, body: bytes, **more: str) -> dict[str, str]:
    base = {"host": host, "x-acs-action": action, "x-acs-version": version, "x-acs-date": date}
    base |= {"x-acs-signature-nonce": nonce, "x-acs-content-sha256": hashlib.sha256(body).hexdigest()}
    return base | {name.replace("_", "-"): value for name, value in more.items()}


def request_v3(query: dict[str, str], given: dict[str, str], body: bytes = b"") -> str:
    digest = hashlib.sha256(body).hexdigest()
    return signature.canonical_request("POST", "/", query.items(), given, sorted(given), digest)


def test_v3_published_vector() -> None:
    given = headers(
        "ecs.cn-shanghai.aliyuncs.com", "RunInstances", "2014-05-26", "2023-10-26T10:22:32Z",
        "3156853299f313e23d1673dc12e1703d", b"",
    )  # fmt: skip
    request = request_v3({"ImageId": PUBLISHED_IMAGE, "RegionId": "cn-shanghai"}, given)
    expected = "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    assert signature.sign_v3("YourAccessKeySecret", request) == expected


def sms_headers(action: str, body: bytes = b"", **more: str) -> dict[str, str]:
    date, nonce = "2025-01-02T03:04:05Z", "0123456789abcdef0123456789abcdef"
    return headers("dysmsapi.aliyuncs.com", action, "2017-05-25", date, nonce, body, **more)


def test_v3_vector_with_parameters_in_the_query() -> None:
    request = request_v3(OURS, sms_headers("SendSms"))
    digest = hashlib.sha256(request.encode()).hexdigest()
    assert digest == "075791e6a1a131af6e27c5591072d5c8a42b9b97c983eff09dd06dc52b2051c3"
    expected = "6f2cca15e6d3a2cd233a132817c20355ee73bfcbc8581bf3f734352e88fd6d63"
    assert signature.sign_v3(SECRET, request) == expected


def test_v3_vector_with_a_form_body() -> None:
    assert len(BATCH_BODY) == 246
    given = sms_headers("SendBatchSms", BATCH_BODY, content_type="application/x-www-form-urlencoded")
    request = request_v3({"OutId": "o1", "TemplateCode": "SMS_100000001"}, given, BATCH_BODY)
    expected = "fd2da86259175c9966bd7f4b9408242e93c92da5dae50aaa6f78ff8545a5cf97"
    assert signature.sign_v3(SECRET, request) == expected


def test_v3_authorization_is_read_and_foreign_ones_are_not() -> None:
    value = f"ACS3-HMAC-SHA256 Credential={KEY},SignedHeaders=host;x-acs-date,Signature=0a1b"
    assert signature.parse_authorization(value) == (KEY, ["host", "x-acs-date"], "0a1b")
    assert signature.parse_authorization("Basic abc") is None
    assert signature.unsigned_headers(["Host", "X-Acs-Date", "Accept", "Content-Type"], ["host"]) == [
        "content-type",
        "x-acs-date",
    ]


def v1_parameters(key: str, nonce: str, time: str, form: str, **business: str) -> dict[str, str]:
    common = {"AccessKeyId": key, "Action": "SendSms", "Format": form, "RegionId": "cn-hangzhou", "Timestamp": time}
    method = {
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": nonce,
        "SignatureVersion": "1.0",
        "Version": "2017-05-25",
    }
    return common | method | business


def test_v1_published_vector() -> None:
    parameters = v1_parameters(
        "testId", "45e25e9b-0a6f-4070-8c85-2956eda1b466", "2017-07-12T02:42:19Z", "XML",
        OutId="123", PhoneNumbers="15300000001", SignName="阿里云短信测试专用", TemplateCode="SMS_71390007",
        TemplateParam='{"customer":"test"}',
    )  # fmt: skip
    assert signature.sign_v1("testSecret", "GET", parameters) == "zJDF+Lrzhj/ThnlvIToysFRq6t4="


@pytest.mark.parametrize(
    ("method", "expected"), [("POST", "OQuTAUgs6rPeDu6yekKeRJ7qAR8="), ("GET", "Jerc++ng0/wnr2UDihIuMwA+zvc=")]
)
def test_v1_recorded_vectors(method: str, expected: str) -> None:
    nonce, time = "0123456789abcdef0123456789abcdef", "2025-01-02T03:04:05Z"
    parameters = v1_parameters(KEY, nonce, time, "JSON", **OURS)
    assert signature.sign_v1(SECRET, method, parameters | {"Signature": "ignored"}) == expected


def test_basic_vector() -> None:
    token = base64.b64encode(f"{JPUSH_KEY}:{JPUSH_SECRET}".encode()).decode()
    assert token == "YTFiMmMzZDRlNWY2YTFiMmMzZDRlNWY2OjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nw=="
