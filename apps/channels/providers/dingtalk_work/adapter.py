"""DingTalk to employees: work notifications (default), or one-to-one messages of a robot."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from apps.channels.contract import (
    Account,
    Adapter,
    AddressEvent,
    AddressLimit,
    Answer,
    Capabilities,
    ConfigField,
    ContentField,
    Envelope,
    HookReply,
    HookRequest,
    HttpAnswer,
    HttpRequest,
    ReceiptEvent,
    Receipts,
    Token,
)
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, StaleToken, Unknown
from apps.channels.providers.dingtalk_work import callback, robot, work
from apps.channels.wire.json_answer import no_answer

MAX_RECIPIENTS = 100  # getsendresult tells no more of one task
MAX_TEXT = 5000 - 17  # the provider's limit without the mark, whose reference has 13 characters at most
HOOK_PARTS = ("callback_token", "callback_aes_key")


class DingtalkWork(Adapter):
    """`random16` is a parameter so that an encrypted answer can be made again byte for byte."""

    kind = "dingtalk_work"
    label = "DingTalk (work notification)"
    config_fields = (
        ConfigField("app_key", "AppKey (Client ID)", help="Open platform: the internal application, credentials."),
        ConfigField("app_secret", "AppSecret (Client Secret)", secret=True, help="Beside the AppKey."),
        ConfigField("agent_id", "AgentId", type="integer", help="Open platform: the application's basic data."),
        ConfigField(
            "mode",
            "Sends as",
            type="choice",
            choices=("work", "robot"),
            default="work",
            required=False,
            help="work: work notifications. robot: one-to-one messages of the application's robot.",
        ),
        ConfigField("robot_code", "RobotCode", required=False, help="For robot: the application's robot page."),
        ConfigField("base_url", "Endpoint, old style", type="url", default="https://oapi.dingtalk.com"),
        ConfigField("api_base_url", "Endpoint, new style", type="url", default="https://api.dingtalk.com"),
        ConfigField(
            "recipients_per_call",
            "People per call",
            type="integer",
            default=MAX_RECIPIENTS,
            required=False,
            help="1 to 100 people that get equal text in one call; as a robot 20 at most.",
        ),
        ConfigField(
            "mark_text",
            "End each text with a mark",
            type="boolean",
            default=False,
            required=False,
            help="An employee gets one text once a day. With a mark of its own a second equal message is delivered, too.",
        ),
        ConfigField(
            "token_error_codes",
            "New style's names for an old token",
            default="InvalidAuthentication",
            required=False,
            help="Divided by commas; HTTP 401 always counts as one.",
        ),
        ConfigField(
            "callback_token", "Callback token", secret=True, required=False, help="Open platform: event subscription."
        ),
        ConfigField(
            "callback_aes_key", "Callback key", secret=True, required=False, help="EncodingAESKey, 43 characters."
        ),
    )
    content_fields = (
        ContentField("title", "Title", required=False, max_length=100, help="With a title the text is markdown."),
        ContentField("text", "Text", multiline=True, max_length=MAX_TEXT),
        ContentField(
            "url", "Link", required=False, max_length=500, help="Makes a card with one button; needs a title."
        ),
        ContentField("button", "Text of the button", required=False, max_length=20),
    )
    capabilities = Capabilities(
        address_kind="dingtalk",
        recipients_per_call=MAX_RECIPIENTS,
        receipts=Receipts.POLL,
        reports_read=True,
        poll_group=MAX_RECIPIENTS,
        recall=True,
        recall_within=timedelta(hours=24),
        address_limits=(AddressLimit(500, timedelta(days=1)),),
    )
    hook_trust = "signature"
    uses_token = True
    verified_with = "dingtalk-sdk 1.3.8"

    def __init__(self, random16: Callable[[], str] = lambda: secrets.token_hex(8)) -> None:
        self._random16 = random16

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        for name in ("base_url", "api_base_url"):
            url = urlsplit(str(config.get(name, "")))
            if name not in problems and (url.scheme not in ("http", "https") or not url.netloc):
                problems[name] = "The endpoint must begin with https:// and name a host."
        if "agent_id" not in problems and not str(config["agent_id"]).isdecimal():
            problems["agent_id"] = "AgentId is a number."
        if config.get("mode") not in ("work", "robot", "", None):
            problems["mode"] = "It is work or robot."
        if config.get("mode") == "robot" and not config.get("robot_code"):
            problems["robot_code"] = "As a robot it needs a RobotCode."
        if not 1 <= _integer(config.get("recipients_per_call"), 1) <= MAX_RECIPIENTS:
            problems["recipients_per_call"] = f"People per call must be from 1 to {MAX_RECIPIENTS}."
        return problems | _callback_problems(config)

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        url = str(content.get("url") or "")
        if url and not content.get("title"):
            problems["title"] = "A card with a link needs a title."
        if (
            "url" not in problems
            and url
            and "$" not in url
            and urlsplit(url).scheme not in ("http", "https", "dingtalk")
        ):
            problems["url"] = "The link must begin with https:// or dingtalk://."
        return problems

    def call_size(self, account: Account) -> int:
        most = robot.MAX_RECIPIENTS if _is_robot(account) else MAX_RECIPIENTS
        return min(max(_integer(account.config.get("recipients_per_call"), MAX_RECIPIENTS), 1), most)

    def build_token(self, account: Account, now: datetime) -> HttpRequest:
        return robot.token(account) if _is_robot(account) else work.token(account)

    def read_token(self, account: Account, answer: HttpAnswer) -> Token | Outcome:
        as_robot = _is_robot(account)
        body = robot.success(account, answer) if as_robot else work.success(answer)
        if isinstance(body, StaleToken):
            return Misconfigured(body.code, body.words)
        if not isinstance(body, dict):
            return body
        value, seconds = (
            body.get(name) for name in (("accessToken", "expireIn") if as_robot else ("access_token", "expires_in"))
        )
        if not isinstance(value, str) or not value or not isinstance(seconds, int) or seconds <= 0:
            return no_answer(answer)
        return Token(value, timedelta(seconds=seconds))

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """Nothing of the request depends on `now`: an equal call within the day is suppressed by the provider itself."""
        mark = f"\n\n[{envelopes[0].reference}]" if _true(account.config.get("mark_text")) else ""
        return robot.send(account, envelopes, mark) if _is_robot(account) else work.send(account, envelopes, mark)

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome | Sequence[Outcome]:
        if not isinstance(answer, HttpAnswer):
            return Unknown("no_answer", "The answer is not of HTTP.")
        if _is_robot(account):
            return robot.sent(account, envelopes, answer)
        outcome = work.sent(answer)
        if len(envelopes) > 1 and isinstance(outcome, Rejected) and outcome.scope == "recipient":
            return replace(outcome, scope="call", bad_address=False)
        return outcome

    def build_poll(
        self, account: Account, provider_id: str, addresses: Sequence[str], sent_at: datetime
    ) -> HttpRequest:
        return robot.ask(account, provider_id) if _is_robot(account) else work.ask(account, provider_id)

    def read_poll(
        self,
        account: Account,
        provider_id: str,
        addresses: Sequence[str],
        answer: HttpAnswer,
        now: datetime,
        sent_at: datetime | None = None,
    ) -> list[ReceiptEvent] | Outcome:
        if _is_robot(account):
            return robot.told(account, provider_id, addresses, answer, now)
        return work.told(provider_id, addresses, answer, now)

    def build_recall(self, account: Account, provider_id: str, addresses: Sequence[str], now: datetime) -> HttpRequest:
        """Takes the whole call back, whoever of its people is named."""
        return robot.recall(account, provider_id) if _is_robot(account) else work.recall(account, provider_id)

    def read_recall(self, account: Account, answer: HttpAnswer) -> Outcome:
        if _is_robot(account):
            return robot.recalled(account, answer)
        body = work.success(answer)
        return Accepted("") if isinstance(body, dict) else body

    def build_lookup(self, account: Account, phone: str) -> HttpRequest:
        return work.lookup(account, phone)

    def read_lookup(self, account: Account, answer: HttpAnswer) -> str | Outcome:
        return work.found(answer)

    def verify_hook(self, account: Account, request: HookRequest) -> bytes:
        return callback.clear(account, request)

    def greet_hook(self, account: Account, request: HookRequest, body: bytes) -> HookReply | None:
        return callback.greeting(account, request, body, self._random16().encode())

    def parse_hook(self, account: Account, request: HookRequest) -> list[AddressEvent]:
        return callback.events(request.body, request.received_at)


def _is_robot(account: Account) -> bool:
    return account.config.get("mode") == "robot"


def _true(value: Any) -> bool:
    return value not in (None, False, "", "false", "False", "0", 0)


def _integer(value: Any, default: int) -> int:
    try:
        return default if value in (None, "") else int(value)
    except (TypeError, ValueError):
        return -1


def _callback_problems(config: Mapping[str, Any]) -> dict[str, str]:
    """Token and key belong together; the key has the form that the console makes."""
    given = [name for name in HOOK_PARTS if config.get(name)]
    if len(given) == 1:
        (missing,) = set(HOOK_PARTS) - set(given)
        return {missing: "Callback token and key are given both or not at all."}
    probe = Account("", "", {**config, "app_key": "x"})
    if given and not callback.crypt(probe).check_key():
        return {"callback_aes_key": "The key has 43 letters and digits."}
    return {}
