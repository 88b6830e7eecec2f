"""Files of people and the rows they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.utils import translation

if TYPE_CHECKING:  # a conftest is read before Django is ready
    from apps.users.models import PeopleImport

PEOPLE = Path(__file__).resolve().parents[2] / "demo" / "data" / "people.csv"
DIRTY = PEOPLE.with_name("people_excel_gb18030.csv")


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Reasons are compared in the language of the code."""
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True, scope="session")
def static_folder() -> None:
    """The middleware for static files warns where its folder is missing."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


@pytest.fixture
def declared(db: None) -> None:
    """The four attributes of the demo's files."""
    from apps.users.attributes import ensure_default_attributes

    ensure_default_attributes()


@pytest.fixture
def bring_in(declared: None) -> Callable[..., PeopleImport]:
    """Imports a file in this process and returns the finished row."""
    from apps.users import services
    from apps.users.importing import job

    def bring_in(path: Path, *, dry_run: bool = False) -> PeopleImport:
        with path.open("rb") as file:
            order = services.start_import(actor="test", file=file, file_name=path.name, dry_run=dry_run, at_once=True)
        return job.run(order.pk)

    return bring_in
