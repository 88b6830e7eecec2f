"""Runs in the environment of aioapns: sends over it, and reads a token of ours with PyJWT."""

import asyncio
import json
import logging
import ssl
import sys
from typing import Any

import jwt
from aioapns import APNs, NotificationRequest
from aioapns import connection as transport
from aioapns.common import PushType
from cryptography.hazmat.primitives import serialization


async def send(given: dict[str, Any]) -> list[dict[str, Any]]:
    for protocol in vars(transport).values():
        if isinstance(protocol, type) and hasattr(protocol, "APNS_SERVER"):
            protocol.APNS_SERVER, protocol.APNS_PORT = given["host"], given["port"]
    trust = ssl.create_default_context(cafile=given["authority"])
    trust.set_alpn_protocols(["h2"])
    account = {name: given[name] for name in ("key", "key_id", "team_id", "topic")}
    client = APNs(**account, ssl_context=trust, max_connections=1, max_connection_attempts=1)
    requests = [
        NotificationRequest(
            one["token"],
            one["message"],
            notification_id=one["id"],
            time_to_live=3600,
            priority=10,
            collapse_key=one.get("collapse"),
            push_type=PushType.ALERT,
        )
        for one in given["messages"]
    ]
    answers = await asyncio.wait_for(asyncio.gather(*map(client.send_notification, requests)), 20)
    return [{"id": one.notification_id, "status": one.status, "reason": one.description} for one in answers]


def main() -> None:
    logging.disable(logging.CRITICAL)
    given = json.load(sys.stdin)
    said: dict[str, Any] = {}
    if "messages" in given:
        said["answers"] = asyncio.run(send(given))
    if "jwt" in given:
        public = serialization.load_pem_private_key(given["key"].encode(), None).public_key()
        said["claims"] = jwt.decode(given["jwt"], public, algorithms=["ES256"])
        said["header"] = jwt.get_unverified_header(given["jwt"])
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
