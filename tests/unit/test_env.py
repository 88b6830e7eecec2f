"""Words of the environment are understood or refused, never guessed."""

import os
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from ums_site import env


@pytest.mark.parametrize(("word", "meaning"), [("true", True), ("1", True), ("False", False), ("0", False), ("", True)])
def test_boolean_words(monkeypatch: pytest.MonkeyPatch, word: str, meaning: bool) -> None:
    monkeypatch.setenv("UMS_THING", word)
    assert env.boolean("UMS_THING", True) is meaning


@pytest.mark.parametrize("word", ["yes", "on", "ture", "2", " "])
def test_other_words_are_refused_by_name_with_a_remedy(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("UMS_THING", word)
    with pytest.raises(ImproperlyConfigured, match="UMS_THING .*Say true, false, 1 or 0"):
        env.boolean("UMS_THING", False)


@pytest.mark.parametrize("word", ["-1", "1.5", "x", "²", "0"])
def test_whole_numbers(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("UMS_THING", word)
    with pytest.raises(ImproperlyConfigured, match="whole number from 1"):
        env.whole("UMS_THING", 5, at_least=1)


@pytest.mark.parametrize("word", ["0", "-3", "nan", "inf", "86400", "soon"])
def test_seconds(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("UMS_THING", word)
    with pytest.raises(ImproperlyConfigured, match="seconds"):
        env.seconds("UMS_THING", 5)


def test_a_refused_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        env.database("mysql://u:hunter2@h/db")
    assert "hunter2" not in str(refusal.value)


def test_a_file_is_read_in_place_of_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgres://u:p%40ss@db:6000/ums\n")
    monkeypatch.setenv("UMS_THING", "other")
    monkeypatch.setenv("UMS_THING_FILE", str(tmp_path / "url"))
    assert env.text("UMS_THING", "") == "postgres://u:p%40ss@db:6000/ums"
    monkeypatch.setenv("UMS_THING_FILE", str(tmp_path / "missing"))
    with pytest.raises(ImproperlyConfigured, match="UMS_THING_FILE: cannot read"):
        env.text("UMS_THING", "")


def test_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMS_THING", "127.0.0.1, 10.1.0.0/16,fd00::/8")
    assert [str(one) for one in env.networks("UMS_THING")] == ["127.0.0.1/32", "10.1.0.0/16", "fd00::/8"]
    for wrong in ("intranet", "10.1.2.3/16", "127.0.0.1:80"):
        monkeypatch.setenv("UMS_THING", wrong)
        with pytest.raises(ImproperlyConfigured, match="UMS_THING"):
            env.networks("UMS_THING")


def test_database_address() -> None:
    found = env.database("postgres://u:p%40ss@db:6000/ums?sslmode=verify-full")
    assert (found["USER"], found["PASSWORD"], found["HOST"], found["PORT"]) == ("u", "p@ss", "db", "6000")
    assert found["OPTIONS"] == {"sslmode": "verify-full"}
    assert env.database("postgres://ums@/ums?host=/a/b")["HOST"] == "/a/b"


def test_a_made_secret_is_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "secret"
    first = env.secret_from(path)
    assert len(first) >= 64
    assert env.secret_from(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["secret"]
