"""Runs in the environment of the official client: makes its calls, and signs given requests with its own code."""

import json
import sys
from types import SimpleNamespace
from typing import Any

from alibabacloud_dysmsapi20170525 import models
from alibabacloud_dysmsapi20170525.client import Client
from alibabacloud_tea_openapi import utils_models
from alibabacloud_tea_openapi.utils import Utils

ALGORITHM = "ACS3-HMAC-SHA256"
METHODS = {
    "SendSms": "send_sms",
    "SendBatchSms": "send_batch_sms",
    "QuerySendDetails": "query_send_details",
    "QuerySmsTemplateList": "query_sms_template_list",
    "SendRCS": "send_rcs",
}


def call(client: Client, action: str, fields: dict[str, Any]) -> Any:
    request = getattr(models, f"{action}Request")(**fields)
    try:
        return getattr(client, METHODS[action])(request).body.to_map()
    except Exception as error:  # what it raises is the answer
        code = getattr(error, "code", None)
        if code is None:
            raise
        return {"error": code}


def signature(given: dict[str, Any]) -> str:
    payload = Utils.hex_encode(Utils.hash(given["body"].encode(), ALGORITHM))
    request = SimpleNamespace(method="POST", pathname="/", query=given["query"], headers=given["headers"])
    return Utils.get_authorization(request, ALGORITHM, payload, given["key_id"], given["secret"])


def main() -> None:
    given = json.load(sys.stdin)
    config = utils_models.Config(
        access_key_id=given["key_id"],
        access_key_secret=given["secret"],
        endpoint=given["endpoint"],
        protocol="http",
        region_id="cn-hangzhou",
    )
    client = Client(config)
    said = {
        "answers": [call(client, action, fields) for action, fields in given.get("calls", ())],
        "signatures": [signature({**given, **one}) for one in given.get("sign", ())],
    }
    json.dump(said, sys.stdout)


main()
