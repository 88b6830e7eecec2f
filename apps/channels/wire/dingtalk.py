"""What DingTalk's two styles of interface answer: old (`errcode` under HTTP 200) and new (`code` under HTTP 4xx).

The old one hides some causes behind errcode 88, and a machine that calls too often gets neither but
`{"status":1111,"wait":5,"punish":"deny"}`. Marks of confidence stand in the READMEs of the kinds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from apps.channels.contract import Answer, HttpAnswer
from apps.channels.outcomes import Misconfigured, Outcome, Rejected, Throttled, Unknown
from apps.channels.wire.json_answer import json_object, no_answer

SECOND = timedelta(seconds=1)
PUNISHED = "1111"
MESSAGE_CODES = range(34001, 35000)  # type and body of a message

_subcode = re.compile(r"subcode=([0-9A-Za-z._-]+)").search

_GLOBAL: tuple[Rejected | Misconfigured | Throttled, ...] = (
    Throttled("-1", "The provider is busy.", 3 * SECOND),
    Rejected("22", "The provider does not know this call.", "content"),
    Rejected("40035", "A parameter is missing or not valid.", "content"),
    Rejected("400002", "A parameter is missing or not valid.", "content"),
    Rejected("34016", "The message is too long.", "content"),
    Misconfigured("40089", "AppKey and AppSecret do not belong together."),
    Misconfigured("60011", "The application has no permission for this call."),
    Misconfigured("60020", "The address of this machine is not on the application's allow-list."),
    Throttled("90018", "Too many calls of this application in this second.", SECOND),
    Throttled("90019", "Too many calls in this second.", SECOND),
    Throttled("90002", "Too many calls of everybody.", 60 * SECOND),
    Misconfigured("90020", "The organisation's calls of this month are used up."),
    Throttled(PUNISHED, "The provider refuses every call of this machine for five minutes.", timedelta(minutes=5)),
)
GLOBAL: Mapping[str, Outcome] = {one.code: one for one in _GLOBAL}


def body_of(answer: Answer) -> dict[str, Any] | Outcome:
    """The object of an answer, or what an unreadable one or a punishment comes to."""
    body = json_object(answer)
    if isinstance(body, dict) and str(body.get("status")) == PUNISHED and "punish" in body:
        return GLOBAL[PUNISHED]
    return body


def cause(body: Mapping[str, Any]) -> str:
    """The code that says why: what stands behind an 88, else `errcode`, else the new style's `code`; "" for none."""
    code = body.get("errcode", body.get("code"))
    if isinstance(code, bool) or not isinstance(code, int | str):
        return ""
    if str(code) != "88":
        return str(code)
    hidden = body.get("sub_code") or getattr(_subcode(str(body.get("errmsg"))), "group", lambda _n: "")(1)
    return str(hidden or code)


def refused(body: Mapping[str, Any], answer: Answer, codes: Mapping[str, Outcome]) -> Outcome:
    """What a body that is no success comes to."""
    code = cause(body)
    if not code or code == "0":
        assert isinstance(answer, HttpAnswer)
        return no_answer(answer)
    if code in codes:
        return codes[code]
    if code.isdecimal() and len(code) < 9 and int(code) in MESSAGE_CODES:
        return Rejected(code, "The type or the body of the message is not valid.", "content")
    return Unknown(code[:80], "A code that is in no table.", unmapped=True)
