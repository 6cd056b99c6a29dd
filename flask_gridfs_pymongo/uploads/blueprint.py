"""The blueprint: two rules, with limits, header fields and error handlers around the one view.

::

    app.register_blueprint(uploads_blueprint(options, "uploads", "/uploads"))
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, current_app, has_request_context, request
from flask.blueprints import BlueprintSetupState
from jinja2 import ChoiceLoader, FileSystemLoader, PrefixLoader
from pymongo.errors import DocumentTooLarge, ExecutionTimeout, PyMongoError
from werkzeug.exceptions import HTTPException

from ..http import cors
from ..http.headers import NO_PAGE, NO_STORE, is_shown
from ..http.paths import has_dot_segments, resolve_dot_segments
from ..images import TYPES
from ..service import send_timeout as stalls
from ..service import texts
from ..service.bodies import drain
from ..service.errors import tell_refusal
from ..service.options import Options
from ..service.rights import listable
from ..service.texts import Message
from ..store import DISK_FULL, CorruptFile, IndexConflict, Unconfirmed, Vanished, codes, is_outage, reason
from . import pages
from .pages import flash
from .pages.icons import kind
from .pages.upload_form import upload_target
from .read import listing, variant
from .tus import views as tus
from .views import Uploads

# Handlers for these go before the application's for the same codes. 401 is not one: a login is the application's.
_OURS = (400, 403, 404, 405, 408, 409, 410, 412, 413, 415, 422, 503)
_TEMPLATES = Path(__file__).parent.parent / "templates"
# Each template has a second name, flask_gridfs_pymongo/original/NAME, by which the application's own can extend it.
_ORIGINALS = PrefixLoader(
    {"flask_gridfs_pymongo": FileSystemLoader(_TEMPLATES / "flask_gridfs_pymongo")}, delimiter="/original/"
)
_LOADER = ChoiceLoader([FileSystemLoader(_TEMPLATES), _ORIGINALS])
_TEMPLATE_GLOBALS: dict[str, Callable[..., Any]] = {
    **texts.TEMPLATE_GLOBALS,
    "_upload_target": upload_target,
    "_notice": flash.take,
    "_kind": kind,
}


def _problem(error: HTTPException) -> Any:
    if error.response is not None or error.code is None or error.code < 400:
        return error
    reason = error.description or ""
    tell_refusal(error.code, reason, (request.view_args or {}).get("filename"))
    fields = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    return pages.problem(error.code, reason, fields)


def _unavailable(error: PyMongoError) -> Response:
    """Answer 503 only for what may pass: a refusal is none."""
    current_app.logger.error("the database failed: %a", reason(error))  # which may quote a name, with line breaks
    if DISK_FULL in codes(error):
        return pages.problem(507, "The disk of the database is full; nothing was stored.")
    if not is_outage(error):
        return pages.problem(500, "The database refused this; the log of the application tells why.")
    return pages.problem(503, "The database does not answer; try again.", _retry_after())


def _unconfirmed(error: Unconfirmed) -> Response:
    current_app.logger.error("the database confirmed nothing: %s", error)
    detail = (
        "The database did not confirm this in time. A new file may appear yet, whole, and a deleted one may be gone."
    )
    return pages.problem(503, detail, _retry_after())


def _retry_after() -> dict[str, str]:
    """Where the versions may have been renumbered, a repeated request would change another one."""
    return {} if "version" in request.args and request.method != "GET" else {"Retry-After": "5"}


def _conflict(error: IndexConflict | Vanished) -> Response:
    current_app.logger.error("%s", error)
    return pages.problem(409, f"{str(error)[:1].upper()}{str(error)[1:]}.")


def _damaged(error: CorruptFile | UnicodeEncodeError) -> Response:
    current_app.logger.error("%s; flask gridfs check tells more", error)
    return pages.problem(500, "The stored file is damaged.")


def _too_slow(options: Options, error: ExecutionTimeout) -> Response:
    detail = Message(
        "This takes too long here: choose a folder, a prefix, or the order by name. An index helps: %(command)s",
        command=listing.index_command(options.bucket(), request.args, options.metadata),
    )
    return pages.problem(503, detail, {"Retry-After": "5"})


def _guard(options: Options, response: Response) -> Response:
    fields = response.headers
    fields["X-Content-Type-Options"] = "nosniff"
    if response.mimetype != "text/html" or response.location:  # a login page of the application has a policy of its own
        fields.setdefault("Content-Security-Policy", NO_PAGE)
    if request.method not in ("GET", "HEAD"):
        fields.setdefault("Cache-Control", NO_STORE)
    policy = options.resource_policy or ("cross-origin" if options.public else "same-origin")
    fields["Cross-Origin-Resource-Policy"] = policy
    fields.pop("Date", None)  # an asset has one; the server sets its own
    if options.trusted_origins:
        response.vary.add("Origin")
        fields.update(cors.fields(request.method, request.headers, options.trusted_origins, fields.get("Allow")))
    if response.status_code >= 300:  # else the body was what it is about
        drain(request)
    return response


def _keep_variables(endpoint: str, values: dict[str, Any]) -> None:
    """Build URLs with the request's own variables of a ``url_prefix`` such as ``/<user>/files``."""
    for name, value in (request.view_args or {}).items() if has_request_context() else ():
        if current_app.url_map.is_endpoint_expecting(endpoint, name):
            values.setdefault(name, value)


