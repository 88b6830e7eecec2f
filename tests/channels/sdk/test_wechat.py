"""wechatpy's client for official accounts and mini programs: its calls against the simulator, its callback code against ours."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from apps.channels.contract import Account, AddressEvent, Envelope, HookRequest, HttpRequest
from apps.channels.hooks import heard
from apps.channels.registry import adapter
from tests.channels.golden_files import GOLDEN
from tests.channels.peers import HttpPeer, http_answer, wait_for
from tests.channels.sdk.environment import run
from tests.channels.simulated.senders import arrived
from tests.simulator.clients import Simulator

pytestmark = pytest.mark.sdk

CALLBACK = {"token": "umsCallbackToken", "aes_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}
OA = CALLBACK | {"appid": "wx00000000000ums01", "secret": "TestOaSecret000000000000000000001"}
MINI = CALLBACK | {"appid": "wx00000000000mini1", "secret": "TestMiniSecret0000000000000000001"}
USER = "oUMS_0000000000000000000001x"
TEMPLATE, STEP = "UMSTPL_abcdefghijklmnopqrstuvwxyz0123456789", "MINITPL_abcdefghijklmnopqrstuvwxyz01234567"
BILL = {"thing1": {"value": "杜萍"}, "amount2": {"value": "¥12.50"}}
VALUES = {"thing1": {"value": "设备告警"}, "time2": {"value": "15:01"}, "character_string3": {"value": "UMS-1"}}


@pytest.fixture
def hook(simulator: Simulator) -> Iterator[HttpPeer]:
    peer = HttpPeer(lambda *_: http_answer(b"success", "200 OK"))
    simulator.control({"receipts": {"urls": {"wechat": peer.url("/hook")}, "delay": [0.0, 0.0]}})
    yield peer
    peer.close()


def client(sdk_python: Callable[[str], Path], simulator: Simulator, app: dict[str, str], **document: Any) -> Any:
    return run(sdk_python("wechatpy"), "wechatpy/public.py", app | {"base_url": simulator.http} | document)


def act(simulator: Simulator, operation: str, app: dict[str, str], **more: Any) -> None:
    body = {"account": app["appid"], "openid": USER, **more}
    assert simulator.call("POST", f"/_sim/wechat/{operation}", json.dumps(body)).status == 200


def test_its_calls_are_taken(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    act(simulator, "speak", OA)
    before = len(simulator.ledger())
    template = {"user_id": USER, "template_id": TEMPLATE, "data": BILL}
    calls = [
        ["message.send_template", template | {"url": "https://ums.example/m/1"}],
        ["message.send_template", template | {"data": {"thing1": {"value": "x"}}}],
        ["message.send_template", template | {"user_id": "nobody"}],
        ["message.send_text", {"user_id": USER, "content": "您好"}],
    ]
    sent, wrong, nobody, text = client(sdk_python, simulator, OA, calls=calls)["answers"]
    assert sent["errcode"] == 0 and sent["msgid"] > 0 and text["errcode"] == 0
    assert (wrong["errcode"], nobody["errcode"]) == (47003, 40003)
    assert [line["pid"] for line in simulator.ledger(before)][0] == str(sent["msgid"])


def test_it_refreshes_a_token_that_has_ended(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    simulator.control({"scripts": [{"provider": "wechat", "match": "all", "do": ["token_error"], "times": 1}]})
    calls = [["message.send_template", {"user_id": USER, "template_id": TEMPLATE, "data": BILL}]]
    (sent,) = client(sdk_python, simulator, OA, calls=calls)["answers"]
    assert sent["errcode"] == 0 and sent["msgid"] > 0


def test_its_mini_program_calls_are_taken(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    one = {"user_id": USER, "template_id": STEP, "data": VALUES, "page": "pages/index"}
    calls = [
        ["wxa.send_subscribe_message", one],
        ["wxa.send_subscribe_message", one | {"data": VALUES | {"time2": {"value": "soon"}}}],
    ]
    sent, wrong = client(sdk_python, simulator, MINI, calls=calls)["answers"]
    assert sent["errcode"] == 0 and wrong["errcode"] == 47003


def test_it_asks_for_the_same_as_we_do(sdk_python: Callable[[str], Path]) -> None:
    said = iter([b'{"access_token":"AT","expires_in":7200}', b'{"errcode":0}', b'{"errcode":0}', b'{"errcode":0}'])
    peer = HttpPeer(lambda *_: http_answer(next(said), "200 OK", "Content-Type: application/json"))
    page, template = "https://ums.example/m/1", {"user_id": USER, "template_id": TEMPLATE, "data": BILL}
    calls = [
        ["message.send_template", template | {"url": page}],
        ["message.send_text", {"user_id": USER, "content": "您好"}],
        ["wxa.send_subscribe_message", {"user_id": USER, "template_id": STEP, "data": VALUES, "page": "pages/index"}],
    ]
    run(sdk_python("wechatpy"), "wechatpy/public.py", OA | {"base_url": peer.url(""), "calls": calls})
    peer.close()
    theirs = [
        (head.split(b" ")[1].decode(), json.loads(body))
        for head, body in zip(peer.heads[1:], peer.bodies[1:], strict=True)
    ]
    plain = {name: value["value"] for name, value in BILL.items()}, {name: one["value"] for name, one in VALUES.items()}
    contents: list[tuple[str, dict[str, Any]]] = [
        ("wechat_oa", {"template_id": TEMPLATE, "data": plain[0], "url": page}),
        ("wechat_oa", {"message_type": "customer", "text": "您好"}),
        ("wechat_mini", {"template_id": STEP, "data": plain[1], "page": "pages/index"}),
    ]
    for (kind, content), (path, body) in zip(contents, theirs, strict=True):
        config = {"base_url": "http://127.0.0.1", "app_id": "wx1"}
        envelope = Envelope("key", "ref", USER, content)
        request = adapter(kind).build(Account("main", kind, config, "AT"), [envelope], datetime.now(UTC))
        assert isinstance(request, HttpRequest) and request.url == f"http://127.0.0.1{path}"
        ours = json.loads(request.body or b"")
        added = {name: ours.pop(name) for name in ("client_msg_id", "miniprogram_state", "lang") if name in ours}
        assert {name: value for name, value in body.items() if value is not None} == ours
        assert set(added) <= {"client_msg_id"} or set(added) == {"miniprogram_state", "lang"}


def test_it_reads_the_simulators_callbacks(
    sdk_python: Callable[[str], Path], simulator: Simulator, hook: HttpPeer
) -> None:
    template = {"user_id": USER, "template_id": TEMPLATE, "data": BILL}
    (sent,) = client(sdk_python, simulator, OA, calls=[["message.send_template", template]])["answers"]
    act(simulator, "unfollow", OA)
    act(simulator, "verify", OA)
    wait_for(lambda: len(hook.bodies) == 3)
    requests = arrived(hook)
    events = [_as_given(one) for one in requests if one.method == "POST"]
    (trial,) = [one.query for one in requests if one.method == "GET"]
    forged = events[0] | {"msg_signature": "0" * 40}
    said = client(sdk_python, simulator, OA, open=[*events, forged], greet=[trial, trial | {"nonce": "other"}])
    read = {one.get("event"): one for one in said["opened"]}
    assert read["templatesendjobfinish"]["status"] == "success" and read["templatesendjobfinish"]["source"] == USER
    assert read["templatesendjobfinish"]["id"] == str(sent["msgid"]) and read["unsubscribe"]["source"] == USER
    assert said["opened"][-1] == {"refused": "InvalidSignatureException"} and said["greeted"] == [True, False]
    other = client(sdk_python, simulator, OA | {"appid": "wx00000000000ums02"}, open=events[:1])
    assert other["opened"] == [{"refused": "InvalidAppIdException"}]


def test_it_opens_a_mini_programs_callback(
    sdk_python: Callable[[str], Path], simulator: Simulator, hook: HttpPeer
) -> None:
    act(simulator, "switch_off", MINI, template=STEP)
    wait_for(lambda: len(hook.bodies) == 1)
    (event,) = [_as_given(one) for one in arrived(hook)]
    event["body"] = f"<xml><Encrypt><![CDATA[{json.loads(event['body'])['Encrypt']}]]></Encrypt></xml>"
    (inside,) = client(sdk_python, simulator, MINI, open=[event])["opened"]
    clear = json.loads(inside["text"])
    assert clear["Event"] == "subscribe_msg_change_event" and clear["List"]["SubscribeStatusString"] == "reject"


def test_it_opens_the_recorded_events_of_our_tests(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    hooks = json.loads((GOLDEN / "wechat_oa" / "kind.json").read_text())["hooks"]
    given = [{**one["query"], "body": one["body"]} for one in hooks]
    opened = client(sdk_python, simulator, OA, open=given)["opened"]
    assert len(opened) == len(hooks) and not any("refused" in one for one in opened)
    assert opened[0]["event"] == "templatesendjobfinish" and opened[0]["id"] == "3000000000000000001"


def test_we_read_what_it_seals(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    now = int(time.time())
    clear = (
        f"<xml><FromUserName><![CDATA[{USER}]]></FromUserName><MsgType><![CDATA[event]]></MsgType>"
        f"<CreateTime>{now}</CreateTime><Event><![CDATA[subscribe]]></Event></xml>"
    )
    (sealed,) = client(sdk_python, simulator, OA, seal=[[clear, "nonce42", str(now)]])["sealed"]
    config = {"app_id": OA["appid"], "callback_token": OA["token"], "callback_aes_key": OA["aes_key"]}
    kind, account = adapter("wechat_oa"), Account("oa", "wechat_oa", config)
    signature = ElementTree.fromstring(sealed).findtext("MsgSignature") or ""
    query = {"msg_signature": signature, "timestamp": str(now), "nonce": "nonce42"}
    query["signature"] = _plain_signature(OA["token"], str(now), "nonce42")
    (news,) = heard(kind, account, HookRequest({}, query, sealed.encode(), datetime.now(UTC)))
    assert isinstance(news, AddressEvent) and (news.address, news.reachable) == (USER, True)


def _plain_signature(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def _as_given(request: HookRequest) -> dict[str, str]:
    named = {name: request.query[name] for name in ("msg_signature", "timestamp", "nonce")}
    return named | {"body": request.body.decode()}
