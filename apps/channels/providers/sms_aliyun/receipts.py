"""What Aliyun tells of messages that were sent: reports at the hook, rows of a question, and the list of templates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from apps.channels.contract import ApprovedTemplate, ReceiptEvent, ReplyEvent
from apps.channels.providers.sms_aliyun.codes import AUDITS, STATES
from apps.channels.wire.alibaba_answers import beginnings
from apps.channels.wire.sms_receipts import kept_phone

BAD_NUMBER_CODES = "MK:0001,INVALID_NUMBER,MOBILE_NOT_ON_SERVICE,MOBILE_IN_BLACK,BLACKLIST"


def bad_numbers(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Beginnings of codes that say that a number should not be tried again."""
    return beginnings(config.get("bad_number_codes", BAD_NUMBER_CODES))


def pushed(report: Any, zone: timezone, bad: tuple[str, ...], received_at: datetime) -> ReceiptEvent:
    """One report of SmsReport. Raises AttributeError, KeyError, TypeError or ValueError where it cannot be read."""
    code = report.get("err_code") or ""
    time = report.get("report_time")
    size = report.get("sms_size")
    success = report["success"]
    if not isinstance(success, bool):
        raise ValueError("success is neither true nor false")
    return ReceiptEvent(
        "delivered" if success else "failed",
        code,
        datetime.fromisoformat(time).replace(tzinfo=zone) if time else received_at,
        report.get("out_id") or "",
        report.get("biz_id") or "",
        kept_phone(report["phone_number"]),
        report.get("err_msg") or "",
        int(size) if size else None,
        not success and code.startswith(bad),
    )


def replied(said: Mapping[str, Any], zone: timezone, received_at: datetime) -> ReplyEvent:
    """One message of SmsUp, which comes to the same address as the reports. Raises as `pushed` does."""
    time = said.get("send_time")
    return ReplyEvent(
        kept_phone(said["phone_number"]),
        str(said["content"]),
        datetime.fromisoformat(time).replace(tzinfo=zone) if time else received_at,
        str(said.get("dest_code") or ""),
        str(said.get("sequence_id") or ""),
    )


def detailed(detail: Mapping[str, Any], zone: timezone, bad: tuple[str, ...]) -> ReceiptEvent:
    """One row of QuerySendDetails; raises as `pushed` does."""
    state = STATES[str(detail["SendStatus"])]
    code = detail.get("ErrCode") or ""
    return ReceiptEvent(
        state,
        code,
        datetime.fromisoformat(detail.get("ReceiveDate") or detail["SendDate"]).replace(tzinfo=zone),
        reference=detail["OutId"],
        address=kept_phone(detail["PhoneNum"]),
        bad_address=state == "failed" and code.startswith(bad),
    )


def listed(row: Mapping[str, Any]) -> ApprovedTemplate:
    """One template of QuerySmsTemplateList; what was taken back counts as refused. Raises as `pushed` does."""
    state = AUDITS.get(str(row["AuditStatus"]), "refused")
    return ApprovedTemplate(str(row["TemplateCode"]), str(row["TemplateName"]), str(row["TemplateContent"]), state)
