"""F26: a stranger tells us lies about deliveries – unsigned, wrongly signed, changed, out of date, under a wrong address.

Nothing of it may be stored or change a state. At the end the provider itself tells the truth once, so that a door which
is simply shut would be noticed.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from django.db import connection

from apps.operators.models import AuditEvent
from simulator.providers.feishu.api import APP_ID, ENCRYPT_KEY, VERIFICATION_TOKEN
from simulator.providers.feishu.sealing import Seal as FeishuSeal
from simulator.providers.wecom.api import AES_KEY, AGENTID, CALLBACK_TOKEN, CORPID
from simulator.providers.wecom.sealing import Seal as WecomSeal
from simulator.providers.wecom.sealing import envelope_xml, event_xml
from tests.chaos.expected import Expected
from tests.chaos.field import Field, sha256
from tests.chaos.ground import member_of, phone_of
from tests.ports import some_port
from ums_site.processes import web

TOO_OLD = 9 * 3600.0  # seconds; Feishu repeats a push for six hours, WeCom for seconds
STATE = """
SELECT (SELECT json_agg(json_build_array(id, state, reason) ORDER BY id) FROM campaigns_delivery)::text,
       (SELECT json_agg(json_build_array(id, state) ORDER BY id) FROM users_binding)::text,
       (SELECT count(*) FROM campaigns_receiptinbox)
"""


@dataclass(frozen=True, slots=True)
class Told:
    """One call of a hook. `url` is what comes behind the secret address."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    url: str = ""


def callbacks_are_forged(ground: Field) -> Expected:
    """F26: every kind of lie is refused as it must be, the truth is taken, and the same truth again changes nothing."""
    ground.prepare()
    ground.start_crew()
    ground.rest(60)
    port = some_port()
    ground.launch(web("127.0.0.1", port)).wait_ready(40)
    account = ground.account()
    door = f"http://127.0.0.1:{port}/hooks/{account.code}/"
    lies, truth, changed = TELLERS[ground.profile.provider](ground)
    ground.wait(_still, 30, "the last true receipt")
    before, events = _state(), AuditEvent.objects.count()
    expected = Expected(0, 0)
    for name, told, status in lies:
        got = _tell(door + account.hook_token, told)
        expected.hold(got == status, f"{name} was answered {got}, not {status}")
    for name, address in (("wrong secret", "x" * len(account.hook_token)), ("cut secret", account.hook_token[:-1])):
        got = _tell(door + address, truth)
        expected.hold(got == 404, f"{name} was answered {got}, not 404")
    time.sleep(2)  # whatever was stored would be merged by now
    expected.hold(_state() == before, "a lie changed something, or was stored")
    signed = any(status == 403 for _name, _told, status in lies)
    expected.hold(not signed or AuditEvent.objects.count() > events, "no line in the audit log")
    expected.note = f"{len(lies) + 2} lies"
    if changed:
        _the_truth(ground, door + account.hook_token, truth, changed, expected)
    return expected


def _the_truth(ground: Field, door: str, truth: Told, changed: str, expected: Expected) -> None:
    expected.hold(_tell(door, truth) == 200, "the truth was refused")
    ground.wait(lambda: ground.one(changed), 20, "what the provider told")
    after = _state()[:2]
    expected.hold(_tell(door, truth) == 200, "the truth, told again, was refused")
    ground.wait(
        lambda: ground.one("SELECT count(*) = 2 FROM campaigns_receiptinbox WHERE state = 'MERGED'"), 20, "merge"
    )
    expected.hold(_state()[:2] == after, "the truth, told again, changed something")
    expected.note += ", the truth twice"


Lies = list[tuple[str, Told, int]]
Tellers = tuple[Lies, Told, str]


