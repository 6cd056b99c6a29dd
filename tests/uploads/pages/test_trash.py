"""The trash for people: what the pages say before and after a deletion, and the page of what can be restored."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_gridfs_pymongo import PyMongo

from ...conftest import HTML, everyone

Visit = Callable[..., FlaskClient]


@pytest.fixture
def visit(app: Flask, uri: str) -> Any:
    """``visit(trash=60, **options)`` stores some files, and gives a client of the blueprint."""
    opened: list[PyMongo] = []

    def make(trash: int = 60, **options: Any) -> FlaskClient:
        mongo = PyMongo(app, uri=uri, trash=trash)
        opened.append(mongo)
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads", **{"authorize": everyone, **options}))
        with app.app_context():
            for name in ("a.txt", "a.txt", "b.txt", "docs/c.txt", "docs/mine.txt"):
                mongo.save_file(name, io.BytesIO(b"text"))
        return app.test_client()

    yield make
    for mongo in opened:
        mongo.cx.close()


def names(client: FlaskClient) -> list[str]:
    found = client.get("/uploads/?flat=1", headers={"Accept": "application/json"}).json
    return [file["filename"] for file in found["files"]]  # type: ignore[index]


def ids(client: FlaskClient, *wanted: str, query: str = "flat=1") -> list[str]:
    found = client.get(f"/uploads/?{query}", headers={"Accept": "application/json"}).json
    by_name = {file["filename"]: file["id"] for file in found["files"]}  # type: ignore[index]
    return [by_name[name] for name in wanted or by_name]


def main(client: FlaskClient, url: str, data: dict[str, Any] | None = None, status: int = 200) -> str:
    """The text of a page, or of the page that follows a form."""
    answer = client.get(url, headers=HTML) if data is None else client.post(url, data=data, headers=HTML)
    if answer.status_code == 303:
        answer = client.get(answer.headers["Location"], headers=HTML)
    assert answer.status_code == status, (url, answer.text)
    return answer.text[answer.text.index("<main") : answer.text.index("</main>")]


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).split())


def form_of(page: str, button: str) -> tuple[str, dict[str, list[str]]]:
    """The action and the hidden fields of the form with this button."""
    form = next(one for one in re.findall("<form.*?</form>", page, re.DOTALL) if f">{button}</button>" in one)
    action = re.search('action="([^"]*)"', form)
    assert action is not None
    fields: dict[str, list[str]] = {}
    for name, value in re.findall('type="hidden" name="([^"]*)" value="([^"]*)"', form):
        fields.setdefault(name, []).append(html.unescape(value))
    return html.unescape(action[1]), fields


def delete(client: FlaskClient, *wanted: str) -> str:
    return main(client, "/uploads/?delete&flat=1", {"id": ids(client, *wanted), "sure": "yes"})


LINK = '<a href="/uploads/?trash=">Trash</a>'


@pytest.mark.parametrize("trash", [0, 60])
def test_questions_say_whether_it_is_for_ever(visit: Visit, trash: int) -> None:
    client = visit(trash)
    (a,) = ids(client, "a.txt")
    for url, question in (
        ("/uploads/a.txt?delete", "a.txt"),
        (f"/uploads/a.txt?delete&id={a}", "a.txt"),
        (f"/uploads/?delete&selected={a}", "1"),
        (f"/uploads/?delete&selected={a}&folders=docs/", "2 items"),
    ):
        said = words(main(client, url))
        assert question in said
        assert ("This cannot be undone." in said) == (not trash), said
        assert ("Can be restored until 20" in said) == bool(trash), said
        assert ("to the trash?" in said) == ("Move to the trash" in said) == bool(trash), said
        assert ("Delete " in said) == (not trash), said


def test_without_the_setting_there_is_no_trash(visit: Visit) -> None:
    client = visit(trash=0)
    assert LINK not in main(client, "/uploads/")
    page = delete(client, "a.txt")
    assert "1 file was deleted." in page
    assert "Undo" not in page
    assert LINK not in page


def test_who_may_delete_something_finds_the_trash(visit: Visit) -> None:
    may = {"delete": True}
    client = visit(authorize=lambda action, name: action != "delete" or may["delete"])
    urls = ("", "?view=table", "?folder=docs/", "?q=a")
    assert [LINK in main(client, f"/uploads/{url}") for url in urls] == [True] * 4
    assert LINK not in main(client, "/uploads/?q=nothing")  # nothing is in it
    delete(client)
    assert names(client) == []
    urls = ("", "?view=table", "?q=a", "?folder=new/")
    assert [LINK in main(client, f"/uploads/{url}") for url in urls] == [True] * 4
    may["delete"] = False
    assert LINK not in main(client, "/uploads/")
    assert "a.txt" not in main(client, "/uploads/?trash")


def test_a_deletion_can_be_undone_on_the_next_page(visit: Visit) -> None:
    client = visit()
    odd = "/uploads/%2541%3F.txt"
    for _ in range(2):
        client.put(odd, data=b"x")
    a, c, o = ids(client, "a.txt", "docs/c.txt", "%41?.txt")
    everything = names(client)
    history = client.get("/uploads/a.txt?versions", headers={"Accept": "application/json"}).json
    for url, fields, said in (
        ("/uploads/?delete&folder=docs/", {"id": [a, c], "sure": "yes"}, "2 files were moved to the trash."),
        ("/uploads/?delete", {"id": a, "folder": "docs/", "sure": "yes"}, "3 files were moved to the trash."),
        ("/uploads/a.txt?delete&folder=", {}, "a.txt was moved to the trash."),
        (f"/uploads/a.txt?delete&id={a}", {}, "A version of a.txt was moved to the trash."),
        (f"{odd}?delete&id={o}", {}, "A version of %41?.txt was moved to the trash."),
    ):
        page = main(client, url, fields)
        assert said in words(page)
        action, hidden = form_of(page, "Undo")
        assert "Undo" not in main(client, "/uploads/")  # a message is shown once
        restored = main(client, action, hidden)
        assert "restored." in words(restored)
        assert re.findall("<h1.*?</h1>", restored) == re.findall("<h1.*?</h1>", page)  # on the same page
        assert names(client) == everything
        assert client.get("/uploads/a.txt?versions", headers={"Accept": "application/json"}).json == history
        answer = client.post(action, data=hidden, headers=HTML)
        assert answer.status_code == 404  # undone already


def test_the_page_of_the_trash(visit: Visit) -> None:
    client = visit(
        client_of=lambda request: "Ann",
        authorize=lambda action, name: action != "delete" or name != "docs/mine.txt",
    )
    assert "The trash is empty." in main(client, "/uploads/?trash")
    delete(client, "a.txt", "docs/c.txt")
    page = main(client, "/uploads/?trash")
    rows = [words(row) for row in re.findall("<tr>.*?</tr>", page, re.DOTALL)]
    assert rows[0] == "Name Size Deleted Deleted by Kept until"
    date = r"20\d\d-\d\d-\d\d \d\d:\d\d UTC"
    for row, name in zip(rows[1:], ("a.txt", "docs/c.txt"), strict=True):
        assert re.fullmatch(f"{name} 4 bytes {date} Ann {date} Restore", row), row
    restored = main(client, *form_of(page, "Restore"))
    assert "a.txt was restored." in words(restored)
    assert "docs/c.txt" in restored  # one stays on the page of the trash
    assert names(client) == ["a.txt", "b.txt", "docs/mine.txt"]
    assert client.get("/uploads/?trash", headers={"Accept": "application/json"}).json["next"] is None  # type: ignore[index]


def test_more_than_a_page(visit: Visit) -> None:
    client = visit()
    for number in range(101):
        client.put(f"/uploads/many/{number:03}", data=b"x")
    main(client, "/uploads/?delete", {"folder": "many/", "sure": "yes"})
    first = main(client, "/uploads/?trash")
    assert re.findall(r'class="name" title="([^"]*)"', first) == [f"many/{number:03}" for number in range(100)]
    following = html.unescape(re.findall(r'rel="next" href="([^"]*)"', first)[0])
    second = main(client, following)
    assert re.findall(r'class="name" title="([^"]*)"', second) == ["many/100"]
    assert "More files" not in second
    action, hidden = form_of(second, "Restore")
    restored = main(client, action, hidden)
    assert "The trash is empty" not in main(client, "/uploads/?trash")
    assert "many/100 was restored." in words(restored)


def test_a_name_that_is_taken_is_asked_about(visit: Visit) -> None:
    client = visit()
    page = delete(client, "a.txt", "b.txt", "docs/c.txt")
    undo = form_of(page, "Undo")
    client.put("/uploads/a.txt", data=b"new")
    client.put("/uploads/docs/c.txt", data=b"new")
    (a,) = ids(client, "a.txt", query="trash")
    asked = main(client, "/uploads/?trash&restore", {"id": a}, 409)
    assert "1 name is taken a.txt 4 bytes" in words(asked)
    assert "restored" not in words(asked)
    assert 'class="button cancel" href="/uploads/?trash="' in asked
    asked = main(client, *undo, 409)  # what can be restored is
    assert "2 names are taken" in words(asked)
    assert "b.txt was restored." in words(asked)
    assert names(client) == ["a.txt", "b.txt", "docs/c.txt", "docs/mine.txt"]
    action, hidden = form_of(asked, "Restore as older versions")
    merged = main(client, action, hidden)
    assert "2 files were restored." in words(merged)
    assert "<h1" in merged
    assert "Trash</h1>" not in merged  # but where the deletion was
    history = client.get("/uploads/a.txt?versions", headers={"Accept": "application/json"}).json
    assert [version["length"] for version in history["versions"]] == [3, 4, 4]  # type: ignore[index]
    assert client.get("/uploads/a.txt").data == b"new"


def test_deleting_for_good_asks_once(visit: Visit) -> None:
    client = visit()
    delete(client, "a.txt", "b.txt")
    wanted = ids(client, "a.txt", "b.txt", query="trash")
    asked = main(client, "/uploads/?trash&delete", {"id": wanted})
    assert "Delete 2 files?" in words(asked)
    assert "This cannot be undone." in words(asked)
    assert "to the trash" not in words(asked)
    assert ids(client, query="trash") == wanted
    answer = client.post("/uploads/?trash&delete", data={"id": wanted}, headers=HTML)
    assert answer.status_code == 303  # to a page that one can come back to
    emptied = main(client, *form_of(asked, "Delete"))
    assert "2 files were deleted for good." in words(emptied)
    assert "The trash is empty." in emptied
    assert "Undo" not in emptied
    assert client.get(answer.headers["Location"], headers=HTML).status_code == 404


@pytest.mark.parametrize("place", ["//evil.example/", "https://evil.example/", "evil"])
def test_what_follows_is_a_page_of_this_site(visit: Visit, place: str) -> None:
    client = visit()
    delete(client, "a.txt")
    data = {"id": ids(client, "a.txt", query="trash"), "sure": "yes"}
    for action in ("restore", "delete"):
        assert client.post(f"/uploads/?trash&{action}&next={place}", data=data, headers=HTML).status_code == 400
    assert ids(client, query="trash") == data["id"]


def test_each_form_has_the_token_of_the_application(visit: Visit, app: Flask) -> None:
    app.jinja_env.globals["csrf_token"] = lambda: "token"
    client = visit()
    told = delete(client, "a.txt", "b.txt")
    client.put("/uploads/a.txt", data=b"new")
    wanted = ids(client, "a.txt", query="trash")
    trash = main(client, "/uploads/?trash")
    taken = main(client, "/uploads/?trash&restore", {"id": wanted}, 409)
    asked = main(client, "/uploads/?trash&delete", {"id": wanted})
    for page, count in ((told, 3), (trash, 3), (taken, 1), (asked, 1)):
        forms = re.findall('<form[^>]*method="post".*?</form>', page, re.DOTALL)
        assert [form.count('name="csrf_token" value="token"') for form in forms] == [1] * count
