"""App push over Firebase Cloud Messaging (HTTP v1): one device a call, an access token bought with a signed assertion."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from apps.channels.contract import (
    Account,
    Adapter,
    Answer,
    Capabilities,
    ConfigField,
    ContentField,
    Envelope,
    HttpAnswer,
    HttpRequest,
    Token,
)
from apps.channels.outcomes import Accepted, Outcome, Throttled, Unknown
from apps.channels.providers.push_fcm.codes import CODES, MALFORMED, TOKEN_REFUSALS
from apps.channels.wire.json_answer import dumps, json_object, no_answer
from apps.channels.wire.jwt import BadKey, signed, signing_key

AUDIENCE = (
    "https://oauth2.googleapis.com/token"  # stays the same where the endpoint is reached over a proxy of one's own
)
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_LIFE_S = 3600
MAX_PAYLOAD_BYTES = 4096
MAX_TTL_S = 28 * 86400
LONGEST_WAIT_S = 3600
RESERVED = ("from", "message_type", "collapse_key")
RESERVED_STARTS = ("google", "gcm")


class PushFcm(Adapter):
    kind = "push_fcm"
    label = "App push (FCM)"
    config_fields = (
        ConfigField(
            "service_account",
            "Service account (JSON)",
            secret=True,
            type="json",
            help="Firebase console, project settings, service accounts, generate new private key: the whole file.",
        ),
        ConfigField("base_url", "Push endpoint", type="url", default="https://fcm.googleapis.com"),
        ConfigField(
            "token_url",
            "Token endpoint",
            type="url",
            default=AUDIENCE,
            help="Another one only where Google is reached over a proxy of your own.",
        ),
        ConfigField(
            "project_id",
            "Project id",
            required=False,
            help="Left empty, that of the service account. Console, project settings, general.",
        ),
        ConfigField(
            "target",
            "Addresses are",
            type="choice",
            choices=("token", "fid"),
            default="token",
            required=False,
            help="token: registration tokens. fid: Firebase installation ids.",
        ),
        ConfigField(
            "priority",
            "Priority on Android",
            type="choice",
            choices=("high", "normal"),
            default="high",
            required=False,
            help="high wakes a sleeping device, normal waits for it.",
        ),
        ConfigField(
            "time_to_live",
            "Seconds kept for offline devices",
            type="integer",
            default=86400,
            required=False,
            help="0 reaches devices online now only; 28 days at most.",
        ),
        ConfigField("channel_id", "Android notification channel", required=False, help="As the app created it."),
    )
    content_fields = (
        ContentField("title", "Title", required=False, max_length=200),
        ContentField("alert", "Text", max_length=2000, multiline=True),
        ContentField("extras", "Extra values for the app", required=False, mapping=True),
    )
    capabilities = Capabilities(address_kind="fcm", offline_store=True)
    uses_token = True
    verified_with = "firebase-admin 7.7.0"

    def check_config(self, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_config(config)
        for name in ("base_url", "token_url"):
            url = urlsplit(str(config.get(name, "")))
            if name not in problems and (url.scheme not in ("http", "https") or not url.netloc):
                problems[name] = "The endpoint must begin with https:// and name a host."
        if not 0 <= _integer(config.get("time_to_live"), 0) <= MAX_TTL_S:
            problems["time_to_live"] = f"Must be a number from 0 to {MAX_TTL_S}."
        for name in ("target", "priority"):
            choices = next(field.choices for field in self.config_fields if field.name == name)
            if config.get(name) not in (None, "", *choices):
                problems[name] = f"Must be one of {', '.join(choices)}."
        if "service_account" not in problems:
            problem = _account_problem(config)
            problems |= {"service_account": problem} if problem else {}
        return problems

    def check_content(self, content: Mapping[str, Any]) -> dict[str, str]:
        problems = super().check_content(content)
        reserved = sorted(name for name in content.get("extras") or () if _reserved(str(name)))
        if reserved:
            problems["extras"] = "The provider keeps these names for itself: " + ", ".join(reserved) + "."
        size = sum(len(dumps(part).encode()) for part in (_notification(content), _data(content, "0" * 13)))
        if "alert" not in problems and size > MAX_PAYLOAD_BYTES:
            problems["alert"] = f"Title, text and extras take {size} bytes, {MAX_PAYLOAD_BYTES} are allowed."
        return problems

    def build_token(self, account: Account, now: datetime) -> HttpRequest:
        held = _service_account(account.config)
        issued = int(now.timestamp())
        claims = {
            "iss": held["client_email"],
            "scope": SCOPE,
            "aud": AUDIENCE,
            "iat": issued,
            "exp": issued + ASSERTION_LIFE_S,
        }
        assertion = signed(signing_key(held["private_key"], "RS256"), claims, str(held.get("private_key_id") or ""))
        form = urlencode({"grant_type": GRANT, "assertion": assertion})
        headers = ["Content-Type: application/x-www-form-urlencoded"]
        return HttpRequest("POST", account.config["token_url"], headers, form.encode())

    def read_token(self, account: Account, answer: HttpAnswer) -> Token | Outcome:
        body = json_object(answer)
        if isinstance(body, Unknown):
            return body
        value, seconds = body.get("access_token"), body.get("expires_in")
        if answer.status == 200 and isinstance(value, str) and value and isinstance(seconds, int) and seconds > 0:
            return Token(value, timedelta(seconds=seconds))
        error = body.get("error")
        if not isinstance(error, str):
            return no_answer(answer)
        return TOKEN_REFUSALS.get(error) or Unknown(error[:80], "A code that is in no table.", unmapped=True)

    def build(self, account: Account, envelopes: Sequence[Envelope], now: datetime) -> HttpRequest:
        """Carries the reference as data value, and as tag and collapse id: a repeat replaces what the device shows."""
        config, one = account.config, envelopes[0]
        ttl = _integer(config.get("time_to_live"), 86400)
        shown = {"tag": one.reference, "sound": "default"}
        if config.get("channel_id"):
            shown["channel_id"] = str(config["channel_id"])
        expires = str(int(now.timestamp()) + ttl) if ttl else "0"
        message = {
            config.get("target") or "token": one.address,
            "notification": _notification(one.content),
            "data": _data(one.content, one.reference),
            "android": {"priority": config.get("priority") or "high", "ttl": f"{ttl}s", "notification": shown},
            "apns": {
                "headers": {"apns-collapse-id": one.reference, "apns-expiration": expires},
                "payload": {"aps": {"sound": "default"}},
            },
        }
        project = quote(config.get("project_id") or _service_account(config)["project_id"], safe="")
        return HttpRequest(
            "POST",
            f"{config['base_url'].rstrip('/')}/v1/projects/{project}/messages:send",
            [f"Authorization: Bearer {account.token}", "Content-Type: application/json; charset=UTF-8"],
            dumps({"message": message}).encode(),
        )

    def read(self, account: Account, envelopes: Sequence[Envelope], answer: Answer) -> Outcome:
        body = json_object(answer)
        if isinstance(body, Unknown):
            return body
        assert isinstance(answer, HttpAnswer)
        name = body.get("name")
        if answer.status == 200 and isinstance(name, str) and name.startswith("projects/"):
            return Accepted(name.rpartition("/")[2][:100])
        error = body.get("error")
        code = _code(error) if isinstance(error, dict) else ""
        if not code:
            return no_answer(answer)
        outcome = CODES.get(code) or Unknown(code[:80], "A code that is in no table.", unmapped=True)
        return _with_wait(outcome, answer) if isinstance(outcome, Throttled) else outcome


def _code(error: Mapping[str, Any]) -> str:
    """The provider's own word: that of its FcmError, else the status that every Google API has."""
    details = [one for one in error.get("details") or () if isinstance(one, dict)]
    words = [
        one.get("errorCode") for one in details if str(one.get("@type")).endswith("google.firebase.fcm.v1.FcmError")
    ]
    code = str((words or [error.get("status")])[0] or "")
    if code != "INVALID_ARGUMENT":
        return code
    blamed = [one for one in details if str(one.get("@type")).endswith("google.rpc.BadRequest")]
    fields = {
        str(violation.get("field"))
        for one in blamed
        for violation in one.get("fieldViolations") or ()
        if isinstance(violation, dict)
    }
    if not fields & {"message.token", "message.fid"} and (blamed or not words):
        return MALFORMED
    return code


