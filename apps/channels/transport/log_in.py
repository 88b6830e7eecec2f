"""Logs in at a server, sends nothing and leaves: whether an account's credentials are good."""

from __future__ import annotations

import smtplib
import ssl
import time

from apps.channels.contract import MailAnswer, PartAnswer, SessionAnswer, SessionLink, SmtpServer, TransportFault
from apps.channels.transport.session import SessionClient

LOGGED_IN = MailAnswer("auth", 235, "logged in")
SESSION_UP = SessionAnswer("bind", (PartAnswer(0),))


def log_in(server: SmtpServer | SessionLink, limit_s: float) -> MailAnswer | SessionAnswer | TransportFault:
    """The reply that decided; LOGGED_IN or SESSION_UP where the server is content. Each step takes at most `limit_s` s."""
    return _session(server, limit_s) if isinstance(server, SessionLink) else _mail_server(server, limit_s)


def _session(link: SessionLink, limit_s: float) -> SessionAnswer | TransportFault:
    client = SessionClient(timeout_s=limit_s)
    end = time.monotonic() + limit_s + 1.0
    try:
        client.open(link)
        while not client.up and client.refused is None and time.monotonic() < end:
            client.poll(0.1)
        return SESSION_UP if client.up else client.refused or TransportFault(False, "timeout", "No answer in time.")
    finally:
        client.close()


def _mail_server(server: SmtpServer, limit_s: float) -> MailAnswer | TransportFault:
    try:
        with _connected(server, limit_s) as session:
            return _greeted(session, server)
    except smtplib.SMTPAuthenticationError as refused:
        return MailAnswer("auth", refused.smtp_code, _text(refused.smtp_error))
    except smtplib.SMTPResponseException as refused:
        return MailAnswer("connect", refused.smtp_code, _text(refused.smtp_error))
    except ssl.SSLError:
        return TransportFault(False, "tls", "The server's certificate or its TLS is not accepted.")
    except (smtplib.SMTPException, OSError):
        return TransportFault(False, "no_connection", "The server cannot be reached or broke off.")


def _connected(server: SmtpServer, limit_s: float) -> smtplib.SMTP:
    if server.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(server.host, server.port, server.hostname, timeout=limit_s, context=context)
    return smtplib.SMTP(server.host, server.port, server.hostname, timeout=limit_s)


def _greeted(session: smtplib.SMTP, server: SmtpServer) -> MailAnswer:
    session.ehlo_or_helo_if_needed()
    if server.security == "starttls":
        session.starttls(context=ssl.create_default_context())
        session.ehlo()
    if server.username:
        session.login(server.username, server.password)
    return LOGGED_IN


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
