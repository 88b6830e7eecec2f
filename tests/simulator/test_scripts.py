"""Faults on demand over HTTP, and the ledger that tells what was really accepted."""

import http.client
import json
from typing import Any

import pytest

from simulator.chance import address_bucket
from simulator.scripts import Plan, ScriptError, parse_actions, parse_match
from tests.simulator.clients import Simulator, wait_for

GONE = (ConnectionResetError, http.client.RemoteDisconnected)


def install(simulator: Simulator, do: list[Any], match: str = "all", provider: str = "aliyun", **more: Any) -> None:
    simulator.control({"scripts": [{"provider": provider, "match": match, "do": do} | more]})


def send_codes(simulator: Simulator, count: int) -> list[str]:
    return [simulator.send_sms(out_id=f"n-{number}").json["Code"] for number in range(count)]


@pytest.mark.parametrize(
    ("steps", "plan"),
    [
        (["accept", "reset_after"], Plan(True, "reset_after")),
        (["500_after_accept"], Plan(True, "500")),
        (["hang(2.5)"], Plan(False, "hang", "2.5")),
        ([{"refuse": "isv.AMOUNT_NOT_ENOUGH"}], Plan(False, "refuse", "isv.AMOUNT_NOT_ENOUGH")),
        (["accept"], Plan(True, None)),
    ],
)
def test_actions_are_read(steps: list[Any], plan: Plan) -> None:
    assert parse_actions(steps) == plan


@pytest.mark.parametrize("match", ["", "every:0", "to:", "address%0==1", "rate:2", "sometimes"])
def test_wrong_matches_are_refused(match: str) -> None:
    with pytest.raises(ScriptError):
        parse_match(match)


def test_wrong_documents_change_nothing(simulator: Simulator) -> None:
    install(simulator, ["500"])
    good, bad = {"provider": "jpush", "do": ["500"]}, {"provider": "aliyun", "do": ["explode"]}
    simulator.control({"scripts": [good, bad]}, status=400)
    simulator.control({"receipts": {"colour": 1}}, status=400)
    simulator.control({"world": {"calls": {"throttled": "often"}}}, status=400)
    assert send_codes(simulator, 1) == ["InternalError"]
    assert simulator.call("DELETE", "/_sim/ctl").status == 200
    assert send_codes(simulator, 1) == ["OK"]


def test_every_nth_call(simulator: Simulator) -> None:
    install(simulator, ["429"], "every:3@2")
    assert send_codes(simulator, 6) == ["OK", "Throttling.User", "OK", "OK", "Throttling.User", "OK"]
    install(simulator, ["429"], "every:3", times=1)
    assert send_codes(simulator, 6) == ["OK", "OK", "Throttling.User", "OK", "OK", "OK"]


def test_by_address_and_by_bucket(simulator: Simulator) -> None:
    install(simulator, ["refuse(isv.AMOUNT_NOT_ENOUGH)"], "to:13800138009")
    assert simulator.send_sms("13800138008,13800138009").json["Code"] == "isv.AMOUNT_NOT_ENOUGH"
    assert simulator.send_sms("13800138008").json["Code"] == "OK"
    install(simulator, ["500"], "address%4==1")
    for number in range(13800138000, 13800138020):
        code = simulator.send_sms(str(number)).json["Code"]
        assert code == ("InternalError" if address_bucket(str(number), 4) == 1 else "OK")


def test_a_rate_is_the_same_every_time(simulator: Simulator) -> None:
    install(simulator, ["500"], "rate:0.3")
    first = send_codes(simulator, 40)
    install(simulator, ["500"], "rate:0.3")
    assert first == send_codes(simulator, 40) and 3 < first.count("InternalError") < 25


@pytest.mark.parametrize("provider", ["aliyun", "jpush"])
@pytest.mark.parametrize(
    ("do", "accepted"),
    [(["reset_before"], 0), (["reset_after"], 1), (["500"], 0), (["500_after_accept"], 1), (["garbage"], 0),
     (["garbage_after_accept"], 1), (["accept", "wrong_charset"], 1), (["accept", "bigbody"], 1), (["429(3)"], 0)],
)  # fmt: skip
def test_faults_and_what_the_ledger_says(simulator: Simulator, provider: str, do: list[str], accepted: int) -> None:
    before = len(simulator.ledger())
    install(simulator, do, provider=provider, times=1)
    send = simulator.send_sms if provider == "aliyun" else lambda: simulator.push("1507bfd3f7c466c355c")
    if do[0].startswith("reset"):
        with pytest.raises(GONE):
            send()
    else:
        _assert_spoiled(do[-1], send())
    lines = simulator.ledger(before)
    assert [line["returned"] for line in lines] == [False] * accepted
    assert send().status == 200 and simulator.ledger(before)[-1]["returned"] is True


def _assert_spoiled(action: str, reply: Any) -> None:
    if action.startswith("500"):
        assert reply.status == 500
    elif action.startswith("429"):
        assert reply.status in (400, 429) and reply.headers.get("x-rate-limit-reset", "3") == "3"
    elif action == "bigbody":
        assert len(reply.body) > 2_000_000
    else:
        with pytest.raises(ValueError):
            json.loads(reply.body.decode("utf-8"))


def test_the_ledger_line_is_there_before_the_answer(simulator: Simulator) -> None:
    before = len(simulator.ledger())
    install(simulator, ["hang_after_accept"], times=1)
    path = simulator.folder / "ledger.jsonl"
    connection = http.client.HTTPConnection(simulator.http.removeprefix("http://"), timeout=10)
    request = simulator.aliyun_request("SendSms", "13800138000")
    connection.request(*request)
    wait_for(lambda: len(path.read_bytes().splitlines()) == before + 1, "the line of a call that is not answered")
    connection.close()


def test_hang_and_drip_answer_late_but_truly(simulator: Simulator) -> None:
    install(simulator, ["accept", "hang(0.2)"], times=1)
    assert simulator.send_sms().json["Code"] == "OK"
    install(simulator, ["accept", "drip(0.001)"], times=1)
    assert simulator.send_sms().json["Code"] == "OK"


def test_queries_have_scripts_of_their_own(simulator: Simulator) -> None:
    install(simulator, ["500"], provider="jpush", operation="query")
    msg_id = int(simulator.push("1507bfd3f7c466c355c").json["msg_id"])
    body = {"msg_id": msg_id, "registration_ids": ["1507bfd3f7c466c355c"]}
    assert simulator.jpush("POST", "/v3/status/message", body).status == 500


def test_ledger_can_be_followed_and_statistics_agree(simulator: Simulator) -> None:
    before, stats = len(simulator.ledger()), simulator.stats()["aliyun"]
    simulator.send_sms("13800138000,13800138001")
    simulator.send_sms("bad")
    after = simulator.stats()["aliyun"]
    assert len(simulator.ledger(before)) == 2 == after["accepted"] - stats["accepted"]
    assert after["calls"] - stats["calls"] == 2
    assert after["refused"]["isv.MOBILE_NUMBER_ILLEGAL"] > stats["refused"].get("isv.MOBILE_NUMBER_ILLEGAL", 0)
    assert simulator.ledger(before + 2) == []


def test_the_believable_world_fails_now_and_then(simulator: Simulator) -> None:
    simulator.control({"world": {"calls": {"throttled": 0.2, "error_before": 0.2, "error_after": 0.2}}})
    before, codes = len(simulator.ledger()), send_codes(simulator, 60)
    assert {"OK", "Throttling.User", "InternalError"} == set(codes)
    assert codes.count("OK") < len(simulator.ledger(before)) < 60
