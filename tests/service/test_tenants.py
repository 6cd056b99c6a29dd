"""service/options.py: base and db as functions: a bucket for each tenant, and none sees another's."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, abort, render_template_string, request
from flask.testing import FlaskClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_gridfs_pymongo import PyMongo, connection

from ..conftest import HTML, JSON, everyone
from ..helpers.drive import LOCK
from ..helpers.pictures import corners, encoded
from ..helpers.tus import TUS, patch

Ask = Callable[..., Any]
ANN, BOB = "http://ann.localhost/", "http://bob.localhost/"
PAGES = """
    /u/ /u/?format=json /u/?order=newest /u/?folder=a/ /u/?q=x /u/?flat /u/a.txt /u/a.txt?details /u/a.txt?versions
    /u/?id=6b0e05e1627f739b93e53350 /u/p.png?variant=thumb /u/?zip /u/?signed=x /dav/ /dav/a.txt /embedded
""".split()


def tenant() -> str:
    name = request.host.partition(".")[0]
    if name == "nobody":
        abort(404)
    return name


@pytest.fixture
def asked(app: Flask, mongo: PyMongo) -> FlaskClient:
    app.secret_key = "tests"
    rules = mongo.uploads_blueprint(
        url_prefix="/u", base=tenant, authorize=everyone, share=60, metadata=("title",), client_of=lambda request: "one"
    )
    app.register_blueprint(rules)
    app.jinja_env.globals["everyone"] = everyone

    @app.get("/embedded")
    def embedded() -> str:
        template = "{% from 'flask_gridfs_pymongo/macros.html' import files_listing with context %}"
        template += "{{ files_listing('uploads.index') }}"
        return render_template_string(template)

    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": mongo.webdav_app(rules=rules)})  # type: ignore[method-assign]
    return app.test_client()


def collections(mongo: PyMongo) -> set[str]:
    """Those of tenants: the tests' own bucket is there."""
    return {name for name in mongo.db.list_collection_names() if not name.startswith("fs.")}


def test_reading_creates_nothing(asked: FlaskClient, mongo: PyMongo) -> None:
    for url in PAGES:
        for headers in (HTML, JSON, {}):
            assert asked.get(url, base_url=ANN, headers=headers).status_code in (200, 404, 410), url
            asked.head(url, base_url=ANN, headers=headers)
    asked.open("/dav/", method="PROPFIND", base_url=ANN)
    asked.head("/u/?upload=unknown", base_url=ANN, headers=TUS)
    asked.options("/u/", base_url=ANN)
    assert collections(mongo) == set()


NO_TENANTS = (None, 5, b"ann", "", "a.b", "../x", "a/b", "system", "Admin", "LOCAL", "a" * 65, "$", "a$b", "\u00e4")


def test_what_is_no_tenant_is_a_404(app: Flask, mongo: PyMongo) -> None:
    names = iter(())

    def name() -> Any:
        return next(names)

    doors: dict[str, Any] = {}
    for number, functions in enumerate(({"base": name}, {"db": name}, {"base": lambda: "fs", "db": name})):
        rules = mongo.uploads_blueprint(f"u{number}", url_prefix=f"/u{number}", authorize=everyone, **functions)
        app.register_blueprint(rules)
        doors[f"/dav{number}"] = mongo.webdav_app(rules=rules)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, doors)  # type: ignore[method-assign]
    client = app.test_client()
    requests = [
        (method, f"{path}{number}/{rest}", headers)
        for number in range(3)
        for method, path, rest, headers in (
            ("GET", "/u", "", HTML),
            ("GET", "/u", "a.txt?details", HTML),
            ("GET", "/u", "", JSON),
            ("GET", "/u", "?zip", JSON),
            ("PUT", "/u", "a.txt", JSON),
            ("PUT", "/dav", "a.txt", JSON),
            ("PROPFIND", "/dav", "", JSON),
        )
    ]
    for method, url, headers in requests:
        for wrong in NO_TENANTS:
            names = iter([wrong] * 9)
            assert (
                client.open(url, method=method, headers=headers, data=b"1" if method == "PUT" else b"").status_code
                == 404
            ), (url, wrong)
    assert collections(mongo) == set()
    with pytest.raises(TypeError, match="base"):
        mongo.uploads_blueprint(base=5)


