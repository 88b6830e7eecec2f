"""Robots of groups: one webhook each, some with a signing secret."""

from typing import TYPE_CHECKING, Any

from simulator.outside import Answer, Call, Submission
from simulator.provider import Message, answer_json
from simulator.providers.feishu.limits import Windows
from simulator.providers.feishu.rules import ROBOT_BYTES, FeishuError, robot_content
from simulator.providers.feishu.sealing import robot_proof

if TYPE_CHECKING:
    from simulator.providers.feishu.api import Feishu

SKEW_S = 3600
GONE = frozenset(("left", "invalid", "invisible", "blocked"))


class Robots:
    """``known``: key -> {"secret"?, "name"?}; others have no secret, and exist unless only listed ones do."""

    def __init__(self, feishu: "Feishu", windows: Windows) -> None:
        self.feishu, self.windows = feishu, windows
        self.known: dict[str, dict[str, str]] = {}

    def name_of(self, key: str) -> str:
        """Return the name of a robot's group."""
        return self.known.get(key, {}).get("name", "群机器人")

    def say(self, key: str, body: dict[str, Any], call: Call) -> Submission:
        """Check a robot's message; errors come with HTTP 200."""
        switches = self.feishu.switches
        gone = self.feishu.fate("feishu_group", key, "", call.now).word in GONE
        if not key or gone or (switches["listed_robots_only"] and key not in self.known):
            raise FeishuError(19001, "param invalid: incoming webhook access token invalid", 200)
        if secret := self.known.get(key, {}).get("secret", ""):
            self._prove(body, secret, call.now)
        if len(call.body) > ROBOT_BYTES:
            raise FeishuError(9499, "Bad Request", 200)
        content = robot_content(body)
        limits = (switches["robot_second"], 1.0), (switches["robot_minute"], 60.0)
        if self.windows.over(("robot", key), call.now, *limits):
            raise FeishuError(11232, "frequency limited psm[lark.oapi.app_platform_runtime]", 200)

        def accept(returned: bool) -> Answer:
            pid = f"rb-{self.feishu.outside.new_pid()}"
            self.feishu.take("feishu_group", "robot", "", pid, [Message(key, "", content)], returned)
            return answer_json(200, {"code": 0, "msg": "success", "data": {}})

        return Submission(self.feishu.name, "send", [key], accept)

    def _prove(self, body: dict[str, Any], secret: str, now: float) -> None:
        stamp = str(body.get("timestamp", ""))
        fresh = stamp.isdigit() and abs(now - int(stamp)) <= SKEW_S
        if not fresh or body.get("sign") != robot_proof(stamp, secret):
            raise FeishuError(19021, "sign match fail or timestamp is not within one hour from current time", 200)