def _with_wait(outcome: Throttled, answer: HttpAnswer) -> Throttled:
    wait = answer.headers.get("retry-after", "")
    if not wait.isdecimal() or int(wait) == 0:
        return outcome
    seconds = timedelta(seconds=min(int(wait[:9]), LONGEST_WAIT_S))
    return replace(outcome, retry_after=max(seconds, outcome.retry_after or seconds))


def _notification(content: Mapping[str, Any]) -> dict[str, str]:
    title = {"title": str(content["title"])} if content.get("title") else {}
    return title | {"body": str(content.get("alert") or "")}


def _data(content: Mapping[str, Any], reference: str) -> dict[str, str]:
    return {str(name): str(value) for name, value in (content.get("extras") or {}).items()} | {"delivery": reference}


def _reserved(name: str) -> bool:
    return name.lower() in RESERVED or name.lower().startswith(RESERVED_STARTS)


def _service_account(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The service account's file. Raises ValueError for what is no object of JSON."""
    value = config.get("service_account")
    held = json.loads(value) if isinstance(value, str | bytes) else value
    if not isinstance(held, dict):
        raise ValueError("The service account is no object of JSON.")
    return held


def _account_problem(config: Mapping[str, Any]) -> str:
    """What is wrong with the file, without any of its contents; empty for a sound one."""
    try:
        held = _service_account(config)
    except (ValueError, RecursionError):
        return "The service account must be the whole JSON file."
    needed = ["client_email", "private_key"] + ([] if config.get("project_id") else ["project_id"])
    missing = [name for name in needed if not isinstance(held.get(name), str) or not held[name]]
    if missing:
        return "The service account's file lacks " + ", ".join(missing) + "."
    try:
        signing_key(held["private_key"], "RS256")
    except BadKey as bad:
        return str(bad)
    return ""


def _integer(value: Any, default: int) -> int:
    try:
        return default if value in (None, "") else int(value)
    except (TypeError, ValueError):
        return -1
