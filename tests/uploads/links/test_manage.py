"""uploads/links/manage.py: making, listing and revoking links on the page of a folder."""

from __future__ import annotations

import re

from flask import Flask, request

from flask_gridfs_pymongo import PyMongo
from flask_gridfs_pymongo.store import Bucket

from ...conftest import HTML, JSON, Client


def test_who_may_write_makes_and_revokes_them(client: Client, app: Flask, mongo: PyMongo, store: Bucket) -> None:
    def authorize(action: str, filename: str | None) -> bool:
        return (filename or "").startswith(request.headers.get("X-User", "none"))

    options = {"client_of": lambda request: request.headers.get("X-User"), "authorize": authorize}
    app.secret_key = "secret"
    http = client(upload_links=True, **options)
    ann, bob = {**JSON, "X-User": "ann/"}, {**JSON, "X-User": "bob/"}
    made = http.post("/uploads/ann/?links", data={"expires_in": "60", "max_files": "2", "max_size": ""}, headers=ann)
    assert (made.status_code, made.json["maker"], made.json["max_files"]) == (201, "ann/", 2)
    assert http.put(f"{made.json['url']}/a.txt", data=b"1").status_code == 201
    below = http.post("/uploads/?links&folder=ann/in/", headers=ann).json
    for headers, found in ((ann, [(made.json["id"], 1), (below["id"], 0)]), (bob, None)):
        answer = http.get("/uploads/ann/?links", headers=headers)
        listed = None if answer.status_code == 403 else [(link["id"], link["files"]) for link in answer.json["links"]]
        assert listed == found
        assert http.get("/uploads/?links", headers=headers).status_code == 403
    with app.test_request_context():
        mongo.upload_link("bob/")
        mongo.upload_url("ann/x")
    for link_id in (made.json["id"], "none"):
        assert http.post(f"/uploads/?revoke={link_id}", headers=bob).status_code == 404
    assert http.post("/uploads/ann/?links", headers=bob).status_code == 403
    assert http.post(f"/uploads/?revoke={made.json['id']}", headers=ann).status_code == 204
    assert http.put(f"{made.json['url']}/a.txt", data=b"1").status_code == 410
    assert [link["id"] for link in http.get("/uploads/ann/?links", headers=ann).json["links"]] == [below["id"]]
    for form in ({"expires_in": "0"}, {"expires_in": "9" * 19}, {"max_files": "0"}, {"max_size": "x"}):
        assert http.post("/uploads/ann/?links", data=form, headers=ann).status_code == 400
    evil = {**ann, "Origin": "https://evil.example"}
    assert http.post("/uploads/ann/?links", headers=evil).status_code == 403
    assert len(store.links.list()) == 2


def test_pages_without_script(client: Client) -> None:
    http = client(authorize=lambda action, filename: True, upload_links=True)
    (menu,) = re.findall(r'href="(/uploads/\?links=[^"]*)"', http.get("/uploads/?folder=in/", headers=HTML).text)
    page = http.get(menu.replace("&amp;", "&"), headers=HTML).text
    (action,) = re.findall(r'action="([^"]+)"', page)
    made = http.post(action.replace("&amp;", "&"), data={"expires_in": "86400", "max_files": ""}, headers=HTML)
    url, shown = re.findall(r'<a href="([^"]+~[^"]+)"[^>]*>([^<]+)<', made.text)[0]
    assert (made.status_code, shown) == (201, f"http://localhost{url}")
    assert http.get(url, headers=HTML).status_code == 200
    listed = http.get(menu.replace("&amp;", "&"), headers=HTML).text
    assert url not in listed
    (revoke,) = re.findall(r'action="([^"]+revoke[^"]+)"', listed)
    done = http.post(revoke.replace("&amp;", "&"), headers=HTML)
    assert done.status_code == 303
    assert "The link was revoked." in http.get(done.location, headers=HTML).text
    gone = http.get(url, headers=HTML)
    assert (gone.status_code, "All files" in gone.text) == (410, False)


def test_a_maker_is_written_as_text(client: Client) -> None:
    http = client(authorize=lambda action, filename: True, upload_links=True, client_of=lambda request: 7)
    assert http.post("/uploads/?links", headers=JSON).json["maker"] == "7"


def test_without_the_option_there_are_none(client: Client, store: Bucket) -> None:
    http = client(authorize=lambda action, filename: True)
    assert "links" not in http.get("/uploads/", headers=HTML).text
    for method, query in (("GET", "links"), ("POST", "links"), ("POST", "revoke=x")):
        answer = http.open(f"/uploads/?{query}", method=method, headers=JSON)
        assert (answer.status_code, "upload_links=True" in answer.json["detail"]) == (403, True)
    assert store.links.list() == []
