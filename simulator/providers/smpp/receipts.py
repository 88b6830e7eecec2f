"""Receipts of SMPP: the conventional text, and the parameters that say the same."""

import time
from typing import NamedTuple

from simulator.providers.smpp import pdu
from simulator.world import REACHED, Fate

STATES = {"DELIVRD": 2, "EXPIRED": 3, "UNDELIV": 5, "REJECTD": 8}
WORDS = {"off": ("EXPIRED", 27), "empty": ("UNDELIV", 1), "blacklisted": ("REJECTD", 9)}


class Receipt(NamedTuple):
    """About which part, from which phone to which of the customer's numbers, what became of it and when it came in."""

    number: int
    phone: str
    customer: str
    fate: Fate
    at: float


def written_id(number: int, form: str) -> str:
    """Write a message id: ``hex``, ``decimal`` or ``padded`` (ten digits)."""
    return {"hex": f"{number:08x}", "padded": f"{number:010d}"}.get(form, str(number))


def word_of(fate: Fate) -> tuple[str, int]:
    """Return the state and the network's code."""
    return ("DELIVRD", 0) if fate.word in REACHED else WORDS.get(fate.word, ("UNDELIV", 99))


def receipt_body(receipt: Receipt, form: str, parameters: bool) -> bytes:
    """Write the body of the deliver_sm; times are Beijing's."""
    word, code = word_of(receipt.fate)
    message_id = written_id(receipt.number, form)
    submitted, done = (time.strftime("%y%m%d%H%M", time.gmtime(at + 8 * 3600)) for at in (receipt.at, receipt.fate.at))
    arrived = int(word == "DELIVRD")
    text = (
        f"id:{message_id} sub:001 dlvrd:{arrived:03d} submit date:{submitted} done date:{done} stat:{word} "
        f"err:{code:03d} text:"
    )
    tlvs = {}
    if parameters:
        tlvs = {0x001E: message_id.encode() + b"\0", 0x0427: bytes((STATES[word],))}
        tlvs |= {0x0423: b"\3" + code.to_bytes(2, "big")} if code else {}
    return pdu.deliver_body(receipt.phone, receipt.customer, text.encode(), tlvs)
