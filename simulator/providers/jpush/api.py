"""JPush REST API v3: push, dry run, idempotency ids, batch-single, withdrawal, delivery states.

Source of every rule: the project's contract sheet for this provider; see the README for what is unconfirmed.
"""

import base64
import binascii
import hmac
import json
import re
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

from simulator.chance import address_hash, between
from simulator.outside import Answer, Arrival, Call, Outside, Submission
from simulator.posting import Poster
from simulator.provider import Message, Provider, Shown
from simulator.providers.jpush.reading import read_push
from simulator.providers.jpush.schema import PushError, check_push, check_single
from simulator.world import Fate

CID_KEY = b"issued by the simulator"
CID = re.compile(r"([0-9a-f]{24})-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
MESSAGE_PATH = re.compile(r"/v3/push/(\d+)")
APP_KEY = "a1b2c3d4e5f6a1b2c3d4e5f6"
APP_SECRET = "0123456789abcdef01234567"
MINUTE = 60
REPORT_DAYS = 28


def answer_json(status: int, document: Any) -> Answer:
    """Return a JSON answer; a document with an error has its number as code."""
    code = str(document["error"]["code"]) if status != 200 else ""
    return Answer(status, json.dumps(document, ensure_ascii=False).encode(), code)


def issue_cid(app_key: str, kind: str = "push") -> str:
    """Return a fresh idempotency id that can be recognised later without being remembered."""
    start = str(uuid.uuid4())[:24]
    return f"{app_key}-{start}{_cid_seal(app_key, start)}"


def issued_here(cid: str) -> bool:
    """Tell whether the id came from the cid endpoint."""
    app_key, _, rest = cid.partition("-")
    return hmac.compare_digest(_cid_seal(app_key, rest[:24]), rest[24:])


def _cid_seal(app_key: str, start: str) -> str:
    return hmac.new(CID_KEY, f"{app_key}-{start}".encode(), "sha256").hexdigest()[:12]


class JPush(Provider):
    """The app push provider."""

    name = "jpush"
    channels = {"app": "app"}
    settings = {"quota": {"push": 1_000_000, "report": 1_000_000}, "batch_size": 500, "cid_issued_only": True}
    habits = {"unknown": 0.0, "offline": 0.0, "late": 0.0, "delay": [0.0, 0.2], "late_s": [20.0, 40.0]}
    believable = {"world": {"offline": 0.25, "late": 0.03, "unknown": 0.01, "delay": [0.2, 3.0]}}
    operations = ("send", "query", "recall")
    default_refusal = "1003"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.apps = {APP_KEY: APP_SECRET}
        self._first_results: dict[str, tuple[float, str]] = {}
        self._targets: dict[str, tuple[float, set[str]]] = {}
        self._sent: dict[str, list[Arrival]] = {}
        self._windows: dict[tuple[str, str], list[int]] = {}
        self._remember_ledger()

    def _remember_ledger(self) -> None:
        """Know again what was accepted before a restart: first result of a cid, targets of a message."""
        for line in self.outside.ledger.entries():
            if line["provider"] == self.name and line["ev"] == "accept":
                self._first_results.setdefault(line["key"], (line["t"], line["pid"]))
                self._targets.setdefault(line["pid"], (line["t"], set()))[1].add(line["addr_hash"])

    # --- control, people and pages

    def control(self, document: dict[str, Any]) -> None:
        """Take apps with their secrets, and the switches."""
        self.apps.update(document.pop("apps", {}))
        super().control(document)

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        """One place for each registration id."""
        return [("app", str(rid)) for rid in person.get("jpush", ())]

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Show title and text of the notification."""
        note = read_push(arrival.content)
        return Shown(title=note.title, text=note.text)

    def fate(self, channel: str, address: str, pid: str, now: float) -> Fate:
        """The device decides, so it is stable per registration id; late ones come after ``late_s``."""
        fate, rates = super().fate(channel, address, pid, now), self.outside.world.rates(self.name)
        if fate.word == "late":
            return Fate("late", now + between(self.outside.world.seed, rates["late_s"], "push-late", address, pid))
        return Fate(fate.word, now) if fate.word in ("unknown", "offline") else fate

    def wants(self, call: Call) -> bool:
        """The API lies under /v3/."""
        return call.path.startswith("/v3/")

    # --- answers that are not acceptances

    def refusal(self, code: str) -> Answer:
        """Answer with an error number and the HTTP status that belongs to it."""
        statuses = {"1000": 500, "1001": 405, "1004": 401, "1020": 404, "1030": 503, "2002": 429}
        statuses |= dict.fromkeys(("2003", "2004", "2005", "2006", "2007"), 403)
        return self._error(PushError(int(code), f"error {code}", statuses.get(code, 400)))

    def throttled(self, seconds: str | None) -> Answer:
        """Answer 429/2002; ``seconds`` stands in X-Rate-Limit-Reset."""
        answer = self._error(PushError(2002, "Rate limit exceeded", 429))
        return answer._replace(headers={"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": seconds or "60"})

    def internal_error(self) -> Answer:
        """Answer HTTP 500, which says nothing about acceptance."""
        return self._error(PushError(1000, "Internal server error", 500))

    def _error(self, error: PushError) -> Answer:
        return answer_json(error.status, {"error": {"code": error.code, "message": error.message}})

    # --- reading

    def read(self, call: Call) -> Submission | Answer:
        """Authenticate, count against the quota and check a request."""
        try:
            return self._read(call)
        except PushError as error:
            return self._error(error)

    def _read(self, call: Call) -> Submission | Answer:
        app_key = self._authenticate(call.headers.get("authorization", ""))
        if not self._take(app_key, _quota_kind(call.path), call.now):
            raise PushError(2002, "Rate limit exceeded", 429)
        if call.path == "/v3/push/cid":
            return self._cids(app_key, call)
        if call.path == "/v3/received/detail":
            return self._received(app_key, call)
        if found := MESSAGE_PATH.fullmatch(call.path):
            return self._withdraw(app_key, found[1], call)
        operations: dict[str, Callable[[str, Any, float], Submission | Answer]] = {
            "/v3/push": self._push,
            "/v3/push/validate": self._validate,
            "/v3/push/batch/regid/single": self._batch,
            "/v3/push/batch/alias/single": self._batch,
            "/v3/status/message": self._states,
        }
        if call.path not in operations:
            raise PushError(1020, "no such resource", 404)
        if call.method != "POST":
            raise PushError(1001, "only the POST method is supported", 405)
        return operations[call.path](app_key, _body(call), call.now)

    def _authenticate(self, value: str) -> str:
        try:
            kind, _, token = value.partition(" ")
            app_key, _, secret = base64.b64decode(token, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise PushError(1004, "Basic authentication failed", 401) from None
        if kind != "Basic" or not app_key:
            raise PushError(1004, "Basic authentication failed", 401)
        if not re.fullmatch(r"[0-9a-f]{24}", app_key):
            raise PushError(1008, "app_key is illegal")
        if not hmac.compare_digest(self.apps.get(app_key, "").encode(), secret.encode()) or not secret:
            raise PushError(1004, "Basic authentication failed", 401)
        return app_key

    # --- quota

    def _take(self, app_key: str, kind: str, now: float) -> bool:
        """Count one call in the running minute; False if the minute's quota is used up."""
        minute = int(now) // MINUTE
        window = self._windows.setdefault((app_key, kind), [minute, 0])
        if window[0] != minute:
            window[:] = [minute, 0]
        if window[1] >= self.switches["quota"][kind]:
            return False
        window[1] += 1
        return True

    def headers(self, call: Call) -> dict[str, str]:
        """Return the three rate headers, under both names that are in use for the limit."""
        kind = _quota_kind(call.path)
        limit = self.switches["quota"][kind]
        app_key = _claimed_key(call.headers.get("authorization", ""))
        window = self._windows.get((app_key, kind), [0, 0])
        used = window[1] if window[0] == int(call.now) // MINUTE else 0
        return {
            "X-Rate-Limit-Limit": str(limit),
            "X-Rate-Limit-Quota": str(limit),
            "X-Rate-Limit-Remaining": str(max(limit - used, 0)),
            "X-Rate-Limit-Reset": str(MINUTE - int(call.now) % MINUTE),
        }

    # --- operations

    def _cids(self, app_key: str, call: Call) -> Answer:
        query = parse_qs(call.query)
        count, kind = query.get("count", ["1"])[0], query.get("type", ["push"])[0]
        if call.method != "GET":
            raise PushError(1001, "only the GET method is supported", 405)
        if not count.isdigit() or not 1 <= int(count) <= 1000 or kind not in ("push", "schedule"):
            raise PushError(1003, "count or type is out of range")
        return answer_json(200, {"cidlist": [issue_cid(app_key, kind) for _ in range(int(count))]})

    def _validate(self, app_key: str, body: Any, now: float) -> Answer:
        check_push(body)
        return answer_json(200, {"sendno": _sendno(body), "msg_id": str(self.outside.new_pid())})

    def _push(self, app_key: str, body: Any, now: float) -> Submission:
        check_push(body)
        cid = self._checked_cid(app_key, body["cid"], False) if "cid" in body else ""
        targets = _targets(body["audience"])
        if self._remembered(cid, now) is None and self._all_unknown(targets, now):
            raise PushError(1011, "cannot find user by this audience")

        def accept(returned: bool) -> Answer:
            pid = self._accept(app_key, cid, targets, body, returned)
            return answer_json(200, {"sendno": _sendno(body), "msg_id": pid})

        return Submission(self.name, "send", targets, accept)

    def _batch(self, app_key: str, body: Any, now: float) -> Submission:
        entries = body.get("pushlist") if isinstance(body, dict) else None
        if not isinstance(entries, dict) or not entries:
            raise PushError(1002, "missing pushlist")
        if len(entries) > self.switches["batch_size"]:
            raise PushError(1003, "pushlist is too long")
        targets = [str(entry.get("target", "")) if isinstance(entry, dict) else "" for entry in entries.values()]

        def accept(returned: bool) -> Answer:
            return answer_json(
                200, {cid: self._single(app_key, cid, entry, returned) for cid, entry in entries.items()}
            )

        return Submission(self.name, "send", targets, accept)

    def _single(self, app_key: str, cid: str, entry: Any, returned: bool) -> dict[str, Any]:
        """Accept or refuse one entry of a batch on its own."""
        try:
            self._checked_cid(app_key, cid, self.switches["cid_issued_only"])
            check_single(entry)
            if self._all_unknown([entry["target"]], 0.0):
                raise PushError(1011, "cannot find user by this audience")
        except PushError as error:
            return {"error": {"code": error.code, "message": error.message}}
        return {"msg_id": int(self._accept(app_key, cid, [entry["target"]], entry, returned))}

    def _checked_cid(self, app_key: str, cid: Any, issued_only: bool) -> str:
        found = CID.fullmatch(cid) if isinstance(cid, str) else None
        if found is None or found[1] != app_key or (issued_only and not issued_here(cid)):
            raise PushError(1003, "cid is illegal")
        return str(cid)

    def _all_unknown(self, targets: Sequence[str], now: float) -> bool:
        return all(self.fate("app", target, "", now).word == "unknown" for target in targets)

    def _remembered(self, cid: str, now: float) -> str | None:
        """Return the message id of the first success with this cid inside the window."""
        rule = self.outside.settings["idempotency"]
        accepted_at, pid = self._first_results.get(cid, (0.0, ""))
        known = bool(cid) and rule["mode"] == "key" and bool(pid) and now - accepted_at < rule["window_s"]
        return pid if known else None

    def _accept(self, app_key: str, cid: str, targets: Sequence[str], body: dict[str, Any], returned: bool) -> str:
        """Accept once per cid; a repeat writes ``dedup`` lines and gets the first message id again."""
        outside, content = self.outside, _content(body)
        text = json.dumps(content, ensure_ascii=False, sort_keys=True)
        ref = _delivery_ref(content) or cid
        messages = [Message(target, ref, content, text) for target in targets]
        if (first := self._remembered(cid, time.time())) is not None:
            entries = [message.entry() for message in messages]
            outside.record(self.name, app_key, cid, first, entries, returned, "dedup")
            return first
        pid = str(outside.new_pid())
        arrivals = self.take("app", app_key, cid, pid, messages, returned)
        if cid:
            self._first_results[cid] = (arrivals[0].at, pid)
        self._targets[pid] = (arrivals[0].at, {address_hash(target) for target in targets})
        self._sent[pid] = arrivals
        return pid

    def _withdraw(self, app_key: str, pid: str, call: Call) -> Submission:
        if call.method != "DELETE":
            raise PushError(1001, "only the DELETE method is supported", 405)
        if pid not in self._targets or call.now - self._targets[pid][0] > 86400:
            raise PushError(1003, "msg_id is unknown or too old")

        def accept(returned: bool) -> Answer:
            for message in self._sent.get(pid, ()):
                message.recalled = True
            return Answer(200, b"")

        return Submission(self.name, "recall", [], accept)

    # --- delivery states

    def _states(self, app_key: str, body: Any, now: float) -> Submission:
        """0 delivered, 1 not delivered, 2 not of this app, 3 not a target of this message."""
        if not isinstance(body, dict):
            raise PushError(1003, "body must be an object")
        pid, rids = body.get("msg_id"), body.get("registration_ids")
        if not isinstance(pid, int) or isinstance(pid, bool):
            raise PushError(1003, "msg_id must be a number")
        if not isinstance(rids, list) or not 1 <= len(rids) <= 1000 or not all(isinstance(rid, str) for rid in rids):
            raise PushError(1003, "registration_ids must have 1 to 1000 strings")

        def answer(returned: bool) -> Answer:
            return answer_json(200, {rid: {"status": self._state(str(pid), rid, now)} for rid in rids})

        return Submission(self.name, "query", rids, answer)

    def _state(self, pid: str, rid: str, now: float) -> int:
        accepted_at, targets = self._targets.get(pid, (0.0, set()))
        fate = self.fate("app", rid, pid, accepted_at)
        if fate.word == "unknown":
            return 2
        if address_hash(rid) not in targets:
            return 3
        return 0 if fate.reached(now) else 1

    def _received(self, app_key: str, call: Call) -> Answer:
        pids = [pid for pid in parse_qs(call.query).get("msg_ids", [""])[0].split(",") if pid]
        if not 1 <= len(pids) <= 100 or not all(pid.isdigit() for pid in pids):
            raise PushError(1003, "msg_ids must have 1 to 100 numbers")
        rows = [self._received_row(pid, call.now) for pid in pids]
        return Answer(200, json.dumps([row for row in rows if row]).encode())

    def _received_row(self, pid: str, now: float) -> dict[str, Any] | None:
        accepted_at, targets = self._targets.get(pid, (0.0, set()))
        if not targets or now - accepted_at > REPORT_DAYS * 86400:
            return None
        arrived = sum(message.fate.reached(now) for message in self._sent.get(pid, ()))
        names = ["android_pns_sent", "android_pns_received", "ios_apns_sent", "ios_apns_received", "ios_msg_received"]
        return {"msg_id": pid, "jpush_received": arrived} | dict.fromkeys(names)


def _quota_kind(path: str) -> str:
    return "report" if path.startswith(("/v3/status", "/v3/received")) else "push"


def _claimed_key(value: str) -> str:
    try:
        return base64.b64decode(value.partition(" ")[2]).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _body(call: Call) -> Any:
    try:
        return json.loads(call.body)
    except ValueError:
        raise PushError(1003, "the body is not JSON") from None


def _sendno(body: dict[str, Any]) -> str:
    return str(body.get("options", {}).get("sendno", 0))


def _targets(audience: Any) -> list[str]:
    """Return the addresses of an audience; what is not a device or alias stays a label such as ``tag:vip``."""
    if audience == "all":
        return ["all"]
    direct = [label for kind in ("registration_id", "alias") for label in audience.get(kind, ())]
    groups = [f"{kind}:{label}" for kind in ("tag", "tag_and", "segment") for label in audience.get(kind, ())]
    return list(dict.fromkeys(direct or groups or ["all"]))


def _content(body: dict[str, Any]) -> dict[str, Any]:
    """Return what the person will see of a push."""
    return {name: body[name] for name in ("notification", "message") if name in body}


def _delivery_ref(content: dict[str, Any]) -> str:
    """Return our delivery id from the extras of whichever part carries it."""
    parts = [part for part in content.get("notification", {}).values() if isinstance(part, dict)]
    for part in [*parts, content.get("message", {})]:
        if ref := part.get("extras", {}).get("delivery"):
            return str(ref)
    return ""
