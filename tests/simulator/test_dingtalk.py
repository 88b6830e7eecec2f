"""DingTalk: what is accepted, what is dropped without a word, and each refusal."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.simulator.clients import Reply, Simulator

KEY, SECRET = "dingUMSappkey01", "TestAppSecret000000000000000001"
WORK = "/topapi/message/corpconversation/"
TEXT = {"msgtype": "text", "text": {"content": "设备 A-01 告警"}}
JSON = {"Content-Type": "application/json"}
SAMPLE = {"robotCode": "dingUMSrobot1", "msgKey": "sampleText", "msgParam": '{"content":"设备 A-01 告警"}'}


def token(simulator: Simulator) -> str:
    found: str = simulator.call("GET", f"/gettoken?appkey={KEY}&appsecret={SECRET}").json["access_token"]
    return found


def old(simulator: Simulator, path: str, document: Any, access: str | None = None) -> Any:
    """A call of the old style; HTTP 200 whatever it says."""
    target = f"{path}?access_token={token(simulator) if access is None else access}"
    reply = simulator.call("POST", target, json.dumps(document), JSON)
    assert reply.status == 200
    return reply.json


def new(simulator: Simulator, path: str, document: Any, access: str | None = None) -> Reply:
    headers = JSON | {"x-acs-dingtalk-access-token": token(simulator) if access is None else access}
    return simulator.call("POST", f"/v1.0/robot/{path}", json.dumps(document), headers)


def notice(people: str, msg: Any = None, **more: Any) -> dict[str, Any]:
    return {"agent_id": 1234567890, "userid_list": people, "to_all_user": False, "msg": msg or TEXT} | more


def fresh(text: str) -> dict[str, Any]:
    return {"msgtype": "text", "text": {"content": text}}


def result(simulator: Simulator, task: int) -> Any:
    return old(simulator, f"{WORK}getsendresult", {"agent_id": 1234567890, "task_id": task})["send_result"]


def state(simulator: Simulator, userid: str, word: str) -> None:
    document = [{"id": userid, "dingtalk": userid, "states": {"dingtalk": word}}]
    assert simulator.call("PUT", "/_sim/people", json.dumps(document)).status == 200


# tokens


def test_asking_again_gives_the_same_token_to_both_styles(simulator: Simulator) -> None:
    first = token(simulator)
    body = json.dumps({"appKey": KEY, "appSecret": SECRET})
    reply = simulator.call("POST", "/v1.0/oauth2/accessToken", body, JSON)
    assert reply.json["accessToken"] == first == token(simulator) and reply.json["expireIn"] <= 7200


def test_wrong_secrets_and_tokens(simulator: Simulator) -> None:
    assert simulator.call("GET", f"/gettoken?appkey={KEY}&appsecret=x").json["errcode"] == 40089
    body = json.dumps({"appKey": KEY, "appSecret": "x"})
    reply = simulator.call("POST", "/v1.0/oauth2/accessToken", body, JSON)
    assert (reply.status, reply.json["code"]) == (400, "invalidClientIdOrSecret")
    assert old(simulator, f"{WORK}asyncsend_v2", notice("a"), "nothing")["errcode"] == 40014
    refused = new(simulator, "oToMessages/batchSend", SAMPLE | {"userIds": ["a"]}, "nothing")
    assert (refused.status, refused.json["code"]) == (401, "InvalidAuthentication")
    access = token(simulator)
    simulator.call("POST", "/_sim/dingtalk/invalidate", json.dumps({"account": KEY}))
    assert old(simulator, f"{WORK}asyncsend_v2", notice("a"), access)["errcode"] == 42001


# work notifications


def test_a_task_tells_later_who_got_it_and_who_read_it(simulator: Simulator) -> None:
    simulator.control({"receipts": {"delay": [0.0, 0.0]}})
    state(simulator, "ghost", "unknown")
    state(simulator, "boss", "blocked")
    before = len(simulator.ledger())
    task = old(simulator, f"{WORK}asyncsend_v2", notice("zhang3,li4,ghost,boss", fresh("later")))["task_id"]
    assert len(simulator.ledger()) - before == 2
    found = result(simulator, task)
    assert found["invalid_user_id_list"] == ["ghost"] and found["unread_user_id_list"] == ["zhang3", "li4"]
    assert found["forbidden_list"] == [{"userid": "boss", "code": "1430004", "count": 1}]
    simulator.call("POST", "/_sim/dingtalk/read", json.dumps({"userid": "li4"}))
    found = result(simulator, task)
    assert (found["read_user_id_list"], found["unread_user_id_list"]) == (["li4"], ["zhang3"])
    progress = old(simulator, f"{WORK}getsendprogress", {"agent_id": 1234567890, "task_id": task})["progress"]
    assert progress == {"progress_in_percent": 100, "status": 2}


def test_a_task_is_under_way_at_first(simulator: Simulator) -> None:
    simulator.control({"receipts": {"delay": [60.0, 60.0]}})
    task = old(simulator, f"{WORK}asyncsend_v2", notice("slow5", fresh("slow")))["task_id"]
    asked = {"agent_id": 1234567890, "task_id": task}
    assert old(simulator, f"{WORK}getsendprogress", asked)["progress"] == {"progress_in_percent": 0, "status": 0}
    found = result(simulator, task)
    assert not any(found[f"{name}_user_id_list"] for name in ("read", "unread", "failed", "invalid"))


def test_an_equal_text_is_delivered_once_a_day_and_the_answer_is_success(simulator: Simulator) -> None:
    before = len(simulator.ledger())
    tasks = [old(simulator, f"{WORK}asyncsend_v2", notice("wang5", fresh("equal")))["task_id"] for _ in range(2)]
    assert [line["ev"] for line in simulator.ledger(before)] == ["accept", "dedup"]
    assert result(simulator, tasks[1])["forbidden_list"] == [{"userid": "wang5", "code": "143106", "count": 1}]


@pytest.mark.parametrize(("switch", "code"), [("per_employee_day", "143105"), ("per_minute", "143103")])
def test_limits_are_silent(simulator: Simulator, switch: str, code: str) -> None:
    simulator.control({"dingtalk": {switch: 0}})
    task = old(simulator, f"{WORK}asyncsend_v2", notice("zhao6", fresh(code)))["task_id"]
    assert result(simulator, task)["forbidden_list"][0]["code"] == code


def test_forms_are_taken_as_well(simulator: Simulator) -> None:
    form = urlencode({"agent_id": 1234567890, "userid_list": "qian7", "msg": json.dumps(fresh("form"))})
    target = f"{WORK}asyncsend_v2?access_token={token(simulator)}"
    reply = simulator.call("POST", target, form, {"Content-Type": "application/x-www-form-urlencoded"})
    assert reply.json["errcode"] == 0


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (notice("a", {"msgtype": "song"}), 34001),
        (notice("a", {"msgtype": "text", "text": {}}), 34002),
        (notice("a", fresh("x" * 5001)), 34016),
        (notice("a", {"msgtype": "action_card", "action_card": {"title": "t", "markdown": "m"}}), 34002),
        (notice(""), 40031),
        (notice(",".join(map(str, range(5001)))), 40032),
        (notice("a", agent_id=7), 400002),
        ([], 40035),
    ],
)
def test_what_is_refused(simulator: Simulator, document: Any, code: int) -> None:
    before = len(simulator.ledger())
    assert old(simulator, f"{WORK}asyncsend_v2", document)["errcode"] == code
    assert len(simulator.ledger()) == before


def test_more_than_a_hundred_get_no_result(simulator: Simulator) -> None:
    people = ",".join(f"many{number}" for number in range(101))
    task = old(simulator, f"{WORK}asyncsend_v2", notice(people, fresh("many")))["task_id"]
    target = f"{WORK}getsendresult?access_token={token(simulator)}"
    reply = simulator.call("POST", target, json.dumps({"agent_id": 1234567890, "task_id": task}), JSON)
    assert reply.status == 500


def test_recalls_and_unknown_tasks(simulator: Simulator) -> None:
    task = old(simulator, f"{WORK}asyncsend_v2", notice("sun8", fresh("recall")))["task_id"]
    asked = {"agent_id": 1234567890, "msg_task_id": task}
    assert old(simulator, f"{WORK}recall", asked)["errcode"] == 0
    assert old(simulator, f"{WORK}recall", asked | {"msg_task_id": 1})["errcode"] == 400002


def test_a_mobile_number_finds_its_employee(simulator: Simulator) -> None:
    people = [{"id": "p", "phone": "13800138000", "dingtalk": "zhangsan"}]
    simulator.call("PUT", "/_sim/people", json.dumps(people))
    assert old(simulator, "/topapi/v2/user/getbymobile", {"mobile": "13800138000"})["result"] == {"userid": "zhangsan"}
    assert old(simulator, "/topapi/v2/user/getbymobile", {"mobile": "13800138009"})["errcode"] == 60121


def test_causes_behind_the_wrapper_and_punishment(simulator: Simulator) -> None:
    simulator.control({"dingtalk": {"wrapper_88": True}})
    said = old(simulator, f"{WORK}asyncsend_v2", notice(""))
    assert (said["errcode"], said["sub_code"]) == (88, "40031") and "subcode=40031" in said["errmsg"]
    simulator.control({"dingtalk": {"wrapper_88": False, "per_second": 0}})
    assert old(simulator, f"{WORK}asyncsend_v2", notice("a"))["errcode"] == 90018
    access = token(simulator)
    simulator.control({"dingtalk": {"punished": "json"}})
    said = old(simulator, f"{WORK}asyncsend_v2", notice("a"), access)
    assert said == {"status": 1111, "wait": 5, "source": "x5", "punish": "deny"}


# robots


def test_a_robot_says_at_once_who_gets_nothing(simulator: Simulator) -> None:
    for userid, word in (("rghost", "unknown"), ("rbusy", "busy"), ("rfilter", "blocked")):
        state(simulator, userid, word)
    before = len(simulator.ledger())
    said = new(simulator, "oToMessages/batchSend", SAMPLE | {"userIds": ["rgood", "rghost", "rbusy", "rfilter"]}).json
    assert said["invalidStaffIdList"] == ["rghost"] and said["flowControlledStaffIdList"] == ["rbusy"]
    assert said["filteredStaffIdList"] == ["rfilter"] and len(simulator.ledger()) - before == 1
    query = urlencode({"robotCode": "dingUMSrobot1", "processQueryKey": said["processQueryKey"]})
    headers = {"x-acs-dingtalk-access-token": token(simulator)}
    simulator.call("POST", "/_sim/dingtalk/read", json.dumps({"userid": "rgood"}))
    status = simulator.call("GET", f"/v1.0/robot/oToMessages/readStatus?{query}", None, headers).json
    assert [(row["userId"], row["readStatus"]) for row in status["messageReadInfoList"]] in ([("rgood", "READ")], [])
    recall = {"robotCode": "dingUMSrobot1", "processQueryKeys": [said["processQueryKey"], "PQK?"]}
    back = new(simulator, "otoMessages/batchRecall", recall).json
    assert back == {"successResult": [said["processQueryKey"]], "failedResult": {"PQK?": "not found"}}
    assert new(simulator, "oToMessages/batchRecall", recall).status == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"userIds": [str(number) for number in range(21)]},
        {"robotCode": "other"},
        {"msgKey": "sampleSong"},
        {"msgParam": {"content": "x"}},
        {"msgParam": json.dumps({"content": "x" * 15_000})},
        {"msgParam": "{}"},
    ],
)
def test_what_a_robot_may_not_send(simulator: Simulator, changes: dict[str, Any]) -> None:
    assert new(simulator, "oToMessages/batchSend", SAMPLE | {"userIds": ["a"]} | changes).status == 400


def webhook(simulator: Simulator, access: str, secret: str = "", at: float = 0.0, body: Any = None) -> int:
    query = f"access_token={access}"
    if secret:
        stamp = str(int((time.time() + at) * 1000))
        made = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
        query += f"&timestamp={stamp}&sign={quote(base64.b64encode(made), safe='')}"
    reply = simulator.call("POST", f"/robot/send?{query}", json.dumps(body or TEXT), JSON)
    assert reply.status == 200
    code: int = reply.json["errcode"]
    return code


def test_protections_of_a_groups_robot(simulator: Simulator) -> None:
    simulator.control({"dingtalk": {"robots": {"signed1": {"secret": "SEC1"}, "worded1": {"keyword": "告警"}}}})
    assert webhook(simulator, "signed1", "SEC1") == webhook(simulator, "worded1") == 0
    assert webhook(simulator, "signed1") == webhook(simulator, "signed1", "SEC2") == 310000
    assert webhook(simulator, "signed1", "SEC1", at=-3700.0) == 310000
    assert webhook(simulator, "worded1", body=fresh("安静")) == 310000
    assert webhook(simulator, "other1", body={"msgtype": "song"}) == 400105
    simulator.control({"dingtalk": {"listed_robots_only": True}})
    assert webhook(simulator, "other1") == 300001


def test_a_robot_that_speaks_too_much_is_silenced(simulator: Simulator) -> None:
    assert [webhook(simulator, "loud1") for _ in range(22)] == [0] * 20 + [130101] * 2
