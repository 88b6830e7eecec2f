"""Texts are found in code and HTML, and a catalogue that lacks one is not ready."""

from pathlib import Path

import pytest

from ums_site import messages

PO = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"
"Language: zh_Hans\\n"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "apps").mkdir()
    (tmp_path / "ums_site" / "templates").mkdir(parents=True)
    (tmp_path / "apps" / "a.py").write_text('title = _("Sent")\n')
    page = '{% load i18n %}<p x="1">{% translate "Home" %} {% blocktranslate %}Hi {{ n }}{% endblocktranslate %}</p>'
    (tmp_path / "ums_site" / "templates" / "a.html").write_text(page)
    (tmp_path / "locale" / "zh_Hans" / "LC_MESSAGES").mkdir(parents=True)
    return tmp_path


def write(root: Path, entries: str) -> Path:
    po = root / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
    po.write_text(PO + entries, encoding="utf-8")
    return po


@pytest.mark.parametrize(
    ("entries", "wanted"),
    [
        ('\nmsgid "Sent"\nmsgstr "已发"\n', ["'Home'", "is missing"]),
        ('\nmsgid "Sent"\nmsgstr ""\n', ["'Sent'", "is not translated"]),
        ('\n#, fuzzy\nmsgid "Sent"\nmsgstr "已发"\n', ["'Sent'", "is marked fuzzy"]),
    ],
)
def test_what_is_not_ready_is_named(root: Path, entries: str, wanted: list[str]) -> None:
    write(root, entries)
    found = messages.problems(root, root / "locale")
    assert any(all(part in line for part in wanted) for line in found), found


def test_a_complete_catalogue_has_no_problem_and_compiles_once(root: Path) -> None:
    entries = [("Sent", "已发"), ("Home", "首页"), ("Hi %(n)s", "你好 %(n)s")]
    po = write(root, "".join(f'\nmsgid "{text}"\nmsgstr "{words}"\n' for text, words in entries))
    assert messages.problems(root, root / "locale") == []
    assert messages.compile_all(root / "locale") == [po.with_suffix(".mo")]
    assert messages.compile_all(root / "locale") == []


def test_collecting_keeps_translations_and_drops_what_is_gone(root: Path) -> None:
    po = write(root, '\nmsgid "Sent"\nmsgstr "已发"\n\nmsgid "Gone"\nmsgstr "没了"\n')
    assert messages.collect(root, root / "locale") == 2
    text = po.read_text(encoding="utf-8")
    assert "已发" in text and "Gone" not in text and 'msgid "Home"' in text


def test_no_catalogue_at_all_is_a_problem(root: Path) -> None:
    assert messages.problems(root, root / "locale") == ["locale holds no catalogue"]
