"""Sensitive words from the list to the send: imported, found in values, refused for one way, noted without the word."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import translation

from apps.campaigns.forecast import forecast_now
from apps.campaigns.models import Decision, Delivery
from apps.campaigns.services import create_campaign
from apps.operators.models import AuditEvent
from apps.templates.errors import NotPublishable, TemplateError
from apps.templates.models import ListedWord, WordList
from apps.templates.selectors import lint
from apps.templates.services import publish_version, save_draft
from apps.templates.word_lists import add_words, delete_word_list, import_words, remove_words, save_word_list
from apps.templates.words import refuse_words
from apps.users.services import set_attributes
from tests.db.conftest import PUSH_THEN_SMS, SMS, World

FILE = "代开发票\n法轮,备注\n\nＦＲＥＥ money\nfree MONEY\n***\n"


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Sentences are compared in the language of the code."""
    with translation.override("en"):
        yield


def make(name: str = "ads", **extra: object) -> WordList:
    return save_word_list(actor="test", word_list=WordList(name=name, **extra))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_a_list_is_imported_once_however_often_it_comes(encoding: str) -> None:
    held = make()
    content = FILE.encode(encoding)
    tried = import_words(actor="test", word_list=held, content=content, dry_run=True)
    assert (tried.read, tried.added, tried.known, tried.refused) == (5, 3, 1, 1) and not ListedWord.objects.exists()
    assert import_words(actor="test", word_list=held, content=content, dry_run=False) == tried
    version, events = held.version, AuditEvent.objects.count()
    again = import_words(actor="test", word_list=held, content=content, dry_run=False)
    assert (again.added, again.known, again.refused) == (0, 4, 1)
    held.refresh_from_db()
    assert held.version == version and AuditEvent.objects.count() == events, "nothing has changed"
    with pytest.raises(TemplateError, match="neither UTF-8 nor GB18030"):
        import_words(actor="test", word_list=held, content=b"\xff\xff\x80", dry_run=False)


@pytest.mark.django_db(transaction=True)
def test_a_text_with_a_word_is_not_published_and_not_tried() -> None:
    held = make()
    add_words(actor="test", word_list=held, words=["代开发票"])
    body = {"sign_name": "优迈", "template_code": "SMS_100000001", "text": "本店代 开 发 票"}
    draft = save_draft(actor="test", code="bad", name="bad", variables=[], bodies={"sms_aliyun": body})
    with pytest.raises(NotPublishable, match="代开发票"):
        publish_version(actor="test", template=draft)
    with pytest.raises(TemplateError, match="ads"):
        refuse_words(body, line=None, kind="sms_aliyun")
    save_word_list(actor="test", word_list=WordList.objects.get(), business_lines=[])
    held = WordList.objects.get()
    held.classes = ["marketing"]
    save_word_list(actor="test", word_list=held)
    assert {(one.level, one.field) for one in lint(draft) if "代开发票" in one.words} == {("warning", "text")}
    held.kinds = ["email_smtp"]
    save_word_list(actor="test", word_list=held)
    assert publish_version(actor="test", template=draft).number == 1


def test_a_word_in_a_value_stops_that_way_and_the_next_step_may_follow(world: World) -> None:
    """The first list blocks on push only; a second one warns everywhere. Both see what somebody's name came to."""
    clean, spoilt = world.people(2, kinds=("jpush", "phone"))
    set_attributes(actor="test", recipient=spoilt, values={"name": "代-开\u200b发票"})
    push = make("push", kinds=["push_jpush"])
    add_words(actor="test", word_list=push, words=["代开发票"])
    entry = ListedWord.objects.get()
    add_words(actor="test", word_list=make("warned", action="warn"), words=["代开发票"])
    campaign = world.run(world.campaign(PUSH_THEN_SMS))
    ways = Delivery.objects.filter(campaign_id=campaign.pk, recipient_id=spoilt.pk).order_by("step")
    reason = f"sensitive_word: list={push.pk} entry={entry.pk} at=alert"
    assert [(one.state, one.reason) for one in ways] == [("CANCELLED", reason), ("ACCEPTED", "")]
    told = Decision.objects.filter(message_id=ways[0].message_id, rule="sensitive_word").values_list(
        "verdict", "detail"
    )
    assert [verdict for verdict, _detail in told] == ["stop", "let"]
    assert "at=params.name" in dict(told)["let"] and "发票" not in str(list(told))
    assert not Decision.objects.filter(rule="sensitive_word").exclude(message_id=ways[0].message_id).exists()
    push.refresh_from_db()
    push.kinds = []
    save_word_list(actor="test", word_list=push)
    draft = create_campaign(
        actor="test", name="draft", business_line=world.line, message_class="marketing",
        template_version=world.version, policy=SMS, audience={"kind": "filter"},
    )  # fmt: skip
    foreseen = forecast_now(actor="test", campaign=draft)
    assert foreseen.figures["sensitive_words"] == 1 and foreseen.figures["pieces"] == {"sms-main": 2}
    campaign = world.run(world.campaign())
    assert world.messages(campaign) == {"SUCCEEDED": 1, "BLOCKED sensitive_word": 1}, (
        "seen by a process that had the list before"
    )
    assert remove_words(actor="test", word_list=push, entry_ids=[entry.pk]) == 1
    delete_word_list(actor="test", word_list=push)
    assert world.messages(world.run(world.campaign())) == {"SUCCEEDED": 2}
