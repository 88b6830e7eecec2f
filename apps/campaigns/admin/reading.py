"""What the lists of hot rows have in common: nothing is added, changed or deleted, and no list counts to the end."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

MOST_COUNTED = 10_000


class ShortPaginator(Paginator):
    """Counts to MOST_COUNTED and no further: nobody turns a thousand pages, everybody filters."""

    @cached_property
    def count(self) -> int:
        """Rows that can be turned to."""
        return len(self.object_list.order_by().values_list("pk", flat=True)[:MOST_COUNTED])


class ReadOnlyAdmin(ModelAdmin):
    """Rows that the pipeline writes and people read."""

    paginator = ShortPaginator
    show_full_result_count = False
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
