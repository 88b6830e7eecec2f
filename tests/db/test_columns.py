"""What Postgres reads from an array literal is what was put in."""

from __future__ import annotations

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from apps.campaigns.pipeline.columns import numbers, texts

WORDS = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)) | st.sampled_from('",\\{} '))
)


@pytest.fixture
def rows(transactional_db: None) -> None:
    connection.ensure_connection()


@pytest.mark.usefixtures("rows")
def test_texts_come_back() -> None:
    @given(WORDS)
    def come_back(words: list[str]) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s::text[], %s::bigint[]", [texts(words), numbers(map(len, words))])
            assert cursor.fetchone() == (words, [len(word) for word in words])

    come_back()
