"""FCM HTTP v1: the token endpoint and messages:send, one device a call.

Source of every rule: the project's contract sheet for this provider; see README.md beside this for what is unconfirmed.
"""

import json
import re
import secrets
from pathlib import Path
from typing import Any

from simulator.outside import Answer, Arrival, Call, Outside, Submission
from simulator.posting import Poster
from simulator.provider import Message, Provider, Shown, answer_json
from simulator.providers.fcm.assertion import Refused, check, claimed_issuer, public_key
from simulator.providers.fcm.rules import FcmError, check_message
from simulator.tokens import TokenDesk
from simulator.world import SettingError

SEND = re.compile(r"/v1/projects/([^/]+)/messages:send")
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_LIFE_S = 3600
MINUTE_S = 60
ACCOUNT = Path(__file__).with_name("service-account.json")


class Fcm(Provider):
    """The app push provider of Google."""

    name = "fcm"
    channels = {"app": "app"}
    settings = {"per_minute": 600_000}
    habits = {"unknown": 0.0, "mismatch": 0.0, "offline": 0.0, "delay": [0.0, 0.2]}
    believable = {"world": {"unknown": 0.01, "offline": 0.15, "delay": [0.2, 3.0]}}
    operations = ("send", "token")
    default_refusal = "INVALID_ARGUMENT"
    token_error = "UNAUTHENTICATED"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.tokens: TokenDesk = TokenDesk(TOKEN_LIFE_S, TOKEN_LIFE_S, same_while_valid=False)
        self.accounts: dict[str, dict[str, Any]] = {}
        self._minute = [0, 0]
        self._enrol(json.loads(ACCOUNT.read_text()))

    def _enrol(self, account: dict[str, Any]) -> None:
        pem = account.get("private_key") or account.get("public_key") or ""
        try:
            held = {"project": account["project_id"], "key": public_key(pem), "kid": account.get("private_key_id", "")}
        except (KeyError, ValueError) as wrong:
            raise SettingError("a service account needs project_id and an RSA key") from wrong
        self.accounts[account["client_email"]] = held

    # --- control, people and pages

    def control(self, document: dict[str, Any]) -> None:
        """Take service accounts (whole files; ``public_key`` may stand for ``private_key``), and the switches."""
        for account in document.pop("service_accounts", []):
            self._enrol(account)
        super().control(document)

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        """One place for each registration token."""
        return [("app", str(token)) for token in person.get("fcm", ())]

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Show title and text as the device does: Android's own parts win."""
        message = arrival.content
        own = message.get("android", {}).get("notification", {})
        shown = message.get("notification", {}) | {name: own[name] for name in ("title", "body") if name in own}
        extras = [(name, value) for name, value in message.get("data", {}).items() if name != "delivery"]
        return Shown(shown.get("title", ""), shown.get("body", ""), fields=extras)

    # --- answers that are not acceptances

    def wants(self, call: Call) -> bool:
        """The token endpoint and the send path; ``/~fcm/`` reaches both whatever else stands at /token."""
        return call.path == "/token" or SEND.fullmatch(call.path) is not None

    def refusal(self, code: str) -> Answer:
        """Answer with a word of FcmError, or of every Google API."""
        field = "message.data" if code == "BAD_REQUEST" else ""
        return _refused(FcmError("INVALID_ARGUMENT" if field else code, f"error {code}", field))

    def throttled(self, seconds: str | None) -> Answer:
        """Answer 429/QUOTA_EXCEEDED; ``seconds`` stands in Retry-After."""
        answer = self.refusal("QUOTA_EXCEEDED")
        return answer._replace(headers={"Retry-After": seconds} if seconds else {})

    def internal_error(self) -> Answer:
        """Answer 500/INTERNAL, which says nothing about acceptance."""
        return self.refusal("INTERNAL")

    # --- reading

    def read(self, call: Call) -> Submission | Answer:
        """Sell an access token, or authenticate and check one message."""
        try:
            if call.path.endswith("/token"):
                return self._token(call)
            return self._send(call)
        except Refused as refused:
            document = {"error": refused.error, "error_description": refused.words}
            return answer_json(401 if refused.error == "invalid_client" else 400, document, refused.error)
        except FcmError as error:
            return _refused(error)

    def _token(self, call: Call) -> Submission:
        if call.method != "POST":
            raise Refused("invalid_request", "POST is needed")
        try:
            form = call.form
        except ValueError:
            raise Refused("invalid_request", "the body is no form") from None
        if form.get("grant_type") != GRANT:
            raise Refused("unsupported_grant_type", "Invalid grant_type")
        assertion = form.get("assertion", "")
        account = claimed_issuer(assertion)
        held = self.accounts.get(account)
        if held is None:
            raise Refused("invalid_grant", "Invalid grant: account not found")
        check(assertion, held["key"], held["kid"], call.now)

        def accept(returned: bool) -> Answer:
            assert self.tokens is not None
            token, seconds = self.tokens.issue(account, call.now)
            return answer_json(200, {"access_token": token, "expires_in": int(seconds) - 1, "token_type": "Bearer"})

        return Submission(self.name, "token", [], accept)

    def _send(self, call: Call) -> Submission | Answer:
        project = self._authenticate(call)
        try:
            body = call.json()
        except (ValueError, RecursionError):
            raise FcmError("INVALID_ARGUMENT", "Invalid JSON payload received.", "body") from None
        message, address, dry = check_message(body)
        self._count(call.now)
        word = self.fate("app", address, "", call.now).word
        if word == "unknown":
            raise FcmError("UNREGISTERED", "Requested entity was not found.")
        if word == "mismatch":
            raise FcmError("SENDER_ID_MISMATCH", "SenderId mismatch")
        if dry:
            return answer_json(200, {"name": f"projects/{project}/messages/fake_message_id"})

        def accept(returned: bool) -> Answer:
            pid = f"0:{self.outside.new_pid()}%{secrets.token_hex(8)}"
            ref = str(message.get("data", {}).get("delivery", ""))
            self.take("app", project, "", pid, [Message(address, ref, message)], returned)
            return answer_json(200, {"name": f"projects/{project}/messages/{pid}"})

        return Submission(self.name, "send", [address], accept)

    def _authenticate(self, call: Call) -> str:
        """Return the project of the path if the access token is good for it."""
        found = SEND.fullmatch(call.path)
        if found is None or call.method != "POST":
            raise FcmError("NOT_FOUND", "Requested entity was not found.")
        kind, _, token = call.headers.get("authorization", "").partition(" ")
        assert self.tokens is not None
        account, wrong = self.tokens.check(token if kind == "Bearer" else "", call.now)
        if wrong:
            raise FcmError("UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if self.accounts[account]["project"] != found[1]:
            raise FcmError("PERMISSION_DENIED", "Permission 'cloudmessaging.messages.create' denied on resource.")
        return found[1]

    def _count(self, now: float) -> None:
        """Count one message against the running minute."""
        minute = int(now) // MINUTE_S
        if self._minute[0] != minute:
            self._minute = [minute, 0]
        if self._minute[1] >= self.switches["per_minute"]:
            raise FcmError("QUOTA_EXCEEDED", "Quota exceeded for quota metric 'Send requests per minute'")
        self._minute[1] += 1


def _refused(error: FcmError) -> Answer:
    status, document = error.document()
    return answer_json(status, document, error.code)
