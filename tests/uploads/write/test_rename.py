"""Files get other names and second ones, over HTTP and by the forms of the pages; nothing is ever replaced."""

from __future__ import annotations

import io
from typing import Any

import pytest

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.signals import file_changed, file_deleted, file_saved
from flask_gridfs_pymongo.store.writing.changes import rename

from ...conftest import HTML, JSON, Client, everyone, if_match
from ...helpers.renames import break_off


def save(mongo: PyMongo, *names: str) -> None:
    for name in names:
        mongo.save_file(name, io.BytesIO(name.encode()), metadata={"title": name})


def stored(mongo: PyMongo) -> list[str]:
    return sorted(document["filename"] for document in mongo.db["fs.files"].find())


class TestOne:
    def test_a_move_takes_all_versions_and_keeps_their_links(self, client: Client, mongo: PyMongo) -> None:
        save(mongo, "a.txt", "a.txt")
        browser = client(authorize=everyone)
        link = browser.get("/uploads/a.txt?details", headers=JSON).json["permanent_url"]  # type: ignore[index]
        answer = browser.post("/uploads/a.txt?move=docs/b.txt")
        assert (answer.status_code, answer.location) == (201, "/uploads/docs/b.txt")
        assert answer.json is not None
        assert (answer.json["filename"], answer.json["permanent_url"].split("?")[1]) == (
            "docs/b.txt",
            link.split("?")[1],
        )
        assert stored(mongo) == ["docs/b.txt", "docs/b.txt"]
        assert browser.get("/uploads/a.txt").status_code == 404
        assert browser.get(link, follow_redirects=True).data == b"a.txt"

    @pytest.mark.parametrize("early", [True, False], ids=["older versions are left", "the source is gone"])
    def test_the_same_request_completes_what_broke_off(
        self, client: Client, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch, early: bool
    ) -> None:
        uploads, hidden = client(authorize=lambda action, filename: filename not in hidden), set[str]()
        for number, fields in enumerate([{}, {"If-Match": "*"}, {"If-Match": "the tag"}]):
            old, new = f"a{number}", f"b{number}"
            save(mongo, *["first"] * number)
            tags = [uploads.put(f"/uploads/{old}", data=data).headers["ETag"] for data in (b"0", b"1")]
            fields = {name: value.replace("the tag", tags[1]) for name, value in fields.items()}
            move = f"/uploads/{old}?move={new}"
            with monkeypatch.context() as patched:
                break_off(patched, early=early)
                assert uploads.post(move, headers=fields).status_code == 503
            assert [uploads.get(f"/uploads/{name}").status_code for name in (old, new)] == [200 if early else 404, 200]
            if not early:
                for name, other in ((old, 403), (new, 404)):
                    hidden.add(name)
                    assert uploads.post(move, headers=fields).status_code == other
                    hidden.clear()
            assert uploads.post(move, headers={"If-Match": '"x"'}).status_code == 412
            answer = uploads.post(move, headers=fields)
            assert (answer.status_code, answer.location) == (201, f"/uploads/{new}")
            assert uploads.get(f"/uploads/{new}?version=0").data == b"0"
            assert uploads.get(f"/uploads/{old}").status_code == 404
            assert uploads.post(move, headers=fields).status_code == 404
        assert uploads.post("/uploads/none?move=b1").status_code == 404

    def test_a_copy_is_a_file_of_its_own(self, client: Client, mongo: PyMongo) -> None:
        save(mongo, "a.txt", "a.txt")
        browser = client(authorize=everyone)
        answer = browser.post(
            "/uploads/a.txt?version=0&copy=b.txt", headers=if_match(browser, "/uploads/a.txt?version=0")
        )
        assert (answer.status_code, answer.location) == (201, "/uploads/b.txt")
        assert stored(mongo) == ["a.txt", "a.txt", "b.txt"]
        copied = browser.get("/uploads/b.txt?details", headers=JSON).json
        assert copied is not None
        assert copied["metadata"]["title"] == "a.txt"
        browser.delete("/uploads/a.txt")
        assert browser.get("/uploads/b.txt").data == b"a.txt"

    @pytest.mark.parametrize("flag", ["move", "copy"])
    @pytest.mark.parametrize(
        ("new", "status"),
        [
            ("taken.txt", 409),
            ("a.txt", 409),
            ("", 400),
            ("..", 400),
            ("/", 400),
            (" taken.txt ", 409),
            ("x/../taken.txt", 201),
        ],
    )
    def test_nothing_is_replaced(self, client: Client, mongo: PyMongo, flag: str, new: str, status: int) -> None:
        save(mongo, "a.txt", "taken.txt")
        answer = client(authorize=everyone).post("/uploads/a.txt", query_string={flag: new})
        assert answer.status_code == status
        if status != 201:
            assert stored(mongo) == ["a.txt", "taken.txt"]
            assert mongo.db["fs.chunks"].count_documents({}) == 2

    @pytest.mark.parametrize(
        ("flag", "refused", "status"),
        [
            ("move", ("read", "a.txt"), 403),
            ("move", ("delete", "a.txt"), 403),
            ("move", ("write", "b.txt"), 403),
            ("move", ("write", "a.txt"), 201),
            ("copy", ("read", "a.txt"), 403),
            ("copy", ("write", "b.txt"), 403),
            ("copy", ("delete", "a.txt"), 201),
        ],
    )
    def test_who_may(self, client: Client, mongo: PyMongo, flag: str, refused: tuple[str, str], status: int) -> None:
        save(mongo, "a.txt")
        browser = client(authorize=lambda action, name: (action, name) != refused)
        assert browser.post(f"/uploads/a.txt?{flag}=b.txt").status_code == status
        if status == 403:
            assert stored(mongo) == ["a.txt"]

    @pytest.mark.parametrize("flag", ["move", "copy"])
    def test_what_is_not_there_or_not_to_be_changed(self, client: Client, mongo: PyMongo, flag: str) -> None:
        save(mongo, "a.txt")
        browser = client(authorize=everyone)
        assert browser.post(f"/uploads/none.txt?{flag}=b.txt").status_code == 404
        assert browser.get(f"/uploads/a.txt?{flag}=b.txt").data == b"a.txt"
        cross = {"Sec-Fetch-Site": "cross-site"}
        assert browser.post(f"/uploads/a.txt?{flag}=b.txt", headers=cross).status_code == 403
        assert stored(mongo) == ["a.txt"]

    def test_one_version_does_not_move_alone(self, client: Client, mongo: PyMongo) -> None:
        save(mongo, "a.txt", "a.txt")
        assert client(authorize=everyone).post("/uploads/a.txt?version=0&move=b.txt").status_code == 400

    @pytest.mark.parametrize("flag", ["move", "copy"])
    def test_not_where_all_is_read_only(self, client: Client, mongo: PyMongo, flag: str) -> None:
        save(mongo, "a.txt")
        assert client(read_only=True).post(f"/uploads/a.txt?{flag}=b.txt").status_code == 405

    def test_an_application_is_told(self, client: Client, mongo: PyMongo) -> None:
        save(mongo, "a.txt")
        browser = client(authorize=everyone)
        told: list[Any] = []

        def listen(name: str) -> Any:
            return lambda sender, file, **facts: told.append((name, file.filename))

        listeners = [(signal, listen(signal.name)) for signal in (file_saved, file_changed, file_deleted)]
        for signal, listener in listeners:
            signal.connect(listener)
        browser.post("/uploads/a.txt?copy=b.txt")
        browser.post("/uploads/a.txt?move=c.txt")
        assert told == [("file-saved", "b.txt"), ("file-changed", "c.txt")]

    def test_the_form_of_a_page(self, client: Client, mongo: PyMongo) -> None:
        save(mongo, "docs/a.txt")
        browser = client(authorize=everyone)
        page = browser.get("/uploads/docs/a.txt?details&order=size", headers=HTML).text
        assert 'formaction="/uploads/docs/a.txt?move&amp;order=size"' in page
        answer = browser.post("/uploads/docs/a.txt?move&order=size", data={"to": "b.txt"}, headers=HTML)
        assert answer.status_code == 303
        assert answer.location == "/uploads/b.txt?details=&order=size"
        assert "docs/a.txt is now b.txt." in browser.get(answer.location, headers=HTML).text
        answer = browser.post("/uploads/b.txt?copy", data={"to": "c.txt"}, headers=HTML)
        assert "c.txt is a copy of b.txt." in browser.get(answer.location, headers=HTML).text
        assert browser.post("/uploads/b.txt?copy", data={"to": "x" * 2_000_000}).status_code == 413

    def test_no_form_for_who_may_not(self, client: Client, mongo: PyMongo) -> None:
        save(mongo, "a.txt")
        page = client(authorize=lambda action, name: action != "write").get("/uploads/a.txt?details", headers=HTML).text
        assert "?copy" not in page
        assert "?move" not in page


