"""Runs in the environment of dingtalk-sdk: its token handling, its calls, its encryption of callbacks."""

import json
import sys
from typing import Any

from dingtalk.client import AppKeyClient
from dingtalk.core.exceptions import DingTalkClientException
from dingtalk.crypto import DingTalkCrypto


def client(given: dict[str, Any]) -> Any:
    AppKeyClient.API_BASE_URL = given["base_url"] + "/"
    return AppKeyClient(given["corp_id"], given["app_key"], given["app_secret"])


def call(made: Any, path: str, document: dict[str, Any]) -> Any:
    try:
        return made.post(path, document)
    except DingTalkClientException as error:
        return {"raised": error.errcode}


def main() -> None:
    given = json.load(sys.stdin)
    said: dict[str, Any] = {}
    if "calls" in given:
        made = client(given)
        said["answers"] = [call(made, *one) for one in given["calls"]]
    crypto = DingTalkCrypto(given["token"], given["aes_key"], given["app_key"])
    if "encrypt" in given:
        said["encrypted"] = crypto.encrypt_message(given["encrypt"], nonce="nonce42", timestamp=given["timestamp"])
    if "decrypt" in given:
        one = given["decrypt"]
        words = (one["msg_signature"], one["timeStamp"], one["nonce"])
        said["decrypted"] = crypto.decrypt_message({"encrypt": one["encrypt"]}, *words)
    json.dump(said, sys.stdout)


main()
