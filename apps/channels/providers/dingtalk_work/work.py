"""Work notifications: the old style. One asynchronous task for a call, asked about and taken back by its task id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from apps.channels.contract import Account, Envelope, HttpAnswer, HttpRequest, ReceiptEvent
from apps.channels.outcomes import Accepted, Outcome
from apps.channels.providers.dingtalk_work.codes import CODES, FORBIDDEN, STATES
from apps.channels.wire.dingtalk import body_of, refused
from apps.channels.wire.json_answer import dumps, no_answer

JSON = ["Content-Type: application/json"]
CONVERSATION = "/topapi/message/corpconversation/"


def url(account: Account, path: str, **query: str) -> str:
    """The address of a call of the old style."""
    return f"{str(account.config['base_url']).rstrip('/')}{path}?{urlencode(query)}"


def call(account: Account, path: str, document: Mapping[str, Any]) -> HttpRequest:
    """A call with the access token in force."""
    return HttpRequest("POST", url(account, path, access_token=account.token), JSON, dumps(document).encode())


def success(answer: HttpAnswer) -> dict[str, Any] | Outcome:
    """The body of a success, or what a refusal comes to."""
    body = body_of(answer)
    if not isinstance(body, dict):
        return body
    code = body.get("errcode")
    if str(code) != "0" or isinstance(code, bool):
        return refused(body, answer, CODES)
    return body if answer.status == 200 else no_answer(answer)


def token(account: Account) -> HttpRequest:
    """gettoken."""
    config = account.config
    return HttpRequest("GET", url(account, "/gettoken", appkey=config["app_key"], appsecret=config["app_secret"]), [])


def message(content: Mapping[str, Any], mark: str) -> dict[str, Any]:
    """A text; with a title markdown; with title and link a card of one button."""
    title, text, link = content.get("title"), (content.get("text") or "") + mark, content.get("url")
    if title and link:
        card = {
            "title": title,
            "markdown": text,
            "single_title": content.get("button") or "查看详情",
            "single_url": link,
        }
        return {"msgtype": "action_card", "action_card": card}
    if title:
        return {"msgtype": "markdown", "markdown": {"title": title, "text": text}}
    return {"msgtype": "text", "text": {"content": text}}


def send(account: Account, envelopes: Sequence[Envelope], mark: str) -> HttpRequest:
    """asyncsend_v2. Raises ValueError for a userid that cannot stand in the list."""
    if any("," in one.address for one in envelopes):
        raise ValueError("A userid holds a comma.")
    document = {
        "agent_id": int(account.config["agent_id"]),
        "userid_list": ",".join([one.address for one in envelopes]),
        "to_all_user": False,
        "msg": message(envelopes[0].content, mark),
    }
    return call(account, f"{CONVERSATION}asyncsend_v2", document)


def sent(answer: HttpAnswer) -> Outcome:
    """Accepted with the task's id. Who does not exist is told later only, by the task's result."""
    body = success(answer)
    if not isinstance(body, dict):
        return body
    task = body.get("task_id")
    return Accepted(str(task)) if isinstance(task, int | str) and task else no_answer(answer)


def ask(account: Account, task: str) -> HttpRequest:
    """getsendresult."""
    return call(
        account, f"{CONVERSATION}getsendresult", {"agent_id": int(account.config["agent_id"]), "task_id": _number(task)}
    )


def recall(account: Account, task: str) -> HttpRequest:
    """recall."""
    return call(
        account, f"{CONVERSATION}recall", {"agent_id": int(account.config["agent_id"]), "msg_task_id": _number(task)}
    )


def _number(task: str) -> int | str:
    return int(task) if task.isascii() and task.isdigit() else task


def told(task: str, addresses: Sequence[str], answer: HttpAnswer, now: datetime) -> list[ReceiptEvent] | Outcome:
    """What became of these people; nobody in no list. The provider gives no times, `now` stands for them."""
    body = success(answer)
    if not isinstance(body, dict):
        return body
    lists = body.get("send_result")
    if not isinstance(lists, Mapping):
        return no_answer(answer)
    said = _said(lists)
    return [
        ReceiptEvent(state, code, now, provider_id=task, address=one, words=words, bad_address=code == "invalid_user_id_list")
        for one in addresses
        for state, code, words in said.get(one, ())[:1]
    ]  # fmt: skip


def _said(lists: Mapping[str, Any]) -> dict[str, list[tuple[Any, str, str]]]:
    """Per userid what the lists say, the most telling first: read, delivered, why forbidden, failed, unknown."""
    found: dict[str, list[tuple[Any, str, str]]] = {}
    for name in ("read_user_id_list", "unread_user_id_list"):
        for one in _members(lists, name):
            found.setdefault(str(one), []).append((STATES[name], name, ""))
    for one in _members(lists, "forbidden_list"):
        if isinstance(one, Mapping):
            code = str(one.get("code"))
            state, words = FORBIDDEN.get(code, ("failed", "The provider forbade the message."))
            found.setdefault(str(one.get("userid")), []).append((state, code[:80], words))
    for one in _members(lists, "forbidden_user_id_list"):
        found.setdefault(str(one), []).append(("failed", "forbidden", "The provider forbade the message."))
    for name in ("failed_user_id_list", "invalid_user_id_list"):
        for one in _members(lists, name):
            found.setdefault(str(one), []).append((STATES[name], name, ""))
    return found


def _members(lists: Mapping[str, Any], name: str) -> Sequence[Any]:
    members = lists.get(name)
    return members if isinstance(members, list) else ()


def lookup(account: Account, phone: str) -> HttpRequest:
    """getbymobile."""
    return call(account, "/topapi/v2/user/getbymobile", {"mobile": phone.removeprefix("+86").removeprefix("+")})


def found(answer: HttpAnswer) -> str | Outcome:
    """The userid, "" for a number that nobody has."""
    body = success(answer)
    if isinstance(body, dict):
        result = body.get("result")
        userid = result.get("userid") if isinstance(result, Mapping) else None
        return userid if isinstance(userid, str) and userid else no_answer(answer)
    return "" if getattr(body, "code", "") == "60121" else body
