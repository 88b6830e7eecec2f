"""5G messages of Alibaba Cloud: SendRCS for one mainland number, the fall back to SMS, the report 5GSmsReport.

Where a number gets no 5G messages the platform sends the text as SMS. What the answer's Data holds and which words the
report has for a fallen-back message are not documented; see README.md.
"""

import re
import uuid
from typing import TYPE_CHECKING, Any

from simulator.clock import beijing_time
from simulator.outside import Answer, Arrival, Submission
from simulator.provider import Message
from simulator.providers.aliyun.reports import REPORTS_PER_POST, final_receipt, report_parcel
from simulator.providers.aliyun.rules import Refusal, Text, compose, read_json, read_parameters, required

if TYPE_CHECKING:
    from simulator.providers.aliyun.api import Aliyun

RECEIVER = "aliyun:rcs"  # in receipts.urls: the provider's console has a field of its own for these reports
ONE_NUMBER = re.compile(r"1[3-9]\d{9}")
NOT_SUPPORTED = "MOBILE_NOT_SUPPORT_RCS"


class FiveG:
    """The operations of the provider that concern 5G messages."""

    def __init__(self, provider: "Aliyun") -> None:
        self.provider = provider

    def send(self, key: str, parameters: dict[str, str], now: float) -> Submission:
        """Check one SendRCS."""
        provider, phone = self.provider, required(parameters, "PhoneNumbers")
        if "," in phone:
            raise Refusal("isv.MOBILE_COUNT_OVER_LIMIT", "手机号码数量超过限制")
        if not ONE_NUMBER.fullmatch(phone):
            raise Refusal("isv.MOBILE_NUMBER_ILLEGAL", f"{phone}invalid mobile number")
        sign, code = required(parameters, "SignName"), required(parameters, "TemplateCode")
        values = read_parameters(read_json(parameters["TemplateParam"])) if parameters.get("TemplateParam") else {}
        out_id = parameters.get("OutId", "")
        if len(out_id) >= 256:
            raise Refusal("isv.INVALID_PARAMETERS", "OutId超出长度限制")
        text = compose(provider.accounts[key], phone, sign, code, values, rcs=True)
        return Submission(provider.name, "send", [phone], lambda returned: self._accept(key, text, out_id, returned))

    def _accept(self, key: str, text: Text, out_id: str, returned: bool) -> Answer:
        provider = self.provider
        pid = f"{provider.outside.new_pid()}^0"
        shares = {"unsupported": provider.outside.world.rates(provider.name)["unsupported"]}
        rich = provider.outside.world.lot("rcs", text.phone, shares) != "unsupported"
        channel = "rcs" if rich or not provider.switches["rcs_falls_back"] else "sms"
        sent = text._replace(rcs="RCS" if rich else "PLAIN_TEXT")
        message = Message(text.phone, out_id, sent, f"【{text.sign}】{text.text}")
        provider.take(channel, key, out_id, pid, [message], returned)
        return provider.answered({"Success": True, "Data": {}, "RequestId": str(uuid.uuid4()).upper()})

    def tell(self, arrival: Arrival) -> None:
        """Plan the report of one accepted message."""
        post = self.provider.post
        if url := post.rule["urls"].get(RECEIVER, ""):
            post.gather(
                f"{RECEIVER} {url}",
                lambda moment: rcs_report(arrival, moment),
                arrival.fate.at,
                REPORTS_PER_POST,
                lambda reports: report_parcel(url, reports, "rcs"),
                (arrival.address, arrival.pid),
            )


def rcs_report(arrival: Arrival, reported_at: float) -> dict[str, Any]:
    """Return one report; times are Beijing time without a zone."""
    text: Text = arrival.content
    success, code, words = final_receipt(arrival)
    if text.rcs == "PLAIN_TEXT" and arrival.channel == "rcs":
        success, code, words = False, NOT_SUPPORTED, "号码不支持5G消息"
    return {
        "phone_number": arrival.address,
        "send_time": beijing_time(arrival.at),
        "report_time": beijing_time(reported_at),
        "send_status": "SEND_SUCCESS" if success else "SEND_FAILED",
        "err_code": code,
        "err_message": words,
        "rcs_template_code": text.template,
        "rcs_template_type": "TEXT",
        "rcs_template_format": text.rcs,
        "rcs_size": 1,
        "rcs_id": uuid.uuid5(uuid.NAMESPACE_OID, arrival.pid).hex,
        "in_reply_to_rcs_id": "",
        "biz_id": arrival.pid,
        "out_id": arrival.ref,
    }
