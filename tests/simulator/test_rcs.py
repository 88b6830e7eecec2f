"""The platform of 5G messages in the simulated world: tokens, messages, fall back, recalls, signed callbacks."""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest

from tests.channels.peers import HttpPeer, http_answer
from tests.simulator.clients import Simulator, wait_for

BOT, SENDER = "106500000001", "sip:106500000001@botplatform.rcs.example.cn"
KEYS = {"appId": "app0001", "appKey": "AppKey-000000000001"}
REPLY = {"reply": {"displayText": "退订", "postback": {"data": "TD"}}}
LINK = {
    "action": {
        "urlAction": {"openUrl": {"url": "https://bank.example"}},
        "displayText": "详情",
        "postback": {"data": "x"},
    }
}
CARD = {"layout": {"cardOrientation": "VERTICAL"}, "content": {"title": "账单", "description": "您有一张账单"}}


def text(content: Any = "您好") -> dict[str, Any]:
    return {"contentType": "text/plain", "contentEncoding": "utf8", "contentText": content}


def menu(*buttons: Any) -> dict[str, Any]:
    kind = "application/vnd.gsma.botsuggestion.v1.0+json"
    return {"contentType": kind, "contentText": {"suggestions": list(buttons)}}


def card(message: Any) -> dict[str, Any]:
    return {"contentType": "application/vnd.gsma.botmessage.v1.0+json", "contentText": {"message": message}}


