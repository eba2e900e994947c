"""The dashboard's page in a real browser. Skipped where no Chromium is installed."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.control.dashboards import Dashboard, dashboard_of
from tests.runtime.harness import PATIENCE, WEB, Home

CHROMIUM = shutil.which("chromium")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MARKUP = "<img src=x onerror=\"document.title='broken into'\"><script>document.title='broken into'</script>"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS, timeout=PATIENCE * 1000)
        yield made
        made.close()


def opened(browser: Browser, dashboard: Dashboard, complaints: list[str], **context: object) -> Page:
    page = browser.new_context(**context).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(PATIENCE * 1000)
    expect.set_options(timeout=PATIENCE * 1000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(dashboard.address)
    expect(page.locator("#link-text")).to_have_text("live")
    return page


def width_beyond(page: Page) -> int:
    """Pixels that have to be scrolled to the right."""
    return int(page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth"))


def test_a_formation_is_seen_and_steered_by_keyboard(home: Home, browser: Browser) -> None:
    home.write({"Procfile": WEB + "worker: python worker.py\n", "worker.py": _worker()})
    complaints: list[str] = []
    with home.start("web=2") as formation, dashboard_of(home) as dashboard:
        page = opened(browser, dashboard, complaints)
        assert page.url == f"{dashboard.url}/"  # the token is not left in the address
        rows = page.locator("#types tbody tr th")
        expect(rows).to_have_text(["web.1", "web.2", "worker.1"])
        expect(page.locator(".state.ready")).to_have_count(3)

        # Who served what: two lanes, dots in both.
        for _ in range(4):
            formation.get("/")
        expect(page.locator("#lanes tr th span")).to_have_text(["web.1", "web.2"])
        expect(page.locator("#lanes .dot")).to_have_count(4)
        for lane in (0, 1):
            expect(page.locator("#lanes tr").nth(lane).locator(".dot")).to_have_count(2)

        # What a process writes is text, whatever it is.
        expect(page.locator("#log").get_by_text(MARKUP, exact=True)).to_be_visible()
        expect(page.locator("#log li span", has_text="red")).to_have_text("red \ufffdturned")
        assert page.locator("#log img, #log script").count() == 0
        page.locator("#log-filter").fill("onerror")
        expect(page.locator("#log li")).to_have_count(1)

        # The keyboard alone: every stop can be seen, and two presses are one wish.
        page.get_by_role("link", name="Skip to the processes").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Restart all")).to_be_focused()
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        more = page.get_by_role("button", name="One web process more")
        expect(more).to_be_focused()
        assert more.evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        expect(rows).to_have_text(["web.1", "web.2", "web.3", "web.4", "worker.1"])
        expect(page.locator("#said")).to_have_text("web=4")
        expect(more).to_be_focused()
        assert json.loads(home.run("ps", "--json").stdout)["wanted"] == {"web": 4, "worker": 1}

        # A restart by its button, and a crash with its cause.
        page.get_by_role("button", name="Restart worker.1").click()
        expect(page.locator("#history")).to_contain_text("worker.1 v1 retired")
        formation.get("/exit/3")
        expect(page.locator("#history .crash")).to_contain_text("exit code 3")

        # Zero needs a second word.
        for _ in range(4):
            page.get_by_role("button", name="One web process fewer").click()
        expect(page.get_by_role("button", name="Cancel")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_label("web processes wanted")).not_to_have_text("0")

        for wide in (375, 320, 768, 1280):
            page.set_viewport_size({"width": wide, "height": 800})
            assert width_beyond(page) <= 0, wide
        assert page.title() == "app · Fungible"
        assert formation.stop() == 0
        expect(page.locator("#link-text")).to_have_text("not running")
        page.get_by_role("button", name="Restart all").click()
        expect(page.get_by_role("alert")).to_contain_text("no formation of this app runs")
    assert [each for each in complaints if "503" not in each and "ERR_CONNECTION" not in each] == []


def test_the_page_outlives_the_supervisor_and_says_so(home: Home, browser: Browser, tmp_path: Path) -> None:
    home.write({"Procfile": "worker: sleep 600\n"})
    with dashboard_of(home) as dashboard:
        with home.start() as formation:
            page = opened(browser, dashboard, [], viewport={"width": 375, "height": 800}, color_scheme="dark")
            expect(page.locator("#types tbody tr th")).to_have_text(["worker.1"])
            formation.stop(signal.SIGKILL)
            expect(page.locator("#banner")).to_contain_text("waits for the next")
        with home.start() as formation:
            expect(page.locator("#banner")).to_contain_text("The supervisor was restarted at")
            expect(page.locator("#link-text")).to_have_text("live")
            page.reload()  # the tab keeps its token
            expect(page.locator("#link-text")).to_have_text("live")
            # Another tab has none, and says where to get one.
            other = browser.new_context().new_page()
            other.goto(dashboard.url)
            expect(other.locator("#banner")).to_contain_text("`fungible dashboard` printed")
            assert formation.stop() == 0


def test_backing_services_are_seen(home: Home, browser: Browser) -> None:
    home.write({"Procfile": "worker: sleep 600\n", "fungible.toml": '[services]\nCACHE_URL = "valkey"\n'})
    complaints: list[str] = []
    with home.start() as formation, dashboard_of(home) as dashboard:
        page = opened(browser, dashboard, complaints)
        row = page.locator("#services-rows tr")
        expect(row).to_have_count(1)
        expect(row.locator("th")).to_have_text("CACHE_URL")
        expect(row.locator(".state")).to_have_text("ready")
        os.kill(json.loads(home.run("ps", "--json").stdout)["services"][0]["pid"], signal.SIGKILL)
        expect(row.locator("[data-title='Last end']")).to_have_text("signal 9")
        expect(row.locator("[data-title=Restarts]")).to_have_text("1")
        expect(page.locator("#history .crash")).to_contain_text("CACHE_URL signal 9")
        expect(page.locator("#history .ready")).to_contain_text(["CACHE_URL serves again after"])
        page.set_viewport_size({"width": 320, "height": 800})
        assert width_beyond(page) <= 0
        assert formation.stop() == 0
    assert complaints == []


def _worker() -> str:
    return f"""
import time
print({MARKUP!r}, flush=True)
print("\\x1b[31mred\\x1b[0m \\u202eturned", flush=True)
time.sleep(600)
"""
