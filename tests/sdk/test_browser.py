"""A session's browser: the host's own Chromium, where it has one."""

import os

import pytest
from agb.exceptions import BrowserError
from agb.modules.browser import BrowserOption, BrowserViewport
from conftest import create

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HAS_BROWSER = any(os.path.exists(f"/usr/bin/{program}") for program in PROGRAMS)


@pytest.mark.skipif(not HAS_BROWSER, reason="this host has no Chromium")
def test_a_browser_is_driven_over_its_link(agb):
    from playwright.sync_api import sync_playwright

    session = create(agb, image="agb-browser-use-1")
    option = BrowserOption(user_agent="tested", viewport=BrowserViewport(width=800, height=600))
    assert session.browser.initialize(option)
    assert session.browser.is_initialized() and session.browser.endpoint_router_port
    with sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(session.browser.get_endpoint_url())
        page = browser.contexts[0].new_page()
        page.set_content("<h1>there</h1>")
        assert page.inner_text("h1") == "there"
        assert page.evaluate("navigator.userAgent") == "tested"
        browser.close()
    session.browser.destroy()
    with pytest.raises(BrowserError):
        session.browser.get_endpoint_url()
    assert session.delete().success


@pytest.mark.skipif(HAS_BROWSER, reason="this host has a Chromium")
def test_without_a_browser_the_host_says_so(agb):
    session = create(agb, image="agb-browser-use-1")
    assert not session.browser.initialize(BrowserOption())
    assert session.delete().success


def test_a_browser_that_was_not_started_has_no_link(agb):
    session = create(agb, image="agb-browser-use-1")
    with pytest.raises(BrowserError):
        session.browser.get_endpoint_url()
    session.browser._initialized = True
    with pytest.raises(BrowserError, match="not initialized"):
        session.browser.get_endpoint_url()
    assert session.delete().success
