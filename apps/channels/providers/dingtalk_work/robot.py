"""One-to-one messages of a robot: the new style. Immediate lists of who gets none, and a state of reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from apps.channels.contract import Account, Envelope, HttpAnswer, HttpRequest, ReceiptEvent
from apps.channels.outcomes import Accepted, Outcome, Rejected, StaleToken, Throttled, Unknown
from apps.channels.providers.dingtalk_work.codes import CODES, STATES
from apps.channels.wire.dingtalk import body_of, refused
from apps.channels.wire.json_answer import dumps, no_answer

MAX_RECIPIENTS = 20
PARAM_BYTES = 15_000
JSON = "Content-Type: application/json"

# immediate lists of batchSend, in the order in which they are looked into
LISTS: tuple[tuple[str, Outcome], ...] = (
    ("invalidStaffIdList", Rejected("invalidStaffIdList", "No employee has this userid.", bad_address=True)),
    (
        "flowControlledStaffIdList",
        Throttled("flowControlledStaffIdList", "Too much goes to this employee.", None, "recipient"),
    ),
    (
        "filteredStaffIdList",
        Rejected("filteredStaffIdList", "The provider's rules keep the message from this employee."),
    ),
)


def _url(account: Account, path: str) -> str:
    return f"{str(account.config['api_base_url']).rstrip('/')}{path}"


def _call(account: Account, path: str, document: Mapping[str, Any]) -> HttpRequest:
    headers = [JSON, f"x-acs-dingtalk-access-token: {account.token}"]
    return HttpRequest("POST", _url(account, path), headers, dumps(document).encode())


def token(account: Account) -> HttpRequest:
    """oauth2/accessToken."""
    document = {"appKey": account.config["app_key"], "appSecret": account.config["app_secret"]}
    return HttpRequest("POST", _url(account, "/v1.0/oauth2/accessToken"), [JSON], dumps(document).encode())


def success(account: Account, answer: HttpAnswer) -> dict[str, Any] | Outcome:
    """The body of a success, or what a refusal comes to. HTTP 401 under a name of no table is the token's [U]."""
    body = body_of(answer)
    if not isinstance(body, dict):
        return body
    if answer.status == 200 and "code" not in body:
        return body
    outcome = refused(body, answer, CODES)
    if isinstance(outcome, Unknown) and outcome.unmapped:
        named = [name.strip() for name in str(account.config.get("token_error_codes") or "").split(",")]
        if answer.status == 401 or outcome.code in named:
            return StaleToken(outcome.code, "The access token is no longer taken.")
    return outcome


def message(content: Mapping[str, Any], mark: str) -> tuple[str, dict[str, str]]:
    """Key and parameters of one of the provider's forms: text, markdown, card with one button."""
    title, text, link = content.get("title"), (content.get("text") or "") + mark, content.get("url")
    if title and link:
        button = content.get("button") or "查看详情"
        return "sampleActionCard", {"title": title, "text": text, "singleTitle": button, "singleURL": link}
    return ("sampleMarkdown", {"title": title, "text": text}) if title else ("sampleText", {"content": text})


def send(account: Account, envelopes: Sequence[Envelope], mark: str) -> HttpRequest:
    """oToMessages/batchSend. Raises ValueError for a message that is too big."""
    key, param = message(envelopes[0].content, mark)
    packed = dumps(param)
    if len(packed.encode()) > PARAM_BYTES:
        raise ValueError("A robot's message may take 15000 bytes.")
    document = {
        "robotCode": account.config["robot_code"],
        "userIds": [one.address for one in envelopes],
        "msgKey": key,
        "msgParam": packed,
    }
    return _call(account, "/v1.0/robot/oToMessages/batchSend", document)


def sent(account: Account, envelopes: Sequence[Envelope], answer: HttpAnswer) -> Outcome | Sequence[Outcome]:
    """One outcome for each: a call may be taken for some of its people only."""
    body = success(account, answer)
    if not isinstance(body, dict):
        return _look_for_it(body) if len(envelopes) > 1 else body
    outcomes = [_outcome(one.address, body, answer) for one in envelopes]
    return outcomes[0] if len(outcomes) == 1 else outcomes


def _look_for_it(outcome: Outcome) -> Outcome:
    if isinstance(outcome, Rejected) and outcome.scope == "recipient":
        return replace(outcome, scope="call", bad_address=False)
    return outcome


def _outcome(address: str, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    for name, outcome in LISTS:
        members = body.get(name)
        if isinstance(members, list) and address in members:
            return outcome
    key = body.get("processQueryKey")
    return Accepted(key) if isinstance(key, str) and key else no_answer(answer)


def ask(account: Account, key: str) -> HttpRequest:
    """oToMessages/readStatus."""
    query = urlencode({"robotCode": account.config["robot_code"], "processQueryKey": key})
    headers = [f"x-acs-dingtalk-access-token: {account.token}"]
    return HttpRequest("GET", f"{_url(account, '/v1.0/robot/oToMessages/readStatus')}?{query}", headers)


def told(
    account: Account, key: str, addresses: Sequence[str], answer: HttpAnswer, now: datetime
) -> list[ReceiptEvent] | Outcome:
    """Who has read it and who only has it; nobody while the provider still works."""
    body = success(account, answer)
    if not isinstance(body, dict):
        return body
    if body.get("sendStatus") not in ("SUCCESS", "PROCESSING", "RECALLED"):
        return no_answer(answer)
    rows = body.get("messageReadInfoList")
    known = {str(row.get("userId")): row for row in rows if isinstance(row, Mapping)} if isinstance(rows, list) else {}
    return [
        _event(key, one, known[one], now)
        for one in addresses
        if one in known and known[one].get("readStatus") in STATES
    ]


def _event(key: str, address: str, row: Mapping[str, Any], now: datetime) -> ReceiptEvent:
    at, state = row.get("readTimestamp"), STATES[row["readStatus"]]
    known = state == "read" and isinstance(at, int) and not isinstance(at, bool) and 0 < at < 10**14
    moment = datetime.fromtimestamp(at / 1000, UTC) if known and at else now
    return ReceiptEvent(state, str(row["readStatus"]), moment, provider_id=key, address=address)


def recall(account: Account, key: str) -> HttpRequest:
    """otoMessages/batchRecall: the path is written with a small t here, unlike the two others."""
    document = {"robotCode": account.config["robot_code"], "processQueryKeys": [key]}
    return _call(account, "/v1.0/robot/otoMessages/batchRecall", document)


def recalled(account: Account, answer: HttpAnswer) -> Outcome:
    """Accepted("") where the key stands in the list of successes."""
    body = success(account, answer)
    if not isinstance(body, dict):
        return body
    if body.get("failedResult"):
        return Rejected("failedResult", "The provider did not take the message back.")
    return Accepted("") if body.get("successResult") else no_answer(answer)