class TestSeveral:
    def keys(self, client: Any, *wanted: str) -> list[str]:
        found = {file["filename"]: file["id"] for file in client.get("/uploads/", headers=JSON).json["files"]}
        return [found[name] for name in wanted]

    def test_the_same_request_completes_a_move_that_broke_off(
        self, client: Client, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save(mongo, "a", "a", "a")
        uploads, newest = client(authorize=everyone), mongo.bucket().find("a")
        assert newest is not None
        ask = {"data": {"id": str(newest.id)}, "headers": JSON}
        with monkeypatch.context() as broken:
            broken.setattr(
                "flask_gridfs_pymongo.store.bucket.rename_many",
                lambda versions, claims, names, check, note: {
                    old: rename(versions, claims, old, new, check) for old, new in names.items()
                },
            )
            break_off(broken, early=True)
            assert uploads.post("/uploads/?move=docs", **ask).status_code == 503
        assert stored(mongo) == ["a", "a", "docs/a"]
        assert uploads.post("/uploads/?move=docs", **ask).status_code == 200
        assert stored(mongo) == ["docs/a"] * 3
        assert mongo.db.fs.files.count_documents({"renamedFrom": {"$exists": True}}) == 0

    def test_into_a_folder_and_what_is_taken_there_stays(self, client: Client, mongo: PyMongo) -> None:
        save(mongo, "a", "x/b", "b", "docs/b")
        browser = client(authorize=everyone)
        form = {"id": self.keys(browser, "a", "x/b"), "to": "docs/"}
        answer = browser.post("/uploads/?move", data=form, headers=JSON)
        assert answer.json is not None
        assert [file["filename"] for file in answer.json["files"]] == ["docs/a"]
        assert answer.json["taken"] == ["docs/b"]
        assert stored(mongo) == ["b", "docs/a", "docs/b", "x/b"]
        form = {"id": self.keys(browser, "b", "x/b"), "to": "new/deep"}
        answer = browser.post("/uploads/?move&view=table", data=form, headers=HTML)
        assert answer.location == "/uploads/?view=table"
        page = browser.get(answer.location, headers=HTML).text
        assert "1 file was moved. These names are taken: new/deep/b" in page

    def test_up_to_the_top(self, client: Client, mongo: PyMongo) -> None:
        save(mongo, "docs/a")
        browser = client(authorize=everyone)
        browser.post("/uploads/?move", data={"id": self.keys(browser, "docs/a"), "to": ""})
        assert stored(mongo) == ["a"]

    @pytest.mark.parametrize("refused", [("write", "docs/b"), ("delete", "b"), ("read", "b")])
    def test_none_where_one_is_refused(self, client: Client, mongo: PyMongo, refused: tuple[str, str]) -> None:
        save(mongo, "a", "b")
        keys = [str(document["_id"]) for document in mongo.db["fs.files"].find()]
        browser = client(authorize=lambda action, name: (action, name) != refused)
        assert browser.post("/uploads/?move=docs", data={"id": keys}).status_code == 403
        assert stored(mongo) == ["a", "b"]
