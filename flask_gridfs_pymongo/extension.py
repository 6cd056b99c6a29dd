"""The extension object, :class:`PyMongo`: an application's entrance to the package."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from os import PathLike
from types import MappingProxyType, NoneType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from bson.objectid import ObjectId
from flask import Flask, Response, abort, request
from werkzeug.exceptions import RequestEntityTooLarge

from . import config
from .attachments import Attachment
from .cli.group import gridfs
from .connection import AppState, app_of, state_of
from .converters import BSONObjectIdConverter
from .http.filenames import clean
from .http.headers import IMMUTABLE, Caching
from .http.response import sends_all
from .mimetype import Types
from .service import formparser
from .service.arguments import takes
from .service.download import send
from .service.inspection import check_accepted
from .service.options import Drive, Options, Rules, options_of
from .signals import file_saved
from .store import OWN_FIELDS, Bucket, FileTooLarge, StoredFile, check_type
from .uploads.blueprint import UploadsBlueprint, uploads_blueprint
from .uploads.links import manage, share, signed
from .uploads.read.signed_links import expiry, signed_url
from .wrappers import Database, MongoClient

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_BESIDE_RULES = {"rules", "authenticate", "user_of"}


class PyMongo:
    """MongoDB for Flask applications: the connection, and the files in GridFS.

    ::

        mongo = PyMongo(app)
        app.register_blueprint(mongo.uploads_blueprint(url_prefix="/uploads"))

    :param app: the application; None: call :meth:`init_app` later
    :param config_prefix: settings begin with it and an underscore; a MongoDB URI in its place is taken as *uri*, as in
        Flask-PyMongo 2 and 3
    :param uri: a MongoDB URI, used in place of ``PREFIX_URI``
    :param options: used in place of the settings: ``memory_cache``, ``file_cache``, ``file_cache_size``,
        ``file_cache_age`` and ``accel`` for ``PREFIX_MEMORY_CACHE`` and so on, and options of
        :class:`pymongo.MongoClient`
    """

    def __init__(
        self,
        app: Flask | None = None,
        config_prefix: str | None = "MONGO",
        *,
        uri: str | None = None,
        **options: Any,
    ) -> None:
        prefix, self._uri = _prefix_and_uri(config_prefix, uri)
        self._config_prefix = prefix or "MONGO"
        self._options = options
        self._apps: WeakSet[Flask] = WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(
        self,
        app: Flask,
        config_prefix: str | None = None,
        *,
        uri: str | None = None,
        **options: Any,
    ) -> None:
        """Prepare *app* for this object; nothing connects before the first use.

        Arguments that are not given here are those of the constructor. This registers the ``ObjectId`` URL converter
        and the command ``flask gridfs``, and corrects Werkzeug's form parser, which may change a file's last bytes.

        :raises TypeError, ValueError: naming the setting that is wrong
        :raises RuntimeError: if *app* already has this object, or another one with this prefix
        """
        given, uri = _prefix_and_uri(config_prefix, uri)
        prefix = given or self._config_prefix
        uri = self._uri if uri is None else uri
        options = self._options | {name: value for name, value in options.items() if value is not None}
        settings = config.read(app.config, prefix, app.name, uri, options)
        states = app.extensions.setdefault("pymongo", {})
        if prefix not in states and any(state.owner is self for state in list(states.values())):
            raise RuntimeError(f"this PyMongo object is already initialized for the app {app.name!r}")
        mine = AppState(self, settings)
        if states.setdefault(prefix, mine) is not mine:  # atomic: another thread may do the same
            raise RuntimeError(
                f"the app {app.name!r} already has a PyMongo object with the config_prefix {prefix!r}; "
                "give each a different one"
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
        """Return a bucket, to find, open, list, save, change and delete files from Python.

        ::

            with mongo.bucket().open("report.csv") as file:
                rows = list(csv.reader(io.TextIOWrapper(file)))

        :param base: the bucket's name; its collections are ``base.files`` and ``base.chunks``
        :param db: the database's name; None: that of :attr:`db`
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

        :param filename: the name of the file; None: use *id*
        :param base: the bucket's name
        :param version: 0 is the first version uploaded, 1 the second; -1 is the newest, -2 the one before it
        :param cache_for: seconds for which browsers and proxies may cache the file
        :param id: the ``_id`` of a version, in place of a name and a version: what :meth:`save_file` returned
        :param db: the database's name; None: that of :attr:`db`
        :param as_attachment: whether browsers save the file instead of showing it; None: only types in which no script
            can run are shown. False for a type such as HTML lets its author act in your origin.
        :param download_name: the file name for clients; None: the last part of *filename*
        :return: an instance of ``app.response_class``
        :raises werkzeug.exceptions.NotFound: if there is no such file or version
        """
        if (filename is None) == (id is None):
            raise TypeError("filename must be str: give send_file() either a filename or an id")
        check_type("filename", filename, str, NoneType)
        check_type("version", version, int)
        check_type("cache_for", cache_for, int)
        check_type("as_attachment", as_attachment, bool, NoneType)
        check_type("download_name", download_name, str, NoneType)
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
        """Save the content of *fileobj* as the newest version of *filename*, which is stored unchanged.

        ::

            @app.route("/uploads/<path:filename>", methods=["POST"])
            def save_upload(filename):
                mongo.save_file(filename, request.files["file"], types=["image/*"], max_size=10_000_000)
                return redirect(url_for("get_upload", filename=filename))

        :param filename: the name
        :param fileobj: an object with a ``read`` method that returns bytes, or a :class:`~pathlib.Path`
        :param base: the bucket's name
        :param content_type: the media type; None: guessed from the name, else from the first bytes; a charset in it is
            stored as ``charset``
        :param db: the database's name; None: that of :attr:`db`
        :param types: the media types that are accepted, such as ``image/png`` or ``image/*``; None: all. They apply to
            the stored type: *content_type*, or else the type by name and first bytes, never the client's claim.
        :param max_size: the limit, in bytes
        :param expires_at: when the file expires; without a time zone, in UTC, as in PyMongo
        :param fields: additional fields of the files document, such as ``metadata``
        :return: the ``_id`` of the new version
        :raises TypeError: for an argument of another type, or a field that the store itself sets
        :raises werkzeug.exceptions.UnsupportedMediaType: for a type that is not among *types*: a view responds with 415
        :raises werkzeug.exceptions.RequestEntityTooLarge: for more bytes than *max_size*: a view responds with 413
        """
        if reserved := sorted({"chunk_size", *OWN_FIELDS} & fields.keys()):
            raise TypeError(f"save_file() sets {', '.join(reserved)} itself; store your own value under another name")
        options: dict[str, Any] = {
            "content_type": content_type,
            "types": types,
            "max_size": max_size,
            "expires_at": expires_at,
        }
        file_id: ObjectId = self._save(self.bucket(base, db), filename, fileobj, fields=fields, **options).id
        return file_id

    def _save(
        self,
        bucket: Bucket,
        filename: str,
        fileobj: Any,
        *,
        types: Collection[str] | None = None,
        content_type: str | None = None,
        fields: Mapping[str, Any] = MappingProxyType({}),
        **options: Any,
    ) -> StoredFile:
        check_type("filename", filename, str)
        accepted = None if types is None else Types(types)
        if not isinstance(fileobj, PathLike) and not callable(getattr(fileobj, "read", None)):
            raise TypeError(f"fileobj must be a path or have a read() method, not {type(fileobj).__name__}")
        inspect = partial(check_accepted, accepted)
        try:
            saved = bucket.save(filename, fileobj, content_type=content_type, fields=fields, inspect=inspect, **options)
        except FileTooLarge as error:
            raise RequestEntityTooLarge(f"{str(error).capitalize()}.") from None
        file_saved.send(app_of(self._apps), file=saved)
        return saved

    def attachment(
        self,
        collection: str,
        field: str,
        *,
        base: str = "fs",
        db: str | None = None,
        types: Collection[str] | None = None,
        max_size: int | None = None,
        blueprint: str = "uploads",
    ) -> Attachment:
        """Return what gives each document of a collection a file of its own.

        ::

            avatar = mongo.attachment("users", "avatar", types=("image/*",), max_size=5_000_000)

        :param collection: the name of the collection, in :attr:`db`
        :param field: of the documents, for the ``_id`` of the file; may contain dots: ``profile.avatar``
        :param base: the bucket's name
        :param db: the name of the bucket's database; None: that of :attr:`db`
        :param types: as in :meth:`save_file`
        :param max_size: bytes
        :param blueprint: the name of the blueprint that serves the bucket, for :meth:`.Attachment.url`
        :raises TypeError, ValueError: naming the argument that is wrong
        """
        check_type("collection", collection, str)
        check_type("max_size", max_size, int, NoneType)
        _check_bucket(base, db)
        if types is not None:
            Types(types)

        def save(filename: str, fileobj: Any) -> StoredFile:
            return self._save(self.bucket(base, db), filename, fileobj, types=types, max_size=max_size)

        app, bucket = partial(app_of, self._apps), partial(self.bucket, base, db)
        return Attachment(app, bucket, save, lambda: self.db[collection], field, blueprint)

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

        It is valid for this version and this blueprint only. It is signed with ``SECRET_KEY``; older links stay valid
        while their key is in ``SECRET_KEY_FALLBACKS``.

        :param filename: the name of the file
        :param expires_in: seconds
        :param version: as in :meth:`send_file`
        :param name: the blueprint's name
        :param as_attachment: as in :meth:`send_file`
        :param variables: those of the blueprint's ``url_prefix``, if it has any, such as ``/<user>/files``
        :return: a URL without scheme and host
        :raises werkzeug.exceptions.NotFound: if there is no such file or version
        """
        check_type("filename", filename, str)
        check_type("expires_in", expires_in, int)
        check_type("version", version, int)
        if expires_in <= 0:
            raise ValueError(f"expires_in must be above 0 seconds, not {expires_in}")
        bucket = options_of(name).bucket()
        file = bucket.find(filename, version)
        if file is None:
            abort(404, "There is no such file or version.")
        return signed_url(bucket, name, file, expiry(bucket, expires_in), as_attachment, **variables)

    def upload_url(
        self,
        filename: str,
        expires_in: int = 3600,
        *,
        max_size: int | None = None,
        types: Collection[str] | None = None,
        name: str = "uploads",
        **variables: Any,
    ) -> str:
        """Make a URL that takes one file under one name without a login: one PUT, or one tus upload.

        It is used up when a file is stored: from then on it is a 410. An upload that broke off may be tried again.
        Pages of every origin may use it. It is signed as :meth:`uploads_url` is.

        :param filename: the name of the file
        :param expires_in: seconds, in which the file has to be complete
        :param max_size: bytes; the limit of the blueprint applies, too
        :param types: the media types that the file may have, as in :meth:`save_file`; those of the blueprint apply, too
        :param name: the blueprint's name; its ``inspect`` sees the file, its ``authorize`` is not asked
        :param variables: those of the blueprint's ``url_prefix``, if it has any
        :return: a URL without scheme and host
        :raises TypeError, ValueError: naming the argument that is wrong
        """
        check_type("filename", filename, str)
        options = options_of(name)
        manage.check_made(expires_in)
        manage.check_limits(options, max_size, None, types)
        if not filename or clean(filename) != filename:
            raise ValueError(
                f"filename must be one that an upload keeps, such as {clean(filename)!r}, not {filename!r}"
            )
        token = signed.sign(options.bucket(), name, filename, expires_in, max_size, types)
        return manage.url_of(name, token, **variables)

    def upload_link(
        self,
        folder: str,
        expires_in: int = 604_800,
        *,
        max_size: int | None = None,
        max_files: int | None = None,
        types: Collection[str] | None = None,
        maker: str | None = None,
        name: str = "uploads",
        **variables: Any,
    ) -> str:
        """Make a link by which anybody may add files below a folder without a login, until it expires or is revoked.

        It opens a page; programs send a form or a tus upload to it, or a PUT to the link with ``/NAME`` behind it.
        Each visit has a subfolder of its own, and nobody learns what is there.

        :param folder: with a slash at its end; empty: the top
        :param expires_in: seconds, a year at most
        :param max_size: bytes in a file; the limit of the blueprint applies, too
        :param max_files: files in all; None: no limit
        :param types: the media types that files may have, as in :meth:`save_file`; those of the blueprint apply, too
        :param maker: who makes it, for ``may_use`` of the blueprint
        :param name: the blueprint's name; its ``inspect`` sees the files, its ``authorize`` is not asked
        :param variables: those of the blueprint's ``url_prefix``, if it has any
        :return: a URL without scheme and host
        :raises TypeError, ValueError: naming the argument that is wrong
        """
        limits: dict[str, Any] = {"max_size": max_size, "max_files": max_files, "types": types}
        options = options_of(name)
        manage.url_of(name, "", **variables)  # before anything is stored
        link = manage.make(options, name, folder, expires_in=expires_in, maker=maker, **limits)
        return manage.url_of(name, link.token, **variables)

    def share_link(
        self, path: str, expires_in: int = 604_800, *, maker: str | None = None, name: str = "uploads", **variables: Any
    ) -> str:
        """Make a link by which anybody may read a folder or a file without a login, until it expires or is revoked.

        A link to a folder has the pages, previews and archives of all that is in it, now or later, by names without
        the folder's path, and nothing else of the bucket; a link to a file has its newest version.

        :param path: a folder, with a slash at its end, or the name of a file; empty: the whole bucket
        :param expires_in: seconds, a year at most
        :param maker: who makes it, for ``may_use`` of the blueprint
        :param name: the blueprint's name; its ``authorize`` is not asked: the link shows what it would hide
        :param variables: those of the blueprint's ``url_prefix``, if it has any
        :return: a URL without scheme and host
        :raises TypeError, ValueError: naming the argument that is wrong
        :raises werkzeug.exceptions.NotFound: if there is no such file
        """
        options = options_of(name)
        manage.url_of(name, "", **variables)  # before anything is stored
        return share.url_of(name, share.make(options, name, path, expires_in, maker), **variables)

    @takes(Options)
    def uploads_blueprint(self, *args: Any, **options: Any) -> UploadsBlueprint:
        """Build a blueprint that serves a bucket: listing, upload, download, versions.

        Its endpoints are ``index`` (``/``) and ``file`` (``/<path:filename>``). Call it again with other names and
        bases to serve several buckets.

        :return: the blueprint, for ``app.register_blueprint``
        :raises TypeError, ValueError: naming the argument that is wrong
        """
        return uploads_blueprint(Options(self.bucket, *args, **options))

    @takes(Drive)
    def webdav_app(self, *args: Any, **options: Any) -> WSGIApplication:
        """Build a WSGI application that serves a bucket as a network drive (WebDAV), to be mounted beside this one.

        ::

            uploads = mongo.uploads_blueprint(url_prefix="/uploads", authorize=authorize)
            app.register_blueprint(uploads)
            drive = mongo.webdav_app(rules=uploads, authenticate=check_password)
            app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/dav": drive})

        ``authorize`` is called within a request context of the application; *filename* ends with a slash if a folder is
        made, moved or deleted. Without ``authorize`` everybody may read, and nobody may change anything.

        :return: the WSGI application
        :raises TypeError, ValueError: naming the argument that is wrong, or that was given beside *rules*
        :raises ImportError: if the extra ``webdav`` is not installed
        """
        try:
            from .webdav import WebDAV
        except ImportError as error:
            raise ImportError("WebDAV needs an extra: pip install 'flask-gridfs-pymongo[webdav]'") from error
        drive = Drive(self.bucket, *args, **options)
        if drive.rules is not None and (given := ["base"] * len(args) + sorted(options.keys() - _BESIDE_RULES)):
            raise TypeError(f"webdav_app(rules=...) takes {', '.join(given)} from the blueprint: give them only there")
        if drive.authenticate is not None and drive.user_of is not None:
            raise TypeError("webdav_app() takes authenticate or user_of, not both: the user is who has logged in")
        rules: Rules = getattr(drive.rules, "options", drive)
        if rules.authorize is None:
            rules = replace(rules, read_only=True)
        return WebDAV(app_of(self._apps), rules, drive.authenticate, drive.user_of)


def _prefix_and_uri(config_prefix: str | None, uri: str | None) -> tuple[str | None, str | None]:
    """Return the prefix and the URI, of which either may be given as *config_prefix*."""
    if config_prefix is None or "://" not in config_prefix:
        return config_prefix, uri
    if uri is not None:
        raise TypeError("a MongoDB URI was given twice: as the second argument and as uri=")
    return None, config_prefix


def _check_bucket(base: Any, db: Any) -> None:
    check_type("base", base, str)
    check_type("db", db, str, NoneType)
