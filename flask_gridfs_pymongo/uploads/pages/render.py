"""Responses other than files: listings, details and errors, as HTML for people and JSON for programs.

::

    return page("versions.html", versions(bucket, file))
    return problem(404, "There is no such file or version.", {})
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from http import HTTPStatus
from typing import Any

from flask import Response, current_app, json, render_template, request

from ...http.headers import PAGE, media_type
from ...service.options import Options, options_of
from ...service.texts import Message, translated
from ...store import Bucket, CorruptFile, StoredFile, Version, ids
from . import markdown, urls
from .excerpts import excerpt

_TEMPLATES = "flask_gridfs_pymongo"
_PAGE_SIZE = 100  # versions
_JSON = ("application/json", "application/problem+json")
_FRAMED = "application/pdf"
# Of tus, and those of RFC 9110 that Python got later.
_OUR_PHRASES = {
    413: "Content Too Large",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
    460: "Checksum Mismatch",
}


def prefers_json() -> bool:
    """Whether the client wants JSON: by ``?format=json``, or an Accept that prefers it to HTML, or names only JSON.

    A client that accepts anything gets HTML; axios (``application/json, text/plain, */*``) gets JSON.
    """
    if request.args.get("format") == "json":
        return True
    accept = request.accept_mimetypes
    json_quality = max(map(accept.quality, _JSON))
    return json_quality > accept.quality("text/html") or (_named(*_JSON) > 0 and _named("text/html") == 0)


def is_browser() -> bool:
    """Whether the client asks for text/html with a quality of at least 0.5 (pip: 0.01), and does not prefer JSON."""
    return _named("text/html") >= 0.5 and not prefers_json()


def check_reachable(options: Options) -> None:
    """For a browser, fail at once if the database is unreachable; programs wait as long as the driver does.

    The database is asked only if the driver knows no server that could answer.

    :raises pymongo.errors.PyMongoError: if it does not answer
    """
    if is_browser():
        options.bucket().collections.check_reachable()


def check_reached(options: Options) -> None:
    """Fail at once until this process has reached the database: its address is wrong, or nobody started it.

    :raises pymongo.errors.PyMongoError: if it does not answer
    """
    options.bucket().collections.check_reachable(once=True)


def _named(*media_types: str) -> float:
    """The highest quality of these types in Accept, not counting wildcards; 0 if none is named."""
    return max(
        (q for value, q in request.accept_mimetypes if value.partition(";")[0].lower() in media_types), default=0
    )


def page(
    template: str, data: Mapping[str, Any], *, status: int = 200, sources: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """Answer with *data* as JSON, or with the page that shows it.

    :param sources: additions to the policy of this page, by directive with ``_`` for ``-``
    :param more: further variables of the template
    """
    if prefers_json():
        return _answer(json.dumps(data), "application/json")
    body = render_template(f"{_TEMPLATES}/{template}", **data, **more)
    return _answer(body, "text/html; charset=utf-8", status, sources=sources)


def created(data: Mapping[str, Any], location: str | None = None) -> Response:
    """Answer 201 with *data*."""
    response = _answer(json.dumps(data), "application/json", 201)
    if location is not None:
        response.headers["Location"] = location
    return response


def json_of(data: Mapping[str, Any]) -> Response:
    """Answer with *data* as JSON, whatever the client prefers."""
    return _answer(json.dumps(data), "application/json")


def empty(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Answer without content."""
    response = current_app.response_class(status=status, headers=headers)
    del response.headers["Content-Type"]
    return response


def problem(status: int, detail: str, headers: Mapping[str, str], members: Mapping[str, Any] | None = None) -> Response:
    """Answer with an error: problem details (RFC 9457) for programs, a readable page for people.

    :param headers: further header fields
    :param members: further members of the problem details
    """
    title = _OUR_PHRASES.get(status) or HTTPStatus(status).phrase
    if is_browser():
        body = render_template(f"{_TEMPLATES}/error.html", status=status, reason=title, detail=translated(detail))
        response = _answer(body, "text/html; charset=utf-8", status)
    else:
        shown = translated(detail) if request.accept_languages else detail  # browsers name some
        data = {"type": "about:blank", "title": title, "status": status, "detail": shown, **(members or {})}
        response = _answer(json.dumps(data), "application/problem+json", status)
    if status in _OUR_PHRASES:
        response.status = f"{status} {title}"
    response.headers.update(headers)
    return response


def explain(refusal: Response) -> Response:
    """Turn a 412 or 416 without content into one that explains itself."""
    detail = {
        412: Message("The file is not (or no longer) what the request's preconditions say."),
        416: Message("The file has none of the bytes that Range asks for."),
    }[refusal.status_code]
    fields = {name: value for name, value in refusal.headers.items() if name != "Content-Length"}
    return problem(refusal.status_code, detail, fields)


def _answer(body: str, content_type: str, status: int = 200, *, sources: Mapping[str, str] | None = None) -> Response:
    policy = options_of(urls.blueprint()).page_policy(**(sources or {}))
    headers = {**PAGE, "Content-Security-Policy": policy, "Content-Type": content_type, "Vary": "Accept"}
    return current_app.response_class(body, status, headers)


def describe(file: StoredFile, **more: Any) -> dict[str, Any]:
    """Return the JSON for a version."""
    return {
        "filename": file.filename,
        "damaged": file.damage is not None,
        "id": ids.to_json(file.id, file.options),
        "length": None if file.damage else file.length,
        "content_type": file.content_type.partition(";")[0].rstrip(),
        "charset": file.charset,
        "upload_date": file.upload_date.astimezone(UTC).isoformat(timespec="milliseconds"),
        "sha256": file.sha256,
        "etag": f'"{file.etag}"',
        **dict(zip(("width", "height"), file.pixels or (None, None), strict=True)),
        "url": url_of(file),
        "permanent_url": permanent_url(file),
        **_uploader(file),
        **more,
    }


def _uploader(file: StoredFile) -> dict[str, Any]:
    """Who uploaded it, if the option *uploaded_by* names the key for that."""
    key = options_of(urls.blueprint()).uploaded_by
    if key is None:
        return {}
    found = file.metadata.get(key, file.fields.get(key))
    return {"uploaded_by": found if isinstance(found, str) else None}


def identify(file: StoredFile, **more: Any) -> dict[str, Any]:
    """Return what identifies a version, for users who may delete it, but perhaps not read it."""
    names = ("filename", "length", "upload_date", "url", "permanent_url")
    return {name: value for name, value in describe(file).items() if name in names} | more


def describe_one(bucket: Bucket, file: StoredFile, found: Sequence[Version] = ()) -> dict[str, Any]:
    """Return the JSON for a single version, with its number and its metadata.

    :param found: the newest versions of its name, if already read
    """
    if not file.named:
        return describe(file, metadata=readable(file), version=0, versions=1)
    numbers = {version.file.etag: version.number for version in found}
    number = numbers[file.etag] if file.etag in numbers else bucket.number(file)
    count = found[0].number + 1 if found else bucket.count(file.filename)
    return describe(file, metadata=readable(file), version=number, versions=count)


def readable(file: StoredFile) -> Any:
    """Return the ``metadata`` of a file, whatever its type, as relaxed Extended JSON."""
    return ids.to_json(file.fields.get("metadata", file.metadata), file.options)


def url_of(file: StoredFile, query: Mapping[str, Any] | None = None) -> str | None:
    """Return the URL of the newest version of this name, or that of this version if no URL can contain the name.

    None if the ``_id`` is needed, and too long for a URL.
    """
    if file.named and urls.can_name(file.filename):
        return urls.file(file.filename, query or {})
    return urls.index({**(query or {}), "id": file.key}) if file.key else None


def permanent_url(file: StoredFile) -> str | None:
    """Return the URL of exactly this version; None if its ``_id`` is too long for one."""
    return url_of(file, {"id": file.key}) if file.key else None


def details(bucket: Bucket, file: StoredFile, keys: Iterable[str], part: int, **more: Any) -> Response:
    """Answer with the details of a file; the page also shows its versions, which JSON has at ``?versions``.

    :param keys: the keys of its metadata that a form may change
    :param part: the part of a text to show, from 1
    :param more: further variables of the template
    """
    if prefers_json():
        return page("details.html", describe_one(bucket, file))
    found = _versions(bucket, file)
    data = describe_one(bucket, file, found)
    shown = {**data, **_describe_all(file, found), "count": data["versions"]}
    kind = media_type(file.content_type)[0]
    try:
        shown["excerpt"] = text = excerpt(bucket, file, part)
    except CorruptFile:
        text = None
        shown |= {"excerpt": None, "damaged": True, "length": None}
    if text is not None and text.total == 1 and kind in markdown.TYPES:
        shown["markup"] = markdown.render(text.text)
    is_framed = kind == _FRAMED in options_of(urls.blueprint()).inline_types
    framed = {"frame_src": "'self'"} if is_framed else None
    return page("details.html", shown, sources=framed, keys=list(keys), **more)


def versions(bucket: Bucket, file: StoredFile, before: int | None = None) -> dict[str, Any]:
    """Return the versions of a file's name, the newest first; *next* is the URL of older ones.

    :param before: return versions before this number
    """
    return _describe_all(file, _versions(bucket, file, before))


def _versions(bucket: Bucket, file: StoredFile, before: int | None = None) -> Sequence[Version]:
    return bucket.versions(file.filename, before, _PAGE_SIZE) if file.named else [Version(0, file)]


def _describe_all(file: StoredFile, found: Sequence[Version]) -> dict[str, Any]:
    more = bool(found) and found[-1].number > 0
    return {
        "filename": file.filename,
        "versions": [describe(version.file, version=version.number) for version in found],
        "next": url_of(found[-1].file, {"versions": "", "before": found[-1].number}) if more else None,
    }
