"""Alipay's gateway: what is accepted, and each refusal. The caller here signs by the provider's document."""

import base64
import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.channels.golden_files import GOLDEN
from tests.simulator.clients import Reply, Simulator

GIVEN = json.loads((GOLDEN / "alipay_life" / "vectors.json").read_text())
KEYS = GIVEN["keys"]
SEND = "alipay.open.public.message.single.send"
PERSON = "2088000000000001"


def part(value: str) -> dict[str, str]:
    return {"color": "#85be53", "value": value}


def message(person: str = PERSON, **context: Any) -> dict[str, Any]:
    whole = {
        "head_color": "#85be53",
        "url": "https://ums.example/m/1",
        "action_name": "查看详情",
        "keyword1": part("UMS-1"),
        "keyword2": part("2025-06-15"),
    } | context
    return {
        "to_user_id": person,
        "template": {
            "template_id": "umstpl0000000000000000000000001",
            "context": {name: value for name, value in whole.items() if value is not None},
        },
    }


def sign(text: str, key: str = KEYS["app_private"]) -> str:
    private = serialization.load_pem_private_key(key.encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    return base64.b64encode(private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def call(
    simulator: Simulator, biz: Any, method: str = SEND, in_query: bool = False, at: float = 0.0, **changes: str
) -> Reply:
    """One signed call; changes replace parameters, "-" leaves one out, `sign` replaces the signature itself."""
    given = {
        "app_id": "2021000000000001",
        "method": method,
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + 8 * 3600 + at)),
        "version": "1.0",
        "biz_content": biz if isinstance(biz, str) else json.dumps(biz),
    } | changes
    every = {name: value for name, value in given.items() if value != "-"}
    text = "&".join(f"{name}={every[name]}" for name in sorted(every) if every[name] and name != "sign")
    every.setdefault("sign", sign(text))
    if changes.get("sign") == "-":
        del every["sign"]
    body = {} if in_query else {"biz_content": every.pop("biz_content", "")}
    kind = {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"}
    target = f"/gateway.do?{urlencode(every)}"
    return simulator.call("GET", target) if in_query else simulator.call("POST", target, urlencode(body), kind)


def said(reply: Reply) -> dict[str, Any]:
    assert reply.status == 200 and reply.headers["content-type"] == "text/html;charset=utf-8"
    inner = next(value for name, value in reply.json.items() if name.endswith("_response"))
    assert isinstance(inner, dict)
    return inner


def is_signed(reply: Reply) -> bool:
    text = reply.body.decode()
    if '","sign":"' not in text and '},"sign":"' not in text:
        return False
    inner = text[text.index(":") + 1 : text.index(',"sign"')]
    public = serialization.load_pem_public_key(KEYS["alipay_public"].encode())
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(base64.b64decode(reply.json["sign"]), inner.encode(), padding.PKCS1v15(), hashes.SHA256())
    return True


@pytest.mark.parametrize("in_query", [False, True])
def test_a_message_is_taken_and_the_answer_is_signed(simulator: Simulator, in_query: bool) -> None:
    before = len(simulator.ledger())
    reply = call(simulator, message(), in_query=in_query, notify_url="")
    assert said(reply) == {"code": "10000", "msg": "Success"} and is_signed(reply)
    (line,) = simulator.ledger(before)
    assert line["provider"] == "alipay" and line["account"] == "2021000000000001"


@pytest.mark.parametrize(
    ("changes", "sub_code"),
    [
        ({"method": "-"}, "isv.missing-method"),
        ({"app_id": "-"}, "isv.missing-app-id"),
        ({"app_id": "2021000000000009", "sign": "x"}, "isv.invalid-app-id"),
        ({"sign": "-"}, "isv.missing-signature"),
        ({"sign": "bm90IHRoYXQ="}, "isv.invalid-signature"),
        ({"sign_type": "-"}, "isv.missing-signature-type"),
        ({"sign_type": "RSA"}, "isv.invalid-signature-type"),
        ({"timestamp": "-"}, "isv.missing-timestamp"),
        ({"timestamp": "soon"}, "isv.invalid-timestamp"),
        ({"version": "-"}, "isv.missing-version"),
        ({"charset": "gbk"}, "isv.invalid-charset"),
        ({"method": "alipay.trade.pay"}, "isv.invalid-method"),
        ({"app_cert_sn": "84b7"}, "isv.invalid-signature"),
    ],
)
def test_what_the_gateway_refuses_is_not_signed(simulator: Simulator, changes: dict[str, str], sub_code: str) -> None:
    reply = call(simulator, message(), **changes)
    assert said(reply)["sub_code"] == sub_code and not is_signed(reply)
    assert said(reply)["code"] == ("40001" if "missing" in sub_code else "40002")


@pytest.mark.parametrize("at", [-700.0, 700.0])
def test_clocks_may_not_lie_far_apart(simulator: Simulator, at: float) -> None:
    assert said(call(simulator, message(), at=at))["sub_code"] == "isv.invalid-timestamp"


@pytest.mark.parametrize(
    ("biz", "sub_code"),
    [
        ("{", "isv.illegal-json"),
        (message("2088"), "isv.invalid-parameter"),
        (message() | {"to_open_id": "074a1CcTG1LelxKe4xQC0zgNdId0nzpi"}, "isv.invalid-parameter"),
        (message(keyword2=None), "isv.invalid-parameter"),
        (message(url=None), "isv.invalid-parameter"),
        (message(action_name="查看全部详情内容和更多"), "isv.invalid-parameter"),
        (message(first="您好"), "isv.invalid-parameter"),
        (message() | {"template": {"template_id": "TM1", "context": {}}}, "PUB.MSG_TEMPLATE_NOT_EXIST"),
    ],
)
def test_what_is_wrong_with_a_message_is_told_signed(simulator: Simulator, biz: Any, sub_code: str) -> None:
    reply = call(simulator, biz)
    assert said(reply)["sub_code"] == sub_code and is_signed(reply)


def test_only_followers_get_a_message(simulator: Simulator) -> None:
    other = "2088000000000002"
    act = json.dumps({"user_id": other})
    simulator.call("POST", "/_sim/alipay/unfollow", act)
    reply = call(simulator, message(other))
    assert said(reply)["code"] == "40004" and said(reply)["sub_code"] == "PUB.MSG_SD_NOFOLLOW" and is_signed(reply)
    asked = call(simulator, {"user_id": other}, "alipay.open.public.user.follow.query")
    assert said(asked)["is_follow"] == "F"
    simulator.call("POST", "/_sim/alipay/follow", act)
    assert said(call(simulator, message(other)))["code"] == "10000"


def test_certificate_mode_wants_the_serial_numbers(simulator: Simulator) -> None:
    serials = {"app_cert_sn": "84b7", "root_cert_sn": "84b7", "alipay_cert_sn": "11aa"}
    document = {"apps": {"2021000000000002": serials | {"templates": {"umstpl0000000000000000000000001": []}}}}
    simulator.control({"alipay": document})
    changes = {"app_id": "2021000000000002"}
    assert said(call(simulator, message(), **changes))["sub_code"] == "isv.invalid-signature"
    reply = call(simulator, message(), app_cert_sn="84b7", alipay_root_cert_sn="84b7", **changes)
    assert said(reply)["code"] == "10000" and reply.json["alipay_cert_sn"] == "11aa"


def test_switches_of_the_answer(simulator: Simulator) -> None:
    simulator.control({"alipay": {"answer_signature": "missing"}})
    assert set(call(simulator, message()).json) == {"alipay_open_public_message_single_send_response"}
    simulator.control({"alipay": {"error_response": True}})
    assert set(call(simulator, message(), sign="x").json) == {"error_response"}
    simulator.control({"alipay": {"answer_signature": "maybe"}}, status=400)
