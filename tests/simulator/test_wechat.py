"""WeChat: tokens, template and subscription messages, consent, windows, quotas, and what it tells the account's server."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.simulator.clients import Simulator, wait_for

OA, OA_SECRET = "wx00000000000ums01", "TestOaSecret000000000000000000001"
MINI, MINI_SECRET = "wx00000000000mini1", "TestMiniSecret0000000000000000001"
TPL, SUB = "UMSTPL_abcdefghijklmnopqrstuvwxyz0123456789", "UMSSUB_abcdefghijklmnopqrstuvwxyz0123456789"
MINITPL = "MINITPL_abcdefghijklmnopqrstuvwxyz01234567"
USER, OTHER = "oUMS_0000000000000000000001x", "oUMS_0000000000000000000002x"
TOKEN, AES = "umsCallbackToken", base64.b64decode("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
BILL = {"thing1": {"value": "杜萍"}, "amount2": {"value": "¥12.50"}}
STEP = {
    "thing1": {"value": "设备告警"},
    "time2": {"value": "2026年1月2日 03:04"},
    "character_string3": {"value": "UMS-2026-0001"},
}


class Client:
    """What the provider's document says that a caller does."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.tokens: dict[str, str] = {}

    def stable(self, appid: str, secret: str, **more: Any) -> Any:
        body = {"grant_type": "client_credential", "appid": appid, "secret": secret, **more}
        return self.simulator.call("POST", "/cgi-bin/stable_token", json.dumps(body)).json

    def classic(self, appid: str = OA, secret: str = OA_SECRET, grant: str = "client_credential") -> Any:
        query = f"grant_type={grant}&appid={appid}&secret={secret}"
        return self.simulator.call("GET", f"/cgi-bin/token?{query}").json

    def post(self, path: str, body: Any, appid: str = OA, token: str | None = None, method: str = "POST") -> Any:
        if token is None:
            secret = OA_SECRET if appid == OA else MINI_SECRET
            token = self.tokens.setdefault(appid, self.stable(appid, secret)["access_token"])
        text = body if isinstance(body, str) else json.dumps(body)
        reply = self.simulator.call(method, f"/cgi-bin/{path}?access_token={token}", text)
        assert reply.status == 200
        assert reply.json["errcode"] == 0 or " rid: " in reply.json["errmsg"]
        return reply.json

    def template(self, openid: str = USER, **more: Any) -> Any:
        return self.post("message/template/send", {"touser": openid, "template_id": TPL, "data": BILL} | more)

    def bizsend(self, openid: str = USER, **more: Any) -> Any:
        return self.post("message/subscribe/bizsend", {"touser": openid, "template_id": SUB, "data": BILL} | more)

    def custom(self, openid: str = USER, text: str = "您好") -> Any:
        body = {"touser": openid, "msgtype": "text", "text": {"content": text}}
        return self.post("message/custom/send", body)

    def mini(self, openid: str = USER, **more: Any) -> Any:
        body = {"touser": openid, "template_id": MINITPL, "data": STEP} | more
        return self.post("message/subscribe/send", body, MINI)

    def act(self, operation: str, account: str = OA, openid: str = USER, **more: Any) -> Any:
        body = {"account": account, "openid": openid, **more}
        reply = self.simulator.call("POST", f"/_sim/wechat/{operation}", json.dumps(body))
        assert reply.status == 200, reply.body
        return reply.json


@pytest.fixture
def client(simulator: Simulator) -> Client:
    return Client(simulator)


# tokens


def test_each_classic_token_replaces_the_one_before(client: Client) -> None:
    first, second = client.classic(), client.classic()
    assert first["access_token"] != second["access_token"] and first["expires_in"] == 7200
    for token in (first, second):  # the old one is good for five more minutes
        body = {"touser": USER, "template_id": TPL, "data": BILL}
        assert client.post("message/template/send", body, token=token["access_token"])["errcode"] == 0


def test_a_stable_token_stays_until_it_is_forced(client: Client) -> None:
    first, again = client.stable(OA, OA_SECRET), client.stable(OA, OA_SECRET)
    assert first["access_token"] == again["access_token"] and again["expires_in"] <= first["expires_in"] <= 7200
    assert client.classic()["access_token"] != first["access_token"]
    forced = client.stable(OA, OA_SECRET, force_refresh=True)
    assert forced["access_token"] != first["access_token"]
    assert client.post("message/template/send", {}, token=first["access_token"])["errcode"] == 42001
    soon = client.stable(OA, OA_SECRET, force_refresh=True)  # within 30 s: as if it were not forced
    assert soon["access_token"] == forced["access_token"]


