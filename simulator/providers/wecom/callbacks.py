"""What WeCom tells an app's server: events about members, and the trial of the address when it is saved."""

import time
from typing import Any

from simulator.posting import Parcel, Poster
from simulator.providers.wecom.sealing import Seal, envelope_xml, event_xml

PROVIDER = "wecom"
RETRIES_S = (5.0, 5.0, 5.0)


class Callbacks:
    """The apps that have a callback; accounts are written ``corpid/agentid``."""

    def __init__(self, post: Poster, seals: dict[str, Seal]) -> None:
        self.post, self.seals = post, seals

    def tell(self, account: str, userid: str, event: str) -> None:
        """Send an event soon; a stranger without the token may try first."""
        corpid, _, agentid = account.partition("/")
        seal, url = self.seals[account], self.post.url(PROVIDER, account)

        def parcel() -> Parcel:
            now = time.time()
            encrypted = seal.encrypt(event_xml(corpid, userid, int(agentid), event, now))
            body = envelope_xml(corpid, int(agentid), encrypted).encode()
            genuine = _parcel(f"{url}?{seal.query(encrypted, now)}", body)
            guess = seal._replace(token="guess").query(encrypted, now)
            genuine.forged = lambda: _parcel(f"{url}?{guess}", body)
            return genuine

        if url:
            self.post.later(parcel, time.time())

    async def verify(self, account: str) -> dict[str, Any]:
        """Try the address as saving it in the console does; the clear text must come back as it is."""
        seal, url, plain = self.seals[account], self.post.url(PROVIDER, account), str(time.time_ns())
        encrypted = seal.encrypt(plain)
        query = seal.query(encrypted, time.time(), echostr=encrypted)
        status, body = await self.post.ask(Parcel(PROVIDER, f"{url}?{query}", method="GET"))
        return {"status": status, "passed": status == 200 and body == plain.encode()}


def _parcel(url: str, body: bytes) -> Parcel:
    return Parcel(PROVIDER, url, body, {"Content-Type": "text/xml"}, taken=_taken, retry_s=RETRIES_S)


def _taken(status: int, body: bytes) -> bool:
    """A body would be an answer to the member, and would have to be encrypted."""
    return status == 200 and not body
