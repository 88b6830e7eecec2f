"""The small spreadsheet of recipients."""

import pytest
from tablib import Dataset

from apps.users import services
from apps.users.admin.exchange import RecipientResource
from apps.users.models import Recipient, Tag

pytestmark = pytest.mark.django_db


def test_what_goes_out_comes_in_again_without_a_change() -> None:
    person = services.ensure_recipient(actor="t", user_id="=1+1")
    services.tag(actor="t", recipients=[person], tags=["vip", "新客"])
    sheet = RecipientResource().export()
    assert sheet.dict[0]["user_id"] == "'=1+1"
    result = RecipientResource().import_data(sheet, raise_errors=True)
    assert (result.totals["skip"], Recipient.objects.get().tags) == (1, ["vip", "新客"])


def test_tags_are_edited_and_bad_rows_named() -> None:
    sheet = Dataset(["A1", "vip|新客"], [" ", "x"], headers=["user_id", "tags"])
    result = RecipientResource().import_data(sheet)
    assert result.has_errors() or result.has_validation_errors()
    sheet = Dataset(["A1", "vip|新客"], headers=["user_id", "tags"])
    assert not RecipientResource().import_data(sheet).has_errors()
    assert Recipient.objects.get().tags == ["vip", "新客"]
    assert set(Tag.objects.values_list("name", flat=True)) == {"vip", "新客"}
