"""Who may call: the signatures V3 and V1 over a request, its time and its nonce."""

import hashlib
import hmac
from collections import deque
from collections.abc import Mapping

from simulator.outside import Call
from simulator.providers.aliyun import signature
from simulator.providers.aliyun.rules import AliyunAccount, Refusal

CLOCK_TOLERANCE = 15 * 60


class Gate:
    """Checks requests against the accounts, which may grow."""

    def __init__(self, accounts: Mapping[str, AliyunAccount]) -> None:
        self.accounts = accounts
        self._nonces: set[tuple[str, str]] = set()
        self._nonce_order: deque[tuple[float, tuple[str, str]]] = deque()

    def admit(self, call: Call, query: list[tuple[str, str]], parameters: dict[str, str]) -> tuple[str, str, str]:
        """Return (key, action, version) of an authentic request, else Refusal."""
        return self._verify_v3(call, query) if "authorization" in call.headers else self._verify_v1(call, parameters)

    def _verify_v3(self, call: Call, query: list[tuple[str, str]]) -> tuple[str, str, str]:
        """Check the V3 signature with the header list as sent; return (key, action, version)."""
        headers = call.headers
        given = signature.parse_authorization(headers["authorization"])
        if given is None:
            raise Refusal("IncompleteSignature", "The request signature does not conform to Aliyun standards.", 400)
        account = self._account(given.key)
        self._check_time(headers.get("x-acs-date", ""), call.now)
        body_hash = hashlib.sha256(call.body).hexdigest() if call.body else signature.EMPTY_HASH
        request = signature.canonical_request(call.method, "/", query, headers, given.signed_headers, body_hash)
        good = hmac.compare_digest(signature.sign_v3(account.secret, request), given.signature)
        if not good or headers.get("x-acs-content-sha256") != body_hash:
            raise Refusal("SignatureDoesNotMatch", "Specified signature is not matched with our calculation.", 400)
        if missing := signature.unsigned_headers(headers, given.signed_headers):
            raise Refusal("IncompleteSignature", f"Headers not signed: {','.join(missing)}", 400)
        self._use_nonce(given.key, headers.get("x-acs-signature-nonce", ""), call.now)
        return given.key, headers.get("x-acs-action", ""), headers.get("x-acs-version", "")

    def _verify_v1(self, call: Call, parameters: dict[str, str]) -> tuple[str, str, str]:
        """Check the legacy signature over all parameters; return (key, action, version)."""
        if "Signature" not in parameters or "AccessKeyId" not in parameters:
            raise Refusal("MissingAccessKeyId", "AccessKeyId is mandatory for this action.", 400)
        account = self._account(parameters["AccessKeyId"])
        self._check_time(parameters.get("Timestamp", ""), call.now)
        method = (parameters.get("SignatureMethod"), parameters.get("SignatureVersion"))
        expected = signature.sign_v1(account.secret, call.method, parameters)
        if method != ("HMAC-SHA1", "1.0") or not hmac.compare_digest(expected, parameters["Signature"]):
            raise Refusal("SignatureDoesNotMatch", "Specified signature is not matched with our calculation.", 400)
        self._use_nonce(parameters["AccessKeyId"], parameters.get("SignatureNonce", ""), call.now)
        return parameters["AccessKeyId"], parameters.get("Action", ""), parameters.get("Version", "")

    def _account(self, key: str) -> AliyunAccount:
        account = self.accounts.get(key)
        if account is None:
            raise Refusal("InvalidAccessKeyId.NotFound", "Specified access key is not found.", 404)
        return account

    def _check_time(self, text: str, now: float) -> None:
        moment = signature.parse_time(text)
        if moment is None:
            raise Refusal("InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.", 400)
        if abs(now - moment) > CLOCK_TOLERANCE:
            raise Refusal("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.", 400)

    def _use_nonce(self, key: str, nonce: str, now: float) -> None:
        """Remember a nonce as long as its time stamp could still be accepted."""
        while self._nonce_order and self._nonce_order[0][0] < now - 2 * CLOCK_TOLERANCE:
            self._nonces.discard(self._nonce_order.popleft()[1])
        if not nonce or (key, nonce) in self._nonces:
            raise Refusal("SignatureNonceUsed", "Specified signature nonce was used already.", 400)
        self._nonces.add((key, nonce))
        self._nonce_order.append((now, (key, nonce)))
