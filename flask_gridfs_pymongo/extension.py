"""The extension object: :class:`PyMongo`, what an application imports first."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from bson.objectid import ObjectId
from flask import Flask, Response, abort, request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from . import config
from .cli import gridfs
from .connection import AppState, app_of, state_of
from .converters import BSONObjectIdConverter
from .http.headers import IMMUTABLE, Caching
from .http.metadata import Keys
from .http.response import sends_all
from .images import THUMB, Variant
from .mimetype import Types
from .service import formparser
from .service.download import send
from .service.options import Authorize, Csp, Inspect, Options, options_of
from .signals import file_saved
from .store import Bucket, FileTooLarge, StoredFile
from .uploads import uploads_blueprint
from .uploads.blueprint import UploadsBlueprint
from .uploads.read import links
from .wrappers import Database, MongoClient

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_RESERVED = {
    "_id",
    "charset",
    "chunk_size",
    "chunkSize",
    "contentType",
    "length",
    "previous",
    "previousAt",
    "renamedFrom",
    "sha256",
    "uploadDate",
}


class PyMongo:
    """MongoDB for Flask applications: the connection, and the files in GridFS.

    ::

        mongo = PyMongo(app)
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads"))

    :param app: the application; None: call :meth:`init_app` later
    :param config_prefix: the settings read are those that begin with it and an underscore; a MongoDB URI in its place
        is the *uri*, as in Flask-PyMongo 2 and 3
    :param uri: a MongoDB URI, used in place of ``PREFIX_URI``
    :param client_options: options of :class:`pymongo.MongoClient`, used in place of the settings
    """

    def __init__(
        self,
        app: Flask | None = None,
        config_prefix: str | None = "MONGO",
        *,
        uri: str | None = None,
        **client_options: Any,
    ) -> None:
        prefix, self._uri = _prefix_and_uri(config_prefix, uri)
        self._config_prefix = prefix or "MONGO"
        self._client_options = client_options
        self._apps: WeakSet[Flask] = WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(
        self, app: Flask, config_prefix: str | None = None, *, uri: str | None = None, **client_options: Any
    ) -> None:
        """Prepare *app* for this object; nothing connects before the first use.

        What is not given here is as it was given to the constructor. Registers the ``ObjectId`` URL converter and the
        command ``flask gridfs``, and mends how Werkzeug parses forms: a form's file is what was sent, byte by byte.

        :raises TypeError, ValueError: naming the setting that is wrong
        :raises RuntimeError: where *app* has this object, or another one with this prefix, already
        """
        given, uri = _prefix_and_uri(config_prefix, uri)
        prefix = given or self._config_prefix
        uri = self._uri if uri is None else uri
        settings = config.read(app.config, prefix, app.name, uri, self._client_options | client_options)
        states = app.extensions.setdefault("pymongo", {})
        if prefix not in states and any(state.owner is self for state in list(states.values())):
            raise RuntimeError(f"this PyMongo object is initialized for the app {app.name!r} already")
        mine = AppState(self, settings)
        if states.setdefault(prefix, mine) is not mine:  # in one step: another thread may be here
            raise RuntimeError(
                f"the app {app.name!r} has a PyMongo object with the config_prefix {prefix!r} already; "
                "each needs one of its own"
            )
        app.url_map.converters["ObjectId"] = BSONObjectIdConverter
        app.cli.add_command(gridfs)
        formparser.init_app(app)
        self._apps.add(app)

    def _state(self) -> AppState:
        return state_of(self, app_of(self._apps))

    @property
    def cx(self) -> MongoClient:
        """The client: a :class:`.wrappers.MongoClient`."""
        client: MongoClient = self._state().connection.client
        return client

    @property
    def db(self) -> Database:
        """The database that the settings name: a :class:`.wrappers.Database`."""
        return self.cx[self._state().settings.dbname]

    def bucket(self, base: str = "fs", db: str | None = None) -> Bucket:
        """Return a bucket: its files from Python, to find, open, list, save, change and delete them.

        ::

            with mongo.bucket().open("report.csv") as file:
                rows = list(csv.reader(io.TextIOWrapper(file)))

        :param base: the bucket's name; its collections are ``base.files`` and ``base.chunks``
        :param db: the database's name; that of :attr:`db` where None
        """
        _check_bucket(base, db)
        state = self._state()
        return state.connection.bucket(state.settings.dbname if db is None else db, base)

    def send_file(
        self,
        filename: str | None = None,
        base: str = "fs",
        version: int = -1,
        cache_for: int = IMMUTABLE,
        *,
        id: Any = None,
        db: str | None = None,
        as_attachment: bool | None = None,
        download_name: str | None = None,
    ) -> Response:
        """Answer the current request with a file: whole, a range of it, or 304, 412 or 416 (RFC 9110).

        ::

            @app.route("/uploads/<path:filename>")
            def get_upload(filename):
                return mongo.send_file(filename)

        :param filename: the name it was saved under; None where *id* tells the file
        :param base: the bucket's name
        :param version: 0 the first one uploaded, 1 the second; -1 the newest, -2 the one before it
        :param cache_for: seconds for which browsers and proxies may keep it
        :param id: the ``_id`` of a revision, in place of a name and a version: what :meth:`save_file` returned
        :param db: the database's name; that of :attr:`db` where None
        :param as_attachment: whether browsers save it or show it; None: only types in which no script can run are
            shown. False for a type such as HTML lets its author act in your origin.
        :param download_name: what a client is to call it
        :return: an instance of ``app.response_class``
        :raises werkzeug.exceptions.NotFound: where there is no such file or version
        """
        if (filename is None) == (id is None):
            raise TypeError("filename must be str: give send_file() either a filename or an id")
        _check_type("filename", filename, (str, type(None)))
        _check_type("version", version, int)
        _check_type("cache_for", cache_for, int)
        _check_type("as_attachment", as_attachment, (bool, type(None)))
        _check_type("download_name", download_name, (str, type(None)))
        _check_bucket(base, db)
        if cache_for < 0:
            raise ValueError(f"cache_for must be 0 seconds or more, not {cache_for}")
        bucket = self.bucket(base, db)
        first_chunk = sends_all(request)
        if filename is None:
            file = bucket.get(id, first_chunk=first_chunk)
        else:
            file = bucket.find(filename, version, first_chunk=first_chunk)
        if file is None:
            abort(404)
        return send(
            request,
            bucket,
            file,
            caching=Caching(cache_for, public=True),
            as_attachment=as_attachment,
            download_name=download_name,
        )

    def save_file(
        self,
        filename: str,
        fileobj: Any,
        base: str = "fs",
        content_type: str | None = None,
        *,
        db: str | None = None,
        types: Collection[str] | None = None,
        max_size: int | None = None,
        expires_at: datetime | None = None,
        **fields: Any,
    ) -> ObjectId:
        """Save what *fileobj* reads as the newest version of *filename*, which is stored as it is.

        ::

            @app.route("/uploads/<path:filename>", methods=["POST"])
            def save_upload(filename):
                mongo.save_file(filename, request.files["file"], types=["image/*"], max_size=10_000_000)
                return redirect(url_for("get_upload", filename=filename))

        :param filename: the name
        :param fileobj: has a ``read`` method that returns bytes
        :param base: the bucket's name
        :param content_type: guessed from the name, else from the first bytes, where None; a charset in it is stored as
            ``charset``
        :param db: the database's name; that of :attr:`db` where None
        :param types: the media types that are taken, such as ``image/png`` or ``image/*``; None: all. It is the type
            that is stored: *content_type*, else what name and first bytes tell, never what a client says.
        :param max_size: bytes
        :param expires_at: from when on the file is gone; in UTC where it has no time zone, as PyMongo takes it
        :param fields: further fields of the files document, ``metadata`` for one
        :return: the ``_id`` of the new revision
        :raises TypeError: for an argument of another type, or a field that the store itself sets
        :raises werkzeug.exceptions.UnsupportedMediaType: for another type than *types*; a view answers 415 by itself
        :raises werkzeug.exceptions.RequestEntityTooLarge: for more bytes than *max_size*; a view answers 413 by itself
        """
        _check_type("filename", filename, str)
        _check_type("content_type", content_type, (str, type(None)))
        _check_type("metadata", fields.get("metadata"), (Mapping, type(None)))
        _check_type("max_size", max_size, (int, type(None)))
        _check_bucket(base, db)
        accepted = None if types is None else Types(types)
        if not callable(getattr(fileobj, "read", None)):
            raise TypeError("fileobj must have a read() method that returns bytes")
        if reserved := sorted(_RESERVED & fields.keys()):
            raise TypeError(f"save_file() sets {', '.join(reserved)} itself; put your own value under another name")
        try:
            saved = self.bucket(base, db).save(
                filename,
                fileobj,
                content_type=content_type,
                fields=fields,
                max_size=max_size,
                expires_at=expires_at,
                inspect=None if accepted is None else lambda file: _check_accepted(accepted, file),
            )
        except FileTooLarge as error:
            raise RequestEntityTooLarge(f"{str(error).capitalize()}.") from None
        file_saved.send(app_of(self._apps), file=saved)
        file_id: ObjectId = saved.id
        return file_id

    def uploads_url(
        self,
        filename: str,
        expires_in: int = 3600,
        version: int = -1,
        *,
        name: str = "uploads",
        as_attachment: bool | None = None,
        **variables: Any,
    ) -> str:
        """Make a link to a file that works without a login until it expires.

        It is good for this very revision at this blueprint, signed with ``SECRET_KEY``; a key in
        ``SECRET_KEY_FALLBACKS`` is good for links that were made before.

        :param filename: the name it was saved under
        :param expires_in: seconds
        :param version: as in :meth:`send_file`
        :param name: the blueprint's name
        :param as_attachment: as in :meth:`send_file`
        :param variables: those of the blueprint's ``url_prefix``, where it is one such as ``/<user>/files``
        :return: a URL without scheme and host
        :raises werkzeug.exceptions.NotFound: where there is no such file or version
        """
        _check_type("filename", filename, str)
        _check_type("expires_in", expires_in, int)
        _check_type("version", version, int)
        if expires_in <= 0:
            raise ValueError(f"expires_in must be above 0 seconds, not {expires_in}")
        bucket = options_of(name).bucket()
        file = bucket.find(filename, version)
        if file is None:
            abort(404, "There is no such file or version.")
        return links.signed_url(bucket, name, file, int(time.time()) + expires_in, as_attachment, **variables)

    def uploads_blueprint(
        self,
        name: str = "uploads",
        *,
        url_prefix: str | None = None,
        base: str = "fs",
        db: str | None = None,
        authorize: Authorize | None = None,
        read_only: bool = False,
        max_size: int | None = None,
        max_request_size: int | None = None,
        max_form_parts: int = 1000,
        max_form_memory_size: int = 128 * 1024,
        cache_for: int | None = None,
        public: bool = False,
        trusted_origins: Collection[str] = (),
        resource_policy: str | None = None,
        title: str = "Files",
        stylesheet: str | None = None,
        inline_types: Collection[str] = (),
        upload_timeout: float | None = 3600,
        send_timeout: float | None = None,
        share: int | None = None,
        variants: Mapping[str, Variant] | None = None,
        metadata: Collection[str] = (),
        keep_versions: int | None = None,
        expire_after: float | None = None,
        inspect: Inspect | None = None,
        inspect_timeout: float = 60,
        resumable: bool = True,
        upload_expires: float = 86_400,
        max_uploads: int = 1000,
        csp: Csp | None = None,
        uploaded_by: str | None = None,
    ) -> UploadsBlueprint:
        """Build a blueprint that serves a bucket: listing, upload, download, versions.

        Its endpoints are ``index`` (``/``) and ``file`` (``/<path:filename>``). Call it again with other names and
        bases to serve several buckets.

        :param name: the blueprint's name, so that ``url_for("uploads.file", filename=...)`` finds it
        :param url_prefix: where it lives
        :param base: the bucket's name
        :param db: the database's name; that of :attr:`db` where None
        :param authorize: ``authorize(action, filename)``, asked before anything is read or stored; *action* is
            ``read``, ``write`` or ``delete`` of a file, or ``list``: of everything where *filename* is None, of a
            folder where it is a path that ends with a slash. A listing shows the files that may be read in folders
            that may all be listed, and nothing of others. Falsy means 403; it may also abort. Without it reading and
            adding are open to all, and deleting is refused.
        :param read_only: only reading is left
        :param max_size: bytes in a file; None: no limit
        :param max_request_size: bytes in a request; the application's ``MAX_CONTENT_LENGTH`` holds too
        :param max_form_parts: files and fields in a form, in place of ``MAX_FORM_PARTS``
        :param max_form_memory_size: bytes in a text field of a form, in place of ``MAX_FORM_MEMORY_SIZE``; 128 KiB or
            more, as the parser needs them
        :param cache_for: seconds for which a name's newest version may be kept; None: asked for each time
        :param public: whether shared caches (a CDN) may keep files
        :param trusted_origins: origins (``https://example.com``) whose pages may read and change things here, with
            their visitors' cookies (CORS)
        :param resource_policy: the ``Cross-Origin-Resource-Policy`` of every answer, which decides whose pages may show
            files: ``same-origin``, ``same-site`` or ``cross-origin``; None: ``cross-origin`` with *public*, else
            ``same-origin``
        :param title: what the pages call themselves
        :param stylesheet: the URL of a stylesheet that the pages load after their own, from the same origin
        :param inline_types: media types that are shown in the browser, beside images, audio, video and plain text
        :param upload_timeout: seconds that the body of an upload may take; None: no limit
        :param send_timeout: seconds that a client may take for a piece of a download (255 KiB); where it takes longer
            its connection is ended, under servers that tell their sockets (gunicorn, Werkzeug); None: no limit
        :param share: seconds for which a link is good that whoever may read a file makes (``POST /NAME?share``);
            None: no links
        :param variants: smaller pictures by their names, beside ``thumb`` (640 pixels): ``GET /NAME?variant=thumb``
        :param metadata: the keys of a file's ``metadata`` that requests may set
        :param keep_versions: how many of the newest versions of a name stay: each upload deletes a few older ones, none
            before it was superseded for an hour; None: all stay
        :param expire_after: seconds after its upload at which a version is gone; None: it stays
        :param inspect: ``inspect(file, read)``, called when an upload is complete and nobody can see it yet; *file* is
            its :class:`.StoredFile`, and ``read()`` iterates over its content. Where it raises :class:`.Refused` the
            answer is 422, where it fails otherwise 503; nothing is stored then.
        :param inspect_timeout: seconds that it may take
        :param resumable: whether uploads that broke off can go on (tus 1.0.0)
        :param upload_expires: seconds after its last byte for which such an upload can go on
        :param max_uploads: how many of them may be unfinished in the bucket; one more is a 429
        :param csp: sources that the pages' Content-Security-Policy allows beside their own, for a layout of the
            application: ``{"style-src": "https://cdn.example"}``, or a function that returns this for each request
        :param uploaded_by: the key of a file's metadata, or of its document, that says who uploaded it, for the pages
        :return: the blueprint, for ``app.register_blueprint``
        """
        _check_bucket(base, db)
        options = Options(
            bucket=lambda: self.bucket(base, db),
            authorize=authorize,
            read_only=read_only,
            max_size=max_size,
            max_request_size=max_request_size,
            max_form_parts=max_form_parts,
            max_form_memory_size=max_form_memory_size,
            cache_for=cache_for,
            public=public,
            trusted_origins=trusted_origins,
            resource_policy=resource_policy,
            title=title,
            stylesheet=stylesheet,
            inline_types=inline_types,
            upload_timeout=upload_timeout,
            send_timeout=send_timeout,
            share=share,
            variants={"thumb": THUMB, **(variants or {})},
            metadata=Keys(metadata),
            keep_versions=keep_versions,
            expire_after=expire_after,
            inspect=inspect,
            inspect_timeout=inspect_timeout,
            resumable=resumable and not read_only,
            upload_expires=upload_expires,
            max_uploads=max_uploads,
            csp=csp,
            uploaded_by=uploaded_by,
        )
        return uploads_blueprint(options, name, url_prefix)

    def webdav_app(
        self,
        base: str = "fs",
        *,
        db: str | None = None,
        authorize: Authorize | None = None,
        authenticate: Callable[[str, str], Any] | None = None,
        read_only: bool = False,
        max_size: int | None = None,
        upload_timeout: float | None = 3600,
        keep_versions: int | None = None,
        expire_after: float | None = None,
        inspect: Inspect | None = None,
        inspect_timeout: float = 60,
    ) -> WSGIApplication:
        """Build a WSGI application that serves a bucket as a network drive (WebDAV), to be mounted beside this one.

        ::

            dav = mongo.webdav_app(authorize=authorize, authenticate=check_password)
            app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": dav})

        The other arguments are those of :meth:`uploads_blueprint`.

        :param authorize: ``authorize(action, filename)``, as in :meth:`uploads_blueprint`, within a request context of
            the application; *filename* ends with a slash where a folder is made, moved or deleted. Without it everybody
            may read, and nobody anything else.
        :param authenticate: ``authenticate(user, password)``, asked with each request (HTTP basic authentication): use
            HTTPS; ``authorize`` finds the name in ``request.authorization.username``. None: the application decides
            in ``authorize`` who it is.
        :return: the WSGI application
        :raises ImportError: where the extra ``webdav`` is not installed
        """
        try:
            from .webdav import WebDAV
        except ImportError as error:
            raise ImportError("WebDAV needs an extra: pip install 'flask-gridfs-pymongo[webdav]'") from error
        if authenticate is not None and not callable(authenticate):
            raise TypeError("authenticate must be a function of (user, password)")
        blueprint = self.uploads_blueprint(
            base=base,
            db=db,
            authorize=authorize,
            read_only=read_only or authorize is None,
            max_size=max_size,
            upload_timeout=upload_timeout,
            keep_versions=keep_versions,
            expire_after=expire_after,
            inspect=inspect,
            inspect_timeout=inspect_timeout,
        )
        return WebDAV(app_of(self._apps), blueprint.options, authenticate)


def _prefix_and_uri(config_prefix: str | None, uri: str | None) -> tuple[str | None, str | None]:
    """Tell them apart where a URI stands in the place of the prefix."""
    if config_prefix is None or "://" not in config_prefix:
        return config_prefix, uri
    if uri is not None:
        raise TypeError("a MongoDB URI was given twice: as the second argument and as uri=")
    return None, config_prefix


def _check_type(argument: str, value: Any, kind: type | tuple[type, ...]) -> None:
    if not isinstance(value, kind):
        names = " or ".join(
            "None" if one is type(None) else one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,))
        )
        raise TypeError(f"{argument} must be {names}, not {type(value).__name__}")


def _check_accepted(accepted: Types, file: StoredFile) -> None:
    if file.content_type not in accepted:
        raise UnsupportedMediaType(f"A file of the type {file.content_type} is not taken here; send {accepted}.")


def _check_bucket(base: Any, db: Any) -> None:
    _check_type("base", base, str)
    _check_type("db", db, (str, type(None)))
