"""The kinds of channel in families, as people look for them; a kind belongs to the family that its name begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.channels.contract import Adapter
from apps.channels.registry import adapters, kind_choices

FAMILIES: Sequence[tuple[str | Promise, tuple[str, ...]]] = (
    (_("Short messages"), ("sms",)),
    (_("App push"), ("push",)),
    (_("E-mail"), ("email",)),
    (_("WeChat"), ("wechat",)),
    (_("WeCom"), ("wecom",)),
    (_("DingTalk"), ("dingtalk",)),
    (_("Feishu"), ("feishu",)),
    (_("Alipay"), ("alipay",)),
    (_("5G messages"), ("rcs",)),
)
OTHERS = _("Others")


@dataclass(frozen=True, slots=True)
class Family:
    """Some kinds under a title."""

    title: str | Promise
    kinds: Sequence[Adapter]


def family_of(kind: str) -> str:
    """The word that the kinds of a family begin with: `sms` of `sms_aliyun`."""
    return kind.partition("_")[0]


def ways() -> dict[str, str | Promise]:
    """What "over this way" may name, in words: a family (`sms`), or one kind of it (`sms_aliyun`)."""
    named = {prefix: title for title, prefixes in FAMILIES for prefix in prefixes}
    return {**named, **dict(kind_choices())}


def families(search: str = "") -> list[Family]:
    """Every family that has a kind whose name, label (in both languages) or family holds the search."""
    known = {prefix for _title, prefixes in FAMILIES for prefix in prefixes}
    groups = [(title, [one for one in adapters() if family_of(one.kind) in prefixes]) for title, prefixes in FAMILIES]
    groups.append((OTHERS, [one for one in adapters() if family_of(one.kind) not in known]))
    found = [Family(title, [one for one in kinds if _meant(search, title, one)]) for title, kinds in groups]
    return [family for family in found if family.kinds]


def _meant(search: str, title: str | Promise, one: Adapter) -> bool:
    said = f"{one.kind} {one.label} {gettext(one.label)} {title} {one.capabilities.address_kind}".casefold()
    return all(word in said for word in search.casefold().split())
