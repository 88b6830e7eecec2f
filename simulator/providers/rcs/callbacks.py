"""What the platform tells a chatbot: states of messages, what people write, the trial of the address. Signed in headers."""

import hashlib
import json
import time
import uuid
from typing import Any

from simulator.outside import Arrival
from simulator.posting import Parcel, Poster
from simulator.providers.rcs.rules import Chatbot, Note

PROVIDER = "rcs"
RETRIES_S = (60.0, 300.0, 600.0)
FAILED = {
    "unknown": (1, "未找到终端"),
    "empty": (1, "未找到终端"),
    "unsupported": (2, "非5G消息终端"),
    "offline": (4, "终端离线"),
    "refused": (5, "终端已拒收"),
}
OTHER_FAILURE = (6, "消息内容不符合要求")


class Callbacks:
    """Sends to the hook's address and below it; accounts are chatbot ids."""

    def __init__(self, post: Poster, bots: dict[str, Chatbot]) -> None:
        self.post, self.bots = post, bots

    def tell(self, arrival: Arrival, status: str, due: float, as_form: bool) -> None:
        """Tell one state of a message; one that was recalled meanwhile does not arrive any more."""
        bot, phone = arrival.account, arrival.address

        def parcel() -> Parcel | None:
            if arrival.recalled and status not in ("sent", "revokeOk", "revokeFail"):
                return None
            info: dict[str, Any] = {
                "messageId": arrival.pid,
                "dateTime": _clock(due),
                "status": status,
                "senderAddress": f"tel:+86{phone}" if len(phone) == 11 else f"tel:+{phone}",
                "destinationAddress": self.bots[bot].sender,
            }
            if status == "failed":
                code, words = FAILED.get(arrival.fate.word, OTHER_FAILURE)
                info |= {"errorCode": code, "errorMessage": words}
            path = f"/deliveryNotification/{bot}/status"
            return self._parcel(bot, path, {"deliveryInfoList": [info]}, as_form)

        if self.post.url(PROVIDER, bot):
            self.post.later(parcel, due, (phone, f"{arrival.pid} {status}"))

    def write(self, bot: str, phone: str, text: str) -> None:
        """Tell what a person wrote to the chatbot."""
        document = {
            "messageId": str(uuid.uuid4()),
            "messageList": [{"contentType": "text/plain", "contentEncoding": "utf8", "contentText": text}],
            "dateTime": _clock(time.time()),
            "senderAddress": f"tel:+86{phone}",
            "destinationAddress": self.bots[bot].sender,
            "conversationId": uuid.uuid4().hex,
            "contributionId": uuid.uuid4().hex,
        }
        self.post.later(lambda: self._parcel(bot, f"/messageNotification/{bot}/messages", document, False), time.time())

    async def verify(self, bot: str) -> dict[str, Any]:
        """Try the address as the platform does when it is saved; the word must come back in the headers."""
        echo, url = uuid.uuid4().hex, self.post.url(PROVIDER, bot).rstrip("/")
        headers = _proof(self.bots[bot].token) | {"echoStr": echo, "chatbotId": bot}
        parcel = Parcel(PROVIDER, f"{url}/notifyPath", headers=headers, method="GET")
        status, told, _body = await self.post.ask_whole(parcel)
        passed = told.get("echoStr") == echo and told.get("appId") == self.bots[bot].app_id
        return {"status": status, "passed": status == 200 and passed}

    def _parcel(self, bot: str, path: str, document: dict[str, Any], as_form: bool) -> Parcel | None:
        url = self.post.url(PROVIDER, bot).rstrip("/")
        if not url:
            return None
        kind, body = (
            _form(document) if as_form else ("application/json", json.dumps(document, ensure_ascii=False).encode())
        )
        genuine = Parcel(PROVIDER, url + path, body, _proof(self.bots[bot].token) | {"Content-Type": kind})
        genuine.retry_s = RETRIES_S
        genuine.forged = lambda: Parcel(PROVIDER, url + path, body, _proof("guess") | {"Content-Type": kind})
        return genuine


def _proof(token: str) -> dict[str, str]:
    timestamp, nonce = str(int(time.time())), str(uuid.uuid4())
    joined = "".join(sorted((token, timestamp, nonce)))
    return {"signature": hashlib.sha256(joined.encode()).hexdigest(), "timestamp": timestamp, "nonce": nonce}


def _form(document: dict[str, Any]) -> tuple[str, bytes]:
    edge = uuid.uuid4().hex
    head = f'--{edge}\r\nContent-Disposition: form-data; name="body"\r\nContent-Type: application/json\r\n\r\n'
    body = head.encode() + json.dumps(document, ensure_ascii=False).encode() + f"\r\n--{edge}--\r\n".encode()
    return f"multipart/form-data; boundary={edge}", body


def _clock(moment: float) -> str:
    """Beijing time with milliseconds and zone."""
    shifted = time.gmtime(moment + 8 * 3600)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', shifted)}.{int(moment % 1 * 1000):03}+08:00"


def wanted(note: Note, status: str) -> bool:
    """Tell whether the sender asked for this state; recalls are told in any case."""
    return status in note.wants or status.startswith("revoke")
