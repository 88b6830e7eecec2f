"""What may be done to lists of sensitive words. Each change raises the list's version, so that every process sees it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.operators import audit
from apps.partners.models import BusinessLine
from apps.templates.errors import TemplateError
from apps.templates.models import ListedWord, WordList
from apps.templates.wording import key_of

LONGEST_WORD = 100
MOST_WORDS = 200_000
MOST_BYTES = 16 << 20

ADD = """
INSERT INTO templates_listedword (word_list_id, word, key)
SELECT %s, word, key FROM unnest(%s::text[], %s::text[]) AS v(word, key)
ON CONFLICT (word_list_id, key) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file came to: lines read, words new, known before or twice in the file, and refused (empty or too long)."""

    read: int
    added: int
    known: int
    refused: int


@transaction.atomic
def save_word_list(*, actor: object, word_list: WordList, business_lines: Sequence[BusinessLine] = ()) -> WordList:
    """Makes or changes a list. Raises TemplateError."""
    if not word_list.name.strip():
        raise TemplateError(_("Give the list a name."))
    new = word_list.pk is None
    if not new:
        word_list.version = F("version") + 1  # type: ignore[assignment]
    word_list.save()
    word_list.business_lines.set(business_lines)
    word_list.refresh_from_db()
    detail = {
        "name": word_list.name,
        "action": word_list.action,
        "active": word_list.active,
        "classes": word_list.classes,
        "kinds": word_list.kinds,
        "lines": sorted(line.code for line in business_lines),
    }
    audit.record(actor=actor, verb="add_word_list" if new else "change_word_list", what=word_list, detail=detail)
    return word_list


@transaction.atomic
def delete_word_list(*, actor: object, word_list: WordList) -> None:
    """Takes a list away with its words; texts are searched for them no longer."""
    detail = {"name": word_list.name, "words": word_list.words.count()}
    audit.record(actor=actor, verb="delete_word_list", what=word_list, detail=detail)
    word_list.delete()


@transaction.atomic
def add_words(*, actor: object, word_list: WordList, words: Iterable[str]) -> Imported:
    """Adds words typed in. Words that compare equal to one of the list are known. Raises TemplateError."""
    return _added(actor, word_list, [(word, key_of(word)) for word in words], "add_words", {})


@transaction.atomic
def remove_words(*, actor: object, word_list: WordList, entry_ids: Iterable[int]) -> int:
    """Takes words off a list; how many."""
    removed, _rows = ListedWord.objects.filter(word_list=word_list, pk__in=list(entry_ids)).delete()
    if removed:
        _changed(word_list)
        audit.record(actor=actor, verb="remove_words", what=word_list, detail={"words": removed})
    return removed


@transaction.atomic
def import_words(*, actor: object, word_list: WordList, content: bytes, dry_run: bool) -> Imported:
    """Adds the words of a file, one a line or the first column of a CSV, in UTF-8 or GB18030.

    The same file again changes nothing. A dry run counts and changes nothing. Raises TemplateError.
    """
    words = [(word, key_of(word)) for word in _lines(content)]
    if len(words) > MOST_WORDS:
        raise TemplateError(_("The file has more than %(most)s words: split it.") % {"most": MOST_WORDS})
    if not dry_run:
        return _added(actor, word_list, words, "import_words", {"bytes": len(content)})
    good = _good(words)
    known = set(ListedWord.objects.filter(word_list=word_list).values_list("key", flat=True))
    added = len(set(good) - known)
    fit = sum(1 for word, key in words if _fits(word, key))
    return Imported(len(words), added, fit - added, len(words) - fit)


def _added(
    actor: object, word_list: WordList, words: Sequence[tuple[str, str]], verb: str, detail: dict[str, object]
) -> Imported:
    good = _good(words)
    with connection.cursor() as cursor:
        cursor.execute(ADD, [word_list.pk, list(good.values()), list(good)])
        added = cursor.rowcount
    fit = sum(1 for word, key in words if _fits(word, key))
    result = Imported(len(words), added, fit - added, len(words) - fit)
    if added:
        _changed(word_list)
        audit.record(actor=actor, verb=verb, what=word_list, detail={**detail, **asdict(result)})
    return result


def _good(words: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Key → word as it was first written, of those that fit."""
    good: dict[str, str] = {}
    for word, key in words:
        if _fits(word, key):
            good.setdefault(key, word.strip())
    return good


def _fits(word: str, key: str) -> bool:
    return bool(key) and len(word.strip()) <= LONGEST_WORD and "\0" not in word


def _lines(content: bytes) -> list[str]:
    if len(content) > MOST_BYTES:
        raise TemplateError(_("The file is larger than %(most)s MB: split it.") % {"most": MOST_BYTES >> 20})
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        rows = csv.reader(line for line in text.splitlines() if line.strip())
        return [row[0] for row in rows if row and row[0].strip()]
    raise TemplateError(_("The file is neither UTF-8 nor GB18030 text: save it as one of them."))


def _changed(word_list: WordList) -> None:
    WordList.objects.filter(pk=word_list.pk).update(version=F("version") + 1, updated_at=Now())
    word_list.refresh_from_db()
