"""System checks: what must hold before an installation may send. Each has an id and a remedy."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from ums_site.crypto import Keyring

JSON_SERIALIZER = "rq.serializers.JSONSerializer"


@register(Tags.compatibility)
def timers_hold(app_configs: Sequence[AppConfig] | None, **_options: Any) -> list[CheckMessage]:
    """E001: a relation of the timers is broken, a message could go out twice."""
    return [
        Error(
            f"The timers do not fit together: {relation} does not hold.",
            hint="Change the UMS_... timers.",
            id="ums.E001",
        )
        for relation in settings.UMS_TIMERS.violations()
    ]


@register(Tags.security)
def keyring_readable(app_configs: Sequence[AppConfig] | None, **_options: Any) -> list[CheckMessage]:
    """E002: the keyring cannot be read; E003: others may read it."""
    path = Path(settings.UMS_KEYRING)
    if not path.exists():
        return []  # made at the first start
    try:
        Keyring.load(path)
    except (OSError, ValueError, KeyError) as error:
        hint = "Restore it from its backup and check its owner: without it no address can be read."
        return [Error(f"The keyring {path} cannot be used: {type(error).__name__}.", hint=hint, id="ums.E002")]
    if path.stat().st_mode & 0o077:
        return [Error(f"The keyring {path} is open to other users.", hint=f"chmod 600 {path}", id="ums.E003")]
    return []


@register(Tags.security)
def queues_speak_json(app_configs: Sequence[AppConfig] | None, **_options: Any) -> list[CheckMessage]:
    """E004: a queue would unpickle what stands in Redis."""
    return [
        Error(
            f"Queue {name} does not use the JSON serializer.",
            hint=f"Set SERIALIZER to {JSON_SERIALIZER}.",
            id="ums.E004",
        )
        for name, queue in settings.RQ_QUEUES.items()
        if queue.get("SERIALIZER") != JSON_SERIALIZER
    ]


@register(Tags.files)
def var_is_writable(app_configs: Sequence[AppConfig] | None, **_options: Any) -> list[CheckMessage]:
    """E005: keys, logs and files have nowhere to go."""
    folder = Path(settings.UMS_VAR)
    while not folder.exists():
        folder = folder.parent
    if os.access(folder, os.W_OK | os.X_OK):
        return []
    return [Error(f"{settings.UMS_VAR} cannot be written.", hint="Set UMS_VAR to a folder of yours.", id="ums.E005")]