def test_an_unknown_tenant_is_what_the_function_says(asked: FlaskClient, mongo: PyMongo) -> None:
    for url in PAGES[:-1]:
        for headers in (HTML, JSON):
            assert asked.get(url, base_url="http://nobody.localhost/", headers=headers).status_code == 404, url
    assert asked.put("/u/a.txt", data=b"1", base_url="http://nobody.localhost/").status_code == 404
    assert collections(mongo) == set()


class TestTwo:
    @pytest.fixture(autouse=True)
    def _files(self, asked: FlaskClient) -> None:
        self.asked = asked
        for base_url, word in ((ANN, b"ann"), (BOB, b"bob")):
            assert asked.put("/u/same.txt", data=word, base_url=base_url).status_code == 201
        asked.put("/u/own.txt", data=b"ann's", base_url=ANN)
        asked.put("/u/own.png", data=encoded(corners()), base_url=ANN)

    def ask(self, method: str, url: str, base_url: str = BOB, **more: Any) -> Any:
        return self.asked.open(url, method=method, base_url=base_url, **more)

    def test_each_sees_its_own(self, mongo: PyMongo) -> None:
        for base_url, word in ((ANN, "ann"), (BOB, "bob")):
            assert self.ask("GET", "/u/same.txt", base_url).text == word
            assert self.ask("GET", "/dav/same.txt", base_url).text == word
            assert self.ask("GET", "/u/same.txt?versions&format=json", base_url).json["next"] is None
        for url in (
            "/u/",
            "/u/?format=json",
            "/u/?order=newest&format=json",
            "/u/?q=own&format=json",
            "/u/?q=own",
            "/embedded",
        ):
            assert "own.txt" not in self.ask("GET", url, headers=HTML).text.replace("q=own", "")
            if url != "/embedded":
                assert "own.txt" in self.ask("GET", url, ANN, headers=HTML).text, url
        assert b"own" not in self.ask("PROPFIND", "/dav/").data
        assert b"own" not in self.ask("GET", "/u/?zip").data
        assert {name.partition(".")[0] for name in collections(mongo)} == {"ann", "bob"}

    def test_ids_links_cursors_tokens_and_locks_are_nothing_in_another(self) -> None:
        details = self.ask("GET", "/u/own.txt?details&format=json", ANN).json
        file_id = details["id"]
        for url in ("/u/?id={}", "/u/own.txt?id={}", "/u/?id={}&details", "/u/own.png?variant=thumb"):
            assert self.ask("GET", url.format(file_id)).status_code == 404
        tag = {"If-Match": details["etag"]}
        for method, url, sent in (
            ("DELETE", f"/u/own.txt?id={file_id}", {}),
            ("POST", "/u/?delete", {"id": file_id}),
            ("POST", "/u/?move", {"id": file_id, "to": "x/"}),
            ("POST", f"/u/own.txt?restore&id={file_id}", {}),
            ("POST", "/u/?zip", {"id": file_id}),
        ):
            answer = self.ask(method, url, data=sent, headers=tag | JSON)
            assert answer.status_code in (404, 409, 412) or "own" not in answer.text, url
        assert self.ask("GET", f"/u/?after_file={file_id}&format=json").status_code == 404
        link = self.ask("POST", "/u/own.txt?share", ANN, headers=JSON).json["url"]
        assert (self.ask("GET", link, ANN).text, self.ask("GET", link).status_code) == ("ann's", 404)
        fields = {**TUS, "Upload-Length": "3", "Upload-Metadata": "filename dHVz"}
        upload = self.ask("POST", "/u/", ANN, headers=fields).headers["Location"]
        for method in ("HEAD", "DELETE"):
            assert self.ask(method, upload, headers=TUS).status_code in (404, 410)
        sent = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        assert self.ask("PATCH", upload, headers=sent, data=b"bob").status_code in (404, 410)
        assert self.ask("PATCH", upload, ANN, headers=sent, data=b"ann").status_code == 204
        assert self.ask("GET", "/u/tus", ANN).text == "ann"
        assert self.ask("GET", "/u/tus").status_code == 404
        token = self.ask("LOCK", "/dav/same.txt", ANN, data=LOCK).headers["Lock-Token"]
        assert self.ask("PUT", "/dav/same.txt", ANN, data=b"x").status_code == 423
        assert self.ask("UNLOCK", "/dav/same.txt", headers={"Lock-Token": token}).status_code == 409
        assert self.ask("PUT", "/dav/same.txt", data=b"new").status_code == 204
        assert self.ask("PUT", "/u/same.txt", data=b"new").status_code == 204
        assert self.ask("GET", "/u/same.txt", ANN).text == "ann"

    def test_changes_of_one_are_not_those_of_another(self) -> None:
        self.ask("POST", "/u/same.txt?move", data={"name": "new.txt"}, headers=JSON)
        self.ask("MKCOL", "/dav/folder")
        self.ask("DELETE", "/u/own.txt")
        assert self.ask("DELETE", "/u/new.txt").status_code == 204
        assert b"folder" not in self.ask("PROPFIND", "/dav/", ANN).data
        assert self.ask("GET", "/u/same.txt", ANN).text == "ann"
        assert self.ask("GET", "/u/own.txt", ANN).text == "ann's"


