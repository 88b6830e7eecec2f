"""What services of templates refuse, in words that the console and the API may show."""

from __future__ import annotations

from collections.abc import Sequence

from apps.templates.lint import Finding


class TemplateError(ValueError):
    """A refusal; the sentence names the remedy. It holds no value of any person."""


class NotPublishable(TemplateError):
    """`findings`: what lint found, at least one error among them."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(" ".join(str(finding) for finding in findings if finding.level == "error"))
        self.findings = list(findings)


class NoBody(LookupError):
    """The version has no body for that kind of channel."""
