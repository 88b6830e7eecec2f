"""What Tencent Cloud says later of a short message: rows of its callback, and of the answer to a question."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timezone
from typing import Any

from apps.channels.contract import Account, ReceiptEvent, ReplyEvent
from apps.channels.providers.sms_tencent.codes import STATES

BAD_NUMBER_CODES = "MK:0001,INVALID_NUMBER"


def bad_numbers(account: Account) -> tuple[str, ...]:
    codes = str(account.config.get("bad_number_codes", BAD_NUMBER_CODES))
    return tuple(code.strip() for code in codes.split(",") if code.strip())


def replied(said: Mapping[str, Any]) -> ReplyEvent:
    """What somebody answered: a document of its own, not a row of a list."""
    country, number = str(said.get("nationcode") or "86").lstrip("+"), str(said["mobile"])
    return ReplyEvent(
        number if country == "86" else f"+{country}{number}",
        str(said["text"]),
        datetime.fromtimestamp(int(said["time"]), UTC),
        str(said.get("extend") or ""),
    )


def pushed(report: Mapping[str, Any], zone: timezone, bad: tuple[str, ...], received_at: datetime) -> ReceiptEvent:
    state = STATES[report["report_status"]]
    code, time = str(report.get("errmsg") or ""), report.get("user_receive_time")
    country, number = str(report.get("nationcode") or "86"), str(report["mobile"])
    return ReceiptEvent(
        state,
        code,
        datetime.fromisoformat(time).replace(tzinfo=zone) if time else received_at,
        reference=str(report.get("ext") or ""),
        provider_id=str(report["sid"]),
        address=number if country == "86" else f"+{country}{number}",
        words=str(report.get("description") or ""),
        bad_address=state == "failed" and code.startswith(bad),
    )


def pulled(row: Mapping[str, Any], reference: str, bad: tuple[str, ...]) -> ReceiptEvent:
    state, words = STATES[row["ReportStatus"]], str(row.get("Description") or "")
    return ReceiptEvent(
        state,
        words,
        datetime.fromtimestamp(int(row["UserReceiveTime"]), UTC),
        reference=reference,
        provider_id=str(row["SerialNo"]),
        address=str(row["PhoneNumber"]).removeprefix("+86"),
        bad_address=state == "failed" and words.startswith(bad),
    )
