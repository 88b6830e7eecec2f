"""The tables of three contract sheets, written down a second time: each code is there, and means what it should.

A row that stands otherwise in a sheet says why.
"""

from datetime import timedelta

import pytest

from apps.channels.outcomes import Rejected, Throttled
from tests.channels.golden_files import Kind, kinds

WECHAT = {
    "Unknown": "-1",  # the sheets have it repeated; "busy" says nothing of the message
    "StaleToken": "40001 40014 42001",
    "Misconfigured": "41001 40002 40013 40125 40164 40243 41002 41004 89501 89503 89506 89507 48001 48004",
    "Throttled account": "45009 45011",
    "Throttled recipient": "43108",
    # 40037, 40165, 41030: the account's fault in the sheets, but other texts of the account still go out
    "Rejected content": "40037 40165 41030 44002 45168 47001 47003",
}
WECOM = {
    "Unknown": "-1",  # as at WeChat
    "Throttled account": "45033",
    "Rejected content": "40008 40058 44004 45002 85002",
}
FEISHU = {
    "StaleToken": "99991663 99991664 99991671",
    "Misconfigured": "99991661 99991668 99991677 99991672 99991679 99991401 99991403 10014",
    "Throttled account": "99991400",
    "Rejected recipient": "99992351 99992352 99992353",
    "Unknown": "2200",
}
TABLES: dict[str, dict[str, str]] = {
    "wechat_oa": WECHAT
    | {
        "Rejected recipient": "40003 43004 43019 46004 50005 48002 43101 50002 45015 45047",
        "Rejected content": f"{WECHAT['Rejected content']} 40249 43002 45002",
        "Misconfigured": f"{WECHAT['Misconfigured']} 45026 45027 45109 61003 61007",
    },
    "wechat_mini": WECHAT | {"Rejected recipient": "40003 43101 43107", "Unknown": "-1 20001 1700"},
    "wecom_app": WECOM
    | {
        "Throttled account": "6000 45009 45033",
        "StaleToken": "40014 42001",
        "Misconfigured": "40001 40013 40091 41001 41002 41004 40056 41011 301002 50003 60020 48002 48004 301007 2000002",
        "Rejected recipient": "81013 60111 40003 46004 40031 43004 50002 60011 301021 701008",
        "Rejected call": "40032 82002 82003",
        "Rejected content": f"{WECOM['Rejected content']} 82001",
    },
    "wecom_robot": WECOM | {"Throttled recipient": "45009", "Rejected recipient": "93000 93008"},
    "feishu_app": FEISHU
    | {
        "Misconfigured": f"{FEISHU['Misconfigured']} 10003 230006 230027",
        "Throttled recipient": "230020",
        "Unknown": "2200 230049",  # repeated under the same uuid
        "Rejected content": "230001 230022 230025 230028 230054 230055 230075 230099",
        "Rejected recipient": f"{FEISHU['Rejected recipient']} 230002 230013 230017 230018 230029 230034 230035 230036 230038 "
        "230053 232009",
    },
    "feishu_announcement": FEISHU
    | {
        "Throttled account": "99991400 11247",
        "Rejected content": "10002 10003 11203 11204 11205 11207 11209 11210 11227 11231 11235 11246 11312",
        "Rejected recipient": f"{FEISHU['Rejected recipient']} 11101 11223",
    },
    "feishu_robot": {
        "Throttled recipient": "11232 99991400",
        "Rejected recipient": "19001 19021 19022 19024",
        "Rejected content": "9499 230022 230025",
    },
}
WAITS = {  # seconds; a wait that the answer names itself is not in the table
    "wechat_oa": {"45011": 60, "43108": 3},
    "wechat_mini": {"45011": 60, "43108": 3},
    "wecom_app": {"6000": 1, "45009": 60, "45033": 3},
    "wecom_robot": {"45009": 60, "45033": 3},
    "feishu_app": {"230020": 2},
    "feishu_robot": {"11232": 5, "99991400": 5},
}
HOOKS = {  # what is answered to a callback, by which the provider knows that it was taken
    "wechat_oa": ("text/plain", b"success"),
    "wechat_mini": ("text/plain", b"success"),
    "wecom_app": ("text/plain", b""),
    "feishu_app": ("application/json", b"{}"),
}
KINDS = [kind for kind in kinds() if kind.name in TABLES]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_codes_mean_what_the_contract_says(kind: Kind) -> None:
    assert {one.name for one in KINDS} == set(TABLES)
    told = {code: word for word, codes in TABLES[kind.name].items() for code in codes.split()}
    assert set(kind.codes) == set(told), "no code more, none less"
    for code, word in told.items():
        outcome = kind.adapter.read(kind.account, kind.envelopes(), kind.refusal(code))
        scope = f" {outcome.scope}" if isinstance(outcome, Rejected | Throttled) else ""
        assert f"{type(outcome).__name__}{scope}" == word, code
        assert not getattr(outcome, "unmapped", False), code


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_who_is_throttled_waits_as_long_as_the_contract_says(kind: Kind) -> None:
    waits = {
        code: one.retry_after for code, one in kind.codes.items() if isinstance(one, Throttled) and one.retry_after
    }
    assert waits == {code: timedelta(seconds=seconds) for code, seconds in WAITS.get(kind.name, {}).items()}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.name in HOOKS], ids=lambda kind: kind.name)
def test_a_callback_is_answered_as_the_provider_wants_it(kind: Kind) -> None:
    assert kind.adapter.hook_answer == HOOKS[kind.name] and kind.adapter.hook_trust == "signature"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_address_is_given_up(kind: Kind) -> None:
    """An id is one of an account or tenant: what one account is told of it may not be so for another."""
    assert not [code for code, outcome in kind.codes.items() if getattr(outcome, "bad_address", False)]
