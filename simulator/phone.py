"""One person's phone: a section for every look, drawn from what the providers say is shown."""

import time
from collections.abc import Mapping, Sequence
from html import escape

from simulator.clock import beijing_time
from simulator.outside import Arrival
from simulator.page_words import LOOKS, WORDS, state_of, state_words
from simulator.provider import Party, Shown

CLOCK = "%H:%M"
DAY_AND_CLOCK = "%m-%d %H:%M"


class Phone:
    """Draws the sections of a phone in one language."""

    def __init__(self, parties: Mapping[str, Party], language: str) -> None:
        self.parties, self.language = parties, language
        self.words = WORDS[language]

    def draw(self, sections: Mapping[str, Sequence[Arrival]]) -> str:
        """Return the phone with one section per look; messages newest first."""
        latest = max((message.at for messages in sections.values() for message in messages), default=time.time())
        panes = "".join(self._pane(look, messages) for look, messages in sections.items())
        broad = len(sections) + ("mail" in sections)
        return (
            f'<section class="phone" aria-label="{self.words["device"]}" style="--n:{broad}"><div class="glass">'
            f'<div class="bar"><span>{beijing_time(latest, CLOCK)}</span></div><div class="panes">{panes}</div>'
            "</div></section>"
        )

    def _pane(self, look: str, messages: Sequence[Arrival]) -> str:
        draw = {"sms": self._thread, "mail": self._mailbox}.get(look, self._cards)
        body = draw(messages) if messages else f'<p class="blank">{self.words["nothing"]}</p>'
        name = LOOKS[self.language][look]
        return (
            f'<section class="pane {look}" aria-label="{name}"><h2 class="head"><i class="icon"></i>{name}'
            f'<span class="number">{len(messages)}</span></h2><div class="scroll">{body}</div></section>'
        )

    def _shown(self, message: Arrival) -> Shown:
        return self.parties[message.provider].show(message, self.language)

    def _state(self, message: Arrival, shown: Shown) -> tuple[str, str]:
        """Return the class that greys out what did not arrive, and the words that say why."""
        now = time.time()
        reached = (message.fate.reached(now) or bool(message.read_at)) and not message.recalled
        words = state_words(self.language, state_of(message, now), shown.words)
        return ("" if reached else " off"), f'<span class="why{" good" if reached else ""}">{escape(words)}</span>'

    # --- most looks: cards

    def _cards(self, messages: Sequence[Arrival]) -> str:
        return "".join(self._card(message, self._shown(message)) for message in messages)

    def _card(self, message: Arrival, shown: Shown) -> str:
        off, why = self._state(message, shown)
        sender = f"<b>{escape(shown.sender)}</b>" if shown.sender else ""
        return (
            f'<article class="note{off}"><div class="top"><i></i>{sender}'
            f"<time>{beijing_time(message.at, DAY_AND_CLOCK)}</time></div>"
            f"{self._inside(shown)}<footer>{why}</footer>{self._folded(message, shown)}</article>"
        )

    def _inside(self, shown: Shown) -> str:
        parts = [
            f"<h3>{escape(shown.title)}</h3>" if shown.title else "",
            f"<p>{escape(shown.text)}</p>" if shown.text else "",
            _rows(shown.fields),
            _go(shown),
            f"<small>{escape(shown.detail)}</small>" if shown.detail else "",
        ]
        return f'<div class="inside">{"".join(parts)}</div>'

    def _folded(self, message: Arrival, shown: Shown) -> str:
        return "".join(
            f'<details id="f{number}-{escape(message.pid)}"><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>'
            for number, (title, text) in enumerate(shown.folded)
        )

    # --- short messages: a thread

    def _thread(self, messages: Sequence[Arrival]) -> str:
        lines, sender = [], None
        for message in reversed(messages):
            shown = self._shown(message)
            if shown.sender != sender:
                sender = shown.sender
                lines.append(f'<p class="who"><b>{escape(sender)}</b><br>{beijing_time(message.at)[:16]}</p>')
            off, why = self._state(message, shown)
            lines.append(
                f'<div class="sms1{off}"><div class="bubble">{escape(shown.text)}{_go(shown)}</div>'
                f"<small>{beijing_time(message.at, CLOCK)} {why}</small></div>"
            )
        return "".join(lines)

    # --- mail: letters

    def _mailbox(self, messages: Sequence[Arrival]) -> str:
        return "".join(self._letter(message, index == 0) for index, message in enumerate(messages))

    def _letter(self, message: Arrival, first: bool) -> str:
        shown = self._shown(message)
        off, why = self._state(message, shown)
        html = f'<iframe sandbox="" title="HTML" srcdoc="{escape(shown.html)}"></iframe>' if shown.html else ""
        text = f"<pre>{escape(shown.text)}</pre>" if shown.text else ""
        return (
            f'<details class="letter{off}" id="m{escape(message.pid)}"{" open" if first else ""}><summary>'
            f'<span class="subject">{escape(shown.title) or self.words["no_subject"]}</span>'
            f"<time>{beijing_time(message.at, DAY_AND_CLOCK)}</time>"
            f'<span class="sender">{self.words["from"]} {escape(shown.sender)}</span></summary>'
            f'<div class="sheet">{why}{html}{text}{self._folded(message, shown)}</div></details>'
        )


def _rows(fields: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in fields)
    return f"<dl>{rows}</dl>" if rows else ""


def _go(shown: Shown) -> str:
    """Return the button of a message; only a web address can be opened."""
    if not shown.button and not shown.link:
        return ""
    words = escape(shown.button or shown.link)
    if not shown.link.startswith(("http://", "https://")):
        return f'<span class="go" title="{escape(shown.link)}">{words}</span>'
    return f'<a class="go" href="{escape(shown.link)}" target="_blank" rel="noopener noreferrer">{words}</a>'
