"""A small table in a form: one row of texts after the other, with empty rows to write into and a button for more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

EMPTY_ROWS = 2


@dataclass(frozen=True, slots=True)
class Column:
    """`choices` makes a select of it, the first being what an empty row has; `long` a text of several lines."""

    name: str
    label: str | Promise
    choices: tuple[tuple[str, str | Promise], ...] = ()
    long: bool = False


class RowsWidget(forms.Widget):
    """Inputs named <field>__<column>, repeated for every row: needs no script to be read."""

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.columns = columns

    class Media:
        js = ["templates/rows.js"]

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[dict[str, str]]:
        held = [data.getlist(f"{name}__{column.name}") for column in self.columns]
        return [
            {column.name: text for column, text in zip(self.columns, row, strict=True)}
            for row in zip(*held, strict=False)
        ]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}__{self.columns[0].name}" not in data

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        rows: list[Mapping[str, str]] = [*(value or []), *({} for _empty in range(EMPTY_ROWS))]
        cells = [[(column, row.get(column.name, "")) for column in self.columns] for row in rows]
        context = {"name": name, "columns": self.columns, "rows": cells, "id": (attrs or {}).get("id", name)}
        return render_to_string("templates/rows.html", context)


class RowsField(forms.Field):
    """Cleans to the rows whose `key` column is filled in, texts stripped. A row with other text but no key is refused.

    A key stands there once, or with `repeats` once with the same choices beside it.
    """

    def __init__(self, columns: Sequence[Column], *, key: str, repeats: bool = False, **options: Any) -> None:
        super().__init__(widget=RowsWidget(columns), required=False, **options)
        self.columns, self.key, self.repeats = columns, key, repeats

    def clean(self, value: Any) -> list[dict[str, str]]:
        rows = [{name: text.replace("\r\n", "\n").strip() for name, text in row.items()} for row in value or []]
        chosen = {column.name for column in self.columns if column.choices}
        kept = [row for row in rows if any(text for name, text in row.items() if name not in chosen)]
        for row in kept:
            if not row[self.key]:
                raise forms.ValidationError(_("A row has no name: write one, or empty the row."))
            if any("\0" in text for text in row.values()):
                raise forms.ValidationError(_("Null characters are not allowed."))
            if any(row[c.name] not in dict(c.choices) for c in self.columns if c.choices):
                raise forms.ValidationError(_("%(name)s: choose from the list.") % {"name": row[self.key]})
        keys = [tuple(row.values()) if self.repeats else row[self.key] for row in kept]
        if len(set(keys)) < len(keys):
            raise forms.ValidationError(_("A name stands there twice: remove one of the two rows."))
        return kept

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whatever was posted is saved; the audit log tells of every save."""
        return True
