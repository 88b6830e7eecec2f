"""DingTalk's event callback: encrypted as in the WeChat family, the application's key standing behind the message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from apps.channels.contract import Account, AddressEvent, BadReceipt, HookReply, HookRequest
from apps.channels.wire.json_answer import dumps
from apps.channels.wire.wechat_crypt import WechatCrypt, require_fresh

MILLISECONDS = 1000
# EventType -> whether the employee can be reached, and the word for it
MOVES = {"user_leave_org": (False, "left"), "user_add_org": (True, "joined"), "user_active_org": (True, "joined")}


def crypt(account: Account) -> WechatCrypt:
    """The account's callback secrets."""
    config = account.config
    return WechatCrypt(
        str(config.get("callback_token") or ""), str(config.get("callback_aes_key") or ""), str(config["app_key"])
    )


def clear(account: Account, request: HookRequest) -> bytes:
    """The event of an authentic request. Raises BadReceipt."""
    if not account.config.get("callback_token"):
        raise BadReceipt("The account has no callback token.")
    signature = request.query.get("msg_signature") or request.query.get("signature") or ""
    timestamp, encrypted = request.query.get("timestamp", ""), _object(request.body).get("encrypt")
    if not isinstance(encrypted, str):
        raise BadReceipt("The body holds no encrypted text.")
    own = crypt(account)
    own.verify(signature, timestamp, request.query.get("nonce", ""), encrypted)
    require_fresh(timestamp, request.received_at, MILLISECONDS)
    return own.open(encrypted)


def greeting(account: Account, request: HookRequest, body: bytes, random16: bytes) -> HookReply | None:
    """The encrypted "success" that the trial of an address wants; None for everything else."""
    if _object(body).get("EventType") != "check_url":
        return None
    own, nonce = crypt(account), request.query.get("nonce", "")
    timestamp = str(int(request.received_at.timestamp() * MILLISECONDS))
    encrypted = own.seal(b"success", random16)
    signature = own.sign(timestamp, nonce, encrypted)
    said = {"msg_signature": signature, "timeStamp": timestamp, "nonce": nonce, "encrypt": encrypted}
    return HookReply(dumps(said).encode())


def events(body: bytes, received_at: datetime) -> list[AddressEvent]:
    """Who left the organisation and who joined; other events are not for us. Raises BadReceipt."""
    said = _object(body)
    move, people = MOVES.get(str(said.get("EventType"))), said.get("UserId")
    if move is None or not isinstance(people, list):
        return []
    reachable, reason = move
    at = _time(said.get("TimeStamp"), received_at)
    return [AddressEvent(one, reachable, reason, at) for one in people if isinstance(one, str) and one]


def _time(value: Any, received_at: datetime) -> datetime:
    digits = str(value)
    if not digits.isascii() or not digits.isdigit() or len(digits) != 13:
        return received_at
    return datetime.fromtimestamp(int(digits) / MILLISECONDS, UTC)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise BadReceipt("The body is not a JSON object.")
    return said
