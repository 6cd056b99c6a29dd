"""A bucket as a network drive: WebDAV (RFC 4918), partly by WsgiDAV.

It has the files, rights, limits and header fields of a blueprint, here *uploads*::

    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": mongo.webdav_app(rules=uploads)})

The order of calls::

    WebDAV.__call__
        _answer                 host, login, origin, method, path
            _download           GET and HEAD of a file, ``page`` of a folder
            _environ            the body, and what WsgiDAV and the resources see of the request
            propfind            in :mod:`.propfind`
            change, unlock      DELETE, COPY, MOVE and UNLOCK, in :mod:`.methods`
            _by_wsgidav         PROPPATCH, MKCOL, PUT and LOCK: WsgiDAV parses them, and calls
                                :class:`.Provider`, :class:`.File`, :class:`.Folder`, and for locks and properties
                                :class:`.LockStorage` and :class:`.PropertyManager`
        _refusal                for any error
        guard                   header fields of every response
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from io import BytesIO
from typing import Any, cast
from xml.etree import ElementTree

from flask import Flask, Request, abort, request, request_finished, request_started
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, MethodNotAllowed, Unauthorized
from werkzeug.http import quote_header_value
from werkzeug.wrappers import Response
from wsgidav.dav_error import DAVError
from wsgidav.request_resolver import RequestResolver
from wsgidav.wsgidav_app import WsgiDAVApp
from wsgidav.xml_tools import etree, use_lxml

from ..http import dav
from ..http.headers import Caching
from ..http.paths import has_dot_segments
from ..http.response import PRECONDITIONS, is_conditional
from ..service.bodies import read_all
from ..service.download import send
from ..service.errors import report_refusal
from ..service.guard import check_encoding, check_origin, guard
from ..service.operations import check_preconditions
from ..service.options import Authenticate, ClientOf, Rules
from ..service.quota import OverQuota
from ..service.rights import may, permit
from .errors import as_dav_error
from .files import File
from .folders import Folder, Member
from .locks import LockStorage
from .methods import as_utf8, change, page, repeated_move, unlock
from .names import spelled
from .properties import PropertyManager
from .propfind import propfind
from .provider import Provider

# Some clients search answers for "D:". By default lxml and ElementTree have other prefixes.
ElementTree.register_namespace("D", "DAV:")
if use_lxml:
    etree.register_namespace("D", "DAV:")

_READING = ("OPTIONS", "GET", "HEAD", "PROPFIND")
_WRITING = ("PUT", "DELETE", "COPY", "MOVE", "MKCOL", "PROPPATCH", "LOCK", "UNLOCK")
_MAX_XML, _MAX_LOCK = 1024 * 1024, 2048  # bytes; the owner of a lock is stored
_MAX_FIELD_LENGTH = 4000  # characters: WsgiDAV's time for an If field is quadratic


class WebDAV:
    """The WSGI application that :meth:`.PyMongo.webdav_app` returns.

    :param app: the Flask application: its request context is used
    :param options: of the blueprint
    :param authenticate: ``authenticate(user, password)``, for HTTP basic authentication
    :param user_of: ``user_of(request)``, without *authenticate*
    """

    def __init__(self, app: Flask, options: Rules, authenticate: Authenticate | None, user_of: ClientOf | None) -> None:
        self._app, self._options, self._authenticate, self._user_of = app, options, authenticate, user_of
        self._warned = False
        locks = LockStorage(options)
        self._provider = Provider(options, locks)
        self._bare_environ = {"wsgidav.provider": self._provider}  # for look-ups without a client's fields
        logger = logging.getLogger("wsgidav")
        if logger.level in (logging.NOTSET, logging.INFO):  # as its import sets it; it logs refusals as errors
            logger.setLevel(logging.CRITICAL)
        self._wsgidav = WsgiDAVApp(
            {
                "provider_mapping": {"/": self._provider},
                "middleware_stack": [RequestResolver],
                "lock_storage": locks,
                "property_manager": PropertyManager(options),
                "http_authenticator": {"accept_basic": False},
                "logging": {"enable": False},
                "verbose": 0,
            }
        )

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if "HTTP_AUTHORIZATION" in environ:
            environ["HTTP_AUTHORIZATION"] = dav.credentials_as_utf8(environ["HTTP_AUTHORIZATION"])
        with self._app.request_context(environ):
            request.url_rule = request.view_args = None  # the path is not one of the application's views
            current: Request = request._get_current_object()  # type: ignore[attr-defined]
            try:
                request_started.send(self._app, _async_wrapper=self._app.ensure_sync)
                answer = self._app.preprocess_request()
                response = self._answer(current) if answer is None else self._app.make_response(answer)
            except Exception as error:
                response = _refusal(current, as_dav_error(self._without_secrets(error)))
            if response.status_code == 405:
                response.headers["Allow"] = ", ".join(self._methods(current))
            guard(current, response)
            response = self._app.process_response(self._app.make_response(response))
            request_finished.send(self._app, _async_wrapper=self._app.ensure_sync, response=response)
        return response(environ, start_response)

    def _answer(self, current: Request) -> Response:
        # As Flask does for a Host that is not in TRUSTED_HOSTS. That no view has the path is not an error here.
        if isinstance(current.routing_exception, BadRequest):
            raise current.routing_exception
        check_encoding(current)
        user = self._user(current)
        check_origin(current)
        if current.method not in (_READING if self._options.read_only else _READING + _WRITING):
            raise MethodNotAllowed
        if current.method == "OPTIONS":
            level, methods = "1" if self._options.read_only else "1, 2", ", ".join(self._methods(current))
            return Response(status=200, headers={"Allow": methods, "DAV": level, "MS-Author-Via": "DAV"})
        if has_dot_segments(current.path) or "#" in current.environ.get("RAW_URI", ""):
            abort(400, "A path may have no segment . or .., and no fragment.")
        self._options.bucket().collections.check_reachable(once=True)
        if current.method in ("GET", "HEAD"):
            return self._download(current)
        environ = self._environ(current, user)
        if current.method in ("PROPPATCH", "MKCOL", "LOCK", "UNLOCK"):
            self._check_open(current)
        conditional = current.method != "PUT" and is_conditional(current.headers)
        if current.method in ("PUT", "PROPPATCH", "MKCOL", "LOCK") and not conditional:
            _read_body(current, environ)
            return self._by_wsgidav(environ)
        found = self._provider.get_resource_inst(current.path, environ)
        if found is None and current.method == "MOVE" and repeated_move(current, environ):
            return Response(status=201)
        if found is None and current.method in ("PROPFIND", "PROPPATCH", "DELETE", "COPY", "MOVE"):
            abort(404, "There is no such file.")
        if found is None or current.method != "MKCOL":  # which is a 405 then
            file, is_folder = found and found.file, isinstance(found, Folder)
            check_preconditions(current.method, current.headers, file, is_folder=is_folder)
        _read_body(current, environ)
        if found and current.method == "PROPFIND":
            return propfind(found)
        if found and current.method in ("DELETE", "COPY", "MOVE"):
            return change(current, found)
        if current.method == "UNLOCK":
            return unlock(current, found or File(f"/{spelled(current.path)}", environ, None))
        response = self._by_wsgidav(environ)
        if isinstance(found, File) and (token := response.headers.get("Lock-Token")):
            self._check_locked(found, token)
        return response

    def _user(self, current: Request) -> str:
        """Return the name of the user; abort with 401 without a valid login, if one is needed."""
        if self._authenticate is None:
            return str((current.remote_user if self._user_of is None else self._user_of(current)) or "")
        if not current.is_secure and not self._warned:
            self._warned = True
            self._app.logger.warning("WebDAV: passwords are sent without HTTPS; anyone on the network can read them")
        given = current.authorization
        name, password = (given.username, given.password) if given and given.type == "basic" else (None, None)
        if name is None or password is None or not self._authenticate(name, password):
            # Werkzeug does not quote tokens, and some clients need quotes (RFC 9110 section 11.5).
            realm = quote_header_value(self._app.name, allow_token=False)
            fields = {"WWW-Authenticate": f'Basic realm={realm}, charset="UTF-8"'}
            text = "Give a name and a password."
            raise Unauthorized(text, response=Response(f"{text}\n", 401, fields, mimetype="text/plain"))
        return name

    def _methods(self, current: Request) -> tuple[str, ...]:
        """Return the methods that are allowed for this path, without revealing more than the client may know."""
        try:
            found = self._found(current)
        except Exception:  # no login, or an error of the database
            found = None
        never = {"PUT", "MKCOL"} if isinstance(found, Folder) else {"MKCOL"} if found else set()
        if self._options.read_only:
            never.update(_WRITING)
        return tuple(method for method in _READING + _WRITING if method not in never)

    def _download(self, current: Request) -> Response:
        found = self._found(current)
        if found is None:
            abort(404, "There is no such file.")
        if isinstance(found, Folder):
            return page(current, found)
        return send(current, self._options.bucket(), found.stored, caching=Caching(None), own_frames_only=True)

    def _found(self, current: Request) -> Member | None:
        return self._provider.get_resource_inst(current.path, self._bare_environ)

    def _without_secrets(self, error: Exception) -> Exception:
        """Remove from the error's list of conflicting locks what the client may not know."""
        if isinstance(error, DAVError) and error.err_condition:
            paths, environ = map(self._provider.ref_url_to_path, error.err_condition.hrefs), self._bare_environ
            try:
                found = [self._provider.get_resource_inst(path, environ) for path in paths]
            except Exception as other:
                return other
            error.err_condition.hrefs = [one.get_href() for one in found if one]
        return error

    def _environ(self, current: Request, user: str) -> dict[str, Any]:
        """What WsgiDAV and the resources see of the request."""
        if any(len(current.headers.get(name, "")) > _MAX_FIELD_LENGTH for name in ("Destination", "If", "Timeout")):
            abort(400, f"Destination, If and Timeout have at most {_MAX_FIELD_LENGTH} characters.")
        current.environ["wsgidav.auth.user_name"] = user
        environ = {
            **current.environ,
            "wsgidav.all_input_read": 1,
            "wsgidav.provider": self._provider,
            "wsgidav.user_name": user,
        }
        if "HTTP_IF" in environ:
            if not dav.is_if(environ["HTTP_IF"]):
                abort(400, "The If field is not valid.")
            host = current.headers.get("Host", "")
            environ["HTTP_IF"] = dav.tags_as_paths(as_utf8(environ["HTTP_IF"]), host, current.script_root)
        if current.method in ("PROPPATCH", "MKCOL"):
            environ.pop("HTTP_DEPTH", None)  # these have no Depth (RFC 4918 section 10.2)
        for name in PRECONDITIONS:
            environ.pop(f"HTTP_{name.upper().replace('-', '_')}", None)
        return environ

    def _check_open(self, current: Request) -> None:
        """Abort before the body is read if the client may do nothing with what the URL names."""
        name = spelled(current.path)
        try:
            permit(self._options, "write", name)
        except Forbidden:
            others = (("write", f"{name}/"), ("read", name), ("list", f"{name}/"))
            if not any(may(self._options, *other) for other in others):
                if current.method == "PROPPATCH":
                    abort(404, "There is no such file.")
                abort(403)

    def _check_locked(self, file: File, token: str) -> None:
        """Remove a new lock again if the preconditions, on which its client relies, no longer hold."""
        try:
            file.check_again()
        except HTTPException:
            self._provider.lock_manager.release(token.strip("<>"))
            raise

    def _by_wsgidav(self, environ: dict[str, Any]) -> Response:
        response = Response.from_app(self._wsgidav, environ, buffered=True)
        if response.mimetype == "text/html":  # a page about WsgiDAV
            response.set_data(b"")
            del response.headers["Content-Type"]
        return response


