"""WeCom in the simulated world: tokens, lists, limits without a word, duplicates, recalls, robots, callbacks."""

import base64
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from simulator.clock import beijing_day
from tests.channels.peers import HttpPeer, http_answer
from tests.simulator.clients import Simulator, wait_for

CORP, AGENT, SECRET = "wwUMScorp00001", 1000002, "TestCorpSecret000000000000001"
KEY = base64.b64decode("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
ROBOT = "693a91f6-7aaa-4bc4-97a0-0ec2b1fa5aaa"
numbers = iter(range(10**9))


class WeCom:
    """A client by the provider's documents."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.token = self.gettoken()["access_token"]

    def gettoken(self, corpid: str = CORP, secret: str = SECRET) -> Any:
        return self.simulator.call("GET", f"/cgi-bin/gettoken?corpid={corpid}&corpsecret={secret}").json

    def post(self, path: str, document: Any, token: str | None = None) -> Any:
        access = self.token if token is None else token
        reply = self.simulator.call("POST", f"/cgi-bin/{path}?access_token={access}", json.dumps(document))
        assert reply.status == 200
        return reply.json

    def send(self, users: str, said: str = "", **more: Any) -> Any:
        content = {"content": said or f"消息 {next(numbers)}"}
        return self.post("message/send", {"touser": users, "msgtype": "text", "agentid": AGENT, "text": content} | more)


@pytest.fixture
def wecom(simulator: Simulator) -> WeCom:
    return WeCom(simulator)


@pytest.fixture
def hook(simulator: Simulator) -> Iterator[HttpPeer]:
    peer = HttpPeer(lambda *_: http_answer(b"", "200 OK"))
    simulator.control({"receipts": {"urls": {"wecom": peer.url("/hook")}, "delay": [0.0, 0.0]}})
    yield peer
    peer.close()


def test_the_token_stays_while_it_is_valid(wecom: WeCom) -> None:
    assert wecom.gettoken()["access_token"] == wecom.token
    assert (
        wecom.simulator.call("POST", "/_sim/wecom/invalidate", json.dumps({"account": f"{CORP}/{AGENT}"})).status == 200
    )
    assert wecom.send("zhangsan")["errcode"] == 42001
    wecom.simulator.control({"wecom": {"expired_code": "40014"}})
    assert wecom.send("zhangsan")["errcode"] == 40014
    assert wecom.gettoken()["access_token"] != wecom.token


@pytest.mark.parametrize(
    ("corpid", "secret", "code"),
    [("", SECRET, 41002), (CORP, "", 41004), ("wwOther", SECRET, 40013), (CORP, "x", 40001)],
)
def test_a_token_needs_both(wecom: WeCom, corpid: str, secret: str, code: int) -> None:
    assert wecom.gettoken(corpid, secret)["errcode"] == code


def test_a_secret_may_not_be_guessed(wecom: WeCom) -> None:
    wecom.simulator.control({"wecom": {"wrong_secrets": 1}})
    wecom.gettoken(secret="wrong")
    assert wecom.gettoken()["errcode"] == 45009


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"agentid": None}, 41011),
        ({"agentid": "x"}, 40056),
        ({"agentid": 1000003}, 301002),
        ({"touser": ""}, 82001),
        ({"touser": "|".join(f"u{n}" for n in range(1001))}, 40032),
        ({"toparty": "|".join(map(str, range(101)))}, 82002),
        ({"totag": "|".join(map(str, range(101)))}, 82003),
        ({"touser": "", "toparty": "7"}, 81013),
        ({"msgtype": "song"}, 40008),
        ({"text": {"content": ""}}, 44004),
        ({"text": "plain"}, 40058),
        ({"duplicate_check_interval": 14401}, 40058),
        ({"msgtype": "textcard", "textcard": {"title": "t", "description": "d"}}, 40058),
        ({"msgtype": "markdown", "markdown": {"content": "字" * 700}}, 45002),
        ({"safe": 7}, 40058),
    ],
)
def test_wrong_messages_are_refused(wecom: WeCom, change: dict[str, Any], code: int) -> None:
    assert wecom.send("zhangsan", **change)["errcode"] == code


def test_everybody_among_others_is_everybody(wecom: WeCom) -> None:
    people = [{"id": "E", "wecom": "everybody1"}, {"id": "F", "wecom": "everybody2"}]
    wecom.simulator.call("PUT", "/_sim/people", json.dumps(people))
    before = len(wecom.simulator.ledger())
    assert wecom.send("stranger|@all")["errcode"] == 0
    assert len(wecom.simulator.ledger(before)) == 2


def test_the_day_begins_at_midnight_in_beijing() -> None:
    midnight = datetime(2025, 6, 15, 16, tzinfo=UTC).timestamp()
    assert beijing_day(midnight) == beijing_day(midnight - 1) + 1 == beijing_day(midnight + 86399)


def test_tokens_are_told_apart(wecom: WeCom) -> None:
    for token, code in (("", 41001), ("made-up", 40014)):
        assert wecom.post("message/send", {}, token)["errcode"] == code


def test_some_get_it_and_some_do_not(wecom: WeCom) -> None:
    people = [
        {"id": "A", "wecom": "LiSi", "states": {"wecom": "invalid"}},
        {"id": "B", "wecom": "wangwu", "states": {"wecom": "unlicensed"}},
    ]
    assert wecom.simulator.call("PUT", "/_sim/people", json.dumps(people)).status == 200
    before = len(wecom.simulator.ledger())
    answer = wecom.send("ZhangSan|LISI|WangWu", toparty="3")
    assert answer["errcode"] == 0 and answer["msgid"]
    assert (answer["invaliduser"], answer["unlicenseduser"], answer["invalidparty"]) == ("lisi", "wangwu", "3")
    (line,) = wecom.simulator.ledger(before)
    assert line["addr_hash"] == hashlib.sha256(b"zhangsan").hexdigest() and line["provider"] == "wecom"
    assert wecom.send("lisi|wangwu")["errcode"] == 81013


def test_what_is_over_a_members_share_is_dropped_without_a_word(wecom: WeCom) -> None:
    before = wecom.simulator.stats()["wecom"]["dropped"]
    codes = {wecom.send("busy.member")["errcode"] for _ in range(33)}
    assert codes == {0} and wecom.simulator.stats()["wecom"]["dropped"] == before + 3
    person = [{"id": "BUSY", "name": "忙人", "wecom": "busy.member"}]
    wecom.simulator.call("PUT", "/_sim/people", json.dumps(person))
    page = wecom.simulator.call("GET", "/_sim/phones/BUSY").body.decode()
    assert page.count("超过每人频率") == 3


def test_equal_content_is_shown_once(wecom: WeCom) -> None:
    before = len(wecom.simulator.ledger())
    check = {"enable_duplicate_check": 1, "duplicate_check_interval": 1800}
    first, again = (wecom.send("dup.member", "同样的内容", **check) for _ in range(2))
    assert first == again
    wecom.send("dup.member|other", "同样的内容", **check)
    assert [line["ev"] for line in wecom.simulator.ledger(before)] == ["accept", "dedup", "accept", "accept"]


def test_a_text_is_cut_without_a_word_and_a_message_recalled_by_its_app(wecom: WeCom) -> None:
    wecom.simulator.call("PUT", "/_sim/people", json.dumps([{"id": "CUT", "wecom": "cut.member"}]))
    msgid = wecom.send("cut.member", "字" * 682 + "界限" + "外" * 9)["msgid"]
    page = wecom.simulator.call("GET", "/_sim/phones/CUT").body.decode()
    assert "字" * 682 in page and "界" not in page
    other = {"apps": [{"corpid": CORP, "agentid": 1000009, "secret": "second"}]}
    wecom.simulator.control({"wecom": other})
    foreign = wecom.gettoken(secret="second")["access_token"]
    assert wecom.post("message/recall", {"msgid": msgid}, foreign)["errcode"] == 40058
    assert wecom.post("message/recall", {"msgid": msgid})["errcode"] == 0
    assert "撤回" in wecom.simulator.call("GET", "/_sim/phones/CUT").body.decode()


def test_a_mobile_number_is_looked_up(wecom: WeCom) -> None:
    person = [{"id": "P", "wecom": "PingDu", "phone": "13800138077"}]
    wecom.simulator.call("PUT", "/_sim/people", json.dumps(person))
    assert wecom.post("user/getuserid", {"mobile": "13800138077"})["userid"] == "PingDu"
    assert wecom.post("user/getuserid", {"mobile": "13800138078"})["errcode"] == 46004


def test_robots_have_their_share(wecom: WeCom) -> None:
    def say(key: str, text: str = "大家好") -> int:
        body = json.dumps({"msgtype": "text", "text": {"content": text}})
        return int(wecom.simulator.call("POST", f"/cgi-bin/webhook/send?key={key}", body).json["errcode"])

    assert [say(ROBOT) for _ in range(21)] == [0] * 20 + [45009]
    assert say("") == 93000 and say("another-key", "字" * 683) == 40058
    wecom.simulator.control({"wecom": {"listed_robots_only": True, "robots": {"listed-key": "值班群"}}})
    assert (say("unlisted-key"), say("listed-key")) == (93000, 0)


def opened(encrypted: str) -> str:
    opener = Cipher(algorithms.AES(KEY), modes.CBC(KEY[:16])).decryptor()
    plain = opener.update(base64.b64decode(encrypted)) + opener.finalize()
    length = int.from_bytes(plain[16:20], "big")
    assert plain[20 + length : -plain[-1]] == CORP.encode()
    return plain[20 : 20 + length].decode()


def test_a_member_who_leaves_is_told_and_reached_no_more(wecom: WeCom, hook: HttpPeer) -> None:
    told = wecom.simulator.call("POST", "/_sim/wecom/unfollow", json.dumps({"userid": "LeavingOne"}))
    assert told.json == {"event": "unsubscribe"}
    wait_for(lambda: bool(hook.bodies), "the event")
    line, body = hook.heads[0].decode().split(" ")[1], hook.bodies[0]
    query = {name: values[0] for name, values in parse_qs(urlsplit(line).query).items()}
    encrypted = ElementTree.fromstring(body).findtext("Encrypt") or ""
    parts = sorted(("umsCallbackToken", query["timestamp"], query["nonce"], encrypted))
    assert query["msg_signature"] == hashlib.sha1("".join(parts).encode()).hexdigest()
    event = ElementTree.fromstring(opened(encrypted))
    assert (event.findtext("Event"), event.findtext("FromUserName")) == ("unsubscribe", "LeavingOne")
    assert wecom.send("leavingone")["errcode"] == 81013
