"""Requests as bytes, most of them sound, for :mod:`tests.fuzz`: ``connection(rng, mark, folder)``."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections.abc import Callable
from typing import Any

from .helpers.drive import LOCK

_MARKS = "a" + "\u0300" * 9000 + "\u0316" * 9000  # what is slow to normalise
_NAMES = [
    "a",
    "a" + "%CC%80" * 250 + "%CC%96" * 250,
    "n" * 3500,
    "%E2%80%8B%F3%A0%80%81o",
    "b/c.txt",
    "d%20e.png",
    "%C3%A9.txt",
    "f.mp4",
    "..%2fg",
    "h%3Fi%23j",
    "k" * 300,
    "%E2%80%AEl",
    "%FF",
]
_QUERIES = {
    "": [
        *("version=0", "version=-1", "versions", "details", "download", "versions&before=1", "signed=x.y", "delete"),
        *("variant=thumb", "variant=thumb&download", "variant=none", "download=0", "details&part=2", "format=json"),
    ],
    "/": [
        "q=e",
        "prefix=w",
        "folder=w/",
        "folder=",
        "order=newest&q=e",
        "order=size&prefix=w",
        "q=a",
        "prefix=b",
        "folder=b/",
        "order=newest",
        "order=size&cursor=~HwAAAARfaWQAFQAAAAUwAAEAAAAAYRAxAAUAAAAAAA",
        "order=type",
        "cursor=~GwAAAARfaWQAEQAAAAUwAAEAAAAAYQoxAAAA",
        "id=",
        *(
            "order=-name",
            "order=-newest&limit=3",
            "order=-size&cursor=~x",
            "order=-type&cursor=~",
            "order=--size",
        ),
        *(
            "cursor=_-k",
            "cursor=~",
            "after_file=" + "0" * 24,
            "metadata.title=t",
            "metadata.title=t&order=-type",
        ),
        *(
            "metadata.title=t&order=-type",
            "metadata.none=t",
            "limit=1",
            "limit=0",
            "folder=w/&format=json",
            "upload=x",
            "upload=LAST",
        ),
    ],
}
_FIELDS = {
    "Accept": ["text/html", "application/json", "*/*;q=0.1", "text/html;q=0, application/problem+json"],
    "Range": ["bytes=0-0", "bytes=-1", "bytes=0-,1-2", "bytes=5-", "items=1-2", "bytes=0-1,3-4,6-7"],
    "If-Range": ['"x"', "Mon, 02 Jan 2006 15:04:05 GMT"],
    "If-Match": ["*", '"x"', 'W/"x", "y"'],
    "If-None-Match": ["*", '"x"'],
    "If-Modified-Since": ["Mon, 02 Jan 2006 15:04:05 GMT", "Mon, 02 Jan 9999999999 15:04:05 GMT"],
    "If-Unmodified-Since": ["Mon, 02 Jan 2034 15:04:05 GMT"],
    "Origin": ["http://fuzz", "https://evil.example", "null"],
    "Sec-Fetch-Site": ["same-origin", "cross-site", "none"],
    "Content-Type": ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"],
    "Content-Encoding": ["gzip", "identity"],
    "Content-Digest": ["sha-256=:AAAA:", "md5=:AAAA:"],
    "Want-Repr-Digest": ["sha-256=1"],
    "Expect": ["100-continue"],
    "X-HTTP-Method-Override": ["DELETE"],
    "Cookie": ["session=eyJ"],
}
_WORDS = [
    *(b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\t", b" ", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x80\xae"),
    *(b"%00", b"%0d%0a", b"%2e%2e/", b"../", b"//", b"\\", b"%", b"%zz", b"?", b"#", b"&", b";", b",", b'"', b"'"),
    *(b"-1", b"0", b"9" * 25, b"1e9", b"0x10", b"NaN", b"$ne", b"[$gt]", b"{", b"(a+)+$", b"*", b"<script>"),
    *(b"--B\r\n", b"--B--", b"chunked", b"gzip, chunked", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"Host: x\r\n", b"A" * 5000, b"HTTP/1.0", b"HTTP/9.9", b"PATCH"),
]
_PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgAAAAAgAB4iG8MwAAAABJRU5ErkJggg==")
LAST = b"LAST"
"""stands for the token of an upload that the thread began before"""
_PATCHES: list[Any] = [
    {"title": "t"},
    {"title": ["t", "u"]},
    {"title": None},
    {"none": "t"},
    {"title": 1},
    [],
    "{",
    {"title": "t" * 9000},
]
_SET = b"<propertyupdate xmlns='DAV:'><set><prop><x xmlns='u'>red</x></prop></set></propertyupdate>"
_DRIVE = [
    ("PROPFIND", b""),
    ("PROPFIND", b"<propfind xmlns='DAV:'><allprop/></propfind>"),
    ("PROPFIND", b"<propfind xmlns='DAV:'><prop><getetag/><x xmlns='u'/></prop></propfind>"),
    ("PROPFIND", b"<!DOCTYPE x [<!ENTITY a 'b'>]><propfind xmlns='DAV:'><allprop>&a;</allprop></propfind>"),
    ("PROPFIND", b"<a>" * 300),
    ("PROPPATCH", _SET),
    ("PROPPATCH", _SET.replace(b"red", b"r" * 50_000)),
    ("LOCK", LOCK),
    ("LOCK", b""),
    ("UNLOCK", b""),
    ("MKCOL", b""),
    ("MKCOL", b"x"),
    *[(method, b"") for method in ("COPY", "MOVE", "DELETE", "GET", "HEAD", "OPTIONS", "POST", "TRACE")],
    *[("PUT", b"")] * 3,
]
_DRIVE_FIELDS = {
    "Depth": ["0", "1", "infinity", "2", ""],
    "Overwrite": ["T", "F", "x"],
    "Timeout": ["Second-1", "Infinite", "Second-99999999999999999999", "x"],
    "If": ["(<DAV:no-lock>)", "(Not <DAV:no-lock>)", "<http://fuzz/dav/a> (<urn:x>)", "(" * 500, '(["x"])'],
    "Lock-Token": ["<opaquelocktoken:x>", "<>", "x"],
    "If-Match": ["*", '"x"'],
    "If-None-Match": ["*"],
    "Content-Type": ["text/xml", "application/xml; charset=utf-16"],
    "Authorization": ["Basic eDp5", "Basic !", "Bearer x"],
    "Translate": ["f"],
}
_METHODS = ["GET", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "G\xc3", "POST", "PUT", "DELETE"]


def request(rng: random.Random, mark: bytes, folder: str) -> bytes:
    """A valid request, or one with a wrong value in it, for names in *folder*; *mark* begins each file's content."""
    kinds = {"get": 4, "list": 3, "put": 4, "form": 4, "delete": 1, "other": 1, **dict.fromkeys(_NEWER, 1)}
    kind = rng.choices([*kinds], [*kinds.values()])[0]
    if kind in _NEWER:
        return _NEWER[kind](rng, mark, folder)
    target = "/uploads/" + ("" if kind == "list" else f"{folder}/{rng.choice(_NAMES)}")
    fields = {name: rng.choice(_FIELDS[name]) for name in rng.sample(sorted(_FIELDS), rng.choice([0, 0, 1, 1, 2, 4]))}
    method, body = rng.choice(["GET", "GET", "HEAD"]), b""
    queries = _QUERIES["/" if kind == "list" else ""]
    if kind == "get" and rng.random() < 0.2:
        fields["Range"] = rng.choice(_FIELDS["Range"])
    if kind in ("put", "form"):
        method, queries = ("PUT", ["", "", "version=0"]) if kind == "put" else ("POST", ["", "folder=x/", "restore"])
        content = mark + rng.randbytes(rng.choice([0, 1, 5, 100, 4000, 4000, 70_000, 199_000, 250_000]))
        content = _PNG + content if rng.random() < 0.1 else content
        body = content
        if kind == "form":
            target = rng.choice(["/uploads/", target])
            fields["Content-Type"] = "multipart/form-data; boundary=B"
            count = rng.choice([0, 1, 1, 2, 5, 150])
            body = b"".join(_part(rng, mark, content[: 500_000 // (count or 1)]) for _ in range(count)) + b"--B--\r\n"
    elif kind == "delete":
        method, queries = rng.choice([("DELETE", ["version=0", "", "id=" + "0" * 24]), ("POST", ["delete"])])
    elif kind == "other":
        method = rng.choice(_METHODS)
    if query := rng.choice(["", *queries]):
        target += "?" + query
    if body and rng.random() < 0.3:
        fields["Transfer-Encoding"] = "chunked"
        body = _chunked(rng, body)
    elif body or rng.random() < 0.1:
        length = len(body) + (rng.choice([-5, -1, 1, 5, 10**6, 10**18]) if rng.random() < 0.1 else 0)
        fields["Content-Length"] = str(length)
    return _written(method, target, fields, body)


def _written(method: str, target: str, fields: dict[str, str], body: bytes) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: fuzz", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _create(rng: random.Random, mark: bytes, folder: str) -> bytes:
    """The beginning of an upload, whole or not."""
    body = mark + rng.randbytes(rng.choice([0, 1, 5, 4000, 70_000]))
    name = rng.choice(["a", "b/c.txt", "d.png", _MARKS[:1000], "../x", ""])
    encoded = base64.b64encode(f"{folder}/{name}".encode()).decode()
    length = str(len(body) + rng.choice([0, 0, 0, 1, 100, -1]))
    fields = {"Tus-Resumable": rng.choice(["1.0.0"] * 9 + ["0.2"]), "Upload-Metadata": f"filename {encoded},title dA=="}
    fields |= rng.choice([{"Upload-Length": length}] * 5 + [{"Upload-Defer-Length": "1"}, {}, {"Upload-Length": "-1"}])
    if rng.random() < 0.2:
        fields["Upload-Checksum"] = f"sha256 {base64.b64encode(hashlib.sha256(body).digest()).decode()}"
    fields |= {"Content-Type": "application/offset+octet-stream", "Content-Length": str(len(body))}
    return _written("POST", "/uploads/", fields, body)


def _go_on(rng: random.Random, mark: bytes, folder: str) -> bytes:
    """More bytes of an upload, without the mark: what came is kept, also where the answer is a refusal."""
    body = rng.randbytes(rng.choice([0, 1, 1, 100, 70_000]))
    offset = rng.choice([len(mark), len(mark) + 1, len(mark) + 5, len(mark) + 4000, 0, 10**18])
    fields = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset), "Content-Length": str(len(body))}
    fields["Content-Type"] = rng.choice(["application/offset+octet-stream"] * 5 + ["text/plain"])
    if rng.random() < 0.2:
        fields["Upload-Length"] = str(offset + len(body))
    method = rng.choice(["PATCH"] * 5 + ["HEAD", "HEAD", "DELETE", "GET", "OPTIONS"])
    return _written(method, "/uploads/?upload=LAST", fields, body)


def _describe(rng: random.Random, mark: bytes, folder: str) -> bytes:
    """A change of the metadata."""
    body = json.dumps(rng.choice(_PATCHES)).encode()
    fields = {"Content-Type": rng.choice(["application/merge-patch+json"] * 5 + ["application/json"])}
    fields["Content-Length"] = str(len(body))
    target = f"/uploads/{folder}/{rng.choice(_NAMES)}{rng.choice(['', '', '?version=0', '?version=9'])}"
    return _written("PATCH", target, fields, body)


def _post(rng: random.Random, mark: bytes, folder: str) -> bytes:
    """What our pages' buttons send, and programs."""
    to = f"{folder}/{rng.choice(_NAMES)}"
    flag = rng.choice(["move", "copy", "move=" + to, "copy=" + to, "share", "restore&version=0", "metadata"])
    body = rng.choice(
        [f"to={to}", f"title={'t' * 100}", "title=", "to=" + "%CC%80" * 9000, "x" * 1_200_000, ""]
    ).encode()
    target = f"/uploads/{folder}/{rng.choice(_NAMES)}?{flag}"
    if rng.random() < 0.2:
        target = f"/uploads/?{rng.choice(['zip', 'delete', 'move'])}"
        body = "&".join([f"id={rng.randrange(16**24):024x}"] * rng.choice([1, 2, 1001])).encode() + b"&" + body
    fields = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
    return _written("POST", target, fields, body)


def _archive(rng: random.Random, mark: bytes, folder: str) -> bytes:
    target = rng.choice(
        [f"/uploads/?folder={folder}/b/&zip", f"/uploads/{folder}/b/?zip", "/uploads/?folder=none/&zip"]
    )
    return _written(rng.choice(["GET", "HEAD"]), target, {}, b"")


def _drive(rng: random.Random, mark: bytes, folder: str) -> bytes:
    """A request to the drive, most of them for what is there."""
    method, body = rng.choice([*_DRIVE])
    path = f"/dav/{folder}/{rng.choice(['', *_NAMES[:1], *_NAMES])}"
    chosen = rng.sample(sorted(_DRIVE_FIELDS), rng.choice([0, 0, 1, 2]))
    fields = {name: rng.choice(_DRIVE_FIELDS[name]) for name in chosen}
    if method in ("COPY", "MOVE"):
        fields["Destination"] = (
            f"{rng.choice(['', 'http://fuzz', 'http://evil.example'])}/dav/{folder}/{rng.choice(_NAMES)}"
        )
    if method == "PUT":
        body = mark + rng.randbytes(rng.choice([0, 1, 4000, 70_000]))
    if body and rng.random() < 0.3:
        return _written(method, path, {**fields, "Transfer-Encoding": "chunked"}, _chunked(rng, body))
    return _written(method, path, {**fields, "Content-Length": str(len(body))}, body)


def foreign(rng: random.Random, mark: bytes, folder: str) -> bytes:
    """A sound request under the name of a host that is not trusted."""
    data = rng.choice([_drive, _create, _archive, _post, _describe])(rng, mark, folder)
    return data.replace(b"Host: fuzz\r\n", b"Host: evil.example\r\nConnection: close\r\n", 1)


_NEWER: dict[str, Callable[[random.Random, bytes, str], bytes]]
_NEWER = {
    **{"create": _create, "go on": _go_on, "describe": _describe, "post": _post, "archive": _archive},
    **{f"drive {number}": _drive for number in range(4)},
}


def _part(rng: random.Random, mark: bytes, content: bytes) -> bytes:
    name = rng.choice(['filename="a.txt"', 'filename="x/y"', 'filename=""', "filename*=UTF-8''%e2%82", 'x="y"', ""])
    name = f'filename="{_MARKS}"' if rng.random() < 0.02 else name
    claim = rng.choice([b"", b"Content-Type: text/html\r\n", b"Content-Type: multipart/mixed; boundary=B\r\n"])
    content = content if rng.random() < 0.8 else mark + b"\r\n--B"
    return b'--B\r\nContent-Disposition: form-data; name="file"; %s\r\n%s\r\n%s\r\n' % (name.encode(), claim, content)


def _chunked(rng: random.Random, body: bytes) -> bytes:
    pieces = [body[start : start + 30_000] for start in range(0, len(body), 30_000)]
    end = rng.choice([b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX-Trailer: 1\r\n\r\n", b"", b"-1\r\n\r\n"])
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


def _flip(rng: random.Random, data: bytearray, place: int) -> None:
    data[place] = rng.randrange(256)


def _insert(rng: random.Random, data: bytearray, place: int) -> None:
    data[place:place] = rng.choice(_WORDS)


def _replace(rng: random.Random, data: bytearray, place: int) -> None:
    data[place : place + rng.randrange(1, 9)] = rng.choice(_WORDS)


def _drop(rng: random.Random, data: bytearray, place: int) -> None:
    del data[place : place + rng.choice([1, 2, 10, 1000])]


def _repeat(rng: random.Random, data: bytearray, place: int) -> None:
    piece = data[place : place + rng.choice([1, 10, 100])]
    data[place:place] = piece * rng.choice([1, 2, 50])


def _cut(rng: random.Random, data: bytearray, place: int) -> None:
    del data[place:]


def _number(rng: random.Random, data: bytearray, place: int) -> None:
    if found := re.compile(rb"[0-9]+").search(data, place):
        data[found.start() : found.end()] = rng.choice([b"0", b"-1", b"1", b"9" * 19, b"9" * 30, b"007", b"+5", b""])


_MUTATIONS: list[Callable[[random.Random, bytearray, int], None]]
_MUTATIONS = [_flip, _insert, _replace, _drop, _repeat, _cut, _number, _flip, _insert]


def connection(rng: random.Random, mark: bytes, folder: str) -> bytes:
    """What one connection sends: one request or some in a row, half of them with something changed in them."""
    data = bytearray()
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        data += request(rng, mark, folder)
    if rng.random() < 0.5:
        for _ in range(rng.choice([1, 1, 2, 5])):
            # Most of the sense is in the head.
            place = rng.randrange(min(len(data), rng.choice([60, 400, 10**7])) or 1)
            rng.choice(_MUTATIONS)(rng, data, place)
            data = data or bytearray(b"\r\n")
    return bytes(data)
