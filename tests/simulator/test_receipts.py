"""Short message reports and returned mail, as a receiver sees them."""

import json
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.simulator.clients import Simulator, wait_for
from tests.simulator.mail import send_mail


class Receiver:
    """An HTTP server that keeps what it is given and answers what it is told to."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, str, bytes]] = []
        self.answers: list[tuple[int, bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.posts.append((self.path, self.headers["Content-Type"], body))
                status, text = receiver.answers.pop(0) if receiver.answers else (200, b'{"code":0,"msg":"ok"}')
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *parts: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook/secret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reports(self) -> list[dict[str, Any]]:
        return [report for _, _, body in self.posts for report in json.loads(body)]


@pytest.fixture
def receiver(simulator: Simulator) -> Iterator[Receiver]:
    made = Receiver()
    quick = {"delay": 0.0, "retry_scale": 0.001, "sms_report_url": made.url, "bounce_url": made.url}
    simulator.control({"receipts": quick})
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_reports_come_in_the_provider_s_shape(simulator: Simulator, receiver: Receiver) -> None:
    biz_id = simulator.send_sms("13800138000,13800138001", "ums-evt-42").json["BizId"]
    reports = wait_for(lambda: len(receiver.reports()) == 2 and receiver.reports(), "two reports")
    names = "phone_number send_time report_time success err_code err_msg sms_size biz_id out_id"
    assert set(reports[0]) == set(names.split())
    assert {report["phone_number"] for report in reports} == {"13800138000", "13800138001"}
    assert {(r["biz_id"], r["out_id"], r["success"], r["err_code"], r["sms_size"]) for r in reports} == {
        (biz_id, "ums-evt-42", True, "DELIVERED", "1")
    }
    path, kind, _ = receiver.posts[0]
    assert path == "/hook/secret" and kind.startswith("application/json")


def test_failed_numbers_are_reported_as_failed(simulator: Simulator, receiver: Receiver) -> None:
    simulator.control({"world": {"aliyun": {"empty": 1.0}}})
    simulator.send_sms()
    (report,) = wait_for(receiver.reports, "the report")
    assert report["success"] is False and report["err_code"] == "MK:0001"


@pytest.mark.parametrize("bad", [(500, b""), (200, b"ok"), (200, b'{"code":"0"}'), (404, b'{"code":0}')])
def test_a_report_is_repeated_until_the_code_is_a_number(
    simulator: Simulator, receiver: Receiver, bad: tuple[int, bytes]
) -> None:
    receiver.answers = [bad, bad]
    simulator.send_sms()
    wait_for(lambda: len(receiver.posts) == 3, "the third post")
    assert len({body for _, _, body in receiver.posts}) == 1
    wait_for(lambda: simulator.stats()["receipts"]["waiting"] == 0, "rest")
    assert len(receiver.posts) == 3


def test_after_three_repeats_it_is_dropped(simulator: Simulator, receiver: Receiver) -> None:
    dropped = simulator.stats()["receipts"].get("sms_dropped", 0)
    receiver.answers = [(503, b"")] * 9
    simulator.send_sms()
    wait_for(lambda: simulator.stats()["receipts"].get("sms_dropped", 0) == dropped + 1, "giving up")
    assert len(receiver.posts) == 4


def test_reports_can_be_doubled_lost_and_forged(simulator: Simulator, receiver: Receiver) -> None:
    simulator.control({"receipts": {"dup": 1.0, "bad_sig": 1.0}})
    simulator.send_sms()
    genuine = wait_for(lambda: [p for p in receiver.posts if p[0] == "/hook/secret"], "the genuine post")
    wait_for(lambda: simulator.stats()["receipts"]["waiting"] == 0, "rest")
    forged = [json.loads(body) for path, _, body in receiver.posts if path == "/hook/secretx"]
    assert forged[0][0]["success"] is False and json.loads(genuine[0][2])[0]["success"] is True
    assert len([r for path, _, b in receiver.posts if path == "/hook/secret" for r in json.loads(b)]) == 2
    simulator.control({"receipts": {"dup": 0.0, "bad_sig": 0.0, "lost": 1.0}})
    lost, posts = (
        simulator.stats()["receipts"].get("lost", 0),
        len(receiver.posts),
    )
    simulator.send_sms()
    assert simulator.stats()["receipts"]["lost"] == lost + 1
    simulator.call("POST", "/_sim/receipts")
    assert len(receiver.posts) == posts


def test_held_reports_leave_on_demand_and_200_at_a_time(simulator: Simulator, receiver: Receiver) -> None:
    simulator.control({"receipts": {"auto": False, "shuffle": True}})
    numbers = [str(13800138000 + number) for number in range(450)]
    simulator.send_sms(",".join(numbers))
    assert simulator.stats()["receipts"]["waiting"] == 450 and not receiver.posts
    assert simulator.call("POST", "/_sim/receipts").json == {"posts": 3}
    wait_for(lambda: len(receiver.reports()) == 450, "all reports")
    assert sorted(len(json.loads(body)) for _, _, body in receiver.posts) == [50, 200, 200]
    order = [report["phone_number"] for report in receiver.reports()]
    assert order != sorted(order) and sorted(order) == numbers


def test_made_up_reports(simulator: Simulator, receiver: Receiver) -> None:
    simulator.control({"receipts": {"auto": False}})
    report = {"phone_number": "13800138000", "biz_id": "1^0", "success": True, "err_code": "DELIVERED"}
    simulator.call("POST", "/_sim/receipts", json.dumps({"reports": [report]}))
    assert wait_for(receiver.reports, "the made-up report") == [report]


def test_a_bounce_is_a_delivery_report_to_the_envelope_sender(simulator: Simulator, receiver: Receiver) -> None:
    simulator.control({"world": {"smtp": {"bounce": 1.0}}})
    wishes = {"mail": ["RET=HDRS", "ENVID=d-42.1"], "rcpt": ["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;u42@users.example"]}
    send_mail(simulator, "u42@users.example", sender="b+d-42=0a1b2c3d@bounce.ums.example", wishes=wishes)
    wait_for(lambda: receiver.posts, "the bounce")
    _, kind, body = receiver.posts[0]
    report = message_from_bytes(body, policy=policy.default)
    assert kind == "message/rfc822" and not report.defects
    assert report["To"] == "b+d-42=0a1b2c3d@bounce.ums.example" and report["Auto-Submitted"] == "auto-replied"
    assert report.get_content_type() == "multipart/report" and report.get_param("report-type") == "delivery-status"
    words, status, returned = report.get_payload()
    per_message, per_recipient = status.get_payload()
    assert "u42@users.example" in words.get_content()
    assert per_message["Original-Envelope-Id"] == "d-42.1" and per_message["Reporting-MTA"] == "dns; mx.ums.example"
    assert per_recipient["Final-Recipient"] == "rfc822; u42@users.example"
    assert per_recipient["Original-Recipient"] == "rfc822;u42@users.example"
    assert (per_recipient["Action"], per_recipient["Status"]) == ("failed", "5.1.1")
    assert per_recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 no such mailbox here"
    assert returned.get_content_type() == "text/rfc822-headers" and "<d-42.1@ums.example>" in returned.get_payload()
    assert "hello" not in body.decode()


def test_no_bounce_without_wish_or_sender(simulator: Simulator, receiver: Receiver) -> None:
    simulator.control({"world": {"smtp": {"bounce": 1.0}}})
    send_mail(simulator, "u1@users.example", wishes={"mail": [], "rcpt": ["NOTIFY=NEVER"]})
    send_mail(simulator, "u1@users.example", sender="")
    send_mail(simulator, "u2@users.example", wishes={"mail": ["RET=FULL"], "rcpt": []})
    wait_for(lambda: receiver.posts, "the only bounce")
    assert simulator.stats()["receipts"]["waiting"] <= 1 and len(receiver.posts) == 1
    report = message_from_bytes(receiver.posts[0][2], policy=policy.default)
    returned = report.get_payload()[2]
    assert returned.get_content_type() == "message/rfc822" and "hello" in returned.get_payload()[0].get_content()
