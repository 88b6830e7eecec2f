"""Runs in the environment of wechatpy: WeCom calls of its client, and its own code for callbacks."""

import json
import sys
from typing import Any

from wechatpy.enterprise import WeChatClient, parse_message
from wechatpy.enterprise.crypto import WeChatCrypto
from wechatpy.exceptions import WeChatClientException


def client_of(given: dict[str, Any]) -> WeChatClient:
    class Client(WeChatClient):
        API_BASE_URL = given["base_url"] + "/cgi-bin/"

        def fetch_access_token(self) -> Any:
            params = {"corpid": self.corp_id, "corpsecret": self.secret}
            return self._fetch_access_token(url=self.API_BASE_URL + "gettoken", params=params)

    return Client(given["corpid"], given["secret"])


def call(client: WeChatClient, name: str, arguments: dict[str, Any]) -> Any:
    place = client
    *path, last = name.split(".")
    for part in path:
        place = getattr(place, part)
    try:
        return getattr(place, last)(**arguments)
    except WeChatClientException as error:
        return {"errcode": error.errcode}


def opened(crypto: WeChatCrypto, one: dict[str, str]) -> dict[str, str]:
    text = crypto.decrypt_message(one["body"], one["msg_signature"], one["timestamp"], one["nonce"])
    event = parse_message(text)
    return {"event": event.event, "source": event.source}


def main() -> None:
    given = json.load(sys.stdin)
    crypto = WeChatCrypto(given["token"], given["aes_key"], given["corpid"])
    calls = given.get("calls", [])
    client = client_of(given) if calls else None
    said = {
        "answers": [call(client, *one) for one in calls],
        "sealed": [crypto.encrypt_message(*one) for one in given.get("seal", [])],
        "opened": [opened(crypto, one) for one in given.get("open", [])],
        "greeted": [crypto.check_signature(**one) for one in given.get("greet", [])],
    }
    json.dump(said, sys.stdout, default=str)


main()
