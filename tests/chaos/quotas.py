"""F40: everybody wants more than there is, at once. What was granted is the limit, to the unit, by our rows and by the ledger."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from django.db import connection

from apps.campaigns.models import Campaign
from apps.partners.allowances import save_allowance
from apps.partners.models import Allowance, AllowanceUse, BusinessLine
from apps.partners.services import issue_api_key
from tests.chaos.expected import Expected
from tests.chaos.field import Field
from tests.ports import some_port
from ums_site.processes import web

THREADS = 1000
ASKED_AT_THE_DOOR = 400
OPEN_WINDOWS = 2
TRIES = 12  # of a call whose connection broke, always under its key


def quotas_are_wanted_by_all(ground: Field) -> Expected:
    """A thousand threads of two clients at the API; beside them dispatchers at a budget of pieces, one of them killed."""
    ground.prepare()
    line = BusinessLine.objects.get(pk=ground.campaign.business_line_id)
    sent, room = ground.n * 3 // 5, {"period": "day", "business_line": line, "wall": "refuse"}
    pieces = _allow("pieces", sent, message_class="marketing", **room)
    money = _allow("money", Decimal(ground.n), message_class="marketing", **room)  # ample: counted beside
    door = _allow("messages", ASKED_AT_THE_DOOR, message_class="transactional", **room)
    port = some_port()
    ground.launch(web("127.0.0.1", port)).wait_ready(40)
    ground.doomed("after_intent_commit:kill9@2")
    ground.start_crew()
    keys = [issue_api_key(actor="chaos", business_line=line, label=f"client {number}")[1] for number in range(2)]
    answers, replays = _storm(port, keys, _body(ground))
    ground.rest(90)

    out = Expected(OPEN_WINDOWS * ground.profile.window)
    taken, price = _used(pieces), ground.account().price
    accepted = {one["addr_hash"] for one in ground.ledger_lines() if one["ev"] == "accept"}
    calls = int(
        ground.one(
            "SELECT count(*) FROM campaigns_delivery WHERE campaign_id = %s AND attempts > 0", ground.campaign.pk
        )
    )
    written = int(ground.one("SELECT count(*) FROM campaigns_message WHERE campaign_id <> %s", ground.campaign.pk))
    out.hold(taken == sent, f"{taken} pieces were granted of {sent}")
    out.hold(calls == sent, f"{calls} deliveries had a call, {sent} pieces were to be had")
    out.hold(len(accepted) <= sent, f"the ledger shows {len(accepted)} acceptances, {sent} pieces were to be had")
    out.hold(_used(money) == sent * price, f"{_used(money)} of money was counted for {sent} pieces of {price}")
    out.hold(set(answers) <= {202, 429}, f"answers {dict(answers)}")
    out.hold(answers[202] == ASKED_AT_THE_DOOR, f"{answers[202]} calls were accepted, {ASKED_AT_THE_DOOR} to be had")
    out.hold(_used(door) == ASKED_AT_THE_DOOR == written, f"counter {_used(door)}, {written} messages written")
    out.hold(replays == answers[202], f"{replays} of {answers[202]} accepted calls were replayed to the byte")
    out.note = (
        f"{taken} pieces, {len(accepted)} in the ledger; {answers[202]} of {THREADS} calls accepted, each asked twice"
    )
    return out


def _allow(unit: str, most: int | Decimal, **room: object) -> Allowance:
    return save_allowance(actor="chaos", allowance=Allowance(name=unit, unit=unit, most=Decimal(most), **room))


def _used(allowance: Allowance) -> Decimal:
    connection.close()  # it may be the connection of before a long wait
    return sum(AllowanceUse.objects.filter(allowance=allowance).values_list("used", flat=True), Decimal(0))


def _body(ground: Field) -> str:
    version = Campaign.objects.select_related("template_version__template").get(pk=ground.campaign.pk).template_version
    steps = [{"channels": [{"account": ground.profile.account}], "until": "accepted"}]
    told = {"template": version.template.code, "steps": steps, "class": "transactional"}
    told["to"] = {"address_kind": "phone", "address": "13911112222"}
    told["variables"] = {"name": "x", "balance": "1"}
    return json.dumps(told)


def _storm(port: int, keys: list[str], body: str) -> tuple[Counter[int], int]:
    """Each thread calls once, and once more under the same key: what was answered first, and how many were replayed."""
    gate = threading.Barrier(THREADS)

    def ask(number: int) -> tuple[int, bool]:
        headers = {"Authorization": f"Bearer {keys[number % 2]}", "Content-Type": "application/json"}
        headers["Idempotency-Key"] = f"storm-{number}"
        gate.wait(60)
        status, text, _replayed = _call(port, body, headers)
        if status != 202:
            return status, False
        again, same, replayed = _call(port, body, headers)
        return status, again == 202 and same == text and replayed

    with ThreadPoolExecutor(THREADS) as pool:
        done = list(pool.map(ask, range(THREADS)))
    return Counter(status for status, _again in done), sum(again for _status, again in done)


def _call(port: int, body: str, headers: dict[str, str]) -> tuple[int, bytes, bool]:
    """The answer; a call that is told to come back, or whose connection breaks, is made again under its key."""
    for number in range(TRIES):
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            asked.request("POST", "/api/v1/messages", body, headers)
            answer = asked.getresponse()
            text = answer.read()
            if answer.status != 409:
                return answer.status, text, answer.getheader("Idempotent-Replayed") == "true"
        except (OSError, http.client.HTTPException):
            pass
        finally:
            asked.close()
        threading.Event().wait(0.2 * (number + 1))
    return 0, b"", False
