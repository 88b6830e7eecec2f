"""What people have read, and how the app's server is told of it."""

import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from simulator.outside import Arrival
from simulator.posting import Parcel, Poster
from simulator.providers.feishu.sealing import Seal

PROVIDER = "feishu"
RETRIES_S = (15.0, 300.0, 3600.0, 21600.0)


def read_event(app_id: str, token: str, arrival: Arrival, ids: dict[str, str]) -> dict[str, Any]:
    """Return the event of one person reading one message."""
    reader = {"reader_id": ids, "read_time": str(int(arrival.read_at * 1000)), "tenant_key": "tk_ums01"}
    header = {
        "event_id": uuid4().hex,
        "event_type": "im.message.message_read_v1",
        "create_time": str(int(arrival.read_at * 1000)),
        "token": token,
        "app_id": app_id,
        "tenant_key": "tk_ums01",
    }
    return {"schema": "2.0", "header": header, "event": {"reader": reader, "message_id_list": [arrival.pid]}}


def push(post: Poster, seal: Seal, app_id: str, event: dict[str, Any], due: float, about: Sequence[str] = ()) -> None:
    """Push an event, encrypted and signed at the moment of sending; a stranger without the key may try first."""
    url = post.url(PROVIDER, app_id)

    def parcel() -> Parcel:
        body, now = seal.body(event), time.time()
        stranger = Seal("guess", seal.token)
        genuine = Parcel(PROVIDER, url, body, seal.headers(body, now), taken=_taken, retry_s=RETRIES_S)
        lie = stranger.body(event)
        genuine.forged = lambda: Parcel(PROVIDER, url, lie, stranger.headers(lie, now), taken=_taken)
        return genuine

    if url:
        post.later(parcel, due, about)


async def verify(post: Poster, seal: Seal, app_id: str) -> dict[str, Any]:
    """Try the hook's address as saving it in the console does: encrypted, without a signature."""
    challenge = uuid4().hex
    body = seal.body({"challenge": challenge, "token": seal.token, "type": "url_verification"})
    headers = {"Content-Type": "application/json; charset=utf-8"}
    status, answer = await post.ask(Parcel(PROVIDER, post.url(PROVIDER, app_id), body, headers))
    return {"status": status, "passed": status == 200 and answer == f'{{"challenge":"{challenge}"}}'.encode()}


def _taken(status: int, body: bytes) -> bool:
    return status == 200
