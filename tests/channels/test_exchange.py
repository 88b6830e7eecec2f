"""What is shown of an exchange tells everything but the secrets and the address, however they were written."""

import base64
import json
from urllib.parse import quote

import pytest

from apps.channels.contract import HttpAnswer, HttpRequest, MailAnswer, MailRequest, SmtpServer, TransportFault
from apps.channels.exchange import COVER, shown

SECRET, ADDRESS = "pa/ss wörd+1", "somebody@users.example"


def ways(value: str) -> list[str]:
    return [
        value,
        quote(value),
        quote(value, safe=""),
        json.dumps(value)[1:-1],
        base64.b64encode(value.encode()).decode(),
        value.encode().hex(),
    ]


@pytest.mark.parametrize("place", ["url", "header", "body"])
def test_no_way_of_writing_a_secret_is_shown(place: str) -> None:
    for value in (SECRET, ADDRESS):
        for written in ways(value):
            url = f"https://api.example/send?x={written}&y=1" if place == "url" else "https://api.example/send"
            headers = [f"X-Note: {written}"] if place == "header" else []
            body = (
                f'{{"a":"{written}","text":"你好"}}'.encode()
                if place == "body"
                else b'{"text":"\xe4\xbd\xa0\xe5\xa5\xbd"}'
            )
            answer = HttpAnswer(200, {"x-request-id": "r1"}, f"sent to {written}, thanks".encode())
            found = shown(HttpRequest("POST", url, headers, body), answer, [SECRET, ADDRESS, ""])
            assert written not in found.asked + found.answered
            assert COVER in found.asked and COVER in found.answered
            assert "你好" in found.asked and "thanks" in found.answered and "r1" in found.answered


def test_headers_that_tell_of_secrets_are_covered_whole() -> None:
    request = HttpRequest(
        "GET", "https://api.example/", ["Authorization: Basic abc", "x-acs-dingtalk-access-token: t", "Date: today"]
    )
    found = shown(request, HttpAnswer(401, {"set-cookie": "session"}, b""), [])
    assert "abc" not in found.asked and ": t" not in found.asked.replace("Date: today", "") and "today" in found.asked
    assert "session" not in found.answered and found.answered.startswith("HTTP 401")


def test_mails_and_faults() -> None:
    request = MailRequest(SmtpServer("h", 25), "a@b.example", ADDRESS, f"To: {ADDRESS}\r\n\r\nhello".encode())
    found = shown(request, MailAnswer("rcpt", 550, f"no {ADDRESS}"), [ADDRESS])
    assert ADDRESS not in found.asked + found.answered and "hello" in found.asked and "550" in found.answered
    fault = TransportFault(True, "timeout", "No answer in time.")
    assert shown(request, fault, [ADDRESS]).answered == "timeout: No answer in time."


def test_short_values_do_not_cover_the_text() -> None:
    request = HttpRequest("POST", "https://api.example/", [], b"an apple a day")
    assert shown(request, HttpAnswer(200, {}, b""), ["a", "an"]).asked.endswith("an apple a day")
