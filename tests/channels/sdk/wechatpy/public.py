"""Runs in the environment of wechatpy: calls of its client for official accounts and mini programs, its callback code."""

import json
import sys
from typing import Any

from wechatpy import WeChatClient, parse_message
from wechatpy.client.api import WeChatWxa
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidAppIdException, InvalidSignatureException, WeChatClientException
from wechatpy.utils import check_signature


def client_of(given: dict[str, Any]) -> WeChatClient:
    class Client(WeChatClient):
        API_BASE_URL = given["base_url"] + "/cgi-bin/"

        def fetch_access_token(self) -> Any:
            params = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret}
            return self._fetch_access_token(url=self.API_BASE_URL + "token", params=params)

    WeChatWxa.API_BASE_URL = given["base_url"] + "/"
    return Client(given["appid"], given["secret"])


def call(client: WeChatClient, name: str, arguments: dict[str, Any]) -> Any:
    place = client
    *path, last = name.split(".")
    for part in path:
        place = getattr(place, part)
    try:
        return getattr(place, last)(**arguments)
    except WeChatClientException as error:
        return {"errcode": error.errcode}


def opened(crypto: WeChatCrypto, one: dict[str, str]) -> dict[str, Any]:
    """The clear text and, where wechatpy has a parser, what it reads in it; or the name of its refusal."""
    try:
        text = crypto.decrypt_message(one["body"], one["msg_signature"], one["timestamp"], one["nonce"])
    except (InvalidSignatureException, InvalidAppIdException) as error:
        return {"refused": type(error).__name__}
    if text.startswith("{"):
        return {"text": text}
    event = parse_message(text)
    names = ("id", "event", "status", "source", "create_time")
    return {name: str(getattr(event, name, "")) for name in names} | {"type": type(event).__name__}


def greeted(token: str, one: dict[str, str]) -> bool:
    try:
        check_signature(token, one["signature"], one["timestamp"], one["nonce"])
    except InvalidSignatureException:
        return False
    return True


def main() -> None:
    given = json.load(sys.stdin)
    crypto = WeChatCrypto(given["token"], given["aes_key"], given["appid"])
    calls = given.get("calls", [])
    client = client_of(given) if calls else None
    said = {
        "answers": [call(client, *one) for one in calls],
        "sealed": [crypto.encrypt_message(*one) for one in given.get("seal", [])],
        "opened": [opened(crypto, one) for one in given.get("open", [])],
        "greeted": [greeted(given["token"], one) for one in given.get("greet", [])],
    }
    json.dump(said, sys.stdout, default=str)


main()