def test_a_stable_token_is_renewed_before_its_end_and_both_are_good(client: Client) -> None:
    client.simulator.control({"wechat": {"token_life_s": 1}})
    client.act("invalidate")
    first = client.stable(OA, OA_SECRET)["access_token"]
    fresh = wait_for(
        lambda: (now := client.stable(OA, OA_SECRET)["access_token"]) != first and now, "another token in force"
    )
    assert client.template()["errcode"] == 0 and fresh


def test_token_calls_are_refused(client: Client) -> None:
    assert client.classic("wx0")["errcode"] == 40013 and client.classic(secret="no")["errcode"] == 40001
    assert client.classic(grant="password")["errcode"] == 40002 and client.classic("")["errcode"] == 41002
    assert client.classic(secret="")["errcode"] == 41004 and client.stable(OA, "no")["errcode"] == 40125
    assert client.simulator.call("GET", "/cgi-bin/stable_token").json["errcode"] == 43002
    client.simulator.control({"wechat": {"token_daily": 0}})
    assert client.classic()["errcode"] == 45009


def test_dead_tokens(client: Client) -> None:
    body = {"touser": USER, "template_id": TPL, "data": BILL}
    assert client.post("message/template/send", body, token="")["errcode"] == 41001
    assert client.post("message/template/send", body, token="never")["errcode"] == 40001
    token = client.stable(OA, OA_SECRET)["access_token"]
    assert client.act("invalidate")["invalidated"] >= 1
    assert client.post("message/template/send", body, token=token)["errcode"] == 42001
    client.simulator.control({"wechat": {"unknown_code": "40014", "expired_code": "40001"}})
    assert client.post("message/template/send", body, token="never")["errcode"] == 40014
    assert client.post("message/template/send", body, token=token)["errcode"] == 40001


# sending


def test_requests_are_checked(client: Client) -> None:
    path = "message/template/send"
    assert client.post(path, {}, method="GET")["errcode"] == 43002
    assert client.post(path, "")["errcode"] == 44002 and client.post(path, "{")["errcode"] == 47001
    assert client.template("oUMS_short")["errcode"] == 40003 and client.template(template_id=SUB)["errcode"] == 40037
    assert client.post("message/subscribe/send", {}, OA)["errcode"] == 48001
    for data, key in (
        ({}, "thing1"),
        ({**BILL, "x1": {"value": "1"}}, "x1"),
        ({**BILL, "amount2": {"value": ""}}, "amount2"),
    ):
        refused = client.template(data=data)
        assert refused["errcode"] == 47003 and f"data.{key}" in refused["errmsg"]


def test_values_of_subscriptions_fit_their_types(client: Client) -> None:
    for name, value in (
        ("thing1", "字" * 21),
        ("thing1", "a\nb"),
        ("time2", "tomorrow"),
        ("time2", "25:00"),
        ("character_string3", "编号"),
        ("character_string3", "x" * 33),
    ):
        refused = client.mini(data=STEP | {name: {"value": value}})
        assert refused["errcode"] == 47003 and f"data.{name}.value invalid" in refused["errmsg"], (name, value)
    for value in ("15:01", "2026年1月2日 15:01", "15:01~16:00", "2026-01-02 15:01:30"):
        assert client.mini(data=STEP | {"time2": {"value": value}})["errcode"] == 0, value
    assert client.bizsend(data=BILL | {"amount2": {"value": "12.50元"}})["errcode"] == 0
    assert client.bizsend(data=BILL | {"amount2": {"value": "about 12"}})["errcode"] == 47003
    assert client.mini(page="pages/other")["errcode"] == 41030
    assert client.mini(page="pages/detail/index?id=42")["errcode"] == 0


def test_who_is_named_by_an_id_of_the_caller_gets_one_message(client: Client) -> None:
    before = len(client.simulator.ledger())
    first = client.template(client_msg_id="k1")
    assert client.template(client_msg_id="k1")["msgid"] == first["msgid"]
    assert client.template(OTHER, client_msg_id="k1")["msgid"] != first["msgid"]
    client.simulator.control({"wechat": {"client_msg_id_s": 0}})
    assert client.template(client_msg_id="k1")["msgid"] != first["msgid"]
    lines = client.simulator.ledger(before)
    assert [(line["ev"], line["key"]) for line in lines] == [
        ("accept", "k1"),
        ("dedup", "k1"),
        ("accept", "k1"),
        ("accept", "k1"),
    ]
    assert lines[0]["pid"] == str(first["msgid"]) and lines[0]["account"] == OA


def test_followers_only(client: Client) -> None:
    client.act("unfollow")
    assert client.template()["errcode"] == client.bizsend()["errcode"] == client.custom()["errcode"] == 43004
    client.act("follow")
    assert client.template()["errcode"] == 0
    client.simulator.control({"world": {"wechat": {"unfollowed": 1.0}}})
    assert client.template(OTHER)["errcode"] == 43004 and client.mini(OTHER)["errcode"] == 0


