"""dingtalk-sdk: its calls and tokens against the simulator, its encryption against our callback, both ways."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from apps.channels.contract import Account, AddressEvent, HookRequest
from apps.channels.hooks import greeting, heard
from apps.channels.registry import adapter
from tests.channels.sdk.environment import run
from tests.simulator.clients import Simulator

pytestmark = pytest.mark.sdk

KEYS = {
    "corp_id": "ding1",
    "app_key": "dingUMSappkey01",
    "app_secret": "TestAppSecret000000000000000001",
    "token": "umsCallbackToken",
    "aes_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
}
CONVERSATION = "/topapi/message/corpconversation/"
NOTICE = {
    "agent_id": 1234567890,
    "userid_list": "sdk1,sdk2",
    "msg": {"msgtype": "text", "text": {"content": "设备 A-01 告警 by the client"}},
}


def client(sdk_python: Callable[[str], Path], simulator: Simulator, **document: Any) -> Any:
    return run(sdk_python("dingtalk"), "dingtalk/client.py", KEYS | {"base_url": simulator.http} | document)


def test_its_calls_are_taken(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    before = len(simulator.ledger())
    bad = NOTICE | {"msg": {"msgtype": "song"}}
    answers = client(
        sdk_python,
        simulator,
        calls=[
            (f"{CONVERSATION}asyncsend_v2", NOTICE),
            (f"{CONVERSATION}asyncsend_v2", bad),
            ("/topapi/v2/user/getbymobile", {"mobile": "1"}),
        ],
    )["answers"]
    assert answers[0]["errcode"] == 0 and isinstance(answers[0]["task_id"], int)
    assert answers[1:] == [{"raised": 34001}, {"raised": 60121}]
    assert len(simulator.ledger()) - before == 2


def test_it_fetches_a_new_token_where_the_old_one_ended(
    sdk_python: Callable[[str], Path], simulator: Simulator
) -> None:
    simulator.control({"scripts": [{"provider": "dingtalk", "match": "all", "do": ["token_error"], "times": 1}]})
    notice = NOTICE | {"userid_list": "sdk3"}
    (answer,) = client(sdk_python, simulator, calls=[(f"{CONVERSATION}asyncsend_v2", notice)])["answers"]
    assert answer["errcode"] == 0


def test_its_encryption_is_ours(sdk_python: Callable[[str], Path], simulator: Simulator) -> None:
    kind = adapter("dingtalk_work")
    config = {"app_key": KEYS["app_key"], "callback_token": KEYS["token"], "callback_aes_key": KEYS["aes_key"]}
    account = Account("a", "dingtalk_work", config)
    now = datetime.now(UTC)
    stamp = str(int(now.timestamp() * 1000))

    def arriving(event: dict[str, Any]) -> HookRequest:
        said = client(sdk_python, simulator, encrypt=json.dumps(event), timestamp=stamp)["encrypted"]
        query = {"signature": said["msg_signature"], "timestamp": said["timeStamp"], "nonce": said["nonce"]}
        return HookRequest({}, query, json.dumps({"encrypt": said["encrypt"]}).encode(), now)

    (event,) = heard(kind, account, arriving({"EventType": "user_leave_org", "UserId": ["sdk1"]}))
    assert isinstance(event, AddressEvent) and (event.address, event.reachable) == ("sdk1", False)
    reply = greeting(kind, account, arriving({"EventType": "check_url"}))
    assert reply is not None
    assert client(sdk_python, simulator, decrypt=json.loads(reply.body))["decrypted"] == "success"
