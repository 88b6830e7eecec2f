"""What every provider says of itself: its name, channels, switches, habits and the words that scripts may use."""

from collections.abc import Mapping
from typing import Any, ClassVar


class Traits:
    """The static part of a provider; see simulator/README.md, "How a provider plugs in"."""

    name: ClassVar[str]
    channels: ClassVar[Mapping[str, str]] = {}
    settings: ClassVar[Mapping[str, Any]] = {}
    habits: ClassVar[Mapping[str, Any]] = {}
    believable: ClassVar[Mapping[str, Any]] = {}
    operations: ClassVar[tuple[str, ...]] = ("send", "query")
    stages: ClassVar[tuple[str, ...]] = ()
    default_refusal: ClassVar[str] = "refused"
    token_error: ClassVar[str] = ""
    lost_answer: ClassVar[str] = "500"
