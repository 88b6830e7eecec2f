"""Consents from a file: whose, given or withdrawn, and what proves it, a record a row.

Columns: `user_id`, one column of addresses (phone, email, …) or both; `state`, `time` (when they said so) and `evidence`;
`class` and `business_line` (its code) where it is about one only; `source` (where it was obtained), `text_version`,
`operator` (who heard it) and `reference`.

A record that stands there already, word by word, is not added again. A row that is older than a record which says the
opposite is refused: what somebody said last is what counts, whatever is brought in later. Blocks follow from the records as
where one is recorded by hand (consents.py).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from hashlib import sha256

from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from apps.partners.models import BusinessLine
from apps.users.addresses import IMPORT_KINDS, BadAddress, mask, normalise
from apps.users.importing.apply import LOCK
from apps.users.importing.columns import column_name
from apps.users.importing.dialect import BadFile, _
from apps.users.importing.entries import CLASS_WORDS, OURS
from apps.users.importing.moments import read_moment
from apps.users.importing.rows import RowRefused, check_user_id
from apps.users.lists import ONCE
from apps.users.models import ConsentRecord, MessageClass
from ums_site.crypto import keyring

TABLE = "importing_consents"
OWN = {
    "state": ("consent", "同意", "状态", "同意状态", "是否同意"),
    "time": ("said_at", "at", "时间", "同意时间", "授权时间"),
    "evidence": ("proof", "证据", "凭证", "依据"),
    "class": ("message_class", "classes", "消息类别", "类别"),
    "business_line": ("line", "业务线", "渠道", "渠道编码"),
    "source": ("obtained", "来源", "渠道来源"),
    "text_version": ("version", "文本版本", "版本", "协议版本"),
    "operator": ("经办人", "操作员", "记录人"),
    "reference": ("凭证编号", "编号", "参考号"),
}
NAME_OF = {alias: name for name, aliases in OWN.items() for alias in (name, *aliases)}
NEEDED = ("state", "time")
STATE_WORDS = {
    **dict.fromkeys(("given", "yes", "y", "true", "1", "opt-in", "同意", "已同意", "是", "授权"), "given"),
    **dict.fromkeys(
        ("withdrawn", "no", "n", "false", "0", "opt-out", "撤回", "已撤回", "不同意", "拒绝", "退订", "否"), "withdrawn"
    ),
}
LONGEST = {
    name: ConsentRecord._meta.get_field(column).max_length
    for name, column in {
        "evidence": "evidence", "reference": "reference", "source": "obtained", "text_version": "text_version",
        "operator": "operator",
    }.items()
}  # fmt: skip


@dataclass(slots=True)
class Consent:
    """A good row, in the order of the staging table's columns. `key` is the same for rows that say the same."""

    line: int
    key: str = field(init=False, default="")
    user_id: str | None = None
    kind: str = ""
    hash: str | None = field(default=None, repr=False)
    masked: str = ""
    message_class: str = ""
    business_line_id: int | None = None
    state: str = ""
    said_at: str = ""
    evidence: str = ""
    reference: str = ""
    obtained: str = ""
    text_version: str = ""
    operator: str = ""