class Chatbot:
    """A client by the specification."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.token = self.post("accessToken", KEYS)["accessToken"]

    def post(self, path: str, document: Any, **headers: str) -> Any:
        every = {"content-type": "application/json", "accept": "application/json", "date": formatdate(usegmt=True)}
        if path != "accessToken":
            every["authorization"] = f"accessToken {self.token}"
        reply = self.simulator.call("POST", f"/bot/v1/{BOT}/{path}", json.dumps(document), every | headers)
        assert reply.status == 200
        return reply.json

    def send(self, phone: str = "13800138000", **changes: Any) -> Any:
        document = {
            "messageId": str(uuid.uuid4()),
            "messageList": [text()],
            "destinationAddress": [f"tel:+86{phone}"],
            "senderAddress": SENDER,
            "conversationId": "conv-1",
            "contributionId": "k3x9",
            "serviceCapability": [{"capabilityId": "ChatbotSA", "version": '+g.gsma.rcs.botversion="#=1"'}],
            "smsSupported": True,
            "smsContent": "短信",
            "storeSupported": True,
            "reportRequest": ["sent", "delivered", "displayed", "failed", "deliveredToNetwork"],
        }
        whole = {name: value for name, value in (document | changes).items() if value is not None}
        return self.post("messages", whole)

    def revoke(self, message_id: str, phone: str = "13800138000") -> Any:
        body = {"messageId": message_id, "destinationAddress": [f"tel:+86{phone}"], "status": "RevokeRequested"}
        return self.post("revoke", body)


@pytest.fixture
def chatbot(simulator: Simulator) -> Chatbot:
    return Chatbot(simulator)


@pytest.fixture
def hook(simulator: Simulator) -> Iterator[HttpPeer]:
    peer = HttpPeer(lambda *_: http_answer(b"{}", "200 OK"))
    simulator.control({"receipts": {"urls": {"rcs": peer.url("/hook")}, "delay": [0.0, 0.0]}})
    yield peer
    peer.close()


def states(hook: HttpPeer) -> list[str]:
    return [info["status"] for body in hook.bodies for info in json.loads(body).get("deliveryInfoList", [])]


def act(simulator: Simulator, operation: str, **document: Any) -> Any:
    return simulator.call("POST", f"/_sim/rcs/{operation}", json.dumps(document)).json


def test_a_message_is_taken_and_its_way_is_told(simulator: Simulator, chatbot: Chatbot, hook: HttpPeer) -> None:
    simulator.control({"world": {"rcs": {"read": 1.0}}})
    before = len(simulator.ledger())
    answer = chatbot.send()
    assert answer["errorCode"] == 0
    (line,) = simulator.ledger(before)
    assert (line["key"], line["delivery_ref"]) == (answer["messageId"], "k3x9")
    assert line["addr_hash"] == hashlib.sha256(b"13800138000").hexdigest()
    wait_for(lambda: len(states(hook)) == 3, "three states")
    assert set(states(hook)) == {"sent", "delivered", "displayed"}
    info = json.loads(hook.bodies[0])["deliveryInfoList"][0]
    assert (info["messageId"], info["senderAddress"]) == (answer["messageId"], "tel:+8613800138000")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+08:00", info["dateTime"])
    assert f"POST /hook/deliveryNotification/{BOT}/status ".encode() in hook.heads[0]


def test_callbacks_are_signed_over_three_words(simulator: Simulator, chatbot: Chatbot, hook: HttpPeer) -> None:
    simulator.control({"receipts": {"bad_sig": 1.0}})
    chatbot.send(reportRequest=["sent"])
    wait_for(lambda: len(hook.heads) == 2, "a guess and the true one")
    good = []
    for head in hook.heads:
        named = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
        joined = "".join(sorted(("callback-token-1", named["timestamp"], named["nonce"])))
        good.append(named["signature"] == hashlib.sha256(joined.encode()).hexdigest())
    assert good == [False, True]


@pytest.mark.parametrize(
    ("word", "changes", "told"),
    [
        ("unsupported", {}, {"sent", "deliveredToNetwork"}),
        ("unsupported", {"smsSupported": False, "smsContent": None}, {"sent", "failed"}),
        ("offline", {}, {"sent"}),
        ("offline", {"storeSupported": False}, {"sent", "deliveredToNetwork"}),
        ("offline", {"storeSupported": False, "smsSupported": False}, {"sent", "failed"}),
        ("refused", {}, {"sent", "failed"}),
        ("refused", {"reportRequest": ["sent"]}, {"sent"}),
    ],
)
def test_what_becomes_of_it(
    simulator: Simulator, chatbot: Chatbot, hook: HttpPeer, word: str, changes: dict[str, Any], told: set[str]
) -> None:
    simulator.control({"world": {"rcs": {word: 1.0}}})
    assert chatbot.send(**changes)["errorCode"] == 0
    wait_for(lambda: simulator.stats()["receipts"]["waiting"] == 0 and set(states(hook)) == told, f"{told}")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"messageId": None}, 20002),
        ({"storeSupported": None}, 20002),
        ({"smsSupported": "true"}, 20002),
        ({"smsContent": None}, 20002),
        ({"destinationAddress": ["tel:+8613800138000", "tel:+8613800138001"]}, 20002),
        ({"destinationAddress": ["13800138000"]}, 20002),
        ({"senderAddress": "sip:other@x.cn"}, 30008),
        ({"serviceCapability": [{"capabilityId": "x"}]}, 20002),
        ({"reportRequest": ["seen"]}, 20002),
        ({"trafficType": "ads"}, 20002),
        ({"messageList": ["x"]}, 47001),
        ({"messageList": [text("")]}, 40021),
        ({"messageList": [text("字" * 2001)]}, 40021),
        ({"messageList": [{"contentType": "image/png", "contentText": "x"}]}, 40008),
        ({"messageList": [text(), text()]}, 40008),
        ({"messageList": [text(), menu()]}, 47002),
        ({"messageList": [text(), menu(*[REPLY] * 12)]}, 40016),
        (
            {
                "messageList": [
                    text(),
                    menu({"reply": {"displayText": "九个中文字的按钮呀", "postback": {"data": "x"}}}),
                ]
            },
            40018,
        ),
        ({"messageList": [text(), menu({"reply": {"displayText": "x", "postback": {}}})]}, 40019),
        ({"messageList": [text(), menu({"action": {"displayText": "x"}})]}, 40017),
        ({"messageList": [text(), menu({"press": {}})]}, 40017),
        ({"messageList": [card({"generalPurposeCard": {"content": {"title": "x"}}})]}, 47001),
        ({"messageList": [card({"generalPurposeCard": CARD | {"content": {}}})]}, 47001),
        ({"messageList": [card({"generalPurposeCard": CARD | {"content": {"title": "字" * 201}}})]}, 40021),
        ({"messageList": [card({"generalPurposeCard": CARD | {"content": {"media": {"mediaUrl": "u"}}}})]}, 40007),
        ({"messageList": [card({"generalPurposeCardCarousel": {"layout": {}, "content": [{}]}})]}, 47001),
    ],
)
def test_wrong_messages_are_refused(chatbot: Chatbot, changes: dict[str, Any], code: int) -> None:
    assert chatbot.send(**changes)["errorCode"] == code


def test_cards_and_buttons_stand_on_the_phone(simulator: Simulator, chatbot: Chatbot) -> None:
    people = [{"id": "P1", "phone": "13800138777"}]
    assert simulator.call("PUT", "/_sim/people", json.dumps(people)).status == 200
    parts = [card({"generalPurposeCard": CARD}), menu(LINK, REPLY)]
    assert chatbot.send("13800138777", messageList=parts)["errorCode"] == 0
    page = simulator.call("GET", "/_sim/phones/P1").body.decode()
    assert all(word in page for word in ("账单", "您有一张账单", "详情", "https://bank.example", "退订", "优选银行"))
    simulator.control({"world": {"rcs": {"unsupported": 1.0}}})
    chatbot.send("13800138777", smsContent="短信在此")
    assert "短信在此" in simulator.call("GET", "/_sim/phones/P1").body.decode()


def test_a_new_token_ends_the_one_before(simulator: Simulator, chatbot: Chatbot) -> None:
    old = chatbot.token
    chatbot.token = chatbot.post("accessToken", KEYS)["accessToken"]
    assert chatbot.send()["errorCode"] == 0 and old != chatbot.token
    chatbot.token = old
    assert chatbot.send()["errorCode"] == 42001
    for token, code in (("", 41001), ("made-up", 40014)):
        chatbot.token = token
        assert chatbot.send()["errorCode"] == code


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"appKey": "x"}, 41002),
        ({"appId": "app0001"}, 41004),
        (KEYS | {"appKey": "x"}, 40001),
        (KEYS | {"appId": "x"}, 40001),
    ],
)
def test_a_token_needs_both_keys(chatbot: Chatbot, keys: dict[str, str], code: int) -> None:
    assert chatbot.post("accessToken", keys)["errorCode"] == code


def test_tokens_are_rationed(simulator: Simulator, chatbot: Chatbot) -> None:
    simulator.control({"rcs": {"tokens_daily": 1}})
    assert chatbot.post("accessToken", KEYS)["errorCode"] == 45001


def test_headers_and_shares(simulator: Simulator, chatbot: Chatbot) -> None:
    assert chatbot.post("messages", {}, accept="*/*")["errorCode"] == 20003
    assert chatbot.post("messages", {}, date="soon")["errorCode"] == 20003
    assert chatbot.post("messages", [])["errorCode"] == 47001
    assert chatbot.post("medias", {})["errorCode"] == 20003
    for share, code in (("per_second", 30003), ("daily", 30001)):
        simulator.control({"rcs": {"per_second": 100, "daily": 100} | {share: 0}})
        assert chatbot.send()["errorCode"] == code


def test_who_is_unknown_is_refused(simulator: Simulator, chatbot: Chatbot) -> None:
    people = [{"id": "U", "phone": "13800138009", "states": {"rcs": "unknown"}}]
    assert simulator.call("PUT", "/_sim/people", json.dumps(people)).status == 200
    assert chatbot.send("13800138009")["errorCode"] == 46001


def test_a_message_is_recalled_before_it_arrives_only(simulator: Simulator, chatbot: Chatbot, hook: HttpPeer) -> None:
    there = chatbot.send("13800138100")["messageId"]
    wait_for(lambda: "delivered" in states(hook), "the delivery")
    assert chatbot.revoke(there, "13800138100")["errorCode"] == 0
    wait_for(lambda: "revokeFail" in states(hook), "the refusal")
    simulator.control({"world": {"rcs": {"offline": 1.0}}})
    waiting = chatbot.send("13800138101")["messageId"]
    assert chatbot.revoke(waiting, "13800138101") == {"messageId": waiting, "errorCode": 0, "errorMessage": "success"}
    wait_for(lambda: "revokeOk" in states(hook), "the recall")
    assert chatbot.revoke("none", "13800138101")["errorCode"] == 20002
    assert chatbot.revoke(waiting, "13800138102")["errorCode"] == 20002


def test_a_repeated_id_is_what_the_switch_says(simulator: Simulator, chatbot: Chatbot) -> None:
    for once, lines in ((False, ["accept", "accept"]), (True, ["accept", "dedup"])):
        simulator.control({"rcs": {"same_id_once": once}})
        before, sent_as = len(simulator.ledger()), str(uuid.uuid4())
        assert chatbot.send(messageId=sent_as) == chatbot.send(messageId=sent_as)
        assert [line["ev"] for line in simulator.ledger(before)] == lines


def test_people_read_and_write(simulator: Simulator, chatbot: Chatbot, hook: HttpPeer) -> None:
    simulator.control({"rcs": {"form_callbacks": True}})
    chatbot.send("13800138200", reportRequest=["displayed"])
    assert act(simulator, "read", phone="13800138200") == {"read": True}
    wait_for(lambda: hook.bodies, "the form")
    assert b"multipart/form-data; boundary=" in hook.heads[0] and b'"displayed"' in hook.bodies[0]
    act(simulator, "write", phone="13800138200", text="TD")
    wait_for(lambda: len(hook.bodies) == 2, "the answer")
    assert f"/hook/messageNotification/{BOT}/messages".encode() in hook.heads[1] and b"TD" in hook.bodies[1]


@pytest.mark.parametrize("honest", [True, False])
def test_the_trial_of_the_address(simulator: Simulator, honest: bool) -> None:
    def answer(connection: object, head: bytes, body: bytes, number: int) -> bytes:
        given = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
        assert head.startswith(b"GET /hook/notifyPath ") and given["chatbotId"] == BOT
        echo = given["echoStr"] if honest else "else"
        return http_answer(b"", "200 OK", f"echoStr: {echo}", "appId: app0001")

    peer = HttpPeer(answer)
    simulator.control({"receipts": {"urls": {"rcs": peer.url("/hook")}}})
    assert act(simulator, "verify") == {"status": 200, "passed": honest}
    peer.close()
