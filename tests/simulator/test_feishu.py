"""Feishu in the simulated world: tokens, uuids, limits, announcements, reads pushed and asked, robots."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.channels.peers import HttpPeer, http_answer
from tests.simulator.clients import Reply, Simulator, wait_for

APP, SECRET, KEY = "cli_ums000000001", "TestFeishuSecret0000000000000001", "umsEncryptKey01"
ROBOT = "0b1c2d3e-4f5a-4bc4-97a0-0ec2b1fa5aaa"
numbers = iter(range(10**9))


class Feishu:
    """A client by the provider's documents."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.token = self.sign_in()["tenant_access_token"]

    def sign_in(self, **change: str) -> Any:
        body = json.dumps({"app_id": APP, "app_secret": SECRET} | change)
        reply = self.simulator.call("POST", "/open-apis/auth/v3/tenant_access_token/internal", body)
        assert reply.status == 200
        return reply.json

    def call(self, method: str, path: str, document: Any = None) -> Reply:
        body = None if document is None else json.dumps(document)
        return self.simulator.call(method, f"/open-apis/{path}", body, {"Authorization": f"Bearer {self.token}"})

    def send(self, to: str, id_type: str = "open_id", **change: Any) -> Reply:
        content = json.dumps({"text": f"消息 {next(numbers)}"})
        body = {"receive_id": to, "msg_type": "text", "content": content, "uuid": f"u-{next(numbers)}"} | change
        return self.call("POST", f"im/v1/messages?receive_id_type={id_type}", body)

    def announce(self, *people: str, **change: Any) -> Reply:
        body = {"open_ids": list(people), "msg_type": "text", "content": {"text": "公告"}} | change
        return self.call("POST", "message/v4/batch_send/", body)


@pytest.fixture
def feishu(simulator: Simulator) -> Feishu:
    return Feishu(simulator)


@pytest.fixture
def hook(simulator: Simulator) -> Iterator[HttpPeer]:
    peer = HttpPeer(lambda *_: http_answer(b"{}"))
    simulator.control({"receipts": {"urls": {"feishu": peer.url("/hook")}, "delay": [0.0, 0.0]}})
    yield peer
    peer.close()


def test_the_token_stays_and_its_errors_come_with_200(feishu: Feishu) -> None:
    assert feishu.sign_in()["tenant_access_token"] == feishu.token
    for change, code in (({"app_id": "cli_x"}, 10014), ({"app_secret": "wrong"}, 10014), ({"app_id": ""}, 10003)):
        assert feishu.sign_in(**change)["code"] == code
    feishu.simulator.call("POST", "/_sim/feishu/invalidate", json.dumps({"account": APP}))
    reply = feishu.send("ou_1")
    assert (reply.status, reply.json["code"]) == (400, 99991663)
    assert feishu.sign_in()["tenant_access_token"] != feishu.token


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"receive_id": "on_1"}, 230034),
        ({"receive_id": ""}, 230034),
        ({"id_type": "phone"}, 230001),
        ({"content": {"text": "an object"}}, 230001),
        ({"content": "no json"}, 230001),
        ({"content": '{"text":""}'}, 230001),
        ({"msg_type": "song"}, 230001),
        ({"content": json.dumps({"text": "字" * 52_000})}, 230025),
        ({"msg_type": "interactive", "content": "{}"}, 230099),
        ({"uuid": "u" * 51}, 230001),
    ],
)
def test_wrong_messages_are_refused(feishu: Feishu, change: dict[str, Any], code: int) -> None:
    reply = feishu.send("ou_1", **change)
    assert (reply.status, reply.json["code"]) == (400, code)


def test_people_who_cannot_be_reached(feishu: Feishu) -> None:
    words = {"invisible": 230013, "left": 230029, "invalid": 230034, "blocked": 230053}
    people = [{"id": word, "feishu": f"ou_{word}", "states": {"feishu": word}} for word in words]
    feishu.simulator.call("PUT", "/_sim/people", json.dumps(people))
    for word, code in words.items():
        assert feishu.send(f"ou_{word}").json["code"] == code


def test_one_message_for_each_uuid(feishu: Feishu) -> None:
    before = len(feishu.simulator.ledger())
    content = json.dumps({"text": "一次"})
    first, again = (feishu.send("ou_once", uuid="same", content=content).json["data"] for _ in range(2))
    assert first == again and first["message_id"].startswith("om_")
    assert [line["ev"] for line in feishu.simulator.ledger(before)] == ["accept", "dedup"]
    feishu.simulator.control({"feishu": {"repeat": "error"}})
    assert feishu.send("ou_once", uuid="same", content=content).json["code"] == 230049


def test_limits_of_an_app_and_of_a_person(feishu: Feishu) -> None:
    codes = [feishu.send("ou_busy").json["code"] for _ in range(7)]
    assert codes[:5] == [0] * 5 and 230020 in codes
    feishu.simulator.control({"feishu": {"per_minute": 1}})
    feishu.send("ou_a")
    reply = feishu.send("ou_b")
    assert (reply.status, reply.json["code"]) == (429, 99991400)
    assert int(reply.headers["x-ogw-ratelimit-reset"]) > 0 and "x-ogw-ratelimit-limit" in reply.headers


