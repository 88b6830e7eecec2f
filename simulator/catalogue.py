"""The providers that stand here. A new one is a package under ``simulator/providers/`` and one line here."""

from simulator.provider import Port, Provider
from simulator.providers.alipay.api import Alipay
from simulator.providers.aliyun.api import Aliyun
from simulator.providers.apns.port import Apns
from simulator.providers.cmpp.port import Cmpp
from simulator.providers.dingtalk.api import DingTalk
from simulator.providers.fcm.api import Fcm
from simulator.providers.feishu.api import Feishu
from simulator.providers.jpush.api import JPush
from simulator.providers.rcs.api import Rcs
from simulator.providers.smpp.port import Smpp
from simulator.providers.smtp.port import Smtp
from simulator.providers.tencent.api import Tencent
from simulator.providers.webhook.api import Webhook
from simulator.providers.wechat.api import WeChat
from simulator.providers.wecom.api import WeCom

# Asked in this order; the first that wants a call gets it. JPush takes all that is left of /v3/.
PROVIDERS: tuple[type[Provider], ...] = (
    WeChat,
    Aliyun,
    Fcm,
    JPush,
    Tencent,
    Alipay,
    DingTalk,
    WeCom,
    Webhook,
    Feishu,
    Rcs,
)

# Each listens on a port of its own: --port-<name>, and "<name>": {"host", "port"} in the ready file.
PORTS: tuple[type[Port], ...] = (Smtp, Smpp, Cmpp, Apns)
