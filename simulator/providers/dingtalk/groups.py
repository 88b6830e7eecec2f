"""Robots of groups: who may use a webhook, and how often."""

from collections import deque
from typing import Any

from simulator.outside import Call
from simulator.providers.dingtalk import rules
from simulator.providers.dingtalk.records import body_of
from simulator.providers.dingtalk.rules import Message, Refusal, Robot

MINUTE = 60.0


class Groups:
    """The robots that are known, and the silence of those that spoke too much."""

    def __init__(self) -> None:
        self.robots: dict[str, Robot] = {}
        self._spoke: dict[str, deque[float]] = {}
        self._silenced: dict[str, float] = {}

    def read(self, call: Call, switches: dict[str, Any]) -> tuple[str, Message]:
        """Check one webhook call; return the robot's access token and the message."""
        query = call.parameters
        token = query.get("access_token", "")
        if call.method != "POST" or not token:
            raise Refusal("40035", "缺少参数 access_token")
        robot = self.robots.get(token)
        if robot is None and switches["listed_robots_only"]:
            raise Refusal("300001", "token is not exist")
        message = rules.group_message(body_of(call))
        rules.check_webhook(robot or Robot(), query, f"{message.title}{message.text}", call.now)
        self._hold(token, call.now, switches["robot_minute"])
        return token, message

    def count(self, token: str, now: float) -> None:
        """Count an accepted message."""
        self._spoke.setdefault(token, deque()).append(now)

    def _hold(self, token: str, now: float, most: int) -> None:
        """Silence a robot for ten minutes after too many messages in one."""
        spoke = self._spoke.setdefault(token, deque())
        while spoke and now - spoke[0] >= MINUTE:
            spoke.popleft()
        if len(spoke) >= most:
            self._silenced[token] = now + 10 * MINUTE
        if now < self._silenced.get(token, 0.0):
            raise Refusal("130101", "send too fast")
