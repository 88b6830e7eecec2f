"""What the house promises about itself: pages load nothing from outside, lanes agree, RQ's own pages are not there."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.urls import get_resolver

from apps.campaigns.states import MACHINES, mermaid
from ums_site import queues

ROOT = Path(__file__).resolve().parents[2]
LOADED = re.compile(
    r"""(?:src|href|action|srcset|data)\s*=\s*["']?\s*(?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import"""
)
MERMAID = re.compile(r"```mermaid\n(.*?)```", re.S)
SOURCES = re.compile(r"^(?:--(?:extra-)?index-url|--find-links|-i |-f )|https?://|file://", re.M)


def pages() -> list[Path]:
    found = list((ROOT / "ums_site" / "templates").rglob("*.html"))
    return found + [path for folder in ("ums_site", "apps") for path in (ROOT / folder).rglob("static/**/*.css")]


def test_pages_load_nothing_from_outside() -> None:
    outside = [str(path.relative_to(ROOT)) for path in pages() if LOADED.search(path.read_text(encoding="utf-8"))]
    assert outside == []


@pytest.mark.parametrize("text", ['<img src="https://x/y.png">', "<link href='//x/y.css'>", "url(http://x)"])
def test_the_search_finds_what_it_looks_for(text: str) -> None:
    assert LOADED.search(text)


def test_html_lives_in_one_place() -> None:
    assert [str(path) for path in (ROOT / "apps").rglob("*.html")] == []
    assert settings.TEMPLATES[0]["DIRS"] == [ROOT / "ums_site" / "templates"]
    assert "apps" not in settings.INSTALLED_APPS


def test_settings_and_doorbell_agree_on_the_lanes() -> None:
    assert tuple(settings.RQ_QUEUES) == queues.LANES == settings.LANES


def test_the_pages_of_rq_are_not_mounted() -> None:
    def names(resolver: object) -> list[str]:
        found = []
        for pattern in getattr(resolver, "url_patterns", []):
            found += (
                [str(getattr(pattern, "name", "")), getattr(pattern.callback, "__module__", "")]
                if getattr(pattern, "callback", None)
                else names(pattern)
            )
        return found

    everything = names(get_resolver())
    assert "livez" in everything
    assert [name for name in everything if "django_rq" in name or name.startswith("rq_")] == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-bench.txt"])
def test_pins_carry_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not SOURCES.search(text)
    pins = re.findall(r"^[A-Za-z0-9_.-]+==\S+( \\\n    --hash=sha256:[0-9a-f]{64})?", text, re.M)
    assert pins and all(pins)


def test_state_diagrams_in_documents_are_those_of_the_code() -> None:
    drawn = {mermaid(machine) for machine in MACHINES}
    for document in (ROOT / "docs").rglob("*.md"):
        for block in MERMAID.findall(document.read_text(encoding="utf-8")):
            assert block.strip() in drawn or not block.startswith("stateDiagram"), document


def test_pure_tests_cannot_open_a_database() -> None:
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        connection.cursor()
