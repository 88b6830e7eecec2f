"""python-alipay-sdk: its calls against the simulator in both modes, its verification of what our adapter sends."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from apps.channels.contract import Account, Envelope, HttpAnswer, HttpRequest
from apps.channels.outcomes import Accepted
from apps.channels.registry import adapter
from apps.channels.transport.http import fetch
from tests.channels.golden_files import GOLDEN
from tests.channels.sdk.environment import run
from tests.simulator.clients import Simulator

pytestmark = pytest.mark.sdk

KEYS = json.loads((GOLDEN / "alipay_life" / "vectors.json").read_text())["keys"]
KIND = json.loads((GOLDEN / "alipay_life" / "kind.json").read_text())
SEND = "alipay.open.public.message.single.send"
NOW = datetime.datetime.now(datetime.UTC)
COLOR = "#85be53"
MESSAGE = {
    "to_user_id": "2088000000000001",
    "template": {
        "template_id": "umstpl0000000000000000000000001",
        "context": {
            "head_color": COLOR,
            "url": "https://ums.example/m/1",
            "action_name": "查看详情",
            "keyword1": {"color": COLOR, "value": "UMS-1"},
            "keyword2": {"color": COLOR, "value": "2025-06-15 23:06:40"},
        },
    },
}


def client(sdk_python: Callable[[str], Path], simulator: Simulator, **document: Any) -> Any:
    given = {name: KEYS[name] for name in ("app_private", "app_public", "alipay_public")}
    given |= {"app_id": "2021000000000001", "gateway": f"{simulator.http}/gateway.do"}
    return run(sdk_python("alipay"), "alipay/client.py", given | document)


def certificate(private: str, name: str) -> str:
    """A self-signed certificate for a given key, with an issuer of the four parts that Alipay's have."""
    key = serialization.load_pem_private_key(private.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    parts = ((NameOID.COUNTRY_NAME, "CN"), (NameOID.ORGANIZATION_NAME, "UMS Test"),
             (NameOID.ORGANIZATIONAL_UNIT_NAME, "Sim"), (NameOID.COMMON_NAME, name))  # fmt: skip
    who = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(days=1))
        .not_valid_after(NOW + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def ours(config: dict[str, Any]) -> HttpRequest:
    envelope = Envelope("", "k3x9", "2088000000000001", KIND["content"])
    request = adapter("alipay_life").build(
        Account("a", "alipay_life", config), [envelope], datetime.datetime.now(datetime.UTC)
    )
    assert isinstance(request, HttpRequest)
    return request


def parameters(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query) + parse_qsl((request.body or b"").decode()))


def test_its_calls_are_taken_and_it_takes_our_signature(
    sdk_python: Callable[[str], Path], simulator: Simulator
) -> None:
    config = KIND["config"] | {"app_auth_token": "", "base_url": f"{simulator.http}/gateway.do"}
    sent = parameters(ours(config))
    said = client(
        sdk_python,
        simulator,
        calls=[(SEND, MESSAGE), (SEND, MESSAGE | {"to_user_id": "2088"}), ("alipay.open.public.follow.batchquery", {})],
        verify=[sent, sent | {"biz_content": sent["biz_content"] + " "}],
    )
    assert said["answers"][0] == {"code": "10000", "msg": "Success"}
    assert said["answers"][1]["sub_code"] == "isv.invalid-parameter"
    assert said["answers"][2]["code"] == "10000"
    assert said["verified"] == [True, False]


def test_it_refuses_an_answer_that_is_not_signed(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    simulator.control({"alipay": {"answer_signature": "wrong"}})
    said = client(sdk_python, simulator, calls=[(SEND, MESSAGE)])
    assert said["answers"] == [{"raised": "AliPayValidationError"}]


def test_certificate_mode(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    """The client, the simulator and our adapter agree about serial numbers, and each takes the others' signatures."""
    made = {"app": certificate(KEYS["app_private"], "App"), "alipay": certificate(KEYS["alipay_private"], "Alipay")}
    made["root"] = KEYS["cert"]
    numbers = client(sdk_python, simulator, certificates=made)
    serials = {name: numbers[name] for name in ("app_cert_sn", "root_cert_sn", "alipay_cert_sn")}
    app = serials | {"templates": {"umstpl0000000000000000000000001": ["keyword1"]}}
    simulator.control({"alipay": {"apps": {"2021000000000003": app}}})
    said = client(sdk_python, simulator, certificates=made, app_id="2021000000000003", calls=[(SEND, MESSAGE)])
    assert said["answers"] == [{"code": "10000", "msg": "Success"}]
    config = KIND["config"] | {
        "app_id": "2021000000000003",
        "app_auth_token": "",
        "base_url": f"{simulator.http}/gateway.do",
        "app_cert": made["app"],
        "alipay_root_cert": made["root"],
        "alipay_public_key": made["alipay"],
    }
    request = ours(config)
    assert parameters(request)["app_cert_sn"] == numbers["app_cert_sn"]
    answer = fetch(request)
    assert isinstance(answer, HttpAnswer)
    envelope = Envelope("", "k3x9", "2088000000000001", KIND["content"])
    assert adapter("alipay_life").read(Account("a", "alipay_life", config), [envelope], answer) == Accepted("")
