"""Array literals: what PostgreSQL reads back is tested where there is one (tests/db); here, that nothing breaks out."""

from __future__ import annotations

from apps.campaigns.pipeline.columns import numbers, texts


def test_numbers_and_gaps() -> None:
    assert numbers([1, None, -3]) == "{1,NULL,-3}"
    assert numbers([]) == "{}"


def test_texts_stay_whole() -> None:
    assert texts(["a", "", "b,c}"]) == '{"a","","b,c}"}'
    assert texts(['"', "\\", 'x","y']) == r'{"\"","\\","x\",\"y"}'
    assert texts(["a\0b"]) == '{"ab"}'
    assert texts([]) == "{}"
    assert texts([""]) == '{""}'