def _read_body(current: Request, environ: dict[str, Any]) -> None:
    """Give the body to WsgiDAV; the resources read that of a PUT themselves."""
    if current.method == "PUT":
        if current.path.endswith("/"):
            abort(400, "A URL that ends with a slash is a folder, which has no content of its own.")
        return
    body = read_all(current, _MAX_LOCK if current.method == "LOCK" else _MAX_XML)
    if current.method in ("PROPFIND", "PROPPATCH", "LOCK"):
        try:
            body = dav.plain_xml(body)
        except ValueError as error:
            abort(400, f"{error}.")
    environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}


def _refusal(current: Request, error: DAVError) -> Response:
    cause = error.src_exception
    # Each client first asks without a password: that is not reported.
    is_refusal = 400 <= error.value < 500 or isinstance(cause, OverQuota)
    if is_refusal and (error.value != 401 or "Authorization" in current.headers):
        report_refusal(error.value, str(error.context_info or ""), current.path.strip("/") or None)
    if error.err_condition:
        content_type, body = error.get_response_page()
        return Response(body, error.value, content_type=content_type)
    if not isinstance(cause, HTTPException):
        return Response(f"{error.context_info or ''}\n", error.value, mimetype="text/plain")
    if cause.response is not None:
        return cast("Response", cause.response)
    fields = [(name, value) for name, value in cause.get_headers() if name.lower() != "content-type"]
    return Response(f"{error.context_info}\n", error.value, fields, mimetype="text/plain")
