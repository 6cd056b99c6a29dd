"""URLs of folders: what their pages link to, where they lead, and programs that walk through them."""

from __future__ import annotations

import hashlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urljoin
from zipfile import ZipFile, ZipInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_gridfs_pymongo import PyMongo

from ..conftest import HTML, JSON, Client, everyone, form, start_gunicorn
from ..helpers.programs import program, run

ROOT = "/uploads/"
NAMES = ["a.txt", "a/photo.jpg", "a/b/c.txt", "a/b/d e.txt", "x/y/z.txt"]
PROGRAM = {"Accept": "*/*"}
PIP = {"Accept": "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"}


def links(page: str) -> list[str]:
    return re.findall(r'<a (?:class="name" )?href="([^"]*)"', page)


@pytest.fixture
def uploads(client: Client, mongo: PyMongo) -> FlaskClient:
    for name in NAMES:
        mongo.save_file(name, io.BytesIO(name.encode()))
    return client(authorize=everyone)


class TestPages:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            (ROOT, ["a/", "x/", "a.txt"]),
            (f"{ROOT}a/", ["b/", "photo.jpg"]),
            (f"{ROOT}a/b/", ["c.txt", "d%20e.txt"]),
            (f"{ROOT}x/", ["y/"]),
        ],
    )
    def test_a_program_gets_relative_links_and_no_others(
        self, uploads: FlaskClient, url: str, expected: list[str]
    ) -> None:
        for fields in (PROGRAM, PIP, {}):
            page = uploads.get(url, headers=fields)
            assert page.content_type == "text/html; charset=utf-8"
            assert links(page.text) == expected
            assert "<img" not in page.text
        for link in expected:
            assert uploads.get(urljoin(url, link)).status_code == 200

    def test_people_get_them_too_and_the_page_of_each_file(self, uploads: FlaskClient) -> None:
        page = uploads.get(f"{ROOT}a/", headers=HTML).text
        assert {"photo.jpg", "b/"} <= set(links(page))
        assert 'href="/uploads/a/photo.jpg?details"' in page
        flat = uploads.get(f"{ROOT}?folder=a/", headers=HTML).text
        assert {"/uploads/a/photo.jpg?details", "/uploads/?folder=a/b/"} <= set(links(flat))

    def test_as_json(self, uploads: FlaskClient) -> None:
        listing = uploads.get(f"{ROOT}a/", headers=JSON).json
        assert [file["url"] for file in listing["files"]] == ["/uploads/a/photo.jpg"]
        assert listing["folders"] == [{"name": "a/b/", "url": "/uploads/a/b/"}]
        assert (listing["folder"], listing["next"]) == ("a/", None)

    def test_the_next_page_is_the_folders(self, uploads: FlaskClient) -> None:
        found: list[str] = []
        url = f"{ROOT}a/b/?limit=1&format=json"
        while url:
            listing = uploads.get(url).json
            found += [file["filename"] for file in listing["files"]]
            url = listing["next"]
            assert url is None or url.startswith(f"{ROOT}a/b/?")
        assert found == ["a/b/c.txt", "a/b/d e.txt"]

    @pytest.mark.parametrize(
        "name", ["a:b", "a?b", "a#b", "100%", "%41", "a&b;c", "é", "日本", "http:x", "-", "a+b", "q\"'<>", "id=1", " a"]
    )
    def test_any_name_comes_back_by_its_relative_link(self, client: Client, mongo: PyMongo, name: str) -> None:
        uploads = client()
        mongo.save_file(f"f/{name}", io.BytesIO(b"file"))
        mongo.save_file(f"f/{name}s/in", io.BytesIO(b"in"))
        folder, file = links(uploads.get(f"{ROOT}f/").text)
        assert re.fullmatch(r"[\w.~%-]+", file)
        assert re.fullmatch(r"[\w.~%-]+/", folder)
        assert unquote(file) == name
        assert uploads.get(urljoin(f"{ROOT}f/", file)).data == b"file"
        assert links(uploads.get(urljoin(f"{ROOT}f/", folder)).text) == ["in"]

    @pytest.mark.parametrize("name", ["f//x", "f/t/", "f/..", "f/.", "f/", "f/a\nb"])
    def test_what_no_path_carries_goes_by_id(self, client: Client, mongo: PyMongo, name: str) -> None:
        uploads = client()
        mongo.save_file(name, io.BytesIO(b"found"))
        seen, urls = set(), [f"{ROOT}f/"]
        while urls:
            url = urls.pop()
            for link in links(uploads.get(url).text):
                target = urljoin(url, link.replace("&amp;", "&"))
                if target not in seen:
                    seen.add(target)
                    urls += [target] if "id=" not in target else []
        by_id = [url for url in seen if "?id=" in url]
        assert [uploads.get(url).data for url in by_id or [f"{ROOT}f//x"]] == [b"found"]
        assert by_id or f"{ROOT}f//x" in seen

    def test_zip_and_other_queries_of_a_folder(self, uploads: FlaskClient) -> None:
        archive = uploads.get(f"{ROOT}a/?zip")
        assert sorted(ZipFile(io.BytesIO(archive.data)).namelist()) == ["b/c.txt", "b/d e.txt", "photo.jpg"]
        assert [file["filename"] for file in uploads.get(f"{ROOT}a/?q=PHOTO&format=json").json["files"]] == [NAMES[1]]
        assert uploads.get(f"{ROOT}a/?q=nothing&format=json").json["files"] == []


