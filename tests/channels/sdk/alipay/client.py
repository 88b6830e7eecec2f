"""Runs in the environment of python-alipay-sdk: makes its calls, and verifies given requests with its own code."""

import json
import sys
from typing import Any

from alipay import AliPay, DCAliPay
from alipay.exceptions import AliPayException, AliPayValidationError


def client(given: dict[str, Any]) -> Any:
    if "certificates" not in given:
        made = AliPay(
            appid=given["app_id"],
            app_private_key_string=given["app_private"],
            alipay_public_key_string=given["alipay_public"],
        )
    else:
        made = DCAliPay(
            appid=given["app_id"],
            app_private_key_string=given["app_private"],
            app_public_key_cert_string=given["certificates"]["app"],
            alipay_public_key_cert_string=given["certificates"]["alipay"],
            alipay_root_cert_string=given["certificates"]["root"],
        )
    made._gateway = given["gateway"]
    return made


def call(made: Any, method: str, biz_content: dict[str, Any]) -> Any:
    try:
        return made.server_api(method, biz_content)
    except (AliPayException, AliPayValidationError) as error:
        return {"raised": type(error).__name__}


def verified(given: dict[str, Any], parameters: dict[str, str]) -> bool:
    """Whether the client, holding the application's public key, takes the signature of a request."""
    judge = AliPay(given["app_id"], None, given["app_private"], given["app_public"])
    sign = parameters.pop("sign")
    message = "&".join(f"{name}={value}" for name, value in judge._ordered_data(parameters))
    return bool(judge._verify(message, sign))


def main() -> None:
    given = json.load(sys.stdin)
    made = client(given)
    said: dict[str, Any] = {"answers": [call(made, *one) for one in given.get("calls", ())]}
    if "verify" in given:
        said["verified"] = [verified(given, one) for one in given["verify"]]
    if "certificates" in given:
        said["app_cert_sn"], said["root_cert_sn"] = made.app_cert_sn, made.alipay_root_cert_sn
        said["alipay_cert_sn"] = DCAliPay.get_cert_sn(given["certificates"]["alipay"])
    json.dump(said, sys.stdout)


main()
