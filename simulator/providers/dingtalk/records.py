"""What the provider remembers of applications and tasks, and how it reads the bodies of calls."""

import json
from dataclasses import dataclass, field
from typing import Any

from simulator.outside import Arrival, Call
from simulator.providers.dingtalk.rules import Refusal

APP_KEY, APP_SECRET = "dingUMSappkey01", "TestAppSecret000000000000000001"
AGENT_ID, ROBOT_CODE = 1234567890, "dingUMSrobot1"
CALLBACK_TOKEN, AES_KEY = "umsCallbackToken", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


@dataclass(slots=True)
class App:
    """One internal application."""

    secret: str = APP_SECRET
    agent_id: int = AGENT_ID
    robot_code: str = ROBOT_CODE
    callback_token: str = CALLBACK_TOKEN
    aes_key: str = AES_KEY


@dataclass(slots=True)
class Task:
    """What one call sent: a work notification or a robot's message to several."""

    app: str
    at: float
    recipients: int
    arrivals: list[Arrival] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    forbidden: dict[str, str] = field(default_factory=dict)


def body_of(call: Call) -> dict[str, Any]:
    """Return the body, JSON or a form."""
    form = call.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    try:
        document = call.form if form else call.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Refusal("invalidParameter.body" if call.path.startswith("/v1.0/") else "40035", "不合法的参数")
    return document


def msg_of(document: dict[str, Any]) -> Any:
    """Return ``msg``, in a form a JSON text."""
    msg = document.get("msg")
    try:
        return json.loads(msg) if isinstance(msg, str) else msg
    except ValueError:
        return None


def check_agent(app: App, document: dict[str, Any]) -> None:
    if str(document.get("agent_id")) != str(app.agent_id):
        raise Refusal("400002", "agent_id不合法")
