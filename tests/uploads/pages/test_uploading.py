"""The upload form of our pages in real Chromium: slices that go on after whatever breaks, and one tray for all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from flask_wtf.csrf import CSRFProtect
from playwright.sync_api import BrowserContext, Page, Route, expect

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket

from ...conftest import content, everyone, read, serving

DATA = content(3_000_000)
SLICE = 1_000_000 - 2048  # bytes: three requests and a bit


class Site:
    """The application, which counts what comes, and may have its fits."""

    def __init__(self, app: Flask, mongo: PyMongo) -> None:
        self.app, self.store = app, Bucket(mongo.db)
        self.address = ""
        self.seen: list[str] = []
        self.fit: Callable[[str], Any] = lambda seen: None
        app.secret_key = "tests"
        CSRFProtect(app)  # all that our scripts send has its token
        app.register_blueprint(
            mongo.uploads_blueprint("files", url_prefix="/files", authorize=everyone, max_request_size=1_000_000)
        )

        @app.before_request
        def before() -> Any:
            if request.method in ("POST", "PATCH", "HEAD", "DELETE"):
                self.seen.append(request.method)
                return self.fit(request.method)


@pytest.fixture
def site(app: Flask, real: PyMongo) -> Iterator[Site]:
    site = Site(app, real)
    with serving(app) as site.address:
        yield site


def choose(page: Page, site: Site, *files: tuple[str, bytes]) -> None:
    page.goto(f"{site.address}/files/")
    payload = [{"name": name, "mimeType": "", "buffer": data} for name, data in files]
    page.get_by_label("Add files").set_input_files(payload)


def is_stored(page: Page, site: Site, name: str = "film.bin") -> None:
    expect(page.locator(".files .name")).to_contain_text([name])
    file = site.store.find(name)
    assert file is not None
    assert read(site.store, file) == DATA
    assert site.store.count(name) == 1


def hold(site: Site, at: str, number: int) -> list[str]:
    """Let the *number*th request of this method be a 503 until the list that is returned is emptied."""
    failing = ["now"]

    def fit(method: str) -> Any:
        broken = method == at and site.seen.count(at) >= number and failing
        return ("no", 503) if broken else None

    site.fit = fit
    return failing


def test_a_large_file_goes_in_slices(context: BrowserContext, site: Site) -> None:
    page = context.new_page()
    choose(page, site, ("film.bin", DATA))
    is_stored(page, site)
    assert site.seen == ["POST", *["PATCH"] * 4]
    expect(page.get_by_role("status")).to_have_text("1 file uploaded")
    assert page.evaluate("localStorage.length") == 0


def test_small_files_go_many_to_a_form_and_one_that_is_refused_stops_no_other(
    context: BrowserContext, site: Site
) -> None:
    page = context.new_page()
    choose(page, site, *[(f"{number}.txt", b"x") for number in range(30)])
    expect(page.get_by_role("status")).to_have_text("30 files uploaded")
    assert site.seen == ["POST"]
    site.seen.clear()
    choose(page, site, ("a.txt", b"a"), ("..", b"x"), ("b.txt", b"b"))
    expect(page.get_by_role("status")).to_have_text("2 uploaded, 1 failed")
    expect(page.locator(".queue [data-state=failed] .state")).to_contain_text("choose another one")
    assert {site.store.count(name) for name in ("a.txt", "b.txt")} == {1}


def test_both_are_kept_if_a_name_is_as_long_as_can_be(context: BrowserContext, site: Site) -> None:
    page, name = context.new_page(), f"{'ü' * 125}x.txt"
    choose(page, site, (name, b"1"))
    expect(page.locator(".files > li")).to_have_count(1)
    page.get_by_label("Add files").set_input_files({"name": name, "mimeType": "", "buffer": b"2"})
    page.get_by_role("button", name="Keep both").click()
    expect(page.locator(".files > li")).to_have_count(2)
    assert [site.store.count(one) for one in (name, f"{'ü' * 123} (2).txt")] == [1, 1]


def test_a_name_that_is_stored_otherwise_is_told_as_it_is(context: BrowserContext, site: Site) -> None:
    page = context.new_page()
    choose(page, site, ("$&\u200b.txt", b"x"))
    expect(page.get_by_role("status")).to_have_text("1 file uploaded. “$&\u200b.txt” is stored as “$&.txt”.")


def test_an_upload_goes_on_after_a_login(context: BrowserContext, site: Site) -> None:
    """The session ends after the first slice, and what the server answers then is a page to log in."""
    page, signed_out = context.new_page(), ["now"]
    site.fit = lambda method: "<h1>Log in</h1>" if site.seen.count("PATCH") > 1 and signed_out else None
    choose(page, site, ("film.bin", DATA))
    expect(page.locator(".queue .state")).to_contain_text("You were signed out")
    assert site.seen == ["POST", "PATCH", "PATCH"]
    signed_out.clear()
    page.get_by_role("button", name="Retry").click()
    is_stored(page, site)
    assert site.seen.count("POST") == 1


def test_a_file_is_chosen_before_the_scripts_are_there(context: BrowserContext, site: Site) -> None:
    page = context.new_page()
    held: list[Route] = []
    page.route("**/?asset=uploads.js*", lambda route: held.append(route))
    page.route("**/?asset=queue.js*", lambda route: route.abort())
    page.goto(f"{site.address}/files/", wait_until="commit")
    files = page.get_by_label("Add files")
    files.set_input_files({"name": "early.txt", "mimeType": "", "buffer": b"x"})
    expect(page.get_by_role("button", name="Upload")).to_be_visible()  # the form works without them
    held[0].continue_()
    expect(page.get_by_role("status")).to_have_text("The connection was lost")
    page.unroute("**/?asset=queue.js*")
    for name in ("early.txt", "late.txt"):
        files.set_input_files({"name": name, "mimeType": "", "buffer": b"x"})
        expect(page.locator(".files .name")).to_contain_text([name])


def test_the_network_is_cut_and_comes_back(context: BrowserContext, site: Site) -> None:
    page, routes = context.new_page(), []

    def cut_the_second(route: Route) -> None:
        routes.append(route)
        route.abort() if len(routes) == 2 else route.continue_()

    page.route("**/?upload=*", cut_the_second)
    choose(page, site, ("film.bin", DATA))
    is_stored(page, site)
    assert site.seen == ["POST", "PATCH", "HEAD", *["PATCH"] * 3]


def test_offline_and_online(context: BrowserContext, site: Site) -> None:
    """It says why it waits, and goes on at once when the browser says that there is a network again."""
    page = context.new_page()
    go_on = hold(site, "PATCH", 2)
    choose(page, site, ("film.bin", DATA))
    expect(page.locator(".queue .state")).to_have_text("The connection was lost; trying again…")
    context.set_offline(True)
    expect(page.locator(".queue .state")).to_have_text("Waiting for the network…")
    go_on.clear()
    context.set_offline(False)
    is_stored(page, site)
    assert site.seen.count("POST") == 1


def test_a_closed_tab(context: BrowserContext, site: Site, tmp_path: Path) -> None:
    """The same file, chosen again, goes on where it was."""
    film = tmp_path / "film.bin"
    film.write_bytes(DATA)
    go_on = hold(site, "PATCH", 3)
    for tab in ("closed", "open"):
        page = context.new_page()
        page.goto(f"{site.address}/files/")
        page.get_by_label("Add files").set_input_files(film)
        if tab == "closed":
            expect(page.locator(".queue .state")).to_have_text("The connection was lost; trying again…")
            page.close()
            go_on.clear()
            site.seen.clear()
    is_stored(page, site)
    assert site.seen == ["HEAD", "PATCH", "PATCH"]


def test_an_upload_that_the_server_forgot_starts_again(context: BrowserContext, site: Site, tmp_path: Path) -> None:
    film = tmp_path / "film.bin"
    film.write_bytes(DATA)
    page = context.new_page()
    page.goto(f"{site.address}/files/")
    modified = int(film.stat().st_mtime * 1000)
    key = f"upload {site.address}/files/ film.bin {len(DATA)} {modified}"
    page.evaluate("key => localStorage.setItem(key, JSON.stringify({address: '/files/?upload=x', time: 9e9}))", key)
    page.get_by_label("Add files").set_input_files(film)
    is_stored(page, site)
    assert site.seen == ["HEAD", "POST", *["PATCH"] * 4]


def test_what_is_canceled_is_gone_from_the_server(context: BrowserContext, site: Site) -> None:
    go_on, page = hold(site, "PATCH", 2), context.new_page()
    choose(page, site, ("film.bin", DATA))
    expect(page.locator(".queue .state")).to_have_text("The connection was lost; trying again…")
    with page.expect_response(lambda answer: answer.request.method == "DELETE") as deleted:
        page.get_by_role("button", name="Cancel").click()
    assert deleted.value.status == 204
    expect(page.locator(".queue .state")).to_have_text("Canceled")
    assert not site.store.chunks.count_documents({})
    go_on.clear()
    page.get_by_role("button", name="Retry").click()
    is_stored(page, site)


def test_what_does_not_move_is_called_so(context: BrowserContext, site: Site) -> None:
    page = context.new_page()
    held: list[Route] = []
    page.route("**/?upload=*", lambda route: held.append(route) if len(held) == 0 else route.continue_())
    choose(page, site, ("film.bin", DATA))
    expect(page.locator(".queue .state")).to_have_text("Waiting for the connection")
    held[0].continue_()
    is_stored(page, site)


def test_the_tray(context: BrowserContext, site: Site) -> None:
    """How many, how much; all are canceled, tried again and closed; what was stored can be opened from it."""
    page = context.new_page()
    held: list[Route] = []
    post = lambda route: held.append(route) if route.request.method == "POST" else route.continue_()  # noqa: E731
    page.route("**/files/", post)
    choose(page, site, *[(f"{number}.bin", bytes(600_000)) for number in range(5)])
    expect(page.locator(".total")).to_have_text("0 of 5, 0 bytes of 2.9 MiB")
    page.get_by_role("button", name="Cancel all").click()
    expect(page.locator(".queue .state")).to_have_text(["Canceled"] * 5)
    page.unroute("**/files/")
    page.get_by_role("button", name="Dismiss: 0.bin").click()
    page.locator(".listing").evaluate("list => list.remove()")  # the files are not to be seen
    page.get_by_role("button", name="Retry all").click()
    expect(page.locator(".queue .state")).to_have_text(["Done"] * 4)
    expect(page.locator(".total")).to_have_text("4 of 4, 2.3 MiB of 2.3 MiB")
    link = page.locator(".queue").get_by_role("link", name="3.bin")
    expect(link).to_have_attribute("href", re.compile("/files/3.bin$"))
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".tray")).to_be_hidden()
