"""A kind of channel whose provider lists its templates, page by page, with an access token: a folder and one line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from apps.channels.contract import (
    Account,
    Adapter,
    ApprovedTemplate,
    Capabilities,
    ConfigField,
    ContentField,
    HttpAnswer,
    HttpRequest,
    Token,
)
from apps.channels.outcomes import Misconfigured, Outcome, StaleToken, Unknown


class Listing(Adapter):
    """GET /token answers {"token", "seconds"}; GET /templates?page= {"templates": [[code, name, text, state]], "more"}."""

    kind = "listing"
    label = "Listing"
    config_fields = (
        ConfigField("base_url", "Endpoint", type="url"),
        ConfigField("secret", "Secret", secret=True),
        ConfigField("spare_secret", "Spare secret", secret=True, required=False, help="Stands on the page “Keys”."),
    )
    content_fields = (ContentField("text", "Text"),)
    capabilities = Capabilities(address_kind="phone")
    uses_token = True

    def build_token(self, account: Account, now: datetime) -> HttpRequest:
        return HttpRequest("GET", f"{account.config['base_url']}/token?secret={account.config['secret']}", [])

    def read_token(self, account: Account, answer: HttpAnswer) -> Token | Outcome:
        if answer.status != 200:
            return Misconfigured("bad_secret", "The secret is not taken.")
        said = json.loads(answer.body)
        return Token(said["token"], timedelta(seconds=said["seconds"]))

    def build_templates(self, account: Account, page: int) -> HttpRequest:
        url = f"{account.config['base_url']}/templates?page={page}&token={account.token}"
        return HttpRequest("GET", url, [])

    def read_templates(self, account: Account, answer: HttpAnswer) -> tuple[Sequence[ApprovedTemplate], bool] | Outcome:
        if answer.status == 401:
            return StaleToken("stale", "The token is no longer taken.")
        if answer.status != 200:
            return Unknown("unreadable", "The list cannot be read.")
        said = json.loads(answer.body)
        return [ApprovedTemplate(*one) for one in said["templates"]], said["more"]
