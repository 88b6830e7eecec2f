"""SmsReport: an HTTP POST of a JSON array, repeated after 1, 5 and 10 minutes until 200 with a ``code`` that is a number."""

import json
from typing import Any

from simulator.clock import beijing_time
from simulator.outside import Arrival
from simulator.posting import Parcel

REPORTS_PER_POST = 200
FAILED_RECEIPTS = {"empty": ("MK:0001", "空号"), "blacklisted": ("MK:0009", "运营商黑名单")}
OTHER_FAILURE = ("MK:0000", "发送失败")
HEADERS = {"Content-Type": "application/json;charset=UTF-8"}


def final_receipt(arrival: Arrival) -> tuple[bool, str, str]:
    """Return (success, err_code, err_msg) of the receipt that ends this message."""
    if arrival.fate.word == "delivered":
        return True, "DELIVERED", "用户接收成功"
    return (False, *FAILED_RECEIPTS.get(arrival.fate.word, OTHER_FAILURE))


def sms_report(arrival: Arrival, reported_at: float) -> dict[str, Any]:
    """Return one report in the shape of the provider; times are Beijing time without a zone."""
    success, code, words = final_receipt(arrival)
    length = len(arrival.content.sign) + 2 + len(arrival.content.text)
    return {
        "phone_number": arrival.address,
        "send_time": beijing_time(arrival.at),
        "report_time": beijing_time(reported_at),
        "success": success,
        "err_code": code,
        "err_msg": words,
        "sms_size": str(1 if length <= 70 else -(-length // 67)),
        "biz_id": arrival.pid,
        "out_id": arrival.ref,
    }


def report_parcel(url: str, reports: list[dict[str, Any]], label: str = "sms") -> Parcel:
    """Return one post of reports; a stranger would guess the path wrongly and turn the results round."""

    def forged() -> Parcel:
        lies = [report | _turned(report) for report in reports]
        return Parcel("aliyun", url.rstrip("/") + "x", _body(lies), HEADERS, taken=_taken)

    return Parcel(
        "aliyun", url, _body(reports), HEADERS, reports=len(reports), taken=_taken, forged=forged, label=label
    )


def _turned(report: dict[str, Any]) -> dict[str, Any]:
    if "send_status" in report:
        return {"send_status": "SEND_FAILED" if report["send_status"] == "SEND_SUCCESS" else "SEND_SUCCESS"}
    return {"success": not report.get("success")}


def _body(reports: list[dict[str, Any]]) -> bytes:
    return json.dumps(reports, ensure_ascii=False).encode()


def _taken(status: int, text: bytes) -> bool:
    try:
        document = json.loads(text)
    except ValueError:
        return False
    code = document.get("code") if isinstance(document, dict) else None
    return status == 200 and isinstance(code, int | float) and not isinstance(code, bool)
