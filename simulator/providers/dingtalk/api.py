"""DingTalk: both hosts on one port, told apart by path; old style under HTTP 200, new style under real statuses.

Source of every rule: the project's contract sheet for this provider; see README.md for what is not confirmed.
"""

import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from simulator.chance import between, chance
from simulator.outside import Answer, Arrival, Call, Outside, Submission
from simulator.posting import Poster
from simulator.provider import Message as Sent
from simulator.provider import Provider, Shown, answer_json
from simulator.providers.dingtalk import rules
from simulator.providers.dingtalk.events import Seal, greeted, parcel
from simulator.providers.dingtalk.groups import Groups
from simulator.providers.dingtalk.records import APP_KEY, App, Task, body_of, check_agent, msg_of
from simulator.providers.dingtalk.rules import Message, Quiet, Refusal, Robot
from simulator.tokens import TokenDesk
from simulator.world import SettingError

CONVERSATION = "/topapi/message/corpconversation/"
DAY = 86400.0
PUNISHMENT = b'{"status":1111,"wait":5,"source":"x5","punish":"deny"}'
GONE = ("unknown", "left")
TOKEN_HEADER = "x-acs-dingtalk-access-token"


class DingTalk(Provider):
    """The provider of messages inside a company."""

    name = "dingtalk"
    channels = {"dingtalk": "dingtalk", "dingtalk_group": "dingtalk"}
    settings = {
        "equal_text_once_a_day": True,
        "per_employee_day": 500,
        "per_minute": 5000,
        "per_second": 1000,
        "robot_minute": 20,
        "result_limit": 100,
        "wrapper_88": False,
        "punished": "",
        "unknown_task_code": "400002",
        "listed_robots_only": False,
        "reads": 0.0,
        "read_delay": [5.0, 60.0],
    }
    habits = {"unknown": 0.0, "failed": 0.0}
    believable = {"reads": 0.6, "world": {"unknown": 0.01}}
    operations = ("send", "token", "poll", "recall", "query")
    default_refusal = "60011"
    token_error = "42001"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.tokens: TokenDesk = TokenDesk(7200, 7200, same_while_valid=True)
        self.apps = {APP_KEY: App()}
        self.groups = Groups()
        self._tasks: dict[str, Task] = {}
        self._quiet = Quiet()
        self._seconds: dict[tuple[str, str], list[int]] = {}
        self._new_style = False

    # --- control, people and pages

    def control(self, document: dict[str, Any]) -> None:
        """Take {"apps": {key: {...}}, "robots": {access token: {name, secret, keyword}}} and the switches."""
        for key, changes in document.pop("apps", {}).items():
            self.apps[key] = App(**changes)
        for token, changes in document.pop("robots", {}).items():
            self.groups.robots[token] = Robot(**changes)
        if document.get("punished", "") not in ("", "json", "html"):
            raise SettingError("punished is json, html or empty")
        super().control(document)

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        """The employee's userid, and the robot of a group the person stands for."""
        member = [("dingtalk", str(person["dingtalk"]))] if person.get("dingtalk") else []
        group = str(person.get("dingtalk_group") or "").partition("|")[0]
        return member + ([("dingtalk_group", group)] if group else [])

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Show the message as the app or the group shows it."""
        seen: Message = arrival.content
        other = "群机器人" if language == "zh" else "Group robot"
        group = arrival.channel == "dingtalk_group"
        sender = self.groups.robots.get(arrival.address, Robot(other)).name or other if group else arrival.account
        mentions = " ".join(f"@{name}" for name in seen.mentions)
        text = f"{seen.text}\n{mentions}" if mentions else seen.text
        return Shown(seen.title, text, sender, button=seen.button, link=seen.link)

    def act(self, operation: str, document: dict[str, Any]) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """``read`` {"userid"}: reads everything; ``leave``, ``join`` {"userid"}; ``verify``: the callback address is tried."""
        key = str(document.get("app_key", APP_KEY))
        if operation == "read":
            return self._read_all(str(document["userid"]))
        if operation in ("leave", "join"):
            return self._move(key, operation, str(document["userid"]))
        if operation == "verify":
            return self._try_callback(key)
        return super().act(operation, document)

    def _read_all(self, userid: str) -> dict[str, Any]:
        now = time.time()
        unread = [one for one in self.outside.arrived("dingtalk", userid) if not one.read_at or one.read_at > now]
        for one in unread:
            one.read_at = now
        return {"read": len(unread)}

    def _move(self, key: str, operation: str, userid: str) -> dict[str, Any]:
        left = operation == "leave"
        self.outside.set_state("dingtalk", userid, "left" if left else "ok")
        event = {"EventType": f"user_{'leave' if left else 'add'}_org", "TimeStamp": str(int(time.time() * 1000))}
        if url := self.post.url(self.name, key):
            self.post.later(parcel(url, self._seal(key), event | {"UserId": [userid]}), time.time())
        return event

    async def _try_callback(self, key: str) -> dict[str, Any]:
        seal = self._seal(key)
        status, body = await self.post.ask(parcel(self.post.url(self.name, key), seal, {"EventType": "check_url"}))
        return {"status": status, "verified": greeted(seal, status, body)}

    def _seal(self, key: str) -> Seal:
        app = self.apps[key]
        return Seal(app.callback_token, app.aes_key, key)

    def receipt(self, arrival: Arrival) -> None:
        """Nothing is pushed; some people read by themselves, later."""
        seed = self.outside.world.seed
        if (
            arrival.channel == "dingtalk"
            and chance(seed, "reads", arrival.address, arrival.pid) < self.switches["reads"]
        ):
            arrival.read_at = arrival.fate.at + between(seed, self.switches["read_delay"], "read", arrival.pid)

    # --- answers

    def wants(self, call: Call) -> bool:
        """Paths of the two hosts."""
        return call.path in ("/gettoken", "/robot/send", "/v1.0/oauth2/accessToken") or call.path.startswith(
            ("/topapi/", "/v1.0/robot/")
        )

    def refusal(self, code: str) -> Answer:
        """Refuse in the style of the call."""
        return self._refused(Refusal(code))

    def throttled(self, seconds: str | None) -> Answer:
        """Answer that the application calls too often in this second."""
        new = "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"
        return self._refused(Refusal(new, status=403) if self._new_style else Refusal("90018"), wrapped=True)

    def internal_error(self) -> Answer:
        """Answer HTTP 500 without a word of the provider, which says nothing about acceptance."""
        return Answer(500, b"<html>Internal Server Error</html>", "internal", {"Content-Type": "text/html"})

    def _refused(self, refusal: Refusal, wrapped: bool = False) -> Answer:
        if self._new_style:
            code = "InvalidAuthentication" if refusal.code == self.token_error else refusal.code
            status = {"InvalidAuthentication": 401}.get(code, 403 if code.startswith("Forbidden.") else refusal.status)
            return answer_json(status, {"code": code, "message": refusal.message, "requestid": str(uuid.uuid4())}, code)
        code, message = refusal.code, refusal.message
        document: dict[str, Any] = {"errcode": int(code), "errmsg": message}
        if wrapped or self.switches["wrapper_88"]:
            words = f"ding talk error[subcode={code},submsg={message}]"
            document = {"errcode": 88, "sub_code": code, "sub_msg": message, "errmsg": words}
        return answer_json(200, document | {"request_id": uuid.uuid4().hex}, code)

    def _fine(self, **document: Any) -> Answer:
        return answer_json(200, {"errcode": 0, "errmsg": "ok"} | document | {"request_id": uuid.uuid4().hex})

    # --- reading

    def read(self, call: Call) -> Submission | Answer:
        """Authenticate and check a request."""
        self._new_style = call.path.startswith("/v1.0/")
        if self.switches["punished"] == "json":
            return Answer(200, PUNISHMENT, "1111")
        if self.switches["punished"] == "html":
            return Answer(200, b"<html>x5 punish</html>", "1111", {"Content-Type": "text/html"})
        try:
            return self._open(call) or self._inside(call)
        except Refusal as refusal:
            return self._refused(refusal)

    def _open(self, call: Call) -> Submission | None:
        """Calls without an access token of an application."""
        if call.path == "/gettoken":
            given = call.parameters
            return self._token(given.get("appkey", ""), given.get("appsecret", ""), call)
        if call.path == "/v1.0/oauth2/accessToken":
            document = body_of(call)
            return self._token(str(document.get("appKey")), str(document.get("appSecret")), call)
        return self._group(call) if call.path == "/robot/send" else None

    def _token(self, key: str, secret: str, call: Call) -> Submission:
        app = self.apps.get(key)
        if app is None or app.secret != secret:
            raise Refusal("invalidClientIdOrSecret" if self._new_style else "40089", "不合法的appKey或appSecret")
        new_style = self._new_style

        def accept(returned: bool) -> Answer:
            token, left = self.tokens.issue(key, call.now)
            if new_style:
                return answer_json(200, {"accessToken": token, "expireIn": int(left)})
            return self._fine(access_token=token, expires_in=int(left))

        return Submission(self.name, "token", [], accept)

    def _inside(self, call: Call) -> Submission:
        token = call.headers.get(TOKEN_HEADER, "") if self._new_style else call.parameters.get("access_token", "")
        key, why = self.tokens.check(token, call.now)
        if why:
            raise Refusal(
                "InvalidAuthentication" if self._new_style else {"expired": "42001"}.get(why, "40014"),
                "不合法的access_token",
            )
        operations: dict[tuple[str, str], Callable[[str, App, dict[str, Any], float], Submission]] = {
            ("POST", f"{CONVERSATION}asyncsend_v2"): self._send,
            ("POST", f"{CONVERSATION}getsendprogress"): self._progress,
            ("POST", f"{CONVERSATION}getsendresult"): self._result,
            ("POST", f"{CONVERSATION}recall"): self._recall,
            ("POST", "/topapi/v2/user/getbymobile"): self._by_mobile,
            ("POST", "/v1.0/robot/oToMessages/batchSend"): self._robot_send,
            ("GET", "/v1.0/robot/oToMessages/readStatus"): self._robot_status,
            ("POST", "/v1.0/robot/otoMessages/batchRecall"): self._robot_recall,
        }
        operation = operations.get((call.method, call.path))
        if operation is None:
            raise Refusal("InvalidAction.NotFound" if self._new_style else "22", "不合法的请求", 404)
        self._count((key, call.path), int(call.now))
        document = call.parameters if call.method == "GET" else body_of(call)
        return operation(key, self.apps[key], document, call.now)

    def _count(self, what: tuple[str, str], second: int) -> None:
        state = self._seconds.setdefault(what, [second, 0])
        if state[0] != second:
            state[:] = [second, 0]
        state[1] += 1
        if state[1] > self.switches["per_second"]:
            code = "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi" if self._new_style else "90018"
            raise Refusal(code, status=403)

    # --- work notifications

    def _send(self, key: str, app: App, document: dict[str, Any], now: float) -> Submission:
        check_agent(app, document)
        people = [one for one in str(document.get("userid_list") or "").split(",") if one]
        if not people:
            raise Refusal("40031", "userid_list不合法")
        if len(people) > rules.MOST_IN_TASK:
            raise Refusal("40032", "userid_list过长")
        message = rules.work_message(msg_of(document))

        def accept(returned: bool) -> Answer:
            task = Task(key, time.time(), len(people))
            pid = str(self.outside.new_pid())[-15:]
            self._tasks[pid] = task
            wanted = [one for one in dict.fromkeys(people) if not self._is_gone(one, task)]
            good = [one for one in wanted if not self._is_forbidden(key, one, message, task)]
            sent = [_sent(one, message) for one in good]
            task.arrivals = self.take("dingtalk", key, "", pid, sent, returned) if sent else []
            equal = [Sent(one, "", message, repr(message)) for one, code in task.forbidden.items() if code == "143106"]
            if equal:
                entries = [one.entry() for one in equal]
                self.outside.record(self.name, key, "", pid, entries, returned, "dedup")
            return self._fine(task_id=int(pid))

        return Submission(self.name, "send", people, accept)

    def _is_gone(self, userid: str, task: Task) -> bool:
        if self.fate("dingtalk", userid, "", task.at).word in GONE:
            task.invalid.append(userid)
            return True
        return False

    def _is_forbidden(self, key: str, userid: str, message: Message, task: Task) -> bool:
        code = self._quiet.forbids(key, userid, repr(message), task.at, self.switches)
        if self.outside.state("dingtalk", userid) == "blocked":
            code = "1430004"
        if code:
            task.forbidden[userid] = code
        return bool(code)

    def _task(self, key: str, number: object, now: float) -> Task:
        task = self._tasks.get(str(number))
        if task is None or task.app != key or now - task.at > DAY:
            raise Refusal(self.switches["unknown_task_code"], "task_id不存在")
        return task

    def _progress(self, key: str, app: App, document: dict[str, Any], now: float) -> Submission:
        check_agent(app, document)
        task = self._task(key, document.get("task_id"), now)
        done = sum(one.fate.at <= now for one in task.arrivals)
        share = 100 * done // len(task.arrivals) if task.arrivals else 100
        said = {"progress_in_percent": share, "status": 2 if share == 100 else 1 if done else 0}
        return Submission(self.name, "query", [], lambda returned: self._fine(progress=said))

    def _result(self, key: str, app: App, document: dict[str, Any], now: float) -> Submission:
        check_agent(app, document)
        task = self._task(key, document.get("task_id"), now)

        def answer(returned: bool) -> Answer:
            if task.recipients > self.switches["result_limit"]:
                return self.internal_error()
            seen = [one for one in task.arrivals if one.fate.at <= now]
            reached = [one for one in seen if one.fate.reached(now)]
            read = [one.address for one in reached if one.read_at and one.read_at <= now]
            return self._fine(
                send_result={
                    "invalid_user_id_list": task.invalid,
                    "forbidden_user_id_list": [],
                    "forbidden_list": [{"userid": u, "code": c, "count": 1} for u, c in task.forbidden.items()],
                    "failed_user_id_list": [one.address for one in seen if not one.fate.reached(now)],
                    "read_user_id_list": read,
                    "unread_user_id_list": [one.address for one in reached if one.address not in read],
                    "invalid_dept_id_list": [],
                }
            )

        return Submission(self.name, "poll", [], answer)

    def _recall(self, key: str, app: App, document: dict[str, Any], now: float) -> Submission:
        check_agent(app, document)
        task = self._task(key, document.get("msg_task_id"), now)
        return Submission(self.name, "recall", [], lambda returned: self._taken_back(task, self._fine()))

    def _taken_back(self, task: Task, answer: Answer) -> Answer:
        for one in task.arrivals:
            one.recalled = True
        return answer

    def _by_mobile(self, key: str, app: App, document: dict[str, Any], now: float) -> Submission:
        mobile = str(document.get("mobile", ""))
        who = self.outside.person_of.get(("sms", mobile), "")
        userid = str(self.outside.people.get(who, {}).get("dingtalk") or "")
        if not userid:
            raise Refusal("60121", "找不到该用户")
        return Submission(self.name, "query", [userid], lambda returned: self._fine(result={"userid": userid}))

    # --- robots

    def _robot_send(self, key: str, app: App, document: dict[str, Any], now: float) -> Submission:
        people = document.get("userIds")
        if document.get("robotCode") != app.robot_code:
            raise Refusal("invalidParameter.robotCode.notExist")
        if not isinstance(people, list) or not 1 <= len(people) <= rules.MOST_AT_ONCE:
            raise Refusal("invalidParameter.userIds.invalid")
        message = rules.sample_message(document)

        def accept(returned: bool) -> Answer:
            states = {one: self.fate("dingtalk", one, "", now).word for one in people}
            invalid = [one for one, word in states.items() if word in GONE]
            busy = [one for one, word in states.items() if word == "busy"]
            filtered = [one for one, word in states.items() if word == "blocked"]
            pid = str(self.outside.new_pid())
            sent = [Sent(one, "", message, repr(message)) for one in states if one not in (*invalid, *busy, *filtered)]
            arrivals = self.take("dingtalk", key, "", pid, sent, returned) if sent else []
            self._tasks[f"PQK{pid}="] = Task(key, now, len(people), arrivals)
            lists = {"invalidStaffIdList": invalid, "flowControlledStaffIdList": busy, "filteredStaffIdList": filtered}
            return answer_json(200, {"processQueryKey": f"PQK{pid}="} | lists)

        return Submission(self.name, "send", people, accept)

    def _robot_status(self, key: str, app: App, document: dict[str, Any], now: float) -> Submission:
        task = self._tasks.get(document.get("processQueryKey", ""))
        if document.get("robotCode") != app.robot_code or task is None or task.app != key or now - task.at > DAY:
            raise Refusal("invalidParameter.processQueryKey.notExist")

        def answer(returned: bool) -> Answer:
            rows = []
            for one in task.arrivals:
                if one.fate.reached(now):
                    read = bool(one.read_at and one.read_at <= now)
                    row = {"name": one.address, "userId": one.address, "readStatus": "READ" if read else "UNREAD"}
                    rows.append(row | {"readTimestamp": int(one.read_at * 1000) if read else 0})
            recalled = any(one.recalled for one in task.arrivals)
            busy = any(one.fate.at > now for one in task.arrivals)
            status = "RECALLED" if recalled else "PROCESSING" if busy else "SUCCESS"
            return answer_json(200, {"sendStatus": status, "messageReadInfoList": rows})

        return Submission(self.name, "poll", [], answer)

    def _robot_recall(self, key: str, app: App, document: dict[str, Any], now: float) -> Submission:
        keys = document.get("processQueryKeys")
        if document.get("robotCode") != app.robot_code or not isinstance(keys, list) or not keys:
            raise Refusal("invalidParameter.processQueryKeys.invalid")

        def answer(returned: bool) -> Answer:
            found = {one: self._tasks[one] for one in keys if one in self._tasks and now - self._tasks[one].at <= DAY}
            for task in found.values():
                self._taken_back(task, Answer(200, b""))
            failed = {one: "not found" for one in keys if one not in found}
            return answer_json(200, {"successResult": list(found), "failedResult": failed})

        return Submission(self.name, "recall", [], answer)

    def _group(self, call: Call) -> Submission:
        token, message = self.groups.read(call, self.switches)

        def accept(returned: bool) -> Answer:
            self.groups.count(token, call.now)
            pid = str(self.outside.new_pid())
            self.take("dingtalk_group", token[:8], "", pid, [_sent(token, message)], returned)
            return answer_json(200, {"errcode": 0, "errmsg": "ok"})

        return Submission(self.name, "send", [token], accept)


def _sent(userid: str, message: Message) -> Sent:
    return Sent(userid, "", message, f"{message.title}\n{message.text}")
