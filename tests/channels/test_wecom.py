"""WeCom application messages: what the conformance suite does not ask."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from apps.channels.contract import AddressLimit, BadReceipt, Envelope, HttpAnswer, Idempotency
from apps.channels.hooks import heard
from apps.channels.outcomes import Accepted, Rejected, Unknown
from tests.channels.golden_files import NOW, Kind, hook_request, kinds

numbers = iter(range(10**9))


def envelopes(*userids: str, text: str = "") -> list[Envelope]:
    content = {"text": text or f"您的审批已通过 {next(numbers)}"}
    return [Envelope(f"k{n}", f"r{n}", userid, content) for n, userid in enumerate(userids)]


@pytest.fixture
def kind() -> Kind:
    return next(one for one in kinds() if one.name == "wecom_app")


def answered(**body: object) -> HttpAnswer:
    return HttpAnswer(200, {}, json.dumps({"errcode": 0, "errmsg": "ok", "msgid": "M1"} | body).encode())


@pytest.mark.parametrize("bars", [True, False])
def test_members_of_the_lists_are_refused_and_the_others_accepted(kind: Kind, bars: bool) -> None:
    def listed(*names: str) -> object:
        return "|".join(names) if bars else list(names)

    group = envelopes("a", "b", "c", "d")
    answer = answered(invaliduser=listed("b", "stranger"), unlicenseduser=listed("d"), invalidparty="")
    outcomes = kind.adapter.read(kind.account, group, answer)
    assert isinstance(outcomes, list)
    assert [getattr(one, "code", "") for one in outcomes] == ["", "invaliduser", "", "unlicenseduser"]
    assert outcomes[0] == Accepted("M1") and isinstance(outcomes[1], Rejected) and outcomes[1].scope == "recipient"


def test_names_come_back_in_lower_case_and_the_lists_may_be_missing(kind: Kind) -> None:
    found = kind.adapter.read(kind.account, envelopes("ZhangSan"), answered(invaliduser="zhangsan"))
    assert isinstance(found, Rejected)
    assert kind.adapter.read(kind.account, envelopes("a", "b"), answered()) == Accepted("M1")


def test_what_the_contract_gives_a_member_a_group_and_a_recall(kind: Kind) -> None:
    can, minute = kind.adapter.capabilities, timedelta(minutes=1)
    assert can.address_limits == (AddressLimit(30, minute), AddressLimit(1000, timedelta(hours=1)))
    assert can.recall_within == timedelta(hours=24)
    robot = next(one for one in kinds() if one.name == "wecom_robot").adapter
    assert robot.capabilities.address_limits == (AddressLimit(20, minute),)
    assert robot.check_content({"text": "字" * 1365, "format": "markdown"}) == {}
    assert set(robot.check_content({"text": "字" * 1366, "format": "markdown"})) == {"text"}
    assert set(robot.check_content({"text": "x", "format": "markdown", "mentions": "a"})) == {"mentions"}
    for key in ("short", "0b1c2d3e&x=1", ""):
        with pytest.raises(ValueError):
            robot.build(kind.account, [Envelope("k", "r", key, {"text": "x"})], NOW)


def test_a_confidential_account_says_so_in_each_call(kind: Kind) -> None:
    for setting, said in (("1", 1), ("0", 0), ("", 0)):
        account = replace(kind.account, config={**kind.account.config, "safe": setting})
        request = kind.adapter.build(account, envelopes("a"), NOW)
        assert json.loads(request.body or b"")["safe"] == said  # type: ignore[union-attr]


@pytest.mark.parametrize("address", ["@all", "@ALL", "a|b", "a b", "", "x" * 65])
def test_nobody_can_be_made_everybody(kind: Kind, address: str) -> None:
    with pytest.raises(ValueError):
        kind.adapter.build(kind.account, envelopes("zhangsan", address), NOW)


def test_forms_of_a_message(kind: Kind) -> None:
    def sent(content: dict[str, str]) -> dict[str, object]:
        request = kind.adapter.build(kind.account, [Envelope("k", "r", "a", content)], NOW)
        body: dict[str, object] = json.loads(request.body or b"")  # type: ignore[union-attr]
        return body

    card = {"text": "正文", "title": "题", "url": "https://ums.example/m/1"}
    assert sent(card)["textcard"] == {"title": "题", "description": "正文", "url": "https://ums.example/m/1"}
    assert sent(card | {"button": "详情"})["textcard"]["btntxt"] == "详情"  # type: ignore[index]
    assert sent({"text": "**x**", "format": "markdown"})["markdown"] == {"content": "**x**"}
    assert kind.adapter.check_content(card) == {}
    assert set(kind.adapter.check_content(card | {"url": ""})) == {"url"}
    assert set(kind.adapter.check_content(card | {"text": "字" * 171})) == {"text"}
    assert set(kind.adapter.check_content(card | {"title": "字" * 43})) == {"title"}
    assert set(kind.adapter.check_content({"text": "x", "format": "card"})) == {"title", "url"}


def test_the_duplicate_check_can_be_switched_off(kind: Kind) -> None:
    account = replace(kind.account, config={**kind.account.config, "duplicate_check_interval": 0})
    request = kind.adapter.build(account, envelopes("a"), NOW)
    body = json.loads(request.body or b"")  # type: ignore[union-attr]
    assert body["enable_duplicate_check"] == 0 and "duplicate_check_interval" not in body


@pytest.mark.parametrize("interval", [None, 0, 60, "7200"])
def test_a_repeat_counts_as_long_as_the_provider_compares(kind: Kind, interval: object) -> None:
    account = replace(kind.account, config={**kind.account.config, "duplicate_check_interval": interval})
    can = kind.adapter.capabilities_of(account, {})
    seconds = 1800 if interval is None else int(str(interval))
    assert can.idempotency_window == timedelta(seconds=seconds)
    assert can.idempotency is (Idempotency.CONTENT if seconds else Idempotency.NONE)
    request = kind.adapter.build(account, envelopes("a"), NOW)
    body = json.loads(request.body or b"")  # type: ignore[union-attr]
    assert body.get("duplicate_check_interval", 0) == seconds


@pytest.mark.parametrize("name", ["wecom_app", "wecom_robot"])
def test_busy_says_nothing_of_the_message(name: str) -> None:
    one = next(one for one in kinds() if one.name == name)
    busy = one.adapter.read(one.account, one.envelopes(), answered(errcode=-1, errmsg="system busy"))
    assert isinstance(busy, Unknown) and busy.code == "-1" and not busy.unmapped


def test_a_callback_of_yesterday_is_refused(kind: Kind) -> None:
    for given in kind.given["hooks"] + kind.given["greetings"]:
        request = hook_request(given)
        heard(kind.adapter, kind.account, request)
        for late in (timedelta(hours=2), -timedelta(hours=2)):
            with pytest.raises(BadReceipt, match="too old"):
                heard(kind.adapter, kind.account, replace(request, received_at=request.received_at + late))


def test_a_hook_without_secrets_hears_nothing(kind: Kind) -> None:
    given = kind.given["hooks"][0]
    bare = replace(kind.account, config={**kind.account.config, "callback_token": "", "encoding_aes_key": ""})
    request = hook_request(given)
    with pytest.raises(BadReceipt, match="no callback token"):
        heard(kind.adapter, bare, request)