class TestWhereTheyLead:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize(
        ("url", "status", "location"),
        [
            ("/uploads", 308, "uploads/"),
            ("/uploads?format=json", 308, "uploads/?format=json"),
            ("/uploads/a", 308, "a/"),
            ("/uploads/a/b", 308, "b/"),
            ("/uploads/a/b?view=table", 308, "b/?view=table"),
            ("/uploads/a/b?version=0", 404, None),
            ("/uploads/a/b?details", 404, None),
            ("/uploads/none", 404, None),
            ("/uploads/none/", 404, None),
            ("/uploads/a/none/", 404, None),
            ("/uploads/a.txt/", 404, None),
            ("/uploads/a/photo.jpg/", 404, None),
        ],
    )
    def test_a_slash_makes_a_folder(
        self, uploads: FlaskClient, method: str, url: str, status: int, location: str | None
    ) -> None:
        answer = uploads.open(url, method=method)
        assert (answer.status_code, answer.headers.get("Location")) == (status, location)
        if location is not None:
            assert uploads.open(urljoin(url, location), method=method).status_code == 200

    def test_a_file_comes_before_a_folder(self, uploads: FlaskClient, mongo: PyMongo) -> None:
        mongo.save_file("a", io.BytesIO(b"file"))
        assert uploads.get("/uploads/a").data == b"file"
        assert uploads.get("/uploads/a/").status_code == 200

    def test_names_are_encoded_in_the_location(self, client: Client, mongo: PyMongo) -> None:
        mongo.save_file("a:b%?é/x", io.BytesIO(b"x"))
        assert client().get("/uploads/a:b%25%3F%C3%A9").headers["Location"] == "a%3Ab%25%3F%C3%A9/"

    def test_an_empty_bucket_has_its_root(self, client: Client) -> None:
        uploads = client()
        for fields in (PROGRAM, HTML, JSON):
            assert uploads.get(ROOT, headers=fields).status_code == 200

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
    def test_nothing_is_put_there_or_deleted(self, uploads: FlaskClient, mongo: PyMongo, method: str) -> None:
        for url in ("/uploads/a/", "/uploads/none/", "/uploads/a//"):
            assert uploads.open(url, method=method, data=b"x").status_code == 400
        assert mongo.db.fs.files.count_documents({}) == len(NAMES)

    def test_forms_are_posted_there(self, uploads: FlaskClient) -> None:
        answer = uploads.post("/uploads/a/b/", data=form((b"1", "new.txt"), (b"2", "deep/er.txt")))
        assert answer.status_code == 201
        assert [file["filename"] for file in answer.json["files"]] == ["a/b/new.txt", "a/b/deep/er.txt"]
        by_a_browser = uploads.post("/uploads/a/b/", data=form((b"1", "new.txt")), headers=HTML)
        assert (by_a_browser.status_code, by_a_browser.headers["Location"]) == (303, "/uploads/a/b/")

    def test_what_is_hidden_is_no_folder(self, client: Client, mongo: PyMongo) -> None:
        def authorize(action: str, filename: str | None) -> bool:
            return filename is None or filename.startswith("open") or (action == "list" and filename == "listed/")

        uploads = client(authorize=authorize)
        for name in ("open/a", "listed/a", "closed/a"):
            mongo.save_file(name, io.BytesIO(b"x"))
        found = {
            url: uploads.get(f"/uploads/{url}").status_code
            for url in ("open", "open/", "opens/", "listed", "listed/", "closed", "closed/", "none", "none/")
        }
        assert found == {
            **{"open": 308, "open/": 200, "opens/": 404},
            **{"listed": 403, "listed/": 404, "closed": 403, "closed/": 403, "none": 403, "none/": 403},
        }


