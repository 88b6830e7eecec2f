"""What adapters share: an answer judged by its code, a pushed body, fields that check themselves, keys of calls."""

from datetime import timedelta

import pytest

from apps.channels.contract import (
    Account,
    Adapter,
    BadReceipt,
    Capabilities,
    ConfigField,
    Envelope,
    HttpAnswer,
    MailAnswer,
    call_key,
)
from apps.channels.outcomes import Accepted, Misconfigured, Rejected, Throttled, Unknown, table
from apps.channels.wire.json_answer import all_but, of_call, pushed, refused, succeeded

CODES = table(
    Misconfigured("KEY", "The key is wrong."), Throttled("45009", "Too fast."), Rejected("GONE", "Nobody is there.")
)


def answer(body: str, status: int = 200, **headers: str) -> HttpAnswer:
    return HttpAnswer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body.encode())


def test_a_success_is_its_word_behind_200() -> None:
    assert succeeded(answer('{"code":"OK","id":7}'), CODES) == {"code": "OK", "id": 7}
    assert succeeded(answer('{"errcode":0}'), CODES, name="errcode", good="0") == {"errcode": 0}
    for body, status in (
        ('{"code":"OK"}', 502),
        ("{}", 200),
        ('{"code":null}', 200),
        ('{"code":""}', 200),
        ("[]", 200),
    ):
        assert succeeded(answer(body, status), CODES) == Unknown(
            f"http_{status}", f"HTTP {status} without a readable answer."
        )
    assert isinstance(succeeded(MailAnswer("dot", 250, ""), CODES), Unknown)


def test_a_code_is_read_by_the_table_and_a_new_one_says_so() -> None:
    assert succeeded(answer('{"code":"KEY"}', 401), CODES) == CODES["KEY"]
    assert succeeded(answer('{"code":"NEW"}'), CODES) == Unknown("NEW", "A code that is in no table.", unmapped=True)
    assert refused("x" * 99, CODES).code == "x" * 80


@pytest.mark.parametrize(
    ("said", "wait"), [("7", 7), ("0", 1), ("999999", 86400), ("soon", None), ("", None), ("9" * 30, None)]
)
def test_a_slowed_call_waits_as_long_as_it_is_told(said: str, wait: int | None) -> None:
    found = succeeded(answer('{"code":45009}', 429, retry_after=said), CODES)
    assert found == Throttled("45009", "Too fast.", timedelta(seconds=wait) if wait else None)


def test_a_refusal_for_the_sake_of_one_of_several_is_looked_for() -> None:
    people = [Envelope(f"k{n}", f"r{n}", "a", {}) for n in range(2)]
    assert of_call(CODES["GONE"], people[:1]) == CODES["GONE"]
    assert of_call(CODES["GONE"], people) == Rejected("GONE", "Nobody is there.", "call")
    assert of_call(CODES["KEY"], people) == CODES["KEY"]


def test_everybody_is_accepted_but_those_in_the_list_of_failures() -> None:
    people, taken = [Envelope("k", "r", address, {}) for address in "ab"], Accepted("7")
    assert all_but(people, taken, {}) == taken
    assert all_but(people, taken, {"b": CODES["GONE"]}) == [taken, CODES["GONE"]]
    assert isinstance(all_but(people, taken, {"b": CODES["GONE"], "+b": CODES["GONE"]}), Unknown)


def test_a_pushed_body_is_read_or_refused() -> None:
    assert pushed(b'{"all":[1,2]}', lambda said: list(said["all"])) == [1, 2]
    for body in (b"", b"\xff", b"{}", b"[]", b"null", b"[" * 60000):
        with pytest.raises(BadReceipt) as told:
            pushed(body, lambda said: list(said["all"]))
        assert told.value.__cause__ is None


def test_a_key_goes_with_the_people_of_the_call() -> None:
    one, two, three = (Envelope(f"k{n}", "r", "a", {}) for n in range(3))
    assert call_key([one]) == "k0"
    assert call_key([one, two]) == call_key([two, one])
    assert len({call_key(people) for people in ([one], [one, two], [one, three], [one, two, three])}) == 4
    assert call_key([Envelope("reserved", "r", "a", {}), Envelope("reserved", "s", "b", {})]) == "reserved"


class Many(Adapter):
    kind = label = "many"
    config_fields = (
        ConfigField("base_url", "Endpoint", type="url"),
        ConfigField("recipients_per_call", "Numbers per call", type="integer", required=False, least=1, most=50),
    )
    capabilities = Capabilities("phone", recipients_per_call=50)


@pytest.mark.parametrize(
    "value", ["", "host", "ftp://host", "https://", "http://[", "https://a b", "https://a\r\nX: y"]
)
def test_an_endpoint_that_is_none_is_named(value: str) -> None:
    problems = Many().check_config({"base_url": value})
    assert set(problems) == {"base_url"} and problems["base_url"].endswith(".")


@pytest.mark.parametrize(
    ("value", "size"), [(None, 50), ("", 50), (1, 1), ("20", 20), (0, 50), (51, 50), (-1, 1), ("x", 1)]
)
def test_the_size_of_a_call_stays_within_its_bounds(value: object, size: int) -> None:
    config = {"base_url": "https://host", "recipients_per_call": value}
    assert Many().call_size(Account("main", "many", config)) == size
    sound = value in (None, "", 1, "20")
    assert (Many().check_config(config) == {}) == sound


def test_a_setting_of_another_pattern_is_named_without_its_value() -> None:
    key = ConfigField("key", "Key", pattern=r"[!-~]+")
    assert key.problem("PK-1") == "" and key.problem("") == "Key is required."
    assert key.problem("a\r\nX-Other: b") == "Key is not of the expected form."


def test_a_path_stands_behind_the_endpoint() -> None:
    assert Account("main", "many", {"base_url": "https://host/base/"}).url("/v1") == "https://host/base/v1"
