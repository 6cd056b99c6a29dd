"""tus clients that others wrote, with their real code: tuspy, tus-js-client, and Uppy in Chromium."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pymongo
import pytest
import requests
from playwright.sync_api import Browser
from tusclient.client import TusClient

from flask_gridfs_pymongo.store import Bucket

from ...conftest import content, missing, read, start_gunicorn
from ...helpers.blocks import named
from ...helpers.programs import program

pytestmark = pytest.mark.clients

DATA = content(3_000_017)


@pytest.fixture(scope="module")
def endpoint(mongod: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two processes, so that nobody can know what the other one did."""
    log, name = tmp_path_factory.mktemp("tus") / "gunicorn.log", f"test_{uuid.uuid4().hex}"
    with start_gunicorn("tests.helpers.live:open_app()", log, "--workers", "2", LIVE_URI=f"{mongod}/{name}") as address:
        yield f"{address}/uploads/"
    with pymongo.MongoClient[Any](mongod) as client:
        client.drop_database(name)


def stored(endpoint: str, name: str) -> bytes:
    return requests.get(endpoint + name, timeout=60).content


class TestTuspy:
    @pytest.mark.parametrize(
        "options", [{}, {"chunk_size": 500_000}, {"chunk_size": 1_000_000, "upload_checksum": True}]
    )
    def test_uploads(self, endpoint: str, options: dict[str, Any]) -> None:
        uploader = TusClient(endpoint).uploader(
            file_stream=io.BytesIO(DATA), metadata={"filename": "e\xe9.bin", "filetype": "text/plain"}, **options
        )
        uploader.upload()
        assert stored(endpoint, "e\xe9.bin") == DATA

    def test_goes_on_in_another_process(self, endpoint: str) -> None:
        def uploader(**options: Any) -> Any:
            return TusClient(endpoint).uploader(file_stream=io.BytesIO(DATA), chunk_size=400_000, **options)

        first = uploader(metadata={"filename": "film.bin"})
        first.upload(stop_at=1_200_000)
        second = uploader(url=first.url)
        assert second.offset == 1_200_000
        second.upload()
        assert stored(endpoint, "film.bin") == DATA

    def test_asynchronous(self, endpoint: str) -> None:
        uploader = TusClient(endpoint).async_uploader(
            file_stream=io.BytesIO(DATA), chunk_size=1_000_000, metadata={"filename": "a"}
        )
        with ThreadPoolExecutor(1) as pool:  # in this thread Playwright's loop may run
            pool.submit(asyncio.run, uploader.upload()).result()
        assert stored(endpoint, "a") == DATA


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tus-js-client, and with Uppy as browsers load it."""
    npm = shutil.which("npm")
    if npm is None:
        missing("install npm, which brings tus-js-client and Uppy")
    folder = tmp_path_factory.mktemp("npm")
    quiet = ("--no-audit", "--no-fund", "--silent", "--prefix", str(folder))
    subprocess.run([npm, "install", *quiet, "tus-js-client@4.3.1"], cwd=folder, check=True, timeout=120)
    subprocess.run([npm, "pack", "--silent", "uppy@5"], cwd=folder, check=True, timeout=120, stdout=subprocess.DEVNULL)
    shutil.unpack_archive(next(folder.glob("uppy-*.tgz")), folder, filter="data")
    return folder


UPLOAD = """
const tus = require("./node_modules/tus-js-client");
const { Readable } = require("stream");
const { endpoint, size, interrupted, source, ...options } = JSON.parse(process.argv[1]);
const fs = require("fs"), data = fs.readFileSync("data");
function* blocks() {
  for (let at = 0; at < size; at += 65536) yield data.subarray(at, at + 65536);
}
const sources = { stream: () => Readable.from(blocks()), file: () => fs.createReadStream("data") };
const input = source ? sources[source]() : data;
const retryDelays = [0, 1000, 3000];
const report = (upload) => console.log(JSON.stringify({ url: upload.url }));
function start(more) {
  const upload = new tus.Upload(input, {
    endpoint, retryDelays, metadata: { filename: "node.bin", filetype: "text/plain" }, ...options, ...more,
    onError: (error) => { console.error(String(error)); process.exitCode = 1; },
    onSuccess: () => report(upload),
    onChunkComplete: (chunk, accepted) => {
      if (!interrupted || more || accepted < size / 3) return;
      upload.abort().then(() => start({ uploadUrl: upload.url }));
    },
  });
  upload.start();
}
start();
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunkSize": 500_000},
        {"chunkSize": 500_000, "interrupted": True},
        {"uploadDataDuringCreation": True},
        {"uploadDataDuringCreation": True, "chunkSize": 700_000, "overridePatchMethod": True},
        {"source": "stream", "uploadLengthDeferred": True, "chunkSize": 600_000},
        {"source": "file", "uploadLengthDeferred": True},
    ],
)
def test_tus_js_client(endpoint: str, packages: Path, options: dict[str, Any]) -> None:
    (packages / "data").write_bytes(DATA)
    wanted = json.dumps({"endpoint": endpoint, "size": len(DATA), **options})
    subprocess.run(["node", "-e", UPLOAD, wanted], cwd=packages, check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert stored(endpoint, "node.bin") == DATA


@pytest.mark.slow
def test_the_line_of_the_docs(endpoint: str, packages: Path) -> None:
    file = 'const tus = require("tus-js-client"); const file = Buffer.from("from docs"); file.name = "docs.txt";'
    line = named("tus").replace('"/uploads/"', json.dumps(endpoint))
    subprocess.run(["node", "-e", file + line], cwd=packages, check=True, timeout=60)
    assert stored(endpoint, "docs.txt") == b"from docs"


def test_uppy(browser: Browser, endpoint: str, packages: Path) -> None:
    page = browser.new_page()
    page.goto(endpoint.replace("/uploads/", "/ping"))
    page.add_script_tag(path=packages / "package/dist/uppy.min.js")
    result = page.evaluate("""async () => {
        const uppy = new Uppy.Uppy().use(Uppy.Tus, { endpoint: "/uploads/?folder=up/", chunkSize: 400000 });
        uppy.addFile({ name: "h\u00e9.txt", type: "text/plain", data: new Blob(["1234567890".repeat(150000)]) });
        const { successful, failed } = await uppy.upload();
        return [successful.length, failed.length];
    }""")
    page.close()
    assert result == [1, 0]
    assert stored(endpoint, "up/h\xe9.txt") == b"1234567890" * 150_000


def test_uppy_as_in_the_docs(browser: Browser, endpoint: str, packages: Path) -> None:
    page = browser.new_page()
    page.goto(endpoint.replace("/uploads/", "/ping"))
    page.set_content('<div id="files"></div>')
    page.add_script_tag(path=packages / "package/dist/uppy.min.js")
    page.add_script_tag(content=named("uppy-script"))
    page.locator("input[type=file]").first.set_input_files({"name": "a.gif", "mimeType": "image/gif", "buffer": DATA})
    page.get_by_role("button", name="Upload 1 file").click()
    page.get_by_text("Complete", exact=True).wait_for()
    page.close()
    assert stored(endpoint, "pictures/a.gif") == DATA


class Links:
    """An application in two processes in which nobody may do anything without a link."""

    def __init__(self, address: str, store: Bucket) -> None:
        self.address, self.store = address, store

    def new(self, path: str) -> str:
        """The URL that ``/link`` or ``/url/NAME`` gives."""
        return self.address + requests.get(self.address + path, timeout=60).text

    def take(self) -> list[tuple[str, bytes]]:
        """What is stored, without dates and random parts; it is deleted."""
        files = [row.file for row in self.store.list().rows]
        found = [(re.sub("/2[^/]+/", "/*/", file.filename), read(self.store, file)) for file in files]
        self.store.delete_versions(files)
        return found


@pytest.fixture(scope="module")
def links(mongod: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Links]:
    log, name = tmp_path_factory.mktemp("links") / "gunicorn.log", f"test_{uuid.uuid4().hex}"
    with (
        pymongo.MongoClient[Any](mongod) as client,
        start_gunicorn("tests.helpers.live:links_app()", log, "--workers", "2", LIVE_URI=f"{mongod}/{name}") as address,
    ):
        yield Links(address, Bucket(client[name]))
        client.drop_database(name)


def test_curl_with_a_link_alone(links: Links, tmp_path: Path) -> None:
    curl, link, url = program("curl"), links.new("/link"), links.new("/url/avatars/ann.png")
    (tmp_path / "cv.pdf").write_bytes(DATA)
    (tmp_path / "b.txt").write_bytes(b"b")

    def send(*options: str) -> Any:
        done = subprocess.run([curl, "-sS", *options], cwd=tmp_path, check=True, timeout=60, capture_output=True)
        return json.loads(done.stdout)

    told = [{"filename": "cv.pdf", "length": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}]
    assert send("-T", "cv.pdf", f"{link}/") == {"files": told}  # curl adds the name
    assert [file["filename"] for file in send("-F", "file=@cv.pdf", "-F", "file=@b.txt", link)["files"]] == [
        *("cv.pdf", "b.txt")
    ]
    assert send("-T", "b.txt", url)["files"][0]["filename"] == "avatars/ann.png"
    assert send("-T", "cv.pdf", url)["status"] == 410
    assert send("-T", "cv.pdf", f"{links.address}/uploads/cv.pdf")["status"] == 403
    assert sorted(links.take()) == [
        *(("avatars/ann.png", b"b"), ("inbox/*/b.txt", b"b"), ("inbox/*/cv.pdf", DATA), ("inbox/*/cv.pdf", DATA))
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"chunkSize": 500_000, "interrupted": True}, {"uploadDataDuringCreation": True}]
)
@pytest.mark.parametrize(("path", "name"), [("/link", "inbox/*/node.bin"), ("/url/film.mp4", "film.mp4")])
def test_tus_js_client_with_a_link_alone(
    links: Links, packages: Path, path: str, name: str, options: dict[str, Any]
) -> None:
    (packages / "data").write_bytes(DATA)
    wanted = json.dumps({"endpoint": links.new(path), "size": len(DATA), **options})
    subprocess.run(["node", "-e", UPLOAD, wanted], cwd=packages, check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert links.take() == [(name, DATA)]


def test_uppy_with_a_link_alone_from_another_origin(browser: Browser, links: Links, packages: Path) -> None:
    page = browser.new_page()
    page.goto(links.address.replace("127.0.0.1", "localhost") + "/ping")
    page.add_script_tag(path=packages / "package/dist/uppy.min.js")
    send = """async ([plugin, options]) => {
        const uppy = new Uppy.Uppy().use(Uppy[plugin], options);
        uppy.addFile({ name: "h\u00e9.txt", type: "text/plain", data: new Blob(["1234567890".repeat(100000)]) });
        const { successful, failed } = await uppy.upload();
        return [successful.length, failed.length];
    }"""
    link, url = links.new("/link"), links.new("/url/film.mp4")
    put = {"method": "PUT", "formData": False}
    for plugin, options, outcome in (
        ("Tus", {"endpoint": link, "chunkSize": 400_000}, [1, 0]),
        ("XHRUpload", {"endpoint": link, "fieldName": "file"}, [1, 0]),
        ("XHRUpload", {"endpoint": url, **put}, [1, 0]),
        ("XHRUpload", {"endpoint": url, **put}, [0, 1]),
    ):
        assert page.evaluate(send, [plugin, options]) == outcome, (plugin, options)
    page.close()
    text = b"1234567890" * 100_000
    assert links.take() == [("film.mp4", text), ("inbox/*/h\xe9.txt", text), ("inbox/*/h\xe9.txt", text)]


def test_the_upload_url_of_the_docs(browser: Browser, links: Links) -> None:
    page = browser.new_page()
    page.goto(links.address.replace("127.0.0.1", "localhost") + "/ping")
    script = named("upload-url-script").replace("https://files.example.com", links.address)
    script = script.replace('(await fetch("/api/avatar", { method: "POST" })).json()', "({ url: urls.shift() })")
    sends = 'await upload(new File(["png"], "a.png")), await upload(new File(["2"], "a.png")).catch(String)'
    url = links.new("/url/avatars/ann.png").removeprefix(links.address)
    stored, refused = page.evaluate(f"async (urls) => {{ {script} return [{sends}]; }}", [url, url])
    page.close()
    assert (stored["filename"], refused) == ("avatars/ann.png", "Error: This link has been used up.")
    assert links.take() == [("avatars/ann.png", b"png")]
