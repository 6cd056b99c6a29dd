"""The page of a link for uploads on a phone, in real Chromium, and the page on which links are made."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from flask import Flask
from playwright.sync_api import Browser, expect

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket

from ...conftest import content, everyone, serving
from ...helpers.pages import contrasts, note_errors

BIG = content(1_500_000)
PHONE = {"width": 390, "height": 844}
_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_a_stranger_with_a_phone(browser: Browser, app: Flask, real: PyMongo, tmp_path: Path) -> None:
    """From making the link to its end; what is sent is small and large, with a script and without."""
    store = Bucket(real.db)
    app.register_blueprint(
        real.uploads_blueprint(url_prefix="/u", authorize=everyone, upload_links=True, max_request_size=500_000)
    )
    (tmp_path / "big.bin").write_bytes(BIG)
    (tmp_path / "cv.txt").write_text("I did it")
    errors: list[str] = []
    with serving(app) as address:
        owner = browser.new_page(viewport=PHONE)
        note_errors(owner, errors)
        owner.goto(f"{address}/u/?folder=inbox/")
        owner.locator("summary", has_text="New").click()
        owner.get_by_role("link", name="Upload links…").click()
        owner.get_by_label("Maximum number of files").fill("4")
        owner.get_by_role("button", name="Create link").click()
        shown = owner.locator(".made a")
        expect(shown).to_have_text(re.compile(r"^http://127.0.0.1:\d+/u/~[\w-]{32}$"))
        link = shown.inner_text()
        assert owner.evaluate(_OVERFLOW) == 0
        with browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True) as context:
            page = context.new_page()
            note_errors(page, errors)
            page.goto(link)
            expect(page.get_by_role("heading", name="Send files")).to_be_visible()
            assert page.evaluate(_OVERFLOW) == 0
            page.locator("input[type=file]").first.set_input_files([tmp_path / "cv.txt", tmp_path / "big.bin"])
            received = page.locator(".receipt li")
            expect(received).to_have_count(2)
            expect(page.locator(".receipt code")).to_have_text(
                [hashlib.sha256(data).hexdigest() for data in (b"I did it", BIG)]
            )
            expect(page.locator(".queue [data-state=done]")).to_have_count(2)
            assert page.evaluate(_OVERFLOW) == 0
            assert {name for name, ratio in contrasts(page).items() if ratio < 4.5} == set()
            assert page.evaluate("JSON.stringify(localStorage)") == "{}"
            page.locator("input[type=file]").first.set_input_files(
                tmp_path / "cv.txt"
            )  # all photos of an iPhone: image.jpg
            expect(received).to_contain_text(["", "", "cv (2).txt"])
            names = [row.file.filename for row in store.list().rows]
            assert [name.split("/")[2] for name in names] == ["big.bin", "cv (2).txt", "cv.txt"]
            assert len({name.split("/")[1] for name in names}) == 1
            (inbox,) = store.links.list("inbox/")
            change = {"$set": {"revoked": store.collections.clock.now()}}
            store.collections.links.update_one({"_id": inbox.id}, change)
            for name, numbered in (("cv.txt", "cv (3).txt"), ("big.bin", "big (2).bin")):
                page.locator("input[type=file]").first.set_input_files(tmp_path / name)
                expect(page.locator(".queue [data-state=failed]", has_text=numbered)).to_contain_text("was revoked.")
            store.collections.links.update_one({"_id": inbox.id}, {"$set": {"revoked": None}})
        with browser.new_context(viewport=PHONE, java_script_enabled=False) as context:
            page = context.new_page()
            page.goto(link)
            page.locator("input[type=file]").set_input_files(tmp_path / "cv.txt")
            page.get_by_role("button", name="Upload").click()
            expect(page.locator(".receipt li")).to_contain_text(["cv.txt 8 bytes"])
            page.get_by_role("button", name="Upload").click()  # nothing is chosen: the browser says so
            expect(page.locator(".receipt li")).to_have_count(1)
        owner.reload()
        owner.goto(f"{address}/u/?links&folder=inbox/")
        expect(owner.locator(".links li")).to_contain_text(["4 of 4"])
        owner.get_by_role("button", name="Revoke").click()
        expect(owner.get_by_role("status")).to_contain_text("The link was revoked.")
        owner.goto(link)
        expect(owner.get_by_text("This link was revoked.")).to_be_visible()
        owner.close()
    assert [error for error in errors if "410" not in error] == []
