"""The system checks find what they are for."""

from pathlib import Path

import pytest
from django.core.checks import CheckMessage
from pytest_django import Settings

from ums_site import checks
from ums_site.crypto import Keyring
from ums_site.timers import Timers


def ids(found: list[CheckMessage]) -> list[str]:
    return [str(message.id) for message in found]


def test_timers(settings: Settings) -> None:
    assert checks.timers_hold(None) == []
    settings.UMS_TIMERS = Timers(grace=1, lease=20)
    assert ids(checks.timers_hold(None)) == ["ums.E001", "ums.E001"]


def test_keyring(settings: Settings, tmp_path: Path) -> None:
    settings.UMS_KEYRING = path = tmp_path / "keys" / "ring.json"
    assert checks.keyring_readable(None) == []
    Keyring.load(path)
    assert checks.keyring_readable(None) == []
    path.chmod(0o644)
    assert ids(checks.keyring_readable(None)) == ["ums.E003"]
    path.write_text("{}")
    assert ids(checks.keyring_readable(None)) == ["ums.E002"]


def test_serializer(settings: Settings) -> None:
    assert checks.queues_speak_json(None) == []
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "bulk": {"URL": "unix:///x"}}
    assert ids(checks.queues_speak_json(None)) == ["ums.E004"]


def test_var_folder(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.UMS_VAR = tmp_path / "not" / "yet"
    assert checks.var_is_writable(None) == []
    settings.UMS_VAR = Path("/proc/1/never")
    assert ids(checks.var_is_writable(None)) == ["ums.E005"]
