"""A subscriber of webhooks that believes nothing unsigned, and a note service as Apprise's json:// writes to it.

Source of every rule: the project's contract sheets for webhooks and Apprise; README.md beside this says what is sure.
"""

import json
from typing import Any

from simulator.outside import Answer, Arrival, Call, Outside, Submission
from simulator.posting import Poster
from simulator.provider import Message, Provider, Shown, answer_json
from simulator.providers.webhook.signing import Untrusted, check

HOOKS, NOTES = "/hooks/", "/notes/"
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
MOST_BYTES = 65_536
MEMORY_S = 3 * 86400
NOTE_TYPES = frozenset({"info", "success", "warning", "failure"})


class Webhook(Provider):
    """Everybody's own system: one address for events, one for notes."""

    name = "webhook"
    channels = {"webhook": "webhook", "apprise": "webhook"}
    settings = {"listed_only": False}
    habits = {"closed": 0.0}
    believable = {"world": {"closed": 0.01}}
    operations = ("send", "note", "query")
    default_refusal = "410"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.keys: dict[str, list[str]] = {}
        self._seen: dict[tuple[str, str], tuple[float, str]] = {}

    def control(self, document: dict[str, Any]) -> None:
        """Take secrets {name of the hook: [whsec_… or whpk_…]}; other hooks believe in the common one."""
        self.keys.update({name: list(keys) for name, keys in document.pop("secrets", {}).items()})
        super().control(document)

    def act(self, operation: str, document: dict[str, Any]) -> Any:
        """Do ``close`` or ``open`` {"name"}: the subscriber gives its address up, or takes it back."""
        if operation not in ("close", "open"):
            return super().act(operation, document)
        self.outside.set_state("webhook", str(document["name"]), "closed" if operation == "close" else "ok")
        return {"state": operation}

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        """The last part of the person's URLs."""
        return [(word, str(person[word]).rsplit("/", 1)[-1]) for word in self.channels if person.get(word)]

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Show what the subscriber's own screen might."""
        seen = arrival.content
        raw = json.dumps(seen["raw"], ensure_ascii=False, indent=1)
        words = {"closed": "订阅方已关闭地址" if language == "zh" else "the subscriber closed the address"}
        return Shown(seen["title"], seen["text"], seen["sender"], folded=[("JSON", raw)], words=words)

    def wants(self, call: Call) -> bool:
        """The two folders of addresses."""
        return call.path.startswith((HOOKS, NOTES))

    def refusal(self, code: str) -> Answer:
        """Answer with this status; a subscriber has no other codes."""
        return answer_json(int(code), {"error": f"status {code}"}, code)

    def throttled(self, seconds: str | None) -> Answer:
        """Answer 429; a time to wait only where the script gives one."""
        return answer_json(429, {"error": "slow down"}, "429", {"Retry-After": seconds} if seconds else {})

    def read(self, call: Call) -> Submission | Answer:
        """Check everything; refusals have the status for their cause."""
        if call.method != "POST":
            return self.refusal("405")
        if call.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return self.refusal("415")
        if len(call.body) > MOST_BYTES:
            return self.refusal("413")
        return self._event(call) if call.path.startswith(HOOKS) else self._note(call)

    def _event(self, call: Call) -> Submission | Answer:
        name = call.path.removeprefix(HOOKS)
        if not name or (self.switches["listed_only"] and name not in self.keys):
            return self.refusal("404")
        try:
            event_id = check(call.headers, call.body, self.keys.get(name, [SECRET]), call.now)
        except Untrusted as untrusted:
            return answer_json(401, {"error": str(untrusted)}, "401")
        data = event_of(call.body)
        if data is None:
            return self.refusal("400")
        if self.fate("webhook", name, "", call.now).word == "closed":
            return self.refusal("410")
        ref, text = str(data.get("delivery_id", "")), str(data["text"])
        seen = {"title": str(data.get("title", "")), "text": text, "sender": name, "raw": json.loads(call.body)}
        message = Message(name, ref, seen, text)
        return Submission(self.name, "send", [name], lambda returned: self._take(call, event_id, message, returned))

    def _take(self, call: Call, event_id: str, message: Message, returned: bool) -> Answer:
        known = self._seen.get((message.address, event_id))
        if known is not None and call.now - known[0] < MEMORY_S:
            self.outside.record(self.name, "hooks", event_id, known[1], [message.entry()], returned, "dedup")
        else:
            pid = str(self.outside.new_pid())
            self._seen[message.address, event_id] = (call.now, pid)
            self.take("webhook", "hooks", event_id, pid, [message], returned)
        return Answer(204, b"")

    def _note(self, call: Call) -> Submission | Answer:
        name = call.path.removeprefix(NOTES)
        try:
            note = call.json()
        except ValueError:
            return self.refusal("400")
        sound = isinstance(note, dict) and note.get("version") == "1.0" and note.get("type") in NOTE_TYPES
        if not name or not sound or not isinstance(note.get("message"), str) or not note["message"]:
            return self.refusal("400")
        if self.fate("apprise", name, "", call.now).word == "closed":
            return self.refusal("410")
        ref = call.headers.get("x-ums-delivery", "")
        seen = {"title": str(note.get("title", "")), "text": note["message"], "sender": "Apprise", "raw": note}

        def accept(returned: bool) -> Answer:
            message = Message(name, ref, seen, note["message"])
            self.take("apprise", "notes", "", str(self.outside.new_pid()), [message], returned)
            return answer_json(200, {"ok": True})

        return Submission(self.name, "note", [name], accept)


def event_of(body: bytes) -> dict[str, Any] | None:
    """Return the data of an event; None if the body is no event with a text."""
    try:
        event = json.loads(body)
    except ValueError:
        return None
    if not isinstance(event, dict) or not all(isinstance(event.get(part), str) for part in ("type", "timestamp")):
        return None
    data = event.get("data")
    return data if isinstance(data, dict) and isinstance(data.get("text"), str) and data["text"] else None