def test_the_function_is_asked_once_in_a_request(app: Flask, mongo: PyMongo) -> None:
    asked = list[str]()

    def db() -> str:
        asked.append(request.path)
        return mongo.db.name + ("-a" if len(asked) % 2 else "-b")

    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u", db=db, authorize=everyone))
    client = app.test_client()
    try:
        assert client.put("/u/a.txt", data=b"1").status_code == 201
        assert client.get("/u/a.txt").status_code == 404
        assert client.get("/u/?zip").status_code == 200
        assert len(asked) == 3
        assert patch(client, "/u/?upload=x", 0).status_code == 404
    finally:
        for end in "ab":
            mongo.cx.drop_database(f"{mongo.db.name}-{end}")


def test_so_it_is_in_a_request_by_a_link(app: Flask, mongo: PyMongo) -> None:
    asked = list[str]()

    def base() -> str:
        asked.append(request.path)
        return "first" if len(asked) == 1 else "another"

    app.secret_key = "tests"
    app.register_blueprint(mongo.uploads_blueprint(url_prefix="/u", base=base, authorize=lambda action, name: False))
    client, links = app.test_client(), list[str]()
    for make in (lambda: mongo.upload_link(""), lambda: mongo.upload_url("a.txt"), lambda: mongo.share_link("")):
        asked.clear()
        with app.test_request_context():
            links.append(make())
    for method, url in (("PUT", f"{links[0]}/b.txt"), ("PUT", links[1]), ("GET", f"{links[2]}a.txt")):
        asked.clear()
        assert client.open(url, method=method, data=b"1").status_code in (200, 201), url
        assert len(asked) == 1
    assert mongo.db.another.files.count_documents({}) == 0


def test_a_variable_of_the_prefix(app: Flask, mongo: PyMongo) -> None:
    app.register_blueprint(
        mongo.uploads_blueprint(url_prefix="/<shop>/u", base=lambda: (request.view_args or {})["shop"])
    )
    client = app.test_client()
    url = client.put("/one/u/a.txt", data=b"1").headers["Location"]
    assert (url, client.get(url).text, client.get("/two/u/a.txt").status_code) == ("/one/u/a.txt", "1", 404)
    assert client.get("/fs.x/u/").status_code == 404


def test_the_buckets_of_a_thousand_tenants_are_not_kept(
    app: Flask, mongo: PyMongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_MAX_BUCKETS", 10)
    first = mongo.bucket("t0")
    first.save("a.txt", io.BytesIO(b"1"))
    assert mongo.bucket("t0") is first
    made = [mongo.bucket(f"t{number}") for number in range(1, 25)]
    assert len(mongo._state().connection._buckets) == 10
    assert mongo.bucket("t24") is made[-1]
    assert mongo.bucket("t0") is not first
    assert mongo.bucket("t0").find("a.txt")
