"""Runs in the environment of firebase-admin: sends over it, and reads a request and an assertion of ours with its parts."""

import json
import sys
from typing import Any

import firebase_admin
import jwt
from cryptography.hazmat.primitives import serialization
from firebase_admin import credentials, exceptions, messaging
from google.auth import crypt
from google.auth import jwt as google_jwt
from google.oauth2 import service_account


def send(app: Any, given: dict[str, Any]) -> dict[str, str]:
    message = messaging.Message(
        token=given["token"],
        data=given.get("data"),
        notification=messaging.Notification(given.get("title"), given.get("body")),
        android=messaging.AndroidConfig(priority="high", ttl=3600, collapse_key="oa"),
    )
    try:
        return {"name": messaging.send(message, given.get("dry", False), app=app)}
    except exceptions.FirebaseError as error:
        return {"error": type(error).__name__, "code": error.code}


def main() -> None:
    given = json.load(sys.stdin)
    said: dict[str, Any] = {}
    if "messages" in given:
        account = given["account"] | {"token_uri": f"{given['base']}/token"}
        messaging._MessagingService.FCM_URL = given["base"] + "/v1/projects/{0}/messages:send"
        app = firebase_admin.initialize_app(credentials.Certificate(account))
        said["answers"] = [send(app, one) for one in given["messages"]]
    if "assertion" in given:
        held = service_account.Credentials.from_service_account_info(given["account"])
        public = serialization.load_pem_private_key(given["account"]["private_key"].encode(), None).public_key()
        checked = {"audience": given["audience"], "algorithms": ["RS256"]}
        said["claims"] = jwt.decode(
            given["assertion"], public, **checked, options={"verify_exp": False, "verify_iat": False}
        )
        said["header"] = google_jwt.decode_header(given["assertion"])
        text, _, signature = given["assertion"].rpartition(".")
        verifier = crypt.RSAVerifier(public)
        said["google_agrees"] = verifier.verify(text.encode(), jwt.utils.base64url_decode(signature.encode()))
        said["signer_says"] = jwt.utils.base64url_encode(held.signer.sign(text.encode())).decode() == signature
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