def test_announcements_list_those_who_get_nothing(feishu: Feishu) -> None:
    people = [{"id": "L", "feishu": "ou_gone", "states": {"feishu": "left"}}]
    feishu.simulator.call("PUT", "/_sim/people", json.dumps(people))
    data = feishu.announce("ou_n1", "ou_n2", "ou_gone", "no-prefix").json["data"]
    assert data["message_id"].startswith("bm-") and data["invalid_open_ids"] == ["ou_gone", "no-prefix"]
    feishu.simulator.call("POST", "/_sim/feishu/read", json.dumps({"id": "ou_n1"}))
    path = f"im/v1/batch_messages/{data['message_id']}"
    wait_for(lambda: _progress(feishu, path)["success_user_ids_count"] == 2, "the queue")
    assert _progress(feishu, path)["read_user_ids_count"] == 1
    assert feishu.call("GET", f"{path}/read_user").json["data"]["read_user"] == {"read_count": "1", "total_count": "2"}
    assert feishu.call("DELETE", path).json["code"] == 0 and feishu.call("DELETE", path + "0").json["code"] == 10002


def _progress(feishu: Feishu, path: str) -> Any:
    return feishu.call("GET", f"{path}/get_progress").json["data"]["batch_message_send_progress"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"content": '{"text":"a text"}'}, 10003),
        ({"open_ids": []}, 11223),
        ({"open_ids": ["no-prefix"]}, 11101),
        ({"open_ids": [f"ou_{n}" for n in range(201)]}, 10003),
        ({"msg_type": "audio"}, 11203),
    ],
)
def test_wrong_announcements(feishu: Feishu, change: dict[str, Any], code: int) -> None:
    assert feishu.announce("ou_n1", **change).json["code"] == code


def test_the_day_of_announcements_ends(feishu: Feishu) -> None:
    feishu.simulator.control({"feishu": {"batch_day": 1}})
    assert feishu.announce("ou_n1", "ou_n2").json["code"] == 11247


def opened(body: bytes) -> Any:
    sealed = base64.b64decode(json.loads(body)["encrypt"])
    opener = Cipher(algorithms.AES(hashlib.sha256(KEY.encode()).digest()), modes.CBC(sealed[:16])).decryptor()
    plain = opener.update(sealed[16:]) + opener.finalize()
    return json.loads(plain[: -plain[-1]])


def test_a_read_is_pushed_signed_and_listed(feishu: Feishu, hook: HttpPeer) -> None:
    message_id = feishu.send("ou_reader").json["data"]["message_id"]
    path = f"im/v1/messages/{message_id}"
    assert feishu.call("GET", f"{path}/read_users?user_id_type=open_id").json["data"]["items"] == []
    told = feishu.simulator.call("POST", "/_sim/feishu/read", json.dumps({"id": "ou_reader"}))
    assert told.json == {"read": 1}
    wait_for(lambda: bool(hook.bodies), "the event")
    headers = dict(line.split(": ", 1) for line in hook.heads[0].decode().splitlines()[1:] if line)
    signed = headers["X-Lark-Request-Timestamp"] + headers["X-Lark-Request-Nonce"] + KEY
    assert headers["X-Lark-Signature"] == hashlib.sha256(signed.encode() + hook.bodies[0]).hexdigest()
    event = opened(hook.bodies[0])
    assert event["header"]["event_type"] == "im.message.message_read_v1"
    assert event["event"]["message_id_list"] == [message_id]
    assert event["event"]["reader"]["reader_id"]["open_id"] == "ou_reader"
    (item,) = feishu.call("GET", f"{path}/read_users?user_id_type=open_id").json["data"]["items"]
    assert item["user_id"] == "ou_reader" and int(item["timestamp"]) > 0
    assert feishu.call("DELETE", path).json["code"] == 0
    assert feishu.call("DELETE", "im/v1/messages/om_other").json["code"] == 230001


def test_people_read_by_habit(feishu: Feishu, hook: HttpPeer) -> None:
    feishu.simulator.control({"world": {"feishu": {"read": 1.0, "read_s": [0.0, 0.0]}}})
    sent = {feishu.send(f"ou_habit{n}").json["data"]["message_id"] for n in range(5)}
    feishu.announce("ou_habit1")
    wait_for(lambda: len(hook.bodies) == 5, "the events")
    assert {opened(body)["event"]["message_id_list"][0] for body in hook.bodies} == sent


def test_a_mobile_number_is_looked_up(feishu: Feishu) -> None:
    feishu.simulator.call("PUT", "/_sim/people", json.dumps([{"id": "P", "feishu": "ou_ping", "phone": "13800138066"}]))
    asked = {"mobiles": ["13800138066", "13800138067"]}
    reply = feishu.call("POST", "contact/v3/users/batch_get_id?user_id_type=open_id", asked)
    assert reply.json["data"]["user_list"] == [
        {"mobile": "13800138066", "user_id": "ou_ping"},
        {"mobile": "13800138067"},
    ]


def test_robots_sign_where_they_have_a_secret(feishu: Feishu) -> None:
    def say(key: str, **more: Any) -> int:
        body = json.dumps({"msg_type": "text", "content": {"text": "大家好"}} | more)
        return int(feishu.simulator.call("POST", f"/open-apis/bot/v2/hook/{key}", body).json["code"])

    def proof(stamp: str) -> dict[str, str]:
        sign = hmac.new(f"{stamp}\nrobot-secret".encode(), b"", "sha256").digest()
        return {"timestamp": stamp, "sign": base64.b64encode(sign).decode()}

    feishu.simulator.control({"feishu": {"robots": {ROBOT: {"secret": "robot-secret", "name": "值班群"}}}})
    now = int(time.time())
    assert say(ROBOT) == say(ROBOT, **proof(str(now - 4000))) == 19021
    assert say(ROBOT, **proof(str(now))) == 0
    assert (say("open-robot"), say("open-robot", msg_type="song"), say("open-robot", content="text")) == (0, 9499, 9499)
    assert 11232 in [say("busy-robot") for _ in range(7)]
    feishu.simulator.control({"feishu": {"listed_robots_only": True}})
    assert say("unlisted") == 19001
