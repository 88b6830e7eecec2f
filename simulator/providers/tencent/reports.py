"""What is told of a short message: the row of a callback, the row of a pulled status, the callback itself."""

import json
from typing import Any

from simulator.clock import beijing_time
from simulator.outside import Arrival
from simulator.posting import Parcel

REPORTS_PER_POST = 100
RETRIES = (60.0, 300.0)
FAILED = {"empty": ("MK:0001", "空号"), "blacklisted": ("MK:0009", "运营商黑名单")}
OTHER_FAILURE = ("UNDELIV", "下发失败")
HEADERS = {"Content-Type": "application/json"}


def final(arrival: Arrival) -> tuple[str, str, str]:
    """Return (status, errmsg, description) of the receipt that ends this message."""
    if arrival.fate.word == "delivered":
        return "SUCCESS", "DELIVRD", "用户短信送达成功"
    return ("FAIL", *FAILED.get(arrival.fate.word, OTHER_FAILURE))


def split_number(phone: str) -> tuple[str, str]:
    """Return country code and number; of foreign numbers the first two or three digits are taken for the code."""
    if len(phone) == 11 and phone.startswith("1"):
        return "86", phone
    width = 1 if phone.startswith("1") else 3 if phone.startswith(("852", "853", "886")) else 2
    return phone[:width], phone[width:]


def callback_row(arrival: Arrival, moment: float, with_ext: bool) -> dict[str, Any]:
    """Return one report of a callback; times are Beijing time without a zone."""
    status, code, words = final(arrival)
    country, number = split_number(arrival.address)
    row = {
        "user_receive_time": beijing_time(moment),
        "nationcode": country,
        "mobile": number,
        "report_status": status,
        "errmsg": code,
        "description": words,
        "sid": arrival.pid,
    }
    return row | ({"ext": arrival.ref} if with_ext else {})


def pulled_row(arrival: Arrival) -> dict[str, Any]:
    """Return one row of PullSmsSendStatus and PullSmsSendStatusByPhoneNumber."""
    status, code, _ = final(arrival)
    country, number = split_number(arrival.address)
    return {
        "UserReceiveTime": int(arrival.fate.at),
        "CountryCode": country,
        "SubscriberNumber": number,
        "PhoneNumber": f"+{country}{number}",
        "SerialNo": arrival.pid,
        "ReportStatus": status,
        "Description": code,
        "SessionContext": arrival.ref,
    }


def callback(url: str, rows: list[dict[str, Any]]) -> Parcel:
    """Return one post of reports; a stranger would guess the path wrongly and turn the results round."""

    def forged() -> Parcel:
        other = {"SUCCESS": "FAIL", "FAIL": "SUCCESS"}
        lies = [row | {"report_status": other.get(row.get("report_status", ""), "FAIL")} for row in rows]
        return Parcel("tencent", url.rstrip("/") + "x", _body(lies), HEADERS, taken=_taken)

    return Parcel("tencent", url, _body(rows), HEADERS, reports=len(rows), taken=_taken, retry_s=RETRIES, forged=forged)


def reply(url: str, said: dict[str, Any]) -> Parcel:
    """Return the post of one answer from a phone."""
    return Parcel("tencent", url, json.dumps(said, ensure_ascii=False).encode(), HEADERS, taken=_taken, retry_s=RETRIES)


def _body(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps(rows, ensure_ascii=False).encode()


def _taken(status: int, text: bytes) -> bool:
    try:
        document = json.loads(text)
    except ValueError:
        return False
    return status == 200 and isinstance(document, dict) and document.get("result") == 0
