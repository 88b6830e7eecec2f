"""WeCom: gettoken, application messages, recall, lookup, robots of groups, callbacks about members.

Source of every rule: the project's contract sheet for this provider; see README.md beside this for what is unconfirmed.
"""

import hashlib
import json
from collections import Counter, deque
from collections.abc import Awaitable, Sequence
from typing import Any

from simulator.clock import beijing_day
from simulator.outside import Answer, Arrival, Call, Outside, Submission
from simulator.posting import Poster
from simulator.provider import Message, Provider, Shown, answer_json
from simulator.providers.wecom.callbacks import Callbacks
from simulator.providers.wecom.rules import (
    Targets,
    WeComError,
    check_options,
    content_of,
    robot_content_of,
    targets_of,
)
from simulator.providers.wecom.sealing import Seal
from simulator.tokens import TokenDesk
from simulator.world import Fate

CORPID, AGENTID, SECRET = "wwUMScorp00001", 1000002, "TestCorpSecret000000000000001"
CALLBACK_TOKEN, AES_KEY = "umsCallbackToken", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
PATHS = frozenset(
    f"/cgi-bin/{name}" for name in ("gettoken", "message/send", "message/recall", "user/getuserid", "webhook/send")
)
TOKEN_LIFE_S, RECALL_S = 7200, 86400
BAD_MEMBERS = {"invalid": "invaliduser", "left": "invaliduser", "unlicensed": "unlicenseduser"}
DROPPED = "dropped"


