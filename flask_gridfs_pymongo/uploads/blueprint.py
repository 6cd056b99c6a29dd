"""The blueprint: two rules for one view, with limits, header fields and error handlers around it.

Each rule is there twice: a request whose path begins with the token of a link is answered by that.

::

    app.register_blueprint(uploads_blueprint(options))
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, current_app, has_request_context, request
from flask.blueprints import BlueprintSetupState
from jinja2 import ChoiceLoader, FileSystemLoader, PrefixLoader
from pymongo.errors import ExecutionTimeout
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from ..http import cors
from ..http.paths import has_dot_segments, resolve_dot_segments
from ..service import send_timeout, texts
from ..service.errors import FAILURES, RETRY_AFTER, failure_of, log_failure, report_refusal
from ..service.guard import guard
from ..service.options import Options, options_of
from ..service.quota import OverQuota
from ..service.texts import Message
from .links import views as links
from .pages import assets, flash, urls
from .pages import render as pages
from .pages.icons import icon_name
from .pages.upload_form import upload_target
from .read import listing
from .read.context import context
from .read.embedded import files_listing
from .target import remember, target_of
from .tus import views as tus
from .views import answer

# Handlers that take precedence over the application's. 401 is not among them: a login is the application's.
_OUR_ERRORS = (400, 403, 404, 405, 408, 409, 410, 412, 413, 415, 422, 503)
_TEMPLATES = Path(__file__).parent.parent / "templates"
# Each template has a second name, flask_gridfs_pymongo/original/NAME, by which an application's own can extend it.
_ORIGINALS = PrefixLoader(
    {"flask_gridfs_pymongo": FileSystemLoader(_TEMPLATES / "flask_gridfs_pymongo")}, delimiter="/original/"
)
_LOADER = ChoiceLoader([FileSystemLoader(_TEMPLATES), _ORIGINALS])
_TEMPLATE_GLOBALS: dict[str, Callable[..., Any]] = {
    **texts.TEMPLATE_GLOBALS,
    "_upload_target": upload_target,
    "_notice": flash.take,
    "_kind": icon_name,
    "_here": urls.here,
    "_index_url": urls.index,
    "_asset_url": assets.url,
    "_imports": assets.imports,
    "_files_listing": files_listing,
}


def _problem(error: HTTPException) -> Any:
    if error.response is not None or error.code is None or error.code < 400:
        return error
    reason = error.description or ""
    report_refusal(error.code, reason, target_of(request).path or None)
    fields = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    return pages.problem(error.code, reason, fields, error.members if isinstance(error, OverQuota) else None)


def _failed(options: Options, error: Exception) -> Response:
    failure = failure_of(error)
    log_failure(failure, error)
    text = failure.text
    if isinstance(error, ExecutionTimeout):
        text = Message(
            "This takes too long here: choose a folder, a prefix, or the order by name. An index helps: %(command)s",
            command=listing.index_command(options.bucket(), request.args, options.keys),
        )
    fields = {"Retry-After": RETRY_AFTER} if failure.transient else {}
    return pages.problem(failure.status, text, fields)


def _guard(options: Options, response: Response) -> Response:
    if options.trusted_origins:
        response.vary.add("Origin")
        allowed = response.headers.get("Allow")
        response.headers.update(cors.fields(request.method, request.headers, options.trusted_origins, allowed))
    guard(request, response, options.resource_policy or ("cross-origin" if options.public else "same-origin"))
    return response


def _keep_variables(endpoint: str, values: dict[str, Any]) -> None:
    """Build URLs with the request's values for variables of a ``url_prefix`` such as ``/<user>/files``.

    An application that tells somebody of a file which came by a link must not pass on that link.
    """
    for name, value in (request.view_args or {}).items() if has_request_context() else ():
        if name != "link_token" and current_app.url_map.is_endpoint_expecting(endpoint, name):
            values.setdefault(name, value)


def _any_method(state: BlueprintSetupState) -> None:
    """Let the view get every method: its 405 has our header fields, a router's does not."""
    for rule in state.app.url_map.iter_rules():
        if rule.endpoint.startswith(f"{state.name_prefix}.{state.name}.".lstrip(".")):
            rule.methods = None


def _limit(options: Options) -> None:
    """Set the request's limits before its form is parsed, also by an application's ``before_request``."""
    if not request.environ.keys() & {"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"}:
        return  # without a body there is nothing to parse
    request.max_form_parts, request.max_form_memory_size = options.max_form_parts, options.max_form_memory_size
    bound, current = options.max_request_size, request.max_content_length
    if bound is not None and (current is None or bound < current):
        request.max_content_length = bound


def _resolve(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Resolve the dot segments of a path first, as other servers do; a request that changes something is refused."""
    filename = (values or {}).get("filename")
    if values is None or filename is None or not has_dot_segments(filename):
        return
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        abort(400, "Paths with the segments . or .. are for reading only.")
    resolved = resolve_dot_segments(filename)
    if resolved is None:
        abort(404, "This path leads out of the blueprint.")
    values["filename"] = resolved or None  # None: the root


class UploadsBlueprint(Blueprint):
    """A blueprint with its options: see :func:`.options_of`."""

    options: Options
    jinja_loader = _LOADER


def uploads_blueprint(options: Options) -> UploadsBlueprint:
    """Build the blueprint."""
    blueprint = UploadsBlueprint(options.name, __name__, url_prefix=options.url_prefix)
    blueprint.options = options
    rules: dict[str, Any] = {"merge_slashes": False, "provide_automatic_options": False}

    def uploads(link_token: str | None = None, **variables: Any) -> BaseResponse:  # Flask-WTF asks for its __name__
        return answer(options) if link_token is None else links.answer(options, link_token)

    blueprint.add_url_rule("/", "index", uploads, strict_slashes=False, **rules)
    blueprint.add_url_rule("/<path:filename>", "file", uploads, **rules)
    blueprint.record(lambda state: state.app.url_map.converters.update(links.CONVERTERS))
    blueprint.add_url_rule("/~<uploads_token:link_token>/", "index", strict_slashes=False, **rules)
    blueprint.add_url_rule("/~<uploads_token:link_token>/<uploads_below:filename>", "file", **rules)
    blueprint.record(_any_method)
    blueprint.url_value_preprocessor(lambda endpoint, values: _limit(options))
    blueprint.url_value_preprocessor(_resolve)
    blueprint.url_value_preprocessor(remember)
    blueprint.url_defaults(_keep_variables)
    blueprint.after_request(lambda response: links.mark(request, response))
    blueprint.after_request(lambda response: _guard(options, response))
    if options.resumable:
        blueprint.after_request(tus.mark)
    if options.send_timeout is not None:
        bound = partial(send_timeout.bound, options.send_timeout)
        blueprint.after_request(lambda response: bound(target_of(request).path, response))
    blueprint.context_processor(lambda: context(options_of(request.blueprint)))
    for global_name, function in _TEMPLATE_GLOBALS.items():
        blueprint.add_app_template_global(function, global_name)
    for error in (*_OUR_ERRORS, HTTPException):
        blueprint.register_error_handler(error, _problem)
    for error_class in FAILURES:
        blueprint.register_error_handler(error_class, partial(_failed, options))

    @blueprint.record
    def warn(state: BlueprintSetupState) -> None:
        if options.authorize is None and not options.read_only:
            state.app.logger.warning(
                "%s: anyone who reaches %s/ may add files; give uploads_blueprint() an authorize function, "
                "or read_only=True",
                options.name,
                state.url_prefix or "",
            )

    return blueprint
