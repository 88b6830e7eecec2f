"""Announcements: one message to up to 200 ids of each kind, in a queue, without idempotency."""

from typing import TYPE_CHECKING

from simulator.clock import beijing_day
from simulator.outside import Answer, Call, Submission
from simulator.provider import Message, answer_json
from simulator.providers.feishu.rules import PREFIXES, REFUSED, FeishuError, batch_content, body_of

if TYPE_CHECKING:
    from simulator.providers.feishu.api import Feishu

MOST_IDS = 200
PEOPLE = ("open_ids", "user_ids", "union_ids")
DEPARTMENTS = "department_ids"


class Announcements:
    """What an app has announced today, and the check of the next one."""

    def __init__(self, feishu: "Feishu") -> None:
        self.feishu = feishu
        self._days: dict[tuple[str, int], int] = {}

    def take(self, app_id: str, call: Call) -> Submission:
        """Check a batch; ids that are not reached are listed, all of them bad is a refusal."""
        body = body_of(call, 10003)
        content = batch_content(body)
        lists = {name: body.get(name) or [] for name in (*PEOPLE, DEPARTMENTS)}
        for name, ids in lists.items():
            if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids) or len(ids) > MOST_IDS:
                raise FeishuError(10003, f"{name} is invalid")
        if not any(lists.values()):
            raise FeishuError(11223, "no receiver")
        bad = {name: [one for one in lists[name] if self._unknown(name, one, call.now)] for name in PEOPLE}
        reached = list(dict.fromkeys(one for name in PEOPLE for one in lists[name] if one not in bad[name]))
        if not reached:
            raise FeishuError(11101, "no valid receiver")
        today = (app_id, beijing_day(call.now))
        if self._days.get(today, 0) + len(reached) > self.feishu.switches["batch_day"]:
            raise FeishuError(11247, "the number of messages of this day is used up")

        def accept(returned: bool) -> Answer:
            self._days[today] = self._days.get(today, 0) + len(reached)
            pid = f"bm-{self.feishu.outside.new_pid()}"
            messages = [Message(one, "", content) for one in reached]
            arrivals = self.feishu.take("feishu", app_id, "", pid, messages, returned)
            self.feishu.sent[pid] = (app_id, call.now, arrivals)
            invalid = {f"invalid_{name}": ids for name, ids in (bad | {DEPARTMENTS: lists[DEPARTMENTS]}).items()}
            return answer_json(200, {"code": 0, "msg": "ok", "data": {"message_id": pid, **invalid}})

        return Submission(self.feishu.name, "send", reached, accept)

    def _unknown(self, name: str, one: str, now: float) -> bool:
        right = one.startswith(PREFIXES.get(name.removesuffix("s"), ""))
        return not right or self.feishu.fate("feishu", one, "", now).word in REFUSED
