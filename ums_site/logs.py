"""Logs go to stdout, one event a line, as JSON or for the eye. Addresses, secrets and bodies are hidden here once more,
for the case that a library or an exception text carries one."""

import logging.config
import re
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "[hidden]"
HIDDEN_KEYS = frozenset(
    {
        "address",
        "authorization",
        "body",
        "content",
        "email",
        "password",
        "payload",
        "phone",
        "secret",
        "token",
        "variables",
    }
)
MOBILE = re.compile(r"(?<![\dA-Za-z])(?:\+?86[- ]?)?1[3-9]\d{9}(?!\d)")
MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


def hide(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank values of telling keys; mask mobile numbers and mail addresses inside texts."""
    for key, value in event.items():
        if key in HIDDEN_KEYS:
            event[key] = HIDDEN
        elif isinstance(value, str):
            event[key] = scrub(value)
    return event


def scrub(text: str) -> str:
    """The text without mobile numbers and mail addresses."""
    return MAIL.sub(HIDDEN, MOBILE.sub(HIDDEN, text))


SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
    structlog.stdlib.ExtraAdder(allow=()),
]


def configuration(shape: str, level: str) -> dict[str, Any]:
    """The logging configuration: `shape` json or console, `level` of our own loggers."""
    renderer: Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if shape == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=False)
    last = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, hide, renderer]
    formatter = {"()": structlog.stdlib.ProcessorFormatter, "processors": last, "foreign_pre_chain": SHARED}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "line"}},
        "root": {"handlers": ["stdout"], "level": "WARNING"},
        "loggers": {name: {"level": level} for name in ("apps", "ums_site", "gunicorn.error", "rq.worker")},
    }


def configure(settings: dict[str, Any]) -> None:
    """Django calls this with LOGGING; structlog's own loggers take the same way out."""
    logging.config.dictConfig(settings)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
