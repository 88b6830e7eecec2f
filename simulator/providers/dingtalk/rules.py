"""What DingTalk checks: forms of messages in both styles, signatures of webhooks, limits that nobody hears of."""

import base64
import hmac
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simulator.clock import beijing_time

TEXT_LIMIT = 5000
PARAM_BYTES = 15_000
MOST_IN_TASK, MOST_AT_ONCE = 5000, 20
HOUR_MS = 3_600_000
PART_OF = {
    "text": ("content",),
    "markdown": ("title", "text"),
    "action_card": ("title", "markdown"),
    "link": ("title", "text", "messageUrl"),
    "oa": ("body",),
}
GROUP_PART_OF = {
    "text": ("content",),
    "markdown": ("title", "text"),
    "link": ("title", "text", "messageUrl"),
    "actionCard": ("title", "text"),
}
SAMPLE_OF = {
    "sampleText": ("content",),
    "sampleMarkdown": ("title", "text"),
    "sampleLink": ("title", "text", "messageUrl"),
    "sampleActionCard": ("title", "text", "singleTitle", "singleURL"),
}


class Refusal(Exception):
    """A refusal: of the old style under HTTP 200, of the new one under ``status``."""

    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        super().__init__(code)
        self.code, self.message, self.status = code, message or code, status


class Message(NamedTuple):
    """A message, ready to show, whichever way it came."""

    title: str
    text: str
    button: str = ""
    link: str = ""
    mentions: tuple[str, ...] = ()


@dataclass(slots=True)
class Robot:
    """A robot of a group with what protects it."""

    name: str = ""
    secret: str = ""
    keyword: str = ""


def text_of(part: dict[str, Any], names: tuple[str, ...]) -> None:
    """Refuse a part of a message that lacks a text or is too long."""
    for name in names:
        value = part.get(name)
        if not value or not isinstance(value, str | dict):
            raise Refusal("34002", f"{name} 不能为空")
        if isinstance(value, str) and len(value) > TEXT_LIMIT:
            raise Refusal("34016", "消息内容过长")


def work_message(msg: Any) -> Message:
    """Read ``msg`` of a work notification."""
    kind = msg.get("msgtype") if isinstance(msg, dict) else None
    part = msg.get(kind) if kind in PART_OF else None
    if not isinstance(part, dict):
        raise Refusal("34001", "无效的消息类型")
    text_of(part, PART_OF[str(kind)])
    if (
        kind == "action_card"
        and not (part.get("single_title") and part.get("single_url"))
        and not part.get("btn_json_list")
    ):
        raise Refusal("34002", "single_title 不能为空")
    text = part.get("content") or part.get("text") or part.get("markdown") or json.dumps(part, ensure_ascii=False)
    return Message(part.get("title", ""), text, part.get("single_title", ""), part.get("single_url", ""))


def group_message(document: Any) -> Message:
    """Read the body of a webhook call."""
    kind = document.get("msgtype") if isinstance(document, dict) else None
    part = document.get(kind) if kind in GROUP_PART_OF else None
    if not isinstance(part, dict):
        raise Refusal("400105", "unsupported msgtype")
    for name in GROUP_PART_OF[str(kind)]:
        if not isinstance(part.get(name), str) or not part[name]:
            raise Refusal("40035", f"missing {name}")
    at = document.get("at") or {}
    mentions = [*at.get("atMobiles", ()), *at.get("atUserIds", ()), *(["all"] if at.get("isAtAll") else [])]
    text = part.get("content") or part.get("text", "")
    link = part.get("singleURL") or part.get("messageUrl", "")
    return Message(part.get("title", ""), text, part.get("singleTitle", ""), link, tuple(map(str, mentions)))


def sample_message(document: dict[str, Any]) -> Message:
    """Read key and parameters of a robot's one-to-one message; the parameters are a JSON text inside the JSON."""
    key, param = document.get("msgKey"), document.get("msgParam")
    if key not in SAMPLE_OF or not isinstance(param, str):
        raise Refusal("invalidParameter.msgKey.invalid")
    if len(param.encode()) > PARAM_BYTES:
        raise Refusal("invalidParameter.msgParam.tooLong")
    try:
        part = json.loads(param)
    except ValueError:
        part = None
    if not isinstance(part, dict) or not all(isinstance(part.get(n), str) and part[n] for n in SAMPLE_OF[str(key)]):
        raise Refusal("invalidParameter.msgParam.invalid")
    text = part.get("content") or part["text"]
    return Message(
        part.get("title", ""), text, part.get("singleTitle", ""), part.get("singleURL") or part.get("messageUrl", "")
    )


def check_webhook(robot: Robot, query: dict[str, str], text: str, now: float) -> None:
    """Refuse what a robot's protection keeps out; all of it is one code."""
    if robot.secret:
        stamp = query.get("timestamp", "")
        if not stamp.isdecimal() or abs(now * 1000 - int(stamp)) > HOUR_MS:
            raise Refusal(
                "310000", "description:机器人发送签名过期;solution:签名生成时间和发送时间请保持在 timestampms 以内"
            )
        made = hmac.digest(robot.secret.encode(), f"{stamp}\n{robot.secret}".encode(), "sha256")
        if not hmac.compare_digest(base64.b64encode(made).decode(), query.get("sign", "")):
            raise Refusal("310000", "description:机器人发送签名不匹配;solution:签名和时间戳须都在网址中")
    if robot.keyword and robot.keyword not in text:
        raise Refusal("310000", "description:关键词不匹配;solution:请联系群管理员查看此机器人的关键词")


@dataclass(slots=True)
class Quiet:
    """Limits of work notifications that drop a message and answer success: one text a day, so many a day, a minute."""

    texts: set[tuple[str, str, str, str]] = field(default_factory=set)
    days: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    minutes: Counter[tuple[str, int]] = field(default_factory=Counter)

    def forbids(self, app: str, userid: str, text: str, now: float, switches: dict[str, Any]) -> str:
        """Return the code under which this message is dropped, or an empty text and count it."""
        day = beijing_time(now)[:10]
        if switches["equal_text_once_a_day"] and (app, userid, text, day) in self.texts:
            return "143106"
        if self.days[(app, userid, day)] >= switches["per_employee_day"]:
            return "143105"
        if self.minutes[(app, int(now // 60))] >= switches["per_minute"]:
            return "143103"
        self.texts.add((app, userid, text, day))
        self.days[(app, userid, day)] += 1
        self.minutes[(app, int(now // 60))] += 1
        return ""
