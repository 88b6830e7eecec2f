"""The bench's own parts at tiny sizes: what the sink counts, that bare loops and adapters write the same bytes. No timing."""

from __future__ import annotations

import json
import os
import shutil
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from apps.channels.contract import Account, Envelope
from apps.channels.providers.sms_aliyun.adapter import SmsAliyun
from bench import sink
from bench.bare import batch_loop, http_loop, smtp_loop
from bench.child import ROOT
from bench.people import person
from bench.reports import bodies
from bench.rows import Row, compare, spread, table

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="the sink needs a C compiler"
)


@pytest.fixture
def far_end(tmp_path: Path) -> Iterator[sink.Sink]:
    with sink.running(tmp_path) as running:
        yield running


def test_sink_accepts_calls_with_an_id_of_their_own(far_end: sink.Sink) -> None:
    answers = []
    for _number in range(3):
        with urlopen(Request(f"http://127.0.0.1:{far_end.http_port}/?a=b", data=b"", method="POST"), timeout=10) as got:
            answers.append(json.load(got))
    assert {answer["Code"] for answer in answers} == {"OK"}
    assert len({answer["BizId"] for answer in answers}) == 3
    assert far_end.count()["calls"] == 3


def test_sink_takes_mails(far_end: sink.Sink) -> None:
    with smtplib.SMTP("127.0.0.1", far_end.smtp_port, timeout=10) as server:
        server.ehlo()
        assert server.has_extn("pipelining")
        server.sendmail("a@example.com", ["b@example.com"], "Subject: x\r\n\r\n.hidden\r\n")
    assert far_end.count()["mails"] == 1


def test_bare_http_loop_is_accepted_each_time(far_end: sink.Sink) -> None:
    rows = [(number, person(number)) for number in range(20)]
    assert http_loop.send_all(f"127.0.0.1:{far_end.http_port}", rows, in_flight=3) == {"accepted": 20}
    assert far_end.count()["calls"] == 20


def test_bare_http_call_is_that_of_the_adapter() -> None:
    one = person(7)
    url, headers = http_loop.call("127.0.0.1:8", 7, one)
    content = {
        "sign_name": "示例银行",
        "template_code": "SMS_100000001",
        "params": {"name": one.name, "city": one.city, "balance": one.money},
    }
    config = {"access_key_id": "benchkeyid", "access_key_secret": "benchkeysecret", "base_url": "http://127.0.0.1:8"}
    said = dict(line.split(": ", 1) for line in headers if ": " in line)
    adapter = SmsAliyun(nonce=lambda: said["x-acs-signature-nonce"])
    reference = f"{7:012x}"
    moment = datetime.strptime(said["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    envelope = Envelope(reference, reference, one.phone, content)
    request = adapter.build(Account("sms", "sms_aliyun", config), [envelope], moment)
    assert url == request.url
    assert set(request.headers) == {line for line in headers if ": " in line}


def test_bare_call_for_many_is_that_of_the_adapter(far_end: sink.Sink) -> None:
    host = f"127.0.0.1:{far_end.http_port}"
    (part,) = batch_loop.parts(range(5, 12), 5, 1000)
    url, headers = batch_loop.call(host, part)
    said = dict(line.split(": ", 1) for line in headers if ": " in line)
    adapter = SmsAliyun(nonce=lambda: said["x-acs-signature-nonce"])
    moment = datetime.strptime(said["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    content = {"sign_name": "示例银行", "template_code": "SMS_100000001"}
    envelopes = [Envelope(f"{number:012x}", f"{number:012x}", person(number).phone, content) for number in range(5, 12)]
    config = {"access_key_id": "benchkeyid", "access_key_secret": "benchkeysecret", "base_url": f"http://{host}"}
    request = adapter.build(Account("many", "sms_aliyun", config), envelopes, moment)
    assert url == request.url
    assert set(request.headers) == {line for line in headers if ": " in line}


def test_sink_counts_the_numbers_of_each_call(far_end: sink.Sink) -> None:
    for part in batch_loop.parts(range(2500), 0, 1000):
        url, headers = batch_loop.call(f"127.0.0.1:{far_end.http_port}", part)
        sent = dict(line.split(": ", 1) for line in headers if ": " in line)
        with urlopen(Request(url, data=b"", headers=sent, method="POST"), timeout=10) as got:
            assert json.load(got)["Code"] == "OK"
    assert (far_end.count()["calls"], far_end.count()["phones"]) == (3, 2500)


def test_bare_smtp_loop_sends_every_mail_once(far_end: sink.Sink) -> None:
    mails = [smtp_loop.mail(number, person(number)) for number in range(20)]
    assert smtp_loop.send_all(far_end.smtp_port, mails, sessions=3) == {"refused": 0}
    counted = far_end.count()
    assert counted["mails"] == 20
    assert counted["mail_bytes"] == sum(len(data) - len(".\r\n") for _commands, data in mails)


def test_receipts_name_each_delivery_and_repeat_a_tenth() -> None:
    reports = [report for body in bodies(list(range(1, 201)), 10) for report in json.loads(body)]
    assert len(reports) == 220
    assert len({report["out_id"] for report in reports}) == 200


def test_rounds_are_interleaved_and_become_a_row() -> None:
    order: list[str] = []

    def measured(side: str, rates: list[float]) -> float:
        order.append(side)
        return rates.pop(0)

    ours, limit = [10.0, 20.0, 30.0], [20.0, 20.0, 20.0]
    result = compare(lambda: measured("ours", ours), lambda: measured("limit", limit))
    assert order == ["ours", "limit"] * 3
    assert result == (20.0, 20.0, 1.0, 1.0)
    assert spread([1.0, 1.0]) == 0.0
    row = Row("expand_plan", 10, 20.0, 20.0, "targets/s", 1.0, 1.0, 0.35)
    assert row.as_json()["met"] is True
    assert Row("growth", 10, 2.0, 1.0, "µs", 2.0, 0.0, 1.2, most=True).met is False
    assert "expand_plan" in table([row])


def test_unknown_figure_is_named() -> None:
    environment = {**os.environ, "UMS_BENCH_INSIDE": "1", "ONLY": ""}
    command = [sys.executable, "-m", "bench", "nonsense"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nonsense" in done.stderr and "dispatch_http" in done.stderr
