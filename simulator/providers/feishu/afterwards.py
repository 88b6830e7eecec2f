"""What an app asks of a message that it has sent, and its recall."""

from typing import TYPE_CHECKING, Any

from simulator.outside import Answer, Arrival, Call, Submission
from simulator.provider import answer_json
from simulator.providers.feishu.rules import ID_TYPES, FeishuError

if TYPE_CHECKING:
    from simulator.providers.feishu.api import Feishu

READERS_S, BATCH_S = 7 * 86400, 30 * 86400


class Afterwards:
    """Readers of a single message for 7 days, counts of an announcement for 30."""

    def __init__(self, feishu: "Feishu") -> None:
        self.feishu = feishu

    def about(self, app_id: str, call: Call, pid: str, question: str) -> Submission:
        """Answer a question about one of the app's own messages, or take it back."""
        owner, at, arrivals = self.feishu.sent.get(pid, ("", 0.0, []))
        batch = "/batch_messages/" in call.path
        if owner != app_id or pid.startswith("bm-") != batch or call.now - at > (BATCH_S if batch else READERS_S):
            raise FeishuError(10002 if batch else 230001, "message_id is invalid")
        if call.method == "DELETE" and not question:
            return Submission(self.feishu.name, "recall", [], lambda returned: _recall(arrivals))
        if call.method != "GET" or not question:
            raise FeishuError(230001, "no such operation")
        answers = {"/read_users": self._readers, "/get_progress": _progress, "/read_user": _read_count}
        data = answers[question](call, arrivals)
        answer = {"code": 0, "msg": "success", "data": data}
        return Submission(self.feishu.name, "poll", [], lambda returned: answer_json(200, answer))

    def _readers(self, call: Call, arrivals: list[Arrival]) -> dict[str, Any]:
        kind = call.parameters.get("user_id_type", "")
        if kind not in ID_TYPES[:3]:
            raise FeishuError(230001, "user_id_type is required")
        items = [
            {
                "user_id_type": kind,
                "user_id": self.feishu.ids_of(one.address)[kind],
                "timestamp": str(int(one.read_at * 1000)),
                "tenant_key": "tk_ums01",
            }
            for one in _read(call, arrivals)
        ]
        return {"items": items, "has_more": False, "page_token": ""}


def _recall(arrivals: list[Arrival]) -> Answer:
    for arrival in arrivals:
        arrival.recalled = True
    return answer_json(200, {"code": 0, "msg": "success", "data": {}})


def _read(call: Call, arrivals: list[Arrival]) -> list[Arrival]:
    return [one for one in arrivals if one.read_at and one.read_at <= call.now]


def _progress(call: Call, arrivals: list[Arrival]) -> dict[str, Any]:
    sent, recalled = sum(one.fate.reached(call.now) for one in arrivals), sum(one.recalled for one in arrivals)
    counts = {"valid_user_ids_count": len(arrivals), "success_user_ids_count": sent}
    return {
        "batch_message_send_progress": counts | {"read_user_ids_count": len(_read(call, arrivals))},
        "batch_message_recall_progress": {"recall": bool(recalled), "recall_count": recalled},
    }


def _read_count(call: Call, arrivals: list[Arrival]) -> dict[str, Any]:
    return {"read_user": {"read_count": str(len(_read(call, arrivals))), "total_count": str(len(arrivals))}}
