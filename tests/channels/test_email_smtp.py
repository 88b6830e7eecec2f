"""What is mail's alone: any text arrives as it was, nothing breaks out of its line, what a reply means when."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.channels.contract import Account, Envelope, MailAnswer
from apps.channels.outcomes import Misconfigured, Outcome, Rejected, Throttled, Unknown
from apps.channels.providers.email_smtp.adapter import EmailSmtp
from apps.channels.providers.email_smtp.bounces import read_token, stamp

NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
CONFIG = {"host": "h", "port": 25, "security": "none", "from_address": "a@b.example", "from_name": 'Bank "One"'}
ACCOUNT = Account("a", "email_smtp", CONFIG)
clean = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=200)
bodies = st.text(
    alphabet=st.one_of(st.characters(exclude_categories=["Cs", "Cc"]), st.sampled_from("\n.- =")), max_size=600
)


def envelope(address: str = "u@x.example", **content: str) -> Envelope:
    return Envelope("k", "k3x9", address, {"subject": "s", "text": "t", "html": "", **content})


@given(clean.filter(str.strip), bodies, bodies)
def test_any_text_arrives_as_it_was(subject: str, text: str, html: str) -> None:
    data = EmailSmtp().build(ACCOUNT, [envelope(subject=subject.strip(), text=text, html=html)], NOW).data
    assert data.isascii() and data.endswith(b"\r\n") and data.count(b"\n") == data.count(b"\r\n") == data.count(b"\r")
    assert max(len(line) for line in data.split(b"\r\n")) <= 998
    mail = message_from_bytes(data, policy=policy.default)
    assert not mail.defects
    if not any(char.isspace() and char != " " for char in subject):
        assert mail["Subject"] == subject.strip()
    assert mail["From"] == '"Bank \\"One\\"" <a@b.example>' and mail["Date"].datetime == NOW
    for kind, value in (("plain", text), ("html", html)):
        part = mail.get_body((kind,))
        if value:
            assert part is not None
            assert part.get_content().replace("\r\n", "\n").removesuffix("\n") == value.removesuffix("\n")
        elif kind == "html":
            assert part is None


@pytest.mark.parametrize(
    ("settings", "listed", "one_click"),
    [
        ({"unsubscribe_url": "https://u.example/{token}"}, "<https://u.example/k3x9=62f48509>", True),
        ({"unsubscribe_url": "http://u.example/{token}"}, "<http://u.example/k3x9=62f48509>", False),
        ({"unsubscribe_url": "https://u.example/{reference}"}, "<https://u.example/k3x9>", False),
        ({"unsubscribe_mailbox": "u@b.example"}, "<mailto:u@b.example?subject=k3x9%3D62f48509>", False),
        ({}, None, False),
    ],
)
def test_one_click_is_offered_where_one_post_is_safe(
    settings: dict[str, str], listed: str | None, one_click: bool
) -> None:
    account = Account("a", "email_smtp", CONFIG | {"bounce_secret": "bounce-secret-7"} | settings)
    mail = message_from_bytes(EmailSmtp().build(account, [envelope()], NOW).data, policy=policy.default)
    assert mail["List-Unsubscribe"] == listed
    assert mail["List-Unsubscribe-Post"] == ("List-Unsubscribe=One-Click" if one_click else None)


def test_the_link_of_the_envelope_stands_in_where_the_account_has_none() -> None:
    made = envelope()
    made.unsubscribe_url = "https://m.bank.example/u/AAAA"
    mail = message_from_bytes(EmailSmtp().build(ACCOUNT, [made], NOW).data, policy=policy.default)
    assert mail["List-Unsubscribe"] == "<https://m.bank.example/u/AAAA>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    own = Account("a", "email_smtp", CONFIG | {"unsubscribe_url": "https://u.example/"})
    mail = message_from_bytes(EmailSmtp().build(own, [made], NOW).data, policy=policy.default)
    assert mail["List-Unsubscribe"] == "<https://u.example/>" and mail["List-Unsubscribe-Post"] is None
    made.unsubscribe_url = "http://m.bank.example/u/AAAA"
    mail = message_from_bytes(EmailSmtp().build(ACCOUNT, [made], NOW).data, policy=policy.default)
    assert mail["List-Unsubscribe-Post"] is None, "one click goes over https only"


@pytest.mark.parametrize("line_end", ["\r\n", "\r", "\n"])
def test_line_ends_become_those_of_mail(line_end: str) -> None:
    for word in ("plain", "中文"):
        data = EmailSmtp().build(ACCOUNT, [envelope(text=f"{word}{line_end}.{line_end}end")], NOW).data
        assert (
            message_from_bytes(data, policy=policy.default).get_content().replace("\r\n", "\n") == f"{word}\n.\nend\n"
        )


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("u@x.example\r\nBcc: v@x.example", "s"),
        ("u@x.example, v@x.example", "s"),
        ("<u@x.example>", "s"),
        ("u@x@y.example", "s"),
        ("u", "s"),
        ("", "s"),
        ("u@x.example", "s\r\nBcc: v@x.example"),
        ("u@x.example", "s\nBcc: v@x.example"),
        ("u@x.example", "s\rx"),
        ("u@x.example", "s\0"),
    ],
)
def test_nothing_breaks_out_of_its_line(address: str, subject: str) -> None:
    with pytest.raises(ValueError, match=r"\.$") as refused:
        EmailSmtp().build(ACCOUNT, [envelope(address, subject=subject)], NOW)
    assert "example" not in str(refused.value)


def test_an_address_outside_ascii_is_written_in_utf_8() -> None:
    request = EmailSmtp().build(ACCOUNT, [envelope("用户@x.example")], NOW)
    assert "To: 用户@x.example\r\n".encode() in request.data and request.rcpt_options == "NOTIFY=FAILURE"


def test_without_a_bounce_domain_the_sender_is_the_sender() -> None:
    request = EmailSmtp().build(ACCOUNT, [envelope()], NOW)
    assert request.mail_from == "a@b.example" and request.mail_options == "RET=HDRS ENVID=k3x9.1"
    assert b"List-Unsubscribe" not in request.data


def test_tokens() -> None:
    token = f"k3x9={stamp(b'secret', 'k3x9')}"
    assert read_token("secret", token) == "k3x9" and read_token("secret", token.upper()) == "k3x9"
    for wrong in ("", "k3x9", "k3x9=", "k3xa" + token[4:], token[:-1]):
        assert read_token("secret", wrong) is None
    assert read_token("another", token) is None


@pytest.mark.parametrize(
    ("stage", "code", "text", "kind", "found", "scope"),
    [
        ("rcpt", 550, "5.1.1 <u@x.example> unknown", Rejected, "5.1.1", "recipient"),
        ("rcpt", 550, "unknown", Rejected, "550", "recipient"),
        ("rcpt", 550, "5.0.0 odd", Rejected, "550", "recipient"),
        ("rcpt", 450, "4.2.1 receiving too quickly", Throttled, "4.2.1", "recipient"),
        ("rcpt", 451, "4.7.1 greylisted", Throttled, "4.7.1", "recipient"),
        ("rcpt", 452, "4.5.3 too many recipients", Throttled, "4.x.x", "recipient"),
        ("rcpt", 550, "4.1.1 contradiction", Rejected, "550", "recipient"),
        ("mail", 421, "4.7.0 unusual rate", Throttled, "4.7.0", "account"),
        ("connect", 421, "busy", Throttled, "421", "account"),
        ("connect", 554, "5.7.1 go away", Misconfigured, "5.7.1", ""),
        ("connect", 554, "no service", Misconfigured, "554", ""),
        ("auth", 535, "5.7.8 bad credentials", Misconfigured, "5.7.8", ""),
        ("mail", 550, "5.1.1 sender unknown", Misconfigured, "5.1.1", ""),
        ("mail", 552, "5.3.4 too big", Rejected, "5.3.4", "content"),
        ("dot", 554, "5.6.0 no", Rejected, "5.6.x", "content"),
        ("dot", 550, "5.7.26 unauthenticated", Misconfigured, "5.7.26", ""),
        ("dot", 552, "5.2.2 mailbox full", Throttled, "5.2.2", "recipient"),
        ("rcpt", 553, "5.6.7 SMTPUTF8 is not offered", Rejected, "5.6.7", "recipient"),
        ("dot", 571, "5.9.9 never seen", Unknown, "5.9.9", ""),
    ],
)
def test_what_a_reply_means_depends_on_when(
    stage: str, code: int, text: str, kind: type[Outcome], found: str, scope: str
) -> None:
    outcome = EmailSmtp().read(ACCOUNT, [envelope()], MailAnswer(stage, code, text))
    assert isinstance(outcome, kind) and not isinstance(outcome, list)
    assert getattr(outcome, "code", "") == found and getattr(outcome, "scope", "") == scope
    if isinstance(outcome, Throttled):
        assert outcome.retry_after is not None and outcome.retry_after >= timedelta(minutes=5)
