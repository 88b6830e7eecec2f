"""Names of bodies: a kind of channel (`sms_aliyun`) for its own text, or a variant of it (`sms_aliyun/short`). Pure.

A policy may choose a variant by its name for any of its channels; one that chooses none sends the kind's own text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

VARIANT = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")


def body_key(kind: str, variant: str = "") -> str:
    """Under which the text stands in `bodies`."""
    return f"{kind}/{variant}" if variant else kind


def kind_of(key: str) -> str:
    return key.partition("/")[0]


def variant_of(key: str) -> str:
    """The name of the variant; empty for the kind's own text."""
    return key.partition("/")[2]


def well_named(key: str) -> bool:
    """Whether it is a kind's own text, or a variant whose name a policy can write."""
    return "/" not in key or bool(VARIANT.fullmatch(variant_of(key)))


def in_order(keys: Iterable[str], kinds: Sequence[str]) -> list[str]:
    """By kind in the order of `kinds`, unknown ones last, each kind's own text before its variants."""
    place = {kind: number for number, kind in enumerate(kinds)}
    return sorted(keys, key=lambda key: (place.get(kind_of(key), len(place)), key))