def _any_method(state: BlueprintSetupState) -> None:
    """Let the view see every method: its 405 carries our header fields, a router's does not."""
    for rule in state.app.url_map.iter_rules():
        if rule.endpoint.startswith(f"{state.name_prefix}.{state.name}.".lstrip(".")):
            rule.methods = None


def _limit(options: Options) -> None:
    """Set the request's limits before anybody, also an application's ``before_request``, parses its form."""
    if not request.environ.keys() & {"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"}:
        return  # without a body there is nothing to parse
    request.max_form_parts, request.max_form_memory_size = options.max_form_parts, options.max_form_memory_size
    bound, current = options.max_request_size, request.max_content_length
    if bound is not None and (current is None or bound < current):
        request.max_content_length = bound


def _resolve(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Resolve the dot segments of a path before anybody looks at it, as other servers do; nothing is changed by one."""
    filename = (values or {}).get("filename")
    if values is None or filename is None or not has_dot_segments(filename):
        return
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        abort(400, "A path with the segments . or .. changes nothing here.")
    resolved = resolve_dot_segments(filename)
    if resolved is None:
        abort(404, "This path leads out of here.")
    values["filename"] = resolved or None  # None: the root


def _context(options: Options) -> dict[str, Any]:
    """What every page gets, beside :data:`.texts.TEMPLATE_GLOBALS`."""
    return {
        "title": texts.translated(options.title),
        "stylesheet": options.stylesheet,
        "smaller": variant.smaller(options),
        "made_smaller": TYPES,
        "opens": partial(is_shown, inline_types=options.inline_types),
        "listable": partial(listable, options),
    }


class UploadsBlueprint(Blueprint):
    """A blueprint that knows what the application decided for it: :func:`.options_of`."""

    options: Options
    jinja_loader = _LOADER


def uploads_blueprint(options: Options, name: str, url_prefix: str | None) -> UploadsBlueprint:
    """Build the blueprint; :meth:`.PyMongo.uploads_blueprint` documents what an application decides."""
    uploads = Uploads(options)
    blueprint = UploadsBlueprint(name, __name__, url_prefix=url_prefix)
    blueprint.options = options
    rules: dict[str, Any] = {"merge_slashes": False, "provide_automatic_options": False}
    blueprint.add_url_rule("/", "index", uploads.view, strict_slashes=False, **rules)
    blueprint.add_url_rule("/<path:filename>", "file", uploads.view, **rules)
    blueprint.record(_any_method)
    blueprint.url_value_preprocessor(lambda endpoint, values: _limit(options))
    blueprint.url_value_preprocessor(_resolve)
    blueprint.url_defaults(_keep_variables)
    blueprint.after_request(lambda response: _guard(options, response))
    if options.resumable:
        blueprint.after_request(tus.mark)
    if options.send_timeout is not None:
        blueprint.after_request(partial(stalls.bound, options.send_timeout))
    blueprint.context_processor(lambda: _context(options))
    for global_name, function in _TEMPLATE_GLOBALS.items():
        blueprint.add_app_template_global(function, global_name)
    for error in (*_OURS, HTTPException):
        blueprint.register_error_handler(error, _problem)
    blueprint.register_error_handler(PyMongoError, _unavailable)
    blueprint.register_error_handler(DocumentTooLarge, _unavailable)
    blueprint.register_error_handler(ExecutionTimeout, partial(_too_slow, options))
    blueprint.register_error_handler(Unconfirmed, _unconfirmed)
    for error_class in (CorruptFile, UnicodeEncodeError):  # what is not UTF-8 in a stored _id cannot be sent back
        blueprint.register_error_handler(error_class, _damaged)
    blueprint.register_error_handler(Vanished, _conflict)
    blueprint.register_error_handler(IndexConflict, _conflict)

    @blueprint.record
    def warn(state: BlueprintSetupState) -> None:
        if options.authorize is None and not options.read_only:
            state.app.logger.warning(
                "%s: anyone who reaches %s/ may add files; give uploads_blueprint() an authorize function, "
                "or read_only=True",
                name,
                state.url_prefix or "",
            )

    return blueprint
