"""JPush: what is accepted, what is refused, idempotency ids, quota, delivery states."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.clients import JPUSH_KEY, Simulator, push_body, wait_for

RID = "1507bfd3f7c466c355c"


def error(reply: Any) -> tuple[int, int]:
    return reply.status, reply.json["error"]["code"]


def fresh_cid(simulator: Simulator) -> str:
    cid: str = simulator.jpush("GET", "/v3/push/cid").json["cidlist"][0]
    return cid


def states(simulator: Simulator, msg_id: str, *rids: str) -> dict[str, int]:
    body = {"msg_id": int(msg_id), "registration_ids": list(rids)}
    answer = simulator.jpush("POST", "/v3/status/message", body)
    assert answer.status == 200
    return {rid: state["status"] for rid, state in answer.json.items()}


def test_one_message_id_for_all_devices(simulator: Simulator) -> None:
    before = len(simulator.ledger())
    reply = simulator.push(RID, f"{RID}d")
    assert reply.status == 200 and reply.json["sendno"] == "7" and isinstance(reply.json["msg_id"], str)
    lines = simulator.ledger(before)
    assert [line["pid"] for line in lines] == [reply.json["msg_id"]] * 2
    assert {line["delivery_ref"] for line in lines} == {"d-42"} and lines[0]["account"] == JPUSH_KEY


def test_without_extras_the_cid_is_the_reference(simulator: Simulator) -> None:
    before, cid = len(simulator.ledger()), fresh_cid(simulator)
    assert simulator.push(RID, cid=cid, notification={"alert": "x"}).status == 200
    line = simulator.ledger(before)[0]
    assert (line["key"], line["delivery_ref"]) == (cid, cid)


def test_a_repeat_with_the_same_cid_is_swallowed(simulator: Simulator) -> None:
    before, cid = len(simulator.ledger()), fresh_cid(simulator)
    first, second = simulator.push(RID, cid=cid), simulator.push(RID, cid=cid)
    assert first.json["msg_id"] == second.json["msg_id"]
    assert [line["ev"] for line in simulator.ledger(before)] == ["accept", "dedup"]


def test_only_successes_burn_a_cid(simulator: Simulator) -> None:
    before, cid = len(simulator.ledger()), fresh_cid(simulator)
    simulator.control({"scripts": [{"provider": "jpush", "match": "all", "do": ["500"], "times": 1}]})
    assert error(simulator.push(RID, cid=cid)) == (500, 1000)
    assert simulator.push(RID, cid=cid).status == 200
    assert [line["ev"] for line in simulator.ledger(before)] == ["accept"]


@pytest.mark.parametrize("rule", [{"mode": "none"}, {"window_s": 0}])
def test_idempotency_can_be_off_or_its_window_over(simulator: Simulator, rule: dict[str, Any]) -> None:
    simulator.control({"idempotency": rule})
    cid = fresh_cid(simulator)
    assert simulator.push(RID, cid=cid).json["msg_id"] != simulator.push(RID, cid=cid).json["msg_id"]


def test_a_cid_is_remembered_over_a_crash(start: Callable[..., Simulator], tmp_path: Path) -> None:
    first = start("--world", "perfect", folder=tmp_path)
    cid = fresh_cid(first)
    msg_id = first.push(RID, cid=cid).json["msg_id"]
    first.stop(signal.SIGKILL)
    second = start("--world", "perfect", folder=tmp_path)
    assert second.push(RID, cid=cid).json["msg_id"] == msg_id
    assert [line["ev"] for line in second.ledger()] == ["accept", "dedup"]
    assert states(second, msg_id, RID, "other-device") == {RID: 0, "other-device": 3}


def test_cid_endpoint(simulator: Simulator) -> None:
    reply = simulator.jpush("GET", "/v3/push/cid?count=1000&type=push")
    assert len(set(reply.json["cidlist"])) == 1000
    assert all(cid.startswith(f"{JPUSH_KEY}-") for cid in reply.json["cidlist"])
    for query in ("count=0", "count=1001", "count=x", "type=other"):
        assert error(simulator.jpush("GET", f"/v3/push/cid?{query}")) == (400, 1003)


def deep(path: str, value: Any) -> dict[str, Any]:
    """Return a correct push with one value put at a dotted path (None: taken away)."""
    body = json.loads(json.dumps(push_body(RID)))
    *steps, last = path.split(".")
    place = body
    for step in steps:
        place = place.setdefault(step, {})
    if value is None:
        del place[last]
    else:
        place[last] = value
    return body


REFUSED = [
    ("platform", None, 1002),
    ("audience", None, 1002),
    ("notification", None, 1002),
    ("platform", "symbian", 1003),
    ("platform", [], 1003),
    ("audience.registration_id", [], 1003),
    ("audience.registration_id", ["1507bfd3f7c466c355c"] * 1001, 1003),
    ("audience.registration_id", ["bad id!"], 1003),
    ("audience.alias", ["x" * 41], 1003),
    ("audience.alias", ["a b"], 1003),
    ("audience.tag", [f"t{number}" for number in range(21)], 1003),
    ("audience.people", ["x"], 1009),
    ("colour", "red", 1009),
    ("notification.android.delivery", "d", 1009),
    ("notification.ios", {"alert": "x", "title": "x"}, 1009),
    ("notification.blackberry", {"alert": "x"}, 1009),
    ("options.retry", 1, 1009),
    ("message", {"title": "x"}, 1002),
    ("message", {"msg_content": "x", "body": "x"}, 1009),
    ("notification.alert", 5, 1003),
    ("options.sendno", 0, 1003),
    ("options.time_to_live", 864001, 1003),
    ("options.big_push_duration", 1401, 1003),
    ("options.classification", 2, 1003),
    ("options.apns_production", "yes", 1003),
    ("options.apns_collapse_id", "x" * 65, 1003),
    ("callback", {"url": "http://x.example", "type": 4}, 1003),
    ("cid", "not-a-cid", 1003),
    ("cid", "f" * 24 + "-11111111-2222-4333-8444-555555555555", 1003),
    ("notification.android.alert", "长" * 1334, 1005),
    ("notification.ios", {"alert": "长" * 667}, 1005),
    ("message", {"msg_content": "x" * 4000}, 1005),
]


@pytest.mark.parametrize(("path", "value", "code"), REFUSED)
def test_refusals(simulator: Simulator, path: str, value: Any, code: int) -> None:
    before = len(simulator.ledger())
    for url in ("/v3/push", "/v3/push/validate") if path != "cid" else ("/v3/push",):
        assert error(simulator.jpush("POST", url, deep(path, value))) == (400, code)
    assert len(simulator.ledger()) == before


def test_validate_delivers_nothing(simulator: Simulator) -> None:
    before = len(simulator.ledger())
    assert simulator.jpush("POST", "/v3/push/validate", push_body(RID)).status == 200
    assert len(simulator.ledger()) == before


def test_who_may_push(simulator: Simulator) -> None:
    assert error(simulator.jpush("POST", "/v3/push", {}, secret="0" * 24)) == (401, 1004)
    assert error(simulator.jpush("POST", "/v3/push", {}, key="b" * 24)) == (401, 1004)
    assert error(simulator.jpush("POST", "/v3/push", {}, key="short")) == (400, 1008)
    assert error(simulator.call("POST", "/v3/push", "{}")) == (401, 1004)
    assert error(simulator.jpush("PUT", "/v3/push", {})) == (405, 1001)
    assert error(simulator.jpush("POST", "/v3/fax", {})) == (404, 1020)


def test_every_answer_carries_the_quota_and_the_last_one_is_refused(simulator: Simulator) -> None:
    used = int(simulator.push(RID).headers["x-rate-limit-limit"]) - int(
        simulator.push(RID).headers["x-rate-limit-remaining"]
    )
    simulator.control({"jpush": {"quota": {"push": used + 1}}})
    last, over = simulator.push(RID), simulator.push(RID)
    assert last.status == 200 and last.headers["x-rate-limit-remaining"] == "0"
    assert last.headers["x-rate-limit-limit"] == last.headers["x-rate-limit-quota"] == str(used + 1)
    assert error(over) == (429, 2002) and 1 <= int(over.headers["x-rate-limit-reset"]) <= 60
    assert error(simulator.jpush("POST", "/v3/status/message", {"msg_id": "x"})) == (400, 1003)


def test_batch_answers_entry_by_entry(simulator: Simulator) -> None:
    good, unknown_key = simulator.jpush("GET", "/v3/push/cid?count=2").json["cidlist"]
    foreign = f"{JPUSH_KEY}-11111111-2222-4333-8444-555555555555"
    entry = {"platform": "all", "target": RID, "notification": {"alert": "x"}}
    body = {"pushlist": {good: entry, unknown_key: entry | {"colour": 1}, foreign: entry}}
    before = len(simulator.ledger())
    answer = simulator.jpush("POST", "/v3/push/batch/regid/single", body).json
    assert isinstance(answer[good]["msg_id"], int)
    assert answer[unknown_key]["error"]["code"] == 1009 and answer[foreign]["error"]["code"] == 1003
    assert [line["key"] for line in simulator.ledger(before)] == [good]
    simulator.control({"jpush": {"batch_size": 2}})
    assert error(simulator.jpush("POST", "/v3/push/batch/regid/single", body)) == (400, 1003)


def test_states_of_a_believable_world(simulator: Simulator) -> None:
    rids = [f"device-{number:04}" for number in range(400)]
    simulator.control({"world": {"jpush": {"offline": 0.25, "unknown": 0.05, "late": 0.0, "delay": 0.0}}})
    msg_id = simulator.push(*rids).json["msg_id"]
    found = states(simulator, msg_id, *rids, "stranger-1")
    counted = [list(found.values()).count(state) for state in range(4)]
    assert 230 < counted[0] < 330 and 70 < counted[1] < 130 and 5 < counted[2] < 40
    assert found == states(simulator, msg_id, *rids, "stranger-1")
    gone = next(rid for rid, state in found.items() if state == 2)
    assert error(simulator.push(gone)) == (400, 1011)
    assert simulator.push(gone, rids[0] if found[rids[0]] != 2 else rids[1]).status == 200


def test_late_ones_arrive_later(simulator: Simulator) -> None:
    simulator.control({"world": {"jpush": {"late": 1.0, "late_s": [0.4, 0.5]}}})
    msg_id = simulator.push(RID).json["msg_id"]
    assert states(simulator, msg_id, RID) == {RID: 1}
    wait_for(lambda: states(simulator, msg_id, RID) == {RID: 0}, "the late delivery")
    row = simulator.jpush("GET", f"/v3/received/detail?msg_ids={msg_id}").json[0]
    assert row["jpush_received"] == 1 and row["ios_apns_sent"] is None


def test_withdrawal(simulator: Simulator) -> None:
    msg_id = simulator.push("phone-of-nobody").json["msg_id"]
    assert simulator.jpush("DELETE", f"/v3/push/{msg_id}").status == 200
    assert error(simulator.jpush("DELETE", "/v3/push/1")) == (400, 1003)
