"""What Tencent Cloud answers: a refusal of the whole call, or a status for each number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from apps.channels.contract import Answer, Envelope, HttpAnswer
from apps.channels.outcomes import Accepted, Outcome, Rejected, Throttled, Unknown
from apps.channels.providers.sms_tencent.codes import AT_EIGHT, CODES, FAMILIES
from apps.channels.wire.json_answer import json_object, no_answer

BEIJING = timezone(timedelta(hours=8))


def e164(address: str) -> str:
    """As the provider wants numbers: with country code and plus sign; bare ones are of the mainland."""
    if address.startswith("+"):
        return address
    digits = address.removeprefix("00")
    return f"+86{digits}" if len(digits) == 11 else f"+{digits}"


def response(answer: Answer) -> dict[str, Any] | Outcome:
    """The inner object of a success, or what a refusal of the whole call comes to."""
    body = json_object(answer)
    if isinstance(body, Unknown):
        return body
    assert isinstance(answer, HttpAnswer)
    said = body.get("Response")
    if not isinstance(said, dict):
        return no_answer(answer)
    error = said.get("Error")
    if isinstance(error, dict):
        return _refusal(error.get("Code"), answer)
    return said if answer.status == 200 and error is None else no_answer(answer)


def look_for_it(outcome: Outcome) -> Outcome:
    """A refusal of the whole call for the sake of one of its numbers: each is sent alone."""
    if isinstance(outcome, Rejected | Throttled) and outcome.scope == "recipient":
        return Rejected(outcome.code, outcome.words, "call")
    return outcome


def numbered(envelopes: Sequence[Envelope], statuses: Sequence[Mapping[str, Any]]) -> list[int | None]:
    """The place of each envelope's status. They stand in the order of the numbers; where not, the number decides."""
    phones = [e164(one.address) for one in envelopes]
    said = [one.get("PhoneNumber") for one in statuses]
    if said == phones:
        return list(range(len(phones)))
    return [said.index(phone) if said.count(phone) == 1 else None for phone in phones]


def status(place: int | None, statuses: Sequence[Mapping[str, Any]], answer: HttpAnswer) -> Outcome:
    if place is None:
        return Unknown("no_status", "The answer says nothing of this number.")
    code, serial = statuses[place].get("Code"), statuses[place].get("SerialNo")
    if code != "Ok":
        return _refusal(code, answer)
    if isinstance(serial, str) and serial:
        return Accepted(serial)
    return Unknown("Ok", "The provider said Ok without a serial number.")


def _refusal(code: Any, answer: HttpAnswer) -> Outcome:
    if not isinstance(code, str) or not code or code == "Ok":
        return no_answer(answer)
    outcome = CODES.get(code)
    if outcome is None:
        family = FAMILIES.get(code.partition(".")[0] + ".")
        if family is not None:
            return replace(family, code=code[:80])
        return Unknown(code[:80], "A code that is in no table.", unmapped=True)
    if isinstance(outcome, Throttled) and outcome.retry_after is None:
        return replace(outcome, retry_after=_wait(code, answer.headers.get("date")))
    return outcome


def _wait(code: str, date: str | None) -> timedelta:
    """To the end of the limit's window on Beijing's clock and a second more; an hour if the time is unknown."""
    try:
        now = parsedate_to_datetime(date).astimezone(BEIJING) if date else None
    except ValueError:
        now = None
    if now is None:
        return timedelta(hours=1)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    end = midnight + timedelta(hours=8 if code == AT_EIGHT else 24)
    return end - now + timedelta(days=1 if end <= now else 0, seconds=1)
