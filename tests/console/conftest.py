"""A real browser on a real server: one operator, one line, two accounts, people, a published template, a policy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, sync_playwright

from ums_site import messages

if TYPE_CHECKING:  # a conftest is read before Django is ready
    from pytest_django.live_server_helper import LiveServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "correct-horse-battery"


@pytest.fixture(autouse=True, scope="session")
def prepared() -> None:
    """As `up` does: translations compiled; the middleware for static files warns where its folder is missing."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    messages.compile_all(settings.LOCALE_PATHS[0])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the session."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium, and no chromium is installed here")
    # Playwright's event loop runs in this thread; Django would take that for asynchronous code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@dataclass
class Watched:
    """A page together with everything that went wrong on it."""

    page: Page
    base: str
    faults: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Collects errors of scripts and of the network, and every request that leaves for another host."""
        own = (self.base, "data:", "blob:")
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("console", lambda said: said.type == "error" and self.faults.append(f"console: {said.text}"))
        self.page.on("request", lambda asked: asked.url.startswith(own) or self.faults.append(f"outside: {asked.url}"))
        self.page.on(
            "response", lambda came: came.status < 400 or self.faults.append(f"status {came.status}: {came.url}")
        )

    def goto(self, path: str) -> None:
        """Opens a path of this installation; it must answer."""
        answer = self.page.goto(self.base + path)
        assert answer is not None and answer.ok, f"{path}: {answer and answer.status}"

    def sign_in(self, username: str) -> None:
        """Through the sign-in page, as people do."""
        self.goto("/console/")
        self.page.fill("[name=username]", username)
        self.page.fill("[name=password]", PASSWORD)
        self.page.click("#login-form button[type=submit]")
        self.page.wait_for_url("**/console/")


@pytest.fixture
def console(browser: Browser, live_server: LiveServer) -> Iterator[Watched]:
    """A fresh window in English at desk size; the test fails for any fault seen on any page."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
    context.add_cookies([{"name": "django_language", "value": "en", "url": live_server.url}])
    context.set_default_timeout(20_000)
    watched = Watched(context.new_page(), live_server.url)
    watched.watch()
    yield watched
    context.close()
    assert watched.faults == []


@dataclass
class Scene:
    """What the pages show."""

    operator: Any
    line: Any
    sms: Any
    version: Any
    policy: Any


@pytest.fixture
def scene(live_server: LiveServer) -> Scene:
    """Everything that a campaign needs, made by the services. Nothing answers at the account's address."""
    from django.db import connection

    from apps.campaigns.drafting import save_policy
    from apps.campaigns.models import Policy
    from apps.channels.models import ChannelAccount
    from apps.channels.services import save_account
    from apps.operators.models import Operator
    from apps.partners.models import BusinessLine
    from apps.templates.models import MessageTemplate
    from apps.templates.services import publish_version
    from apps.users import services as people
    from ums_site.clock import database_now
    from ums_site.partitions import HOT_TABLES, ensure

    with connection.cursor() as cursor:  # Django empties the tables that it manages, and no others
        cursor.execute(f"TRUNCATE {', '.join(HOT_TABLES)}")
    ensure(database_now().date())
    operator = Operator.objects.create_superuser("boss", password=PASSWORD)
    line = BusinessLine.objects.create(code="shop", name="Shop")
    given = {"access_key_id": "id", "access_key_secret": "s", "base_url": "http://127.0.0.1:9"}
    fresh = ChannelAccount(code="sms-main", name="SMS", kind="sms_aliyun", price="0.045")
    sms = save_account(actor="test", account=fresh, settings=given)
    body = {"sign_name": "优选银行", "template_code": "SMS_100000001", "text": "账单已出。"}
    template = MessageTemplate.objects.create(code="bill", name="Monthly bill", bodies={"sms_aliyun": body})
    version = publish_version(actor=operator, template=template)
    plan = {"steps": [{"channels": [{"account": "sms-main"}]}]}
    policy = save_policy(actor="test", policy=Policy(code="sms-only", name="SMS only", plan=plan))
    for number in range(12):
        person = people.ensure_recipient(actor="test", user_id=f"U{number}")
        if number < 10:
            people.add_binding(actor="test", recipient=person, kind="phone", address=f"1380013800{number}")
        if number % 2:
            people.tag(actor="test", recipients=[person], tags=["vip"])
    return Scene(operator, line, sms, version, policy)
