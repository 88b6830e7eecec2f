"""wechatpy's client for WeCom: its calls against the simulator, its code for callbacks against ours."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from apps.channels.contract import Account, AddressEvent, HookRequest
from apps.channels.hooks import heard
from apps.channels.registry import adapter
from tests.channels.peers import HttpPeer, http_answer, wait_for
from tests.channels.sdk.environment import run
from tests.channels.simulated.senders import arrived
from tests.simulator.clients import Simulator

pytestmark = pytest.mark.sdk

APP = {
    "corpid": "wwUMScorp00001",
    "secret": "TestCorpSecret000000000000001",
    "token": "umsCallbackToken",
    "aes_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
}


@pytest.fixture
def hook(simulator: Simulator) -> Iterator[HttpPeer]:
    peer = HttpPeer(lambda *_: http_answer(b"", "200 OK"))
    simulator.control({"receipts": {"urls": {"wecom": peer.url("/hook")}, "delay": [0.0, 0.0]}})
    yield peer
    peer.close()


def client(sdk_python: Callable[[str], Path], simulator: Simulator, **document: Any) -> Any:
    return run(sdk_python("wechatpy"), "wechatpy/enterprise.py", APP | {"base_url": simulator.http} | document)


def test_its_calls_are_taken(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    simulator.call("PUT", "/_sim/people", json.dumps([{"id": "S", "wecom": "unseen", "states": {"wecom": "invalid"}}]))
    before = len(simulator.ledger())
    calls = [
        ["message.send_text", {"agent_id": 1000002, "user_ids": ["ZhangSan", "unseen"], "content": "来自官方接口"}],
        ["message.send_text", {"agent_id": 1000003, "user_ids": ["ZhangSan"], "content": "别的应用"}],
        ["message.send_text", {"agent_id": 1000002, "user_ids": ["unseen"], "content": "没有人"}],
    ]
    sent, foreign, nobody = client(sdk_python, simulator, calls=calls)["answers"]
    assert sent["errcode"] == 0 and sent["invaliduser"] == "unseen" and sent["msgid"]
    assert (foreign["errcode"], nobody["errcode"]) == (301002, 81013)
    assert [line["ev"] for line in simulator.ledger(before)] == ["accept"]


def test_it_reads_the_simulators_callbacks(
    sdk_python: Callable[[str], Path], simulator: Simulator, hook: HttpPeer
) -> None:
    simulator.call("POST", "/_sim/wecom/unfollow", json.dumps({"userid": "ZhaoLiu"}))
    simulator.call("POST", "/_sim/wecom/verify", b"{}")
    wait_for(lambda: len(hook.bodies) == 2)
    requests = arrived(hook)
    (event,) = [one for one in requests if one.method == "POST"]
    signed = {name: event.query[name] for name in ("msg_signature", "timestamp", "nonce")}
    (trial,) = [one.query for one in requests if one.method == "GET"]
    greet = {"signature": trial["msg_signature"], "timestamp": trial["timestamp"], "nonce": trial["nonce"]}
    greet["echo_str"] = trial["echostr"]
    said = client(sdk_python, simulator, open=[signed | {"body": event.body.decode()}], greet=[greet])
    assert said["opened"] == [{"event": "unsubscribe", "source": "ZhaoLiu"}]
    assert len(said["greeted"]) == 1 and said["greeted"][0].isdigit()


def test_we_read_what_it_seals(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    now = int(time.time())
    clear = (
        "<xml><FromUserName><![CDATA[WangWu]]></FromUserName><MsgType><![CDATA[event]]></MsgType>"
        f"<CreateTime>{now}</CreateTime><Event><![CDATA[subscribe]]></Event></xml>"
    )
    (sealed,) = client(sdk_python, simulator, seal=[[clear, "nonce42", str(now)]])["sealed"]
    signature = ElementTree.fromstring(sealed).findtext("MsgSignature") or ""
    query = {"msg_signature": signature, "timestamp": str(now), "nonce": "nonce42"}
    request = HookRequest({}, query, sealed.encode(), datetime.now(UTC))
    config = {"corpid": APP["corpid"], "callback_token": APP["token"], "encoding_aes_key": APP["aes_key"]}
    (news,) = heard(adapter("wecom_app"), Account("staff", "wecom_app", config), request)
    assert isinstance(news, AddressEvent) and (news.address, news.reachable) == ("wangwu", True)