def test_a_subscription_is_good_for_one_message(client: Client) -> None:
    client.simulator.control({"wechat": {"grants_each": 0}})
    user = "oGRANT_00000000000000000001x"
    for send, account, template in ((client.bizsend, OA, SUB), (client.mini, MINI, MINITPL)):
        assert send(user)["errcode"] == 43101
        client.act("grant", account, user, template=template, count=2)
        assert [send(user)["errcode"] for _ in range(3)] == [0, 0, 43101]
    client.act("grant", MINI, user, template=MINITPL)
    client.act("switch_off", MINI, user, template=MINITPL)
    assert client.mini(user)["errcode"] == 43101


def test_answers_carry_an_id_where_the_switches_say_so(client: Client) -> None:
    assert "msgid" not in client.bizsend() and client.mini()["msgid"] > 0 and client.template()["msgid"] > 0
    client.simulator.control({"wechat": {"bizsend_msgid": True, "mini_msgid": False}})
    assert client.bizsend()["msgid"] > 0 and "msgid" not in client.mini()


def test_customer_messages_need_an_open_window(client: Client) -> None:
    user = "oSPEAK_00000000000000000001x"
    assert client.custom(user)["errcode"] == 45015
    client.act("speak", openid=user)
    assert [client.custom(user)["errcode"] for _ in range(6)] == [0] * 5 + [45047]
    client.act("menu", openid=user)
    assert [client.custom(user)["errcode"] for _ in range(4)] == [0] * 3 + [45047]
    client.act("speak", openid=user)
    assert client.custom(user, "字" * 683)["errcode"] == 45002
    client.simulator.control({"wechat": {"customer_hours": 0}})
    client.act("speak", openid=user)
    assert client.custom(user)["errcode"] == 45015


def test_quotas_are_counted_and_cleared(client: Client) -> None:
    assert client.post("clear_quota", {"appid": OA})["errcode"] == 0
    client.simulator.control({"wechat": {"daily": 2}})
    assert [client.template()["errcode"] for _ in range(3)] == [0, 0, 45009]
    assert client.post("clear_quota", {"appid": MINI})["errcode"] == 40013
    assert client.post("clear_quota", {"appid": OA})["errcode"] == 0
    client.simulator.control({"wechat": {"daily": 100, "per_minute": 1}})
    assert 45011 in [client.template()["errcode"] for _ in range(3)]
    client.simulator.control({"wechat": {"per_minute": 100, "serial_s": 60.0}})
    assert client.post("clear_quota", {"appid": OA})["errcode"] == 0
    assert client.template()["errcode"] == 43108


def test_a_scripted_token_error(client: Client) -> None:
    client.simulator.control({"scripts": [{"provider": "wechat", "match": "all", "do": ["token_error"], "times": 1}]})
    assert [client.template()["errcode"] for _ in range(2)] == [42001, 0]


# what the account's server is told


