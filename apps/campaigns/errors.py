"""Errors of the send story that a person can mend; the sentence is shown as it is, `field` names the input at fault."""

from __future__ import annotations


class CampaignError(ValueError):
    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class PolicyRefused(CampaignError):
    """A policy that cannot be followed; `problems` maps a place such as `steps[1].mode` to a sentence with the remedy."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"{place}: {words}" for place, words in problems.items()), "plan")
        self.problems = problems
