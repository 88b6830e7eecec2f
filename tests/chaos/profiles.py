"""What a provider offers against double sending, one profile a way of it; the scenarios name those that they make sense for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from demo import stage

IN_FLIGHT = 20


@dataclass(frozen=True, slots=True)
class Profile:
    """`window` is how many recipients one open window may hold.

    With `gateways` so many processes keep a session and send; else the workers of the lane do. `tokens` is the name
    under which the simulator counts the account's access tokens. `our_keys`: the provider writes down the key that we
    gave, not one of its own making.
    """

    name: str
    account: str
    provider: str
    window: int
    body: dict[str, Any]
    per_call: int = 1
    keyed: bool = False
    gateways: int = 0
    tokens: str = ""
    our_keys: bool = True


BODIES: Any = stage.BODIES
SMS, PUSH = BODIES["sms_aliyun"], BODIES["push_jpush"]
SESSION = {"text": "${name}，您的余额为${balance}元。"}
TENCENT = {
    "sign_name": "优选银行",
    "template_id": "100002",
    "params": {"1": "${name}", "2": "${balance}"},
    "text": "尊敬的${name}，您的账户余额为${balance}元。回T退订",
}
FEISHU = {"text": "${name}，您的余额为${balance}元。"}
EQUAL = {"text": "本月账单已出"}
PROFILES = {
    "NONE": Profile("NONE", "sms-main", "aliyun", IN_FLIGHT, SMS),
    "KEYED": Profile("KEYED", "push-main", "jpush", IN_FLIGHT, PUSH, keyed=True),
    "GROUPED": Profile("GROUPED", "push-main", "jpush", 500, {"alert": "本月账单已出"}, per_call=10, keyed=True),
    "SESSION": Profile("SESSION", "sms-smpp", "smpp", IN_FLIGHT, SESSION, gateways=2),
    "TENCENT": Profile("TENCENT", "sms-tencent", "tencent", IN_FLIGHT, TENCENT),
    "FEISHU": Profile("FEISHU", "feishu-app", "feishu", IN_FLIGHT, FEISHU, keyed=True, tokens="cli_ums000000001"),
    "WECOM": Profile("WECOM", "wecom-app", "wecom", 500, EQUAL, per_call=10, tokens="wwUMScorp00001/1000002",
                     our_keys=False),
}  # fmt: skip
KINDS = {"aliyun": "sms_aliyun", "jpush": "push_jpush", "smpp": "sms_smpp", "tencent": "sms_tencent",
         "feishu": "feishu_app", "wecom": "wecom_app"}  # fmt: skip