def _wecom(_ground: Field) -> Tellers:
    """A member leaves the app; the address must not be called invalid for a stranger's word."""
    seal = WecomSeal(CALLBACK_TOKEN, AES_KEY, CORPID)

    def event(signer: WecomSeal, member: str, at: float) -> tuple[str, str]:
        encrypted = seal.encrypt(event_xml(CORPID, member, AGENTID, "unsubscribe", at))
        return encrypted, signer.query(encrypted, at)

    def told(encrypted: str, query: str) -> Told:
        body = envelope_xml(CORPID, AGENTID, encrypted).encode()
        return Told(body, {"Content-Type": "text/xml"}, f"?{query}" if query else "")

    now = time.time()
    lies = [
        ("unsigned", told(event(seal, member_of(1), now)[0], ""), 403),
        ("signed with a guess", told(*event(seal._replace(token="guess"), member_of(1), now)), 403),
        ("a changed body", told(event(seal, member_of(1), now)[0], event(seal, member_of(2), now)[1]), 403),
        ("out of date", told(*event(seal, member_of(1), now - TOO_OLD)), 403),
        ("clear text", Told(event_xml(CORPID, member_of(1), AGENTID, "unsubscribe", now).encode()), 403),
    ]
    return lies, told(*event(seal, member_of(3), now)), "SELECT count(*) = 1 FROM users_binding WHERE state <> 'ACTIVE'"


def _feishu(ground: Field) -> Tellers:
    """A person reads a message."""
    lines = ground.ledger_lines()
    seal = FeishuSeal(ENCRYPT_KEY, VERIFICATION_TOKEN)

    def event(number: int, token: str = VERIFICATION_TOKEN) -> dict[str, object]:
        line, now = lines[number], str(int(time.time() * 1000))
        header = {"event_id": f"e{number}", "event_type": "im.message.message_read_v1", "create_time": now,
                  "token": token, "app_id": APP_ID, "tenant_key": "tk_ums01"}  # fmt: skip
        people = {f"ou_{one:032x}" for one in range(ground.n)}
        reader = next(one for one in people if sha256(one) == line["addr_hash"])
        told = {"reader": {"reader_id": {"open_id": reader}, "read_time": now}, "message_id_list": [line["pid"]]}
        return {"schema": "2.0", "header": header, "event": told}

    def told(body: bytes, signer: FeishuSeal = seal, ago: float = 0.0, about: bytes | None = None) -> Told:
        return Told(body, signer.headers(body if about is None else about, time.time() - ago))

    guess = FeishuSeal("guess", VERIFICATION_TOKEN)
    body = seal.body(event(0))
    lies = [
        ("unsigned", Told(body, {"Content-Type": "application/json"}), 403),
        ("signed with a guess", told(body, guess), 403),
        ("encrypted and signed with a guess", told(guess.body(event(0)), guess), 403),
        ("a changed body", told(seal.body(event(1)), about=body), 403),
        ("out of date", told(body, ago=TOO_OLD), 403),
        ("another app's token", told(seal.body(event(0, "somebody"))), 403),
        ("clear text", told(json.dumps(event(0)).encode()), 403),
    ]
    return lies, told(seal.body(event(2))), "SELECT count(*) = 1 FROM campaigns_delivery WHERE state = 'READ'"


def _tencent(ground: Field) -> Tellers:
    """Nothing is signed: the secret part of the address is all there is."""
    line = ground.ledger_lines()[0]
    phone = next(phone_of(one) for one in range(ground.n) if sha256(phone_of(one)) == line["addr_hash"])
    row = {"user_receive_time": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + 8 * 3600)),
           "nationcode": "86", "mobile": phone, "report_status": "FAIL", "errmsg": "UNDELIV", "description": "",
           "sid": line["pid"]}  # fmt: skip
    truth = Told(json.dumps([row]).encode(), {"Content-Type": "application/json"})
    return [], truth, "SELECT count(*) = 1 FROM campaigns_delivery WHERE state = 'UNDELIVERED'"


def _smpp(ground: Field) -> Tellers:
    """Receipts come over the session that we opened; there is no door for anybody else."""
    return [], Told(b"\x00\x00\x00\x10\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x01"), ""


TELLERS: dict[str, Callable[[Field], Tellers]] = {
    "wecom": _wecom,
    "feishu": _feishu,
    "tencent": _tencent,
    "smpp": _smpp,
}


def _tell(url: str, told: Told) -> int:
    request = urllib.request.Request(url + told.url, data=told.body, headers=dict(told.headers))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def _still() -> bool:
    """Whether nothing has come in for a second: receipts of what was sent may still be on their way."""
    before = _state()
    time.sleep(1)
    return _state() == before


def _state() -> tuple[object, ...]:
    with connection.cursor() as cursor:
        cursor.execute(STATE)
        return tuple(cursor.fetchone())