def test_limit(app: Flask, real: PyMongo) -> None:
    real.db.fs.files.insert_many({"filename": f"{number:04}", "length": 0, "chunkSize": 1000} for number in range(1100))
    app.register_blueprint(real.uploads_blueprint(url_prefix="/uploads"))
    uploads = app.test_client()
    for query, expected in (("", 100), ("limit=7&", 7), ("limit=1000&", 1000), ("limit=100000&", 1000)):
        listing = uploads.get(f"{ROOT}?{query}format=json").json
        assert len(listing["files"]) == expected
        assert len(uploads.get(listing["next"]).json["files"]) == min(expected, 1100 - expected)
    for wrong in ("0", "-1", "x"):
        assert uploads.get(f"{ROOT}?limit={wrong}").status_code == 400
    assert len(links(uploads.get(ROOT).text)) == 1100
    page = uploads.get(f"{ROOT}?limit=7").text
    assert (len(links(page)), 'rel="next"' in page) == (7, True)


@pytest.fixture(scope="module")
def server(mongod: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a blueprint with a few names, 1,200 wheels and a repository for apt."""
    database = f"{mongod}/test_folders"
    with Flask("folders").app_context() as context:
        mongo = PyMongo(context.app, uri=database)
        mongo.cx.drop_database("test_folders")
        for name in ("a b.txt", "top/sub/é.txt", "top/one.txt", "top/two#.txt"):
            mongo.save_file(name, io.BytesIO(name.encode()))
        wheels = {f"wheels/small-1.{number}-py3-none-any.whl": wheel(f"1.{number}") for number in range(1200)}
        mongo.db.fs.files.insert_many(
            {"_id": name, "filename": name, "length": len(content), "chunkSize": 255 * 1024}
            for name, content in wheels.items()
        )
        mongo.db.fs.chunks.insert_many({"files_id": name, "n": 0, "data": data} for name, data in wheels.items())
        log = tmp_path_factory.mktemp("folders") / "log"
        with start_gunicorn("tests.helpers.live:create_app(read_only=True)", log, LIVE_URI=database) as address:
            yield f"{address}/uploads/"
        mongo.cx.drop_database("test_folders")
        mongo.cx.close()


MIRRORED = {"a b.txt", "top/sub/é.txt", "top/one.txt", "top/two#.txt"}


def wheel(version: str) -> bytes:
    output = io.BytesIO()
    with ZipFile(output, "w") as archive:
        metadata = {"METADATA": f"Metadata-Version: 2.1\nName: small\nVersion: {version}\n", "RECORD": ""}
        metadata["WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        for name, text in metadata.items():
            archive.writestr(ZipInfo(f"small-{version}.dist-info/{name}"), text)
    return output.getvalue()


def mirrored(folder: Path) -> set[str]:
    """What was stored under its own name, with its own content."""
    files = (path for path in folder.rglob("*") if path.is_file() and "wheels" not in path.parts)
    contents = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return {name for name, content in contents.items() if content == name.encode()}


@pytest.mark.clients
@pytest.mark.slow
def test_pip_finds_1200_files(server: str, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-index", "--no-deps", "--disable-pip-version-check"]
    for address, wanted, version in ((f"{server}wheels/", "small", "1.1199"), (f"{server}wheels", "small==1.0", "1.0")):
        run(*pip, "--find-links", address, "--trusted-host", "127.0.0.1", wanted, cwd=tmp_path)
        assert (tmp_path / f"small-{version}-py3-none-any.whl").read_bytes() == wheel(version)


@pytest.mark.clients
def test_wget_mirrors_a_bucket(server: str, tmp_path: Path) -> None:
    run(program("wget"), "-q", "-r", "-nH", "--cut-dirs=1", "-X", "/uploads/wheels", "-np", server, cwd=tmp_path)
    assert mirrored(tmp_path) == MIRRORED


@pytest.mark.clients
@pytest.mark.slow
def test_rclone_copies_a_bucket(server: str, tmp_path: Path) -> None:
    rclone = [program("rclone"), "--config", "/dev/null", "--http-url", server]
    run(*rclone, "copy", ":http:", str(tmp_path), "--exclude", "/wheels/**", cwd=tmp_path)
    assert mirrored(tmp_path) == MIRRORED
    assert len(run(*rclone, "lsf", ":http:wheels", cwd=tmp_path).splitlines()) == 1200


@pytest.mark.clients
def test_lftp_mirrors_a_bucket(server: str, tmp_path: Path) -> None:
    script = f"set net:max-retries 1; open {server}; mirror --exclude wheels/ . {tmp_path}; cd wheels; cls -1"
    printed = run(program("lftp"), "-c", script, cwd=tmp_path)
    assert mirrored(tmp_path) == MIRRORED
    assert len(re.findall("^small-", printed, re.MULTILINE)) == 1200


@pytest.mark.clients
@pytest.mark.slow
def test_apt_installs_from_a_flat_repository(server: str, mongod: str, tmp_path: Path) -> None:
    """It asks for repo/./Packages and repo/./small.deb."""
    apt, dpkg = program("apt-get"), program("dpkg-deb")
    control = "Package: small\nVersion: 1\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: small\n"
    (tmp_path / "small/DEBIAN").mkdir(parents=True)
    (tmp_path / "small/DEBIAN/control").write_text(control)
    run(dpkg, "-b", "small", "small.deb", cwd=tmp_path)
    package = (tmp_path / "small.deb").read_bytes()
    facts = f"Filename: ./small.deb\nSize: {len(package)}\nSHA256: {hashlib.sha256(package).hexdigest()}\n"
    with Flask("apt").app_context() as context:
        mongo = PyMongo(context.app, uri=f"{mongod}/test_folders")
        mongo.save_file("repo/small.deb", io.BytesIO(package))
        mongo.save_file("repo/Packages", io.BytesIO(f"{control}{facts}".encode()))
        mongo.cx.close()
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] {server}repo/ ./\n")
    for folder in ("state/lists/partial", "cache/archives/partial", "etc"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "status").touch()
    places = {
        "Etc": "etc",
        "Etc::SourceList": "sources.list",
        "State": "state",
        "State::status": "status",
        "Cache": "cache",
    }
    options = [f"-oDir::{name}={tmp_path / place}" for name, place in places.items()]
    for command in (["update"], ["download", "small"]):
        run(apt, *options, "-oAPT::Sandbox::User=root", "-oAcquire::Languages=none", *command, cwd=tmp_path)
    assert (tmp_path / "small_1_all.deb").read_bytes() == package
