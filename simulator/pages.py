"""Pages for people: what arrived on each person's phone and in each mailbox, and why something did not."""

import secrets
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from simulator.chance import address_hash
from simulator.outside import Arrival, Outside
from simulator.page_words import LOOKS, WORDS
from simulator.phone import Phone
from simulator.provider import Party

Place = tuple[str, str]

USUAL_LOOKS = ("app", "sms", "mail")
SHOWN_PEOPLE = 120
SHOWN_MESSAGES = 60
STYLE = (Path(__file__).parent / "phones.css").read_text()
FOLLOW = """setInterval(async()=>{const r=await fetch(location.href).catch(()=>null);if(!r||!r.ok)return;
const d=new DOMParser().parseFromString(await r.text(),'text/html').querySelector('main');
const m=document.querySelector('main');if(d.dataset.version===m.dataset.version)return;
const open=[...m.querySelectorAll('details[open][id]')].map(e=>e.id);m.replaceWith(d);
open.forEach(i=>{const e=document.getElementById(i);if(e)e.open=true})},2500)"""


class PhonePages:
    """Draws the list of people and one person's devices."""

    def __init__(self, outside: Outside, parties: Mapping[str, Party]) -> None:
        self.outside, self.parties = outside, parties
        self._looks = {channel: look for party in parties.values() for channel, look in party.channels.items()}

    def places(self, person: dict[str, Any]) -> list[Place]:
        """Return the (channel, address) pairs of a person as the providers write the addresses, each once."""
        return list(dict.fromkeys(place for party in self.parties.values() for place in party.places(person)))

    def show(self, request: web.BaseRequest) -> web.Response:
        """Answer a request for the list or for one person."""
        language = "en" if request.query.get("lang") == "en" else "zh"
        name = request.path.removeprefix("/_sim").removeprefix("/phones").strip("/")
        if not name:
            return self._page(language, self._list(language, request.query.get("q", "").strip()))
        places = self._places_of(name)
        if not places:
            return self._page(language, f'<p class="none">{WORDS[language]["no_match"]}</p>', 404)
        return self._page(language, self._person(language, name, places))

    def _page(self, language: str, body: str, status: int = 200) -> web.Response:
        nonce, title = secrets.token_hex(8), WORDS[language]["title"]
        lang, version = ("en" if language == "en" else "zh-CN"), address_hash(body)[:16]
        head = (
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{title}</title>"
        )
        text = (
            f'<!doctype html><html lang="{lang}"><head>{head}<style>{STYLE}</style></head><body>'
            f'<main class="wrap" data-version="{version}">{body}</main>'
            f'<script nonce="{nonce}">{FOLLOW}</script></body></html>'
        )
        own = f"style-src 'unsafe-inline'; img-src data:; script-src 'nonce-{nonce}'; connect-src 'self'"
        return web.Response(
            text=text,
            status=status,
            content_type="text/html",
            headers={"Content-Security-Policy": f"default-src 'none'; {own}"},
        )

    # --- who is who

    def _name_of(self, place: Place) -> str:
        return self.outside.person_of.get(place) or f"{place[0]}-{address_hash(place[1])[:16]}"

    def _places_of(self, name: str) -> list[Place]:
        if person := self.outside.people.get(name):
            return self.places(person)
        return [place for place in self.outside.arrivals if self._name_of(place) == name][:1]

    def _title_of(self, name: str, places: list[Place]) -> str:
        person = self.outside.people.get(name)
        return str(person.get("name") or name) if person else places[0][1]

    def _latest(self) -> Iterator[tuple[str, list[Place]]]:
        """Yield people, those with the newest messages first, then the silent part of the cast."""
        seen: set[str] = set()
        for place in self.outside.latest_places():
            name = self._name_of(place)
            if name not in seen:
                seen.add(name)
                yield name, self._places_of(name) if name in self.outside.people else [place]
        for name, person in self.outside.people.items():
            if name not in seen:
                yield name, self.places(person)

    # --- the list

    def _list(self, language: str, query: str) -> str:
        words, cards = WORDS[language], []
        for name, places in self._latest():
            title = self._title_of(name, places)
            if not query or any(
                query.lower() in text.lower() for text in (name, title, *(place[1] for place in places))
            ):
                cards.append(self._card(language, name, title, places))
            if len(cards) == SHOWN_PEOPLE:
                break
        none = words["no_match" if query else "nobody"]
        found = f'<div class="cards">{"".join(cards)}</div>' if cards else f'<p class="none">{none}</p>'
        heading = f"<h2>{words['latest'].format(shown=len(cards))}</h2>" if cards else ""
        other = f"?lang={'zh' if language == 'en' else 'en'}&amp;q={quote(query)}"
        return (
            f"<header><div><h1>{words['title']}</h1><p class=lead>{words['lead']}</p></div>"
            f'<a class="lang" href="{other}">{words["other"]}</a></header>'
            f'<form><input type="hidden" name="lang" value="{language}"><input name="q" value="{escape(query)}" '
            f'placeholder="{words["search"]}" aria-label="{words["search"]}"><button>{words["find"]}</button></form>'
            f"{self._totals(language)}{heading}{found}"
        )

    def _totals(self, language: str) -> str:
        accepted = dict.fromkeys(LOOKS[language], 0)
        for channel, number in self.outside.accepted.items():
            accepted[self._looks[channel]] += number
        tiles = [
            f'<div class="total {look}"><b>{number:,}</b><span><i></i>{LOOKS[language][look]}</span></div>'
            for look, number in accepted.items()
            if number or look in USUAL_LOOKS
        ]
        return f'<h2>{WORDS[language]["accepted"]}</h2><div class="totals">{"".join(tiles)}</div>'

    def _sections(self, places: list[Place]) -> dict[str, list[Arrival]]:
        """Return the newest messages for each look in which the person can be reached, newest first."""
        found: dict[str, list[Arrival]] = {look: [] for look in LOOKS["en"] if look in self._looks_of(places)}
        for channel, address in places:
            found[self._looks[channel]] += self.outside.arrived(channel, address)
        return {
            look: sorted(messages, key=lambda message: message.at, reverse=True)[:SHOWN_MESSAGES]
            for look, messages in found.items()
        }

    def _looks_of(self, places: list[Place]) -> set[str]:
        return {self._looks[channel] for channel, _ in places}

    def _card(self, language: str, name: str, title: str, places: list[Place]) -> str:
        counts = "".join(
            f'<span class="count {look}" title="{LOOKS[language][look]}"><i></i>{len(messages)}</span>'
            for look, messages in self._sections(places).items()
            if messages
        )
        hue = int(address_hash(name)[:4], 16) % 360
        below = name if name in self.outside.people else WORDS[language]["unknown"]
        return (
            f'<a class="card" href="/_sim/phones/{quote(name)}?lang={language}"><span class="face" style="--h:{hue}">'
            f"{escape(title[:1].upper())}</span><div><strong>{escape(title)}</strong><small>{escape(below)}</small>"
            f'<div class="counts">{counts}</div></div></a>'
        )

    # --- one person

    def _person(self, language: str, name: str, places: list[Place]) -> str:
        words, title = WORDS[language], self._title_of(name, places)
        other = "zh" if language == "en" else "en"
        addresses = " · ".join(dict.fromkeys(escape(address) for _, address in places))
        return (
            f'<header><a class="back" href="/_sim/phones?lang={language}">‹ {words["all"]}</a>'
            f"<div><h1>{escape(title)}</h1><p class=lead>{addresses}</p></div>"
            f'<a class="lang" href="?lang={other}">{words["other"]}</a></header>'
            f"{Phone(self.parties, language).draw(self._sections(places))}"
        )
