"""Runs in the environment of both clients: verifies given requests, and signs one each with its own code."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import standardwebhooks
import svix.webhooks

LIBRARIES = {"standardwebhooks": standardwebhooks, "svix": svix.webhooks}


def verified(library: Any, request: dict[str, Any]) -> bool:
    try:
        library.Webhook(request["secret"]).verify(request["body"], request["headers"])
    except library.WebhookVerificationError:
        return False
    return True


def signed(library: Any, given: dict[str, Any]) -> dict[str, str]:
    now = datetime.now(UTC)
    signature = library.Webhook(given["secret"]).sign(given["id"], now, given["body"])
    return {"webhook-id": given["id"], "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}


def main() -> None:
    given = json.load(sys.stdin)
    verdicts = {name: [verified(one, request) for request in given["verify"]] for name, one in LIBRARIES.items()}
    made = {name: signed(one, given["sign"]) for name, one in LIBRARIES.items()}
    json.dump({"verified": verdicts, "signed": made}, sys.stdout)


main()