class Consents:
    """Reads the rows of one file and writes them, chunk by chunk. `evidence` is that of rows without their own."""

    table = TABLE

    def __init__(self, cells: Sequence[str], evidence: str, actor: str) -> None:
        cells = list(cells)
        while cells and not cells[-1].strip():
            cells.pop()
        self.header = tuple(cells)
        self._places = _places(cells)
        self._lines = dict(BusinessLine.objects.values_list("code", "id"))
        self._evidence, self._actor = evidence.strip(), actor
        self._now, self._zone = timezone.now(), timezone.get_current_timezone()

    def check(self, line: int, cells: Sequence[str]) -> Consent:
        """Raises RowRefused for the first cell that is wrong, naming its column and what to write there."""
        row = Consent(line)
        self._subject(row, cells)
        row.state = self._state(self._cell(cells, "state"))
        row.message_class = self._class(self._cell(cells, "class"))
        row.business_line_id = self._line(self._cell(cells, "business_line"))
        row.said_at = self._time(self._cell(cells, "time"))
        row.evidence = self._proof(cells, "evidence") or self._evidence
        if not row.evidence:
            raise RowRefused(_("evidence is missing: write what was shown or said, in the file or for all of it"))
        row.reference, row.obtained = self._proof(cells, "reference"), self._proof(cells, "source")
        row.text_version, row.operator = self._proof(cells, "text_version"), self._proof(cells, "operator")
        row.key = sha256("\x1f".join(str(part) for part in astuple(row)[2:]).encode()).hexdigest()
        return row

    def _cell(self, cells: Sequence[str], name: str) -> str:
        place = self._places.get(name)
        return cells[place].strip() if place is not None else ""

    def _proof(self, cells: Sequence[str], name: str) -> str:
        text = self._cell(cells, name)
        if "\0" in text:
            raise RowRefused(_("%(column)s: it contains a control character; take it out"), column=name)
        if len(text) > LONGEST[name]:
            raise RowRefused(
                _("%(column)s: %(count)s characters, at most %(limit)s are kept: shorten it"),
                column=name, count=len(text), limit=LONGEST[name],
            )  # fmt: skip
        return text

    def _subject(self, row: Consent, cells: Sequence[str]) -> None:
        user_id = self._cell(cells, "user_id")
        given = [(kind, text) for kind in IMPORT_KINDS if (text := self._cell(cells, kind))]
        if len(given) > 1 or not (given or user_id):
            raise RowRefused(_("user_id: write whose consent it is, or one address, or both"))
        row.user_id = check_user_id(user_id) if user_id else None
        for kind, text in given:
            try:
                address = normalise(kind, text)
            except BadAddress as bad:
                raise RowRefused(_("%(column)s: %(why)s"), column=kind, why=bad) from None
            row.kind, row.masked = kind, mask(kind, address)
            row.hash = "\\x" + keyring().keyed_hash(kind, address).hex()

    def _state(self, text: str) -> str:
        try:
            return STATE_WORDS[text.casefold()]
        except KeyError:
            raise RowRefused(_("state: write given or withdrawn")) from None

    def _class(self, text: str) -> str:
        word = CLASS_WORDS.get(text, text.lower())
        if word and word not in MessageClass.values:
            known = ", ".join(MessageClass.values)
            raise RowRefused(_("class: write one of %(known)s, or leave it empty for all"), known=known)
        return word

    def _line(self, code: str) -> int | None:
        if code and code not in self._lines:
            raise RowRefused(
                _("business_line: there is none with this code; write its code, or leave it empty for all")
            )
        return self._lines.get(code)

    def _time(self, text: str) -> str:
        try:
            moment, _whole_day = read_moment(text, self._zone)
        except ValueError:
            raise RowRefused(_("time: write when they said so, such as 2026-06-30 18:00")) from None
        if moment > self._now:
            raise RowRefused(_("time: it lies in the future; write when they said so"))
        return moment.isoformat()

    def stage(self, cursor: CursorWrapper, rows: Sequence[Consent]) -> None:
        """Makes the staging table anew for this transaction and copies the rows into it. No other record is added meanwhile."""
        cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")
        cursor.execute(f"CREATE TEMPORARY TABLE {TABLE} ({COLUMNS}, recipient_id bigint, known boolean) ON COMMIT DROP")
        out = io.StringIO()
        csv.writer(out).writerows(astuple(row) for row in rows)
        out.seek(0)
        names = ", ".join(one.split()[0] for one in COLUMNS.split(", "))
        texts = "kind, masked, message_class, evidence, reference, obtained, text_version, operator"
        cursor.copy_expert(f"COPY {TABLE} ({names}) FROM STDIN (FORMAT csv, FORCE_NOT_NULL ({texts}))", out)
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute("LOCK TABLE users_consentrecord IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(f"UPDATE {TABLE} s SET recipient_id = r.id FROM users_recipient r WHERE r.user_id = s.user_id")

    def unknown(self, cursor: CursorWrapper) -> dict[int, RowRefused]:
        """Takes out, and returns by line, rows of people whom nobody knows, and those that a later record contradicts."""
        cursor.execute(f"DELETE FROM {TABLE} WHERE user_id IS NOT NULL AND recipient_id IS NULL RETURNING line")
        nobody = {
            line: RowRefused(_("user_id: nobody has this user id; mend it, or import the person first"))
            for (line,) in cursor.fetchall()
        }
        cursor.execute(f"UPDATE {TABLE} s SET known = EXISTS ({KNOWN})")
        cursor.execute(f"DELETE FROM {TABLE} s WHERE NOT s.known AND EXISTS ({CONTRADICTED}) RETURNING s.line")
        words = _("time: a later record says the opposite; leave the row out")
        return nobody | {line: RowRefused(words) for (line,) in cursor.fetchall()}

    def measure(self, cursor: CursorWrapper) -> dict[str, int]:
        """What `write` would add."""
        cursor.execute(f"SELECT count(*) FILTER (WHERE NOT known), count(*) FILTER (WHERE known) FROM {TABLE}")
        added, unchanged = cursor.fetchone()
        return {"entries_added": added, "entries_unchanged": unchanged}

    def write(self, cursor: CursorWrapper) -> None:
        """Adds the records in the order in which they were said, lifts what those given lift, and blocks the others."""
        cursor.execute(ADD, [self._actor])
        cursor.execute(LIFT)
        cursor.execute(BLOCK)


COLUMNS = (
    "line bigint, key text, user_id text, kind text, hash bytea, masked text, message_class text, business_line_id bigint,"
    " state text, said_at timestamptz, evidence text, reference text, obtained text, text_version text, operator text"
)
SAME = " AND ".join(
    f"y.{name} IS NOT DISTINCT FROM s.{name}"
    for name in (
        "recipient_id", "address_hash", "message_class", "business_line_id", "state", "said_at", "evidence", "reference",
        "obtained", "text_version", "operator",
    )
).replace("s.address_hash", "s.hash")  # fmt: skip
KNOWN = f"""
SELECT 1 FROM users_consentrecord y WHERE y.recipient_id = s.recipient_id AND {SAME}
UNION ALL
SELECT 1 FROM users_consentrecord y WHERE y.address_hash = s.hash AND {SAME}
"""
# What was taken back later, in whole or in part, is not given again by an older row; what was given again since, as a
# whole, is not taken back by one.
AGAINST = """
y.state <> s.state AND coalesce(y.said_at, y.at) > s.said_at
AND (y.message_class IN ('', s.message_class) OR s.state = 'given' AND s.message_class = '')
AND (y.business_line_id IS NULL OR y.business_line_id = s.business_line_id
     OR s.state = 'given' AND s.business_line_id IS NULL)
"""
# A person's word reaches their addresses, so what was said of one of these counts, too.
CONTRADICTED = f"""
SELECT 1 FROM users_consentrecord y WHERE y.recipient_id = s.recipient_id AND {AGAINST}
UNION ALL
SELECT 1 FROM users_consentrecord y WHERE y.address_hash = s.hash AND {AGAINST}
UNION ALL
SELECT 1 FROM users_binding b JOIN users_consentrecord y ON y.address_hash = b.address_hash
WHERE b.recipient_id = s.recipient_id AND {AGAINST}
"""
ADD = f"""
INSERT INTO users_consentrecord (recipient_id, address_kind, address_hash, address_masked, message_class, business_line_id,
                                 state, source, evidence, reference, said_at, obtained, text_version, operator, actor, at)
SELECT s.recipient_id, s.kind, s.hash, s.masked, s.message_class, s.business_line_id, s.state, 'import', s.evidence,
       s.reference, s.said_at, s.obtained, s.text_version, s.operator, %s, now()
FROM {TABLE} s WHERE NOT s.known ORDER BY s.said_at, s.line
"""
# Whom what was given reaches – a person, and every address of theirs, or an address – as one subject a row.
REACH = f"""
SELECT g.line, g.said_at, g.message_class, g.business_line_id, subject.recipient_id, subject.hash FROM {TABLE} g
CROSS JOIN LATERAL (
    SELECT g.recipient_id, NULL::bytea AS hash UNION ALL SELECT NULL, g.hash
    UNION ALL SELECT NULL, b.address_hash FROM users_binding b WHERE b.recipient_id = g.recipient_id
) subject WHERE g.state = 'given' AND NOT g.known
"""
LIFT = f"""
DELETE FROM users_blacklistentry WHERE id IN (
    SELECT x.id FROM ({REACH}) g CROSS JOIN LATERAL (
        SELECT * FROM users_blacklistentry x WHERE x.recipient_id = g.recipient_id
        UNION ALL SELECT * FROM users_blacklistentry x WHERE x.address_hash = g.hash
    ) x WHERE x.effect = 'block' AND x.origin = 'consent'
    AND (g.message_class = '' OR x.classes = ARRAY[g.message_class]::varchar[])
    AND (g.business_line_id IS NULL OR (x.scope = 'business_line' AND x.scope_id = g.business_line_id)))
"""
LATER = """
(g.said_at, g.line) > (s.said_at, s.line) AND g.message_class IN ('', s.message_class)
AND (g.business_line_id IS NULL OR g.business_line_id = s.business_line_id)
"""
BLOCK = f"""
WITH reach AS MATERIALIZED ({REACH})
INSERT INTO users_blacklistentry AS x (recipient_id, address_kind, address_hash, address_masked, effect, classes, scope,
                                       scope_id, origin, reason, source, created_at)
SELECT DISTINCT ON (whose, s.hash, s.message_class, s.business_line_id) whose, s.kind, s.hash, s.masked, 'block',
       CASE s.message_class WHEN '' THEN '{{}}'::varchar[] ELSE ARRAY[s.message_class]::varchar[] END,
       CASE WHEN s.business_line_id IS NULL THEN 'everywhere' ELSE 'business_line' END, coalesce(s.business_line_id, 0),
       'consent', left(s.evidence, 200), 'import', now()
FROM (SELECT *, CASE WHEN hash IS NULL THEN recipient_id END AS whose FROM {TABLE}) s
WHERE s.state = 'withdrawn' AND NOT s.known
AND NOT EXISTS (SELECT 1 FROM reach g WHERE g.recipient_id = s.whose AND {LATER})
AND NOT EXISTS (SELECT 1 FROM reach g WHERE g.hash = s.hash AND {LATER})
ORDER BY whose, s.hash, s.message_class, s.business_line_id, s.said_at DESC, s.line DESC
ON CONFLICT {ONCE} DO UPDATE SET reason = excluded.reason, source = excluded.source, expires_at = NULL
"""


def _places(cells: Sequence[str]) -> dict[str, int]:
    """Column name -> place. Raises BadFile for columns that are unknown, repeated or missing."""
    folded = [column_name(cell) for cell in cells]
    ours = len(folded) > 1 and folded[0] in OURS[0] and folded[1] in OURS[1]
    places: dict[str, int] = {}
    unknown = []
    for place, cell in list(enumerate(folded))[2 if ours else 0 :]:
        name = NAME_OF.get(cell, cell)
        if name not in OWN and name != "user_id" and name not in IMPORT_KINDS:
            unknown.append(cells[place].strip()[:40])
        elif name in places:
            raise BadFile(_("columns given twice: %(names)s"), names=name)
        places[name] = place
    known = ", ".join(("user_id", *IMPORT_KINDS, *OWN))
    if unknown:
        words = _("unknown columns: %(unknown)s. Known are %(known)s. Remove the column.")
        raise BadFile(words, unknown=", ".join(unknown), known=known)
    if missing := [name for name in NEEDED if name not in places]:
        raise BadFile(_("columns are missing: %(names)s"), names=", ".join(missing))
    if not places.keys() & {"user_id", *IMPORT_KINDS}:
        raise BadFile(_("there is neither a column user_id nor one of addresses"))
    return places
