"""Pages for people: what arrived on each person's phone and in each mailbox, and why something did not."""

import secrets
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from simulator.aliyun import beijing_time
from simulator.chance import address_hash
from simulator.outside import Arrival, Outside
from simulator.page_content import read_mail, read_push
from simulator.page_words import WORDS, reason
from simulator.postoffice import PostOffice

Place = tuple[str, str]

CHANNELS = ("app", "sms", "mail")
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

    def __init__(self, outside: Outside, office: PostOffice) -> None:
        self.outside, self.office = outside, office

    def places(self, person: dict[str, Any]) -> list[Place]:
        """Return the (channel, address) pairs of a person as the providers write the addresses."""
        places = [("app", str(rid)) for rid in person.get("jpush", ())]
        if phone := str(person.get("phone") or "").removeprefix("+86"):
            places.append(("sms", phone.removeprefix("+")))
        return places + ([("mail", str(person["email"]))] if person.get("email") else [])

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
            f"{self._totals(words)}{heading}{found}"
        )

    def _totals(self, words: dict[str, str]) -> str:
        providers = zip(CHANNELS, ("jpush", "aliyun", "smtp"), strict=True)
        tiles = [
            f'<div class="total {channel}"><b>{self.outside.counts[provider].accepted:,}</b>'
            f"<span><i></i>{words[channel]} · {words['accepted']}</span></div>"
            for channel, provider in providers
        ]
        return f'<div class="totals">{"".join(tiles)}</div>'

    def _card(self, language: str, name: str, title: str, places: list[Place]) -> str:
        counts = "".join(
            f'<span class="count {channel}" title="{WORDS[language][channel]}"><i></i>{number}</span>'
            for channel in CHANNELS
            if (number := sum(len(self.outside.arrived(*place)) for place in places if place[0] == channel))
            or name in self.outside.people
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
        addresses = " · ".join(escape(address) for _, address in places)
        return (
            f'<header><a class="back" href="/_sim/phones?lang={language}">‹ {words["all"]}</a>'
            f"<div><h1>{escape(title)}</h1><p class=lead>{addresses}</p></div>"
            f'<a class="lang" href="?lang={other}">{words["other"]}</a></header><div class="stage">'
            f"{self._lock_screen(words, self._messages(places, 'app'))}"
            f"{self._thread(words, self._messages(places, 'sms'))}"
            f"{self._mailbox(words, self._messages(places, 'mail'))}</div>"
        )

    def _messages(self, places: list[Place], channel: str) -> list[Arrival]:
        """Return the newest messages of a channel, newest first."""
        found = [message for place in places if place[0] == channel for message in self.outside.arrived(*place)]
        return sorted(found, key=lambda message: message.at, reverse=True)[:SHOWN_MESSAGES]

    def _lock_screen(self, words: dict[str, str], messages: list[Arrival]) -> str:
        latest = messages[0].at if messages else time.time()
        notes = "".join(_note(words, message) for message in messages) or f'<p class="blank">{words["empty_app"]}</p>'
        return (
            f'<section class="phone" aria-label="{words["notifications"]}"><div class="screen lock">'
            f'<i class="island"></i>{_bar(latest)}<div class="clock">'
            f"<b>{_clock(latest)}</b><span>{beijing_time(latest)[:10]}</span></div>"
            f'<div class="scroll">{notes}</div></div></section>'
        )

    def _thread(self, words: dict[str, str], messages: list[Arrival]) -> str:
        latest = messages[0].at if messages else time.time()
        lines, sign = [], None
        for message in reversed(messages):
            if message.content.sign != sign:
                sign = message.content.sign
                lines.append(f'<p class="who"><b>{escape(sign)}</b><br>{beijing_time(message.at)[:16]}</p>')
            lines.append(_bubble(words, message))
        body = "".join(lines) or f'<p class="blank">{words["empty_sms"]}</p>'
        return (
            f'<section class="phone" aria-label="{words["messages"]}"><div class="screen thread"><i class="island"></i>'
            f'{_bar(latest)}<div class="nav">{words["messages"]}</div><div class="scroll">{body}</div></div></section>'
        )

    def _mailbox(self, words: dict[str, str], messages: list[Arrival]) -> str:
        letters = "".join(self._letter(words, message, index == 0) for index, message in enumerate(messages))
        body = letters or f'<p class="blank">{words["empty_mail"]}</p>'
        return f'<section class="box"><div class="nav">{words["mailbox"]}</div>{body}</section>'

    def _letter(self, words: dict[str, str], message: Arrival, first: bool) -> str:
        mail = read_mail(self.office.read(message.content))
        off, why = _state(words, message)
        html = f'<iframe sandbox="" title="HTML" srcdoc="{escape(mail.html)}"></iframe>' if mail.html else ""
        text = f"<pre>{escape(mail.text)}</pre>" if mail.text else ""
        if html and text:
            text = f"<details><summary>{words['text']}</summary>{text}</details>"
        headers = escape("\n".join(f"{name}: {value}" for name, value in mail.headers))
        return (
            f'<details class="letter{off}" id="m{message.pid}"{" open" if first else ""}><summary>'
            f'<span class="subject">{escape(mail.subject) or words["no_subject"]}</span>'
            f"<time>{beijing_time(message.at)[5:16]}</time>"
            f'<span class="sender">{words["from"]} {escape(mail.sender)}</span></summary>'
            f'<div class="sheet">{why}{html}{text}'
            f"<details><summary>{words['headers']}</summary><pre>{headers}</pre></details></div></details>"
        )


def _clock(moment: float) -> str:
    return beijing_time(moment)[11:16]


def _bar(moment: float) -> str:
    return f'<div class="bar"><span>{_clock(moment)}</span></div>'


def _state(words: dict[str, str], message: Arrival) -> tuple[str, str]:
    """Return the class that greys out what did not arrive, and the words that say why."""
    reached = message.fate.reached(time.time()) and not message.recalled
    key = reason(message.fate.word, reached, message.recalled)
    kind = "why good" if reached else "why"
    return ("" if reached else " off"), f'<span class="{kind}">{words[key]}</span>'


def _note(words: dict[str, str], message: Arrival) -> str:
    note, (off, why) = read_push(message.content), _state(words, message)
    title = f"<strong>{escape(note.title)}</strong>" if note.title else ""
    return (
        f'<article class="note{off}"><div class="top"><i>U</i>{words["push"]}'
        f"<time>{beijing_time(message.at)[5:16]}</time></div>"
        f"{title}<p>{escape(note.text)}</p>{why}</article>"
    )


def _bubble(words: dict[str, str], message: Arrival) -> str:
    off, why = _state(words, message)
    text = escape(f"【{message.content.sign}】{message.content.text}")
    return f'<div class="sms1{off}"><div class="bubble">{text}</div><small>{_clock(message.at)} {why}</small></div>'
