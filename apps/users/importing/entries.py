"""Entries of the black- or whitelist from a file: a user id, an address or a region a row, and what is particular to it.

Columns: `user_id`, `region` or one column of addresses (phone, email, …); `reason`, `expires_at`, `classes` (separated by |),
`channel` (a kind or family of channels), `business_line` and `account` (their codes) where a row has its own. The same
subject, way, scope and classes again renew reason and expiry; the same file again changes nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db.backends.utils import CursorWrapper
from django.utils import timezone, translation

from apps.channels.families import ways
from apps.channels.models import ChannelAccount
from apps.partners.models import BusinessLine
from apps.users.addresses import IMPORT_KINDS, BadAddress, mask, normalise
from apps.users.importing.apply import LOCK
from apps.users.importing.columns import column_name
from apps.users.importing.dialect import BadFile, _
from apps.users.importing.moments import read_moment
from apps.users.importing.rows import RowRefused, check_user_id
from apps.users.lists import ONCE
from apps.users.models import BlacklistEntry, MessageClass, Scope
from apps.users.protection import regions_are_known
from ums_site.crypto import keyring

TABLE = "importing_entries"
OWN = {
    "reason": ("原因", "理由", "备注"),
    "expires_at": ("expires", "到期", "到期时间", "有效期至", "失效时间"),
    "classes": ("class", "消息类别", "类别"),
    "channel": ("channel_kind", "通道", "通道类型", "通道种类"),
    "region": ("地区", "区域", "所在地区"),
    "business_line": ("line", "业务线", "渠道", "渠道编码"),
    "account": ("通道账号", "账号编码"),
}
NAME_OF = {alias: name for name, aliases in OWN.items() for alias in (name, *aliases)}
OURS = ({"line", "行号"}, {"reason", "原因"})  # the first two columns of our own file of refused rows
CLASS_WORDS = {"验证码": "otp", "通知": "transactional", "营销": "marketing"}
LONGEST_REASON = 200
LONGEST_REGION = BlacklistEntry._meta.get_field("region").max_length


@dataclass(slots=True)
class Entry:
    """A good row. Either `user_id`, the address or `region`; `key` is the same for entries that are the same."""

    line: int
    reason: str
    user_id: str | None = None
    kind: str = ""
    hash: bytes | None = field(default=None, repr=False)
    masked: str = ""
    region: str = ""
    channel: str = ""
    classes: tuple[str, ...] = ()
    scope: str = str(Scope.EVERYWHERE)
    scope_id: int = 0
    expires_at: datetime | None = None

    @property
    def key(self) -> str:
        subject = f"u{self.user_id}" if self.user_id else f"a{(self.hash or b'').hex()}{self.region}"
        return f"{subject}|{self.channel}|{self.scope}|{self.scope_id}|{','.join(self.classes)}"


class Entries:
    """Reads the rows of one file and writes them, chunk by chunk. `effect` is block or allow."""

    table = TABLE

    def __init__(self, cells: Sequence[str], effect: str, reason: str) -> None:
        self.effect, self.reason = effect, reason.strip()
        cells = list(cells)
        while cells and not cells[-1].strip():
            cells.pop()
        self.header = tuple(cells)
        self._places = _places(cells)
        self._lines = dict(BusinessLine.objects.values_list("code", "id"))
        self._accounts = dict(ChannelAccount.objects.values_list("code", "id"))
        self._channels = _channel_words()
        self._now = timezone.now()

    def check(self, line: int, cells: Sequence[str]) -> Entry:
        """Raises RowRefused for the first cell that is wrong."""
        for name, place in self._places.items():
            if "\0" in cells[place]:
                raise RowRefused(_("%(column)s: it contains a control character; take it out"), column=name)
        entry = Entry(line, self._cell(cells, "reason")[:LONGEST_REASON] or self.reason)
        if not entry.reason:
            raise RowRefused(_("reason is missing: give one in the file or for all of it"))
        self._subject(entry, cells)
        entry.classes = _classes(self._cell(cells, "classes"))
        entry.channel = self._channel(self._cell(cells, "channel"))
        entry.expires_at = self._expiry(self._cell(cells, "expires_at"))
        self._scope(entry, self._cell(cells, "business_line"), self._cell(cells, "account"))
        return entry

    def _cell(self, cells: Sequence[str], name: str) -> str:
        place = self._places.get(name)
        return cells[place].strip() if place is not None else ""

    def _subject(self, entry: Entry, cells: Sequence[str]) -> None:
        user_id, entry.region = self._cell(cells, "user_id"), self._cell(cells, "region")
        given = [(kind, text) for kind in IMPORT_KINDS if (text := self._cell(cells, kind))]
        if bool(user_id) + bool(entry.region) + len(given) != 1:
            raise RowRefused(_("give a user id, an address or a region: one of them"))
        if len(entry.region) > LONGEST_REGION:
            raise RowRefused(_("region: it is longer than %(limit)s characters"), limit=LONGEST_REGION)
        if user_id:
            entry.user_id = check_user_id(user_id)
            return
        if not given:
            return
        kind, text = given[0]
        try:
            address = normalise(kind, text)
        except BadAddress as bad:
            raise RowRefused(_("%(column)s: %(why)s"), column=kind, why=bad) from None
        entry.kind, entry.masked, entry.hash = kind, mask(kind, address), keyring().keyed_hash(kind, address)

    def _channel(self, text: str) -> str:
        if not text:
            return ""
        word = self._channels.get(text.casefold())
        if word is None:
            raise RowRefused(
                _("channel: there is no kind of channel %(unknown)s; known are %(known)s."),
                unknown=text[:40],
                known=", ".join(ways()),
            )
        return word

    def _expiry(self, text: str) -> datetime | None:
        if not text:
            return None
        try:
            moment, whole_day = read_moment(text, timezone.get_current_timezone())
        except ValueError:
            raise RowRefused(
                _("expires_at: write a date such as 2027-06-30 or a time such as 2027-06-30 18:00")
            ) from None
        if whole_day:
            moment += timedelta(days=1)  # the day itself still counts
        if moment <= self._now:
            raise RowRefused(_("expires_at is over already"))
        return moment

    def _scope(self, entry: Entry, line: str, account: str) -> None:
        if line and account:
            raise RowRefused(_("give either a business line or an account"))
        for code, known, scope in ((line, self._lines, Scope.BUSINESS_LINE), (account, self._accounts, Scope.ACCOUNT)):
            if code and code not in known:
                raise RowRefused(_("%(column)s: there is none with this code"), column=str(scope))
            if code:
                entry.scope, entry.scope_id = str(scope), known[code]

    def stage(self, cursor: CursorWrapper, rows: Sequence[Entry]) -> None:
        """Makes the staging table anew for this transaction and copies the rows into it."""
        cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")
        cursor.execute(
            f"CREATE TEMPORARY TABLE {TABLE} (line bigint, key text, user_id text, kind text, hash bytea, masked text,"
            " region text, channel text, classes varchar[], scope text, scope_id bigint, reason text,"
            " expires_at timestamptz, recipient_id bigint) ON COMMIT DROP"
        )
        out = io.StringIO()
        csv.writer(out).writerows(_cells(row) for row in rows)
        out.seek(0)
        names = "line, key, user_id, kind, hash, masked, region, channel, classes, scope, scope_id, reason, expires_at"
        never_null = "FORCE_NOT_NULL (kind, masked, region, channel), FORCE_NULL (user_id, hash)"
        cursor.copy_expert(f"COPY {TABLE} ({names}) FROM STDIN (FORMAT csv, {never_null})", out)
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])

    def unknown(self, cursor: CursorWrapper) -> dict[int, RowRefused]:
        """Ties user ids to people; takes out, and returns by line, those that nobody has."""
        cursor.execute(f"UPDATE {TABLE} s SET recipient_id = r.id FROM users_recipient r WHERE r.user_id = s.user_id")
        cursor.execute(f"DELETE FROM {TABLE} WHERE user_id IS NOT NULL AND recipient_id IS NULL RETURNING line")
        return {line: RowRefused(_("nobody has this user id")) for (line,) in cursor.fetchall()}

    def measure(self, cursor: CursorWrapper) -> dict[str, int]:
        """What `write` would do to the lists."""
        cursor.execute(MEASURE, {"effect": self.effect})
        added, changed, unchanged = cursor.fetchone()
        return {"entries_added": added, "entries_changed": changed, "entries_unchanged": unchanged}

    def write(self, cursor: CursorWrapper) -> None:
        """Adds and renews; an entry that says the same already is not touched."""
        cursor.execute(WRITE, {"effect": self.effect})


SAME = "x.reason = s.reason AND x.expires_at IS NOT DISTINCT FROM s.expires_at"
OF_ENTRY = (
    "x.effect = %(effect)s AND x.channel = s.channel AND x.scope = s.scope AND x.scope_id = s.scope_id"
    " AND x.classes = s.classes AND x.origin = 'operator'"
)
MEASURE = f"""
SELECT count(*) FILTER (WHERE x.id IS NULL), count(*) FILTER (WHERE x.id IS NOT NULL AND NOT ({SAME})),
       count(*) FILTER (WHERE {SAME})