class Server:
    """An account's server: keeps what is true, answers the trial of its address."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.refused = 0
        self.answers: list[bytes] = []
        self.raw: list[bytes] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = dict(parse_qsl(urlsplit(self.path).query))
                good = query["signature"] == signed(query["timestamp"], query["nonce"])
                self.reply(query["echostr"].encode() if good else b"no")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.raw.append(body)
                query = dict(parse_qsl(urlsplit(self.path).query))
                if opened := server.opened(query, body):
                    server.heard.append(opened)
                else:
                    server.refused += 1
                self.reply(server.answers.pop(0) if server.answers else b"success" if opened else b"no")

            def reply(self, text: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *parts: Any) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/hook"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def opened(self, query: dict[str, str], body: bytes) -> dict[str, Any] | None:
        if query["signature"] != signed(query["timestamp"], query["nonce"]):
            return None
        document = flat(body)
        if "encrypt_type" not in query:
            return document
        sealed = str(document["Encrypt"])
        if query["msg_signature"] != signed(query["timestamp"], query["nonce"], sealed):
            return None
        opener = Cipher(algorithms.AES(AES), modes.CBC(AES[:16])).decryptor()
        plain = opener.update(base64.b64decode(sealed)) + opener.finalize()
        length = int.from_bytes(plain[16:20], "big")
        inside = plain[20 : 20 + length]
        assert plain[20 + length :][: -plain[-1]].decode() in (OA, MINI)
        return flat(inside)


def signed(*parts: str) -> str:
    return hashlib.sha1("".join(sorted((TOKEN, *parts))).encode()).hexdigest()


def flat(body: bytes) -> dict[str, Any]:
    if body[:1] == b"{":
        document: dict[str, Any] = json.loads(body)
        return document
    found: dict[str, Any] = {}
    for child in ElementTree.fromstring(body.decode()):
        found[child.tag] = [{part.tag: part.text for part in one} for one in child] if len(child) else child.text
    return found


@pytest.fixture
def server(simulator: Simulator) -> Iterator[Server]:
    made = Server()
    simulator.control({"receipts": {"delay": 0.0, "retry_scale": 0.001, "urls": {"wechat": made.url}}})
    yield made
    simulator.control({"receipts": {"urls": {"wechat": ""}}})
    made.http.shutdown()
    made.http.server_close()


def heard(server: Server, count: int = 1) -> list[dict[str, Any]]:
    wait_for(lambda: len(server.heard) >= count, f"{count} callbacks")
    return server.heard


def test_the_address_is_tried(client: Client, server: Server) -> None:
    assert client.act("verify") == {"status": 200, "passed": True}


def test_template_receipts(client: Client, server: Server) -> None:
    sent = client.template()
    (event,) = heard(server)
    assert (event["Event"], event["Status"], event["MsgID"]) == ("TEMPLATESENDJOBFINISH", "success", str(sent["msgid"]))
    assert event["FromUserName"] == USER and event["ToUserName"] == "gh_ums000000001"
    assert abs(int(event["CreateTime"]) - time.time()) < 60
    for word, status in (
        ("blocked", "failed:user block"),
        ("failed", "failed: system failed"),
        ("freq_limit", "failed:freq limit"),
    ):
        server.heard.clear()
        client.simulator.control(
            {"world": {"wechat": {name: float(name == word) for name in ("blocked", "failed", "freq_limit")}}}
        )
        client.template("oFATE_000000000000000000001x")
        assert heard(server)[0]["Status"] == status


def test_subscription_receipts_in_both_forms(client: Client, server: Server) -> None:
    client.bizsend()
    (event,) = heard(server)
    (entry,) = event["SubscribeMsgSentEvent"]
    assert (entry["TemplateId"], entry["ErrorCode"], entry["ErrorStatus"]) == (SUB, "0", "success")
    server.heard.clear()
    sent = client.mini()
    entry = heard(server)[0]["List"]
    assert (entry["MsgID"], entry["ErrorCode"]) == (str(sent["msgid"]), "0")
    server.heard.clear()
    client.act("grant", MINI, templates=[MINITPL, "T2"])
    assert [one["SubscribeStatusString"] for one in heard(server)[0]["List"]] == ["accept", "accept"]


def test_events_of_people(client: Client, server: Server) -> None:
    client.act("follow", unionid="uni-1")
    client.act("unfollow")
    client.act("follow")
    events = [(event["Event"], event.get("UnionId")) for event in heard(server, 3)]
    assert sorted(events, key=str) == [("subscribe", "uni-1"), ("subscribe", None), ("unsubscribe", None)]


def test_callbacks_are_repeated_until_success(client: Client, server: Server) -> None:
    server.answers = [b"later", b"", b"unused"]
    client.act("speak", text="在吗")
    heard(server, 2)
    assert server.raw[0] == server.raw[1] and server.heard[0]["Content"] == "在吗"
    wait_for(lambda: client.simulator.stats()["receipts"]["waiting"] == 0, "nothing waits")
    assert len(server.heard) == 2


def test_modes_of_callbacks(client: Client, server: Server) -> None:
    for mode in ("plain", "compatible", "secure"):
        client.simulator.control({"wechat": {"apps": {OA: {"mode": mode}}}})
        server.heard.clear()
        server.raw.clear()
        client.act("menu")
        assert heard(server)[0]["Event"] == "CLICK"
        assert (b"<Encrypt>" in server.raw[0]) == (mode != "plain") and (b"CLICK" in server.raw[0]) == (
            mode != "secure"
        )


def test_strangers_are_told_apart(client: Client, server: Server) -> None:
    client.simulator.control({"receipts": {"bad_sig": 1.0}})
    client.template()
    assert heard(server)[0]["Status"] == "success" and server.refused == 1
    assert client.simulator.stats()["receipts"]["forged_taken"] == 0


def test_phones_show_the_card(client: Client) -> None:
    user = "oPHONE_00000000000000000001x"
    people = [{"id": "W1", "name": "杜萍", "wechat_oa": user, "wechat_mini": [user]}]
    assert client.simulator.call("PUT", "/_sim/people", json.dumps(people)).status == 200
    assert client.template(user, url="https://ums.example/m/1")["errcode"] == client.mini(user)["errcode"] == 0
    client.act("speak", openid=user)
    assert client.custom(user, "您好 <b>")["errcode"] == 0
    page = client.simulator.call("GET", "/_sim/phones/W1").body.decode()
    for text in ("账单通知", "¥12.50", "优选银行小程序", "UMS-2026-0001", "您好 &lt;b&gt;", "https://ums.example/m/1"):
        assert text in page, text
