"""Runs in the environment of the official client: makes its calls, and signs given requests with its own code."""

import json
import sys
from types import SimpleNamespace
from typing import Any

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.sms.v20210111 import models, sms_client


def call(client: Any, name: str, document: dict[str, Any]) -> Any:
    request = getattr(models, f"{name}Request")()
    request.from_json_string(json.dumps(document))
    try:
        return json.loads(getattr(client, name)(request).to_json_string())
    except TencentCloudSDKException as error:
        return {"error": error.code}


def signature(client: Any, given: dict[str, Any]) -> str:
    request = SimpleNamespace(method="POST", uri="/", data=given["body"], header=given["headers"])
    return client._get_tc3_signature({}, request, given["day"], "sms", given["secret_key"])


def main() -> None:
    given = json.load(sys.stdin)
    profile = HttpProfile(protocol="http", endpoint=given["endpoint"], reqMethod="POST")
    keys = credential.Credential(given["secret_id"], given["secret_key"])
    client = sms_client.SmsClient(keys, "ap-guangzhou", ClientProfile(httpProfile=profile))
    said = {
        "answers": [call(client, name, document) for name, document in given.get("calls", ())],
        "signatures": [signature(client, one) for one in given.get("sign", ())],
    }
    json.dump(said, sys.stdout)


main()