FROM {TABLE} s LEFT JOIN LATERAL (
    SELECT * FROM users_blacklistentry x WHERE x.recipient_id = s.recipient_id AND {OF_ENTRY}
    UNION ALL
    SELECT * FROM users_blacklistentry x WHERE x.address_hash = s.hash AND {OF_ENTRY}
    UNION ALL
    SELECT * FROM users_blacklistentry x WHERE x.region = s.region AND x.region <> '' AND {OF_ENTRY}
) x ON true
"""
WRITE = f"""
INSERT INTO users_blacklistentry AS x (recipient_id, address_kind, address_hash, address_masked, region, effect, classes,
                                       channel, scope, scope_id, origin, reason, source, expires_at, created_at)
SELECT s.recipient_id, s.kind, s.hash, s.masked, s.region, %(effect)s, s.classes, s.channel, s.scope, s.scope_id,
       'operator', s.reason, 'import', s.expires_at, now() FROM {TABLE} s ORDER BY s.line
ON CONFLICT {ONCE} DO UPDATE
SET reason = excluded.reason, expires_at = excluded.expires_at, source = 'import'
WHERE x.reason <> excluded.reason OR x.expires_at IS DISTINCT FROM excluded.expires_at
"""


def _cells(row: Entry) -> tuple[object, ...]:
    hashed = "\\x" + row.hash.hex() if row.hash else ""
    expiry = row.expires_at.isoformat() if row.expires_at else ""
    return (
        row.line, row.key, row.user_id or "", row.kind, hashed, row.masked, row.region, row.channel,
        "{" + ",".join(row.classes) + "}", row.scope, row.scope_id, row.reason, expiry,
    )  # fmt: skip


def _places(cells: Sequence[str]) -> dict[str, int]:
    """Column name -> place. Raises BadFile for columns that are unknown, repeated or missing."""
    folded = [column_name(cell) for cell in cells]
    ours = len(folded) > 1 and folded[0] in OURS[0] and folded[1] in OURS[1]
    places: dict[str, int] = {}
    unknown = []
    for place, cell in enumerate(folded):
        if ours and place < 2:
            continue
        name = NAME_OF.get(cell, cell)
        if name not in OWN and name != "user_id" and name not in IMPORT_KINDS:
            unknown.append(cells[place].strip()[:40])
        elif name in places:
            raise BadFile(_("columns given twice: %(names)s"), names=name)
        places[name] = place
    if unknown:
        raise BadFile(
            _("unknown columns: %(unknown)s. Known are %(known)s. Remove the column."),
            unknown=", ".join(unknown),
            known=", ".join(("user_id", *IMPORT_KINDS, *OWN)),
        )
    if not places.keys() & {"user_id", "region", *IMPORT_KINDS}:
        raise BadFile(_("there is neither a column user_id nor one of addresses or regions"))
    if "region" in places and not regions_are_known():
        raise BadFile(
            _("People have no open attribute “%(key)s” that says their region: declare it under Attributes first."),
            key=settings.UMS_REGION_ATTRIBUTE,
        )
    return places


def _channel_words() -> dict[str, str]:
    """What a file may call a way: its word, or its name in a language of ours."""
    found = {word: word for word in ways()}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            found |= {str(title).casefold(): word for word, title in reversed(ways().items())}
    return found


def _classes(cell: str) -> tuple[str, ...]:
    names = {
        CLASS_WORDS.get(one.strip(), one.strip().lower()) for one in cell.replace("｜", "|").split("|") if one.strip()
    }
    if unknown := names - set(MessageClass.values):
        raise RowRefused(
            _("classes: there is no class %(unknown)s; known are %(known)s."),
            unknown=", ".join(sorted(unknown)),
            known=", ".join(MessageClass.values),
        )
    return tuple(sorted(names))
