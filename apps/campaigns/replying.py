"""The list of words that answers are read for: added and removed by operators, each on record."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from apps.campaigns.errors import CampaignError
from apps.campaigns.models import ReplyWord
from apps.campaigns.reply_words import Word, normal
from apps.operators import audit


def checked_reply_word(word: str, meaning: str, whole: bool) -> str:
    """The word in its normal form, if it may be listed so. Raises CampaignError naming the field."""
    said = normal(word)
    if not said or len(said) > 40:
        raise CampaignError(_("word: give 1 to 40 letters or digits."), "word")
    if meaning not in ReplyWord.Meaning.values:
        known = ", ".join(ReplyWord.Meaning.values)
        raise CampaignError(_("meaning: choose one of %(known)s.") % {"known": known}, "meaning")
    if not whole and len(said) < 2:
        raise CampaignError(_("whole: a single letter stands in many answers; let it be the whole answer."), "whole")
    if ReplyWord.objects.filter(word=said).exists():
        words = _("%(word)s is listed already: remove it first to give it another meaning.")
        raise CampaignError(words % {"word": said}, "word")
    return said


@transaction.atomic
def add_reply_word(*, actor: object, word: str, meaning: str, whole: bool = True) -> ReplyWord:
    """Lists a word in its normal form; answers that come from now on are read for it. Raises CampaignError."""
    said = checked_reply_word(word, meaning, whole)
    made = ReplyWord.objects.create(word=said, meaning=meaning, whole=whole)
    audit.record(
        actor=actor, verb="add_reply_word", what=made, detail={"word": said, "meaning": meaning, "whole": whole}
    )
    return made


@transaction.atomic
def remove_reply_word(*, actor: object, word: ReplyWord) -> None:
    """Takes a word off the list; what was done because of it stays."""
    audit.record(actor=actor, verb="remove_reply_word", what=word, detail={"word": word.word, "meaning": word.meaning})
    word.delete()


def listed_words() -> list[Word]:
    """The list as answers are read by it."""
    return [Word(*row) for row in ReplyWord.objects.order_by("word").values_list("word", "meaning", "whole")]  # type: ignore[arg-type]