class WeCom(Provider):
    """The provider of messages inside a company."""

    name = "wecom"
    channels = {"wecom": "wecom", "wecom_group": "wecom"}
    settings = {
        "daily": 100_000_000,
        "per_minute": 10_000_000,
        "member_minute": 30,
        "member_hour": 1000,
        "robot_minute": 20,
        "wrong_secrets": 20,
        "expired_code": "42001",
        "listed_members_only": False,
        "listed_robots_only": False,
    }
    habits = {"invalid": 0.0, "unlicensed": 0.0}
    believable = {"world": {"invalid": 0.01, "unlicensed": 0.005}}
    operations = ("send", "token", "recall", "query")
    default_refusal = "81013"
    token_error = "42001"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.tokens: TokenDesk = TokenDesk(TOKEN_LIFE_S, TOKEN_LIFE_S, same_while_valid=True)
        self.apps: dict[tuple[str, str], int] = {(CORPID, SECRET): AGENTID}
        self.callbacks = Callbacks(post, {f"{CORPID}/{AGENTID}": Seal(CALLBACK_TOKEN, AES_KEY, CORPID)})
        self.robots: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self._wrong_secrets: list[float] = []
        self._sent: dict[str, tuple[str, float, list[Arrival]]] = {}
        self._seen: dict[tuple[str, str], tuple[float, str, dict[str, Any]]] = {}
        self._recent: dict[tuple[str, str], deque[float]] = {}
        self._calls: Counter[tuple[str, int]] = Counter()
        self._dropping: set[str] = set()

    # --- control, people and pages

    def control(self, document: dict[str, Any]) -> None:
        """Take apps {"corpid", "agentid", "secret", "token", "aes_key"} and robots {key: name of the group}."""
        for app in document.pop("apps", []):
            self.apps[(app["corpid"], app["secret"])] = int(app["agentid"])
            if "aes_key" in app:
                account = f"{app['corpid']}/{app['agentid']}"
                self.callbacks.seals[account] = Seal(app["token"], app["aes_key"], app["corpid"])
        self.robots.update(document.pop("robots", {}))
        super().control(document)

    def act(self, operation: str, document: dict[str, Any]) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """Do ``follow``, ``unfollow`` or ``enter`` {"userid", "account"?}, or ``verify`` {"account"?} the hook's address."""
        account = str(document.get("account", f"{CORPID}/{AGENTID}"))
        events = {"follow": "subscribe", "unfollow": "unsubscribe", "enter": "enter_agent"}
        if operation == "verify":
            return self.callbacks.verify(account)
        if operation not in events:
            return super().act(operation, document)
        userid = str(document["userid"])
        if operation != "enter":
            self.outside.set_state("wecom", userid.lower(), "invalid" if operation == "unfollow" else "ok")
        self.callbacks.tell(account, userid, events[operation])
        return {"event": events[operation]}

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        """The member's userid in lower case, and the robots of the groups that the person is in."""
        member = [("wecom", str(person["wecom"]).lower())] if person.get("wecom") else []
        return member + ([("wecom_group", str(person["wecom_group"]))] if person.get("wecom_group") else [])

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Show the message as the app or the group shows it."""
        seen, chinese = arrival.content, language == "zh"
        words = {
            DROPPED: "超过每人频率，被平台静默丢弃" if chinese else "over the member's limit, dropped without a word",
            "invalid": "不在应用可见范围" if chinese else "not visible to the app",
            "unlicensed": "无接口许可" if chinese else "without a licence",
        }
        if arrival.channel == "wecom_group":
            sender = self.robots.get(arrival.address, "群机器人" if chinese else "Group robot")
        else:
            sender = f"{'应用' if chinese else 'App'} {arrival.account.partition('/')[2]}"
        mentions = " ".join(f"@{name.removeprefix('@')}" for name in seen.get("mentions", ()))
        text = f"{seen['text']}\n{mentions}" if mentions else seen["text"]
        return Shown(
            seen.get("title", ""), text, sender, button=seen.get("button", ""), link=seen.get("link", ""), words=words
        )

    def stats(self) -> dict[str, Any]:
        """Return the tokens, and how many messages were dropped or suppressed without a word."""
        return super().stats() | {"dropped": self.counts[DROPPED], "suppressed": self.counts["suppressed"]}

    # --- answers that are not acceptances

    def wants(self, call: Call) -> bool:
        """The paths under /cgi-bin/ that the official account does not have."""
        return call.path in PATHS

    def refusal(self, code: str) -> Answer:
        """Answer with an error number; the status is always 200."""
        hint = f"error {code}, hint: [1750000000_1_abcdef], from ip: 203.0.113.7, more info at https://open.work.weixin.qq.com"
        return answer_json(200, {"errcode": int(code), "errmsg": f"{hint}/devtool/query?e={code}"}, code)

    def throttled(self, seconds: str | None) -> Answer:
        """Answer 45009, which names no time."""
        return self.refusal("45009")

    def internal_error(self) -> Answer:
        """Answer HTTP 500, which says nothing about acceptance."""
        return answer_json(500, {"errcode": -1, "errmsg": "system error"}, "-1")

    # --- reading

    def read(self, call: Call) -> Submission | Answer:
        """Authenticate and check a request."""
        try:
            return self._read(call)
        except WeComError as error:
            return answer_json(200, {"errcode": error.code, "errmsg": error.words}, error.code)

    def _read(self, call: Call) -> Submission | Answer:
        if call.path == "/cgi-bin/gettoken":
            return self._token(call)
        if call.method != "POST":
            raise WeComError(43002, "require POST method")
        if call.path == "/cgi-bin/webhook/send":
            return self._robot(call, _body(call))
        account = self._authenticated(call)
        if call.path == "/cgi-bin/message/send":
            return self._send(account, call, _body(call))
        if call.path == "/cgi-bin/message/recall":
            return self._recall(account, call, _body(call))
        return self._lookup(call, _body(call))

    def _token(self, call: Call) -> Submission:
        given = call.parameters
        corpid, secret = given.get("corpid", ""), given.get("corpsecret", "")
        if not corpid or not secret:
            raise WeComError(41004 if corpid else 41002, "corpid or corpsecret missing")
        wrong = [at for at in self._wrong_secrets if call.now - at < 3600]
        if len(wrong) >= self.switches["wrong_secrets"]:
            raise WeComError(45009, "api freq out of limit")
        if corpid not in {known for known, _ in self.apps}:
            raise WeComError(40013, "invalid corpid")
        if (corpid, secret) not in self.apps:
            self._wrong_secrets = [*wrong, call.now]
            raise WeComError(40001, "invalid credential")
        account = f"{corpid}/{self.apps[corpid, secret]}"

        def accept(returned: bool) -> Answer:
            token, left = self.tokens.issue(account, call.now)
            return answer_json(200, {"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": int(left)})

        return Submission(self.name, "token", [], accept)

    def _authenticated(self, call: Call) -> str:
        account, why = self.tokens.check(call.parameters.get("access_token", ""), call.now)
        codes = {"missing": 41001, "unknown": 40014, "expired": int(self.switches["expired_code"])}
        if why:
            raise WeComError(codes[why], f"access_token {why}")
        window = (f"{account} {call.path}", int(call.now) // 60)
        self._calls[window] += 1
        if self._calls[window] > self.switches["per_minute"]:
            raise WeComError(45009, "api freq out of limit")
        return account

    # --- application messages

    def _send(self, account: str, call: Call, body: dict[str, Any]) -> Submission:
        agentid = body.get("agentid")
        if agentid is None:
            raise WeComError(41011, "missing agentid")
        if isinstance(agentid, bool) or not str(agentid).isdigit():
            raise WeComError(40056, "invalid agentid")
        if account.partition("/")[2] != str(agentid):
            raise WeComError(301002, "not allow operate another agent with this accesstoken")
        targets, content, interval = targets_of(body), content_of(body), check_options(body)
        members = self._members(targets)
        lists = self._lists(targets, members, call.now)
        bad = {name for names in lists.values() for name in names}
        reached = [name for name in dict.fromkeys(members) if name not in bad]
        if not reached:
            raise WeComError(81013, "user & party & tag all invalid")
        today = (f"{account} day", beijing_day(call.now))
        if self._calls[today] + len(reached) > self.switches["daily"]:
            raise WeComError(45009, "api freq out of limit")

        def accept(returned: bool) -> Answer:
            self._calls[today] += len(reached)
            return self._accept(account, call, body, reached, content, interval, lists, returned)

        return Submission(self.name, "send", reached, accept)

    def _members(self, targets: Targets) -> list[str]:
        if not targets.everybody:
            return targets.members
        return [str(one["wecom"]).lower() for one in self.outside.people.values() if one.get("wecom")]

    def _lists(self, targets: Targets, members: Sequence[str], now: float) -> dict[str, list[str]]:
        lists: dict[str, list[str]] = {"invaliduser": [], "unlicenseduser": []}
        strict = self.switches["listed_members_only"]
        known = {str(one.get("wecom", "")).lower() for one in self.outside.people.values()} if strict else set()
        for name in members:
            word = self.fate("wecom", name, "", now).word
            if word in BAD_MEMBERS:
                lists[BAD_MEMBERS[word]].append(name)
            elif strict and name not in known:
                lists["invaliduser"].append(name)
        return lists | {"invalidparty": targets.parties, "invalidtag": targets.tags}

    def _accept(
        self,
        account: str,
        call: Call,
        body: dict[str, Any],
        reached: list[str],
        content: dict[str, Any],
        interval: int,
        lists: dict[str, list[str]],
        returned: bool,
    ) -> Answer:
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]
        messages = [Message(name, "", content) for name in reached]
        at, pid, document = self._seen.get((account, key), (0.0, "", {}))
        if interval and pid and call.now - at < interval:
            self.counts["suppressed"] += len(reached)
            self.outside.record(self.name, account, key, pid, [one.entry() for one in messages], returned, "dedup")
            return answer_json(200, document)
        pid = str(self.outside.new_pid())
        self._dropping = {name for name in reached if self._over(account, name, call.now)}
        self.counts[DROPPED] += len(self._dropping)
        arrivals = self.take("wecom", account, key, pid, messages, returned)
        self._dropping = set()
        self._sent[pid] = (account, call.now, arrivals)
        document = {"errcode": 0, "errmsg": "ok", "msgid": pid} | {name: "|".join(bad) for name, bad in lists.items()}
        self._seen[account, key] = (call.now, pid, document)
        return answer_json(200, document)

    def _over(self, account: str, name: str, now: float) -> bool:
        """Count a message to a member and tell whether the minute or the hour has had its share already."""
        recent = self._recent.setdefault((account, name), deque())
        while recent and now - recent[0] >= 3600:
            recent.popleft()
        minute = sum(now - at < 60 for at in recent)
        if minute >= self.switches["member_minute"] or len(recent) >= self.switches["member_hour"]:
            return True
        recent.append(now)
        return False

    def fate(self, channel: str, address: str, pid: str, now: float) -> Fate:
        """What is above the member's share never arrives; everything else at once or by the habits."""
        return Fate(DROPPED, now) if address in self._dropping else super().fate(channel, address, pid, now)

    def _recall(self, account: str, call: Call, body: dict[str, Any]) -> Submission:
        owner, at, arrivals = self._sent.get(str(body.get("msgid", "")), ("", 0.0, []))
        if owner != account or call.now - at > RECALL_S:
            raise WeComError(40058, "invalid msgid")

        def accept(returned: bool) -> Answer:
            for arrival in arrivals:
                arrival.recalled = True
            return answer_json(200, {"errcode": 0, "errmsg": "ok"})

        return Submission(self.name, "recall", [], accept)

    def _lookup(self, call: Call, body: dict[str, Any]) -> Submission:
        mobile = str(body.get("mobile", ""))
        found = [one for one in self.outside.people.values() if _bare(one.get("phone")) == mobile and one.get("wecom")]
        if not mobile or not found:
            raise WeComError(46004 if mobile else 40058, "user not exist")
        answer = {"errcode": 0, "errmsg": "ok", "userid": found[0]["wecom"]}
        return Submission(self.name, "query", [mobile], lambda returned: answer_json(200, answer))

    # --- robots of groups

    def _robot(self, call: Call, body: dict[str, Any]) -> Submission:
        key = call.parameters.get("key", "")
        gone = self.fate("wecom_group", key, "", call.now).word in BAD_MEMBERS
        if not key or gone or (self.switches["listed_robots_only"] and key not in self.robots):
            raise WeComError(93000, "invalid webhook url")
        content = robot_content_of(body)
        recent = self._recent.setdefault(("robot", key), deque())
        while recent and call.now - recent[0] >= 60:
            recent.popleft()
        if len(recent) >= self.switches["robot_minute"]:
            raise WeComError(45009, "api freq out of limit")

        def accept(returned: bool) -> Answer:
            recent.append(call.now)
            pid = str(self.outside.new_pid())
            self.take("wecom_group", "robot", "", pid, [Message(key, "", content)], returned)
            return answer_json(200, {"errcode": 0, "errmsg": "ok"})

        return Submission(self.name, "send", [key], accept)


def _body(call: Call) -> dict[str, Any]:
    """Return the JSON object of a call, whatever its content type says."""
    try:
        body = call.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise WeComError(40058, "Warning: wrong json format.")
    return body


def _bare(phone: Any) -> str:
    return str(phone or "").removeprefix("+86")
