"""Turning ``PREFIX_*`` settings into options of the driver, without I/O.

Each setting is a row of a table: the driver's option, and the check of its value. Every error names the setting; none
of them quotes a URI or a password.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from bson.codec_options import CodecOptions
from pymongo.common import validate_auth_mechanism
from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.read_preferences import ReadPreference, _ServerMode
from pymongo.uri_parser import parse_uri, split_hosts

_MODES: dict[str, _ServerMode] = {
    spelling: getattr(ReadPreference, name)
    for name in ("PRIMARY", "PRIMARY_PREFERRED", "SECONDARY", "SECONDARY_PREFERRED", "NEAREST")
    for spelling in (name, getattr(ReadPreference, name).mongos_mode)
}
# These have a source of their own ($external) and, except PLAIN, need no password.
_EXTERNAL_MECHANISMS = {"GSSAPI", "MONGODB-AWS", "MONGODB-OIDC", "MONGODB-X509", "PLAIN"}
_MAX_SECONDS = 10**9  # 31 years
_PASSWORD_MECHANISMS = {None, "DEFAULT", "SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN"}


@dataclass(frozen=True)
class Settings:
    """The checked settings of a :class:`PyMongo` object.

    ``options`` are keyword arguments of ``MongoClient``; they may contain a password, and are not part of the repr.
    """

    dbname: str
    options: dict[str, Any] = field(repr=False)
    mongomock: bool = False
    memory_cache: int = 16 * 1024 * 1024
    """bytes of small files' content that each process keeps"""
    file_cache: str | None = None
    """the folder of the file cache"""
    file_cache_size: int = 10 * 2**30
    """bytes"""
    file_cache_age: int = 7 * 86400
    """seconds after its last use that a file is kept"""
    accel: str | None = None
    """the URL under which nginx sends files of the file cache"""
    trash: int = 0
    """seconds that deleted files stay in the trash; 0: they are deleted for good"""

    @property
    def servers(self) -> str:
        """The servers that the client is given, without user and password."""
        given = self.options["host"]
        hosts = ",".join(
            re.split("[/?]", host.partition("://")[2] or host)[0].rpartition("@")[2]
            for host in ([given] if isinstance(given, str) else given)
        )
        port = self.options.get("port", 27017)
        return ",".join(sorted(host.lower() if ":" in host else f"{host.lower()}:{port}" for host in hosts.split(",")))


def _integer(setting: str, value: Any) -> int:
    try:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError
        return int(value)
    except ValueError:
        raise TypeError(f"{setting} must be an integer, not {value!r}") from None


def _at_least_zero(setting: str, value: Any) -> int:
    number = _integer(setting, value)
    if number < 0:
        raise ValueError(f"{setting} must be 0 or more, not {number}")
    return number


def _port(setting: str, value: Any) -> int:
    port = _integer(setting, value)
    if not 0 < port < 65536:
        raise ValueError(f"{setting} must be from 1 to 65535, not {port}")
    return port


def _boolean(setting: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{setting} must be True or False, not {value!r}")
    return value


def _string(setting: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{setting} must be a str, not {type(value).__name__}")
    return value


def _host(setting: str, value: Any) -> str | list[str]:
    hosts = value if isinstance(value, (list, tuple)) else [value]
    if not hosts or not all(isinstance(host, str) and host for host in hosts):
        raise TypeError(f"{setting} must be a host name, 'host:port', or a list of them")
    if any("://" in host for host in hosts):
        raise ValueError(f"{setting} takes host names; put a MongoDB URI in {setting[:-4]}URI")
    try:
        split_hosts(",".join(hosts))
    except (ConfigurationError, ValueError):
        raise ValueError(f"{setting} must be a host name or 'host:port', the port from 1 to 65535") from None
    return list(hosts)


def _mechanism(setting: str, value: Any) -> str:
    if value == "MONGODB-CR":
        raise ValueError(
            f"{setting}: MongoDB 4.0 removed MONGODB-CR; without {setting} driver and server negotiate a mechanism"
        )
    mechanism: str = validate_auth_mechanism(setting, _string(setting, value))
    return mechanism


def _read_preference(setting: str, value: Any) -> _ServerMode:
    if isinstance(value, _ServerMode):
        return value
    if not isinstance(value, str) or value not in _MODES:
        raise ValueError(f"{setting} must be a pymongo.ReadPreference or one of {', '.join(_MODES)}, not {value!r}")
    return _MODES[value]


def _document_class(setting: str, value: Any) -> Any:
    try:
        CodecOptions(document_class=value)
    except TypeError as error:
        raise TypeError(f"{setting}: {error}") from None
    return value


def _folder(setting: str, value: Any) -> str:
    if not isinstance(value, (str, os.PathLike)) or not isinstance(path := os.fspath(value), str):
        raise TypeError(f"{setting} must be the path of a folder, not {type(value).__name__}")
    if not os.path.isabs(path):
        raise ValueError(f"{setting} must be an absolute path such as /var/cache/shop, not {path!r}")
    if os.name != "posix":
        raise ValueError(f"{setting} needs Linux, macOS or another POSIX system")
    return path


def _seconds(setting: str, value: Any) -> int:
    return _at_least_zero(setting, int(value.total_seconds()) if isinstance(value, timedelta) else value)


def _seconds_from_now(setting: str, value: Any) -> int:
    seconds = _seconds(setting, value)
    if seconds > _MAX_SECONDS:  # so that no date is past the year 9999
        raise ValueError(f"{setting} must be at most {_MAX_SECONDS:,} seconds, not {seconds:,}")
    return seconds


def _location(setting: str, value: Any) -> str:
    if not re.fullmatch("/([A-Za-z0-9._~-]+/)+", _string(setting, value)):
        raise ValueError(f"{setting} must be a path that begins and ends with a slash, such as /_files/, not {value!r}")
    return str(value)


_Check = Callable[[str, Any], Any]
# suffix -> (the driver's option, the check): first the settings that a URI replaces, then the others.
_WITHOUT_URI: dict[str, tuple[str, _Check]] = {
    "HOST": ("host", _host),
    "PORT": ("port", _port),
    "USERNAME": ("username", _string),
    "PASSWORD": ("password", _string),
    "AUTH_SOURCE": ("authSource", _string),
    "AUTH_MECHANISM": ("authMechanism", _mechanism),
    "REPLICA_SET": ("replicaSet", _string),
    "READ_PREFERENCE": ("read_preference", _read_preference),
    "MAX_POOL_SIZE": ("maxPoolSize", _at_least_zero),
}
_WITH_URI_TOO: dict[str, tuple[str, _Check]] = {
    "SOCKET_TIMEOUT_MS": ("socketTimeoutMS", _at_least_zero),
    "CONNECT_TIMEOUT_MS": ("connectTimeoutMS", _at_least_zero),
    "SERVER_SELECTION_TIMEOUT_MS": ("serverSelectionTimeoutMS", _at_least_zero),
    "DOCUMENT_CLASS": ("document_class", _document_class),
    "CONNECT": ("connect", _boolean),
}
_WITHOUT_EFFECT: dict[str, tuple[str, _Check]] = {"AUTO_START_REQUEST": ("auto_start_request", _boolean)}
# What is not the driver's.
_OUR_SETTINGS: dict[str, tuple[str, _Check]] = {
    "MEMORY_CACHE": ("memory_cache", _at_least_zero),
    "FILE_CACHE": ("file_cache", _folder),
    "FILE_CACHE_SIZE": ("file_cache_size", _at_least_zero),
    "FILE_CACHE_AGE": ("file_cache_age", _seconds),
    "ACCEL": ("accel", _location),
    "TRASH": ("trash", _seconds_from_now),
}
_OURS = dict(_OUR_SETTINGS.values())


def read(
    config: Mapping[str, Any],
    prefix: str,
    app_name: str,
    uri: str | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the settings whose names start with *prefix* and an underscore.

    :param config: the application's configuration; a setting that is None counts as not set
    :param app_name: the name of the database if no setting gives one
    :param uri: a MongoDB URI that overrides ``PREFIX_URI``
    :param arguments: what overrides the settings: our own options, such as ``memory_cache``, and those of
        ``MongoClient``
    :raises TypeError, ValueError: naming the setting that is wrong
    """
    take = partial(_take, config, prefix)
    arguments = arguments or {}
    if take(_WITHOUT_EFFECT):
        warnings.warn(
            f"{prefix}_AUTO_START_REQUEST has no effect since PyMongo 3; remove it", DeprecationWarning, stacklevel=4
        )
    options: dict[str, Any] = {"tz_aware": True, **take(_WITH_URI_TOO)}
    uri = config.get(f"{prefix}_URI") if uri is None else uri
    if uri is None:
        dbname = config.get(f"{prefix}_DBNAME")
        options |= {"host": ["localhost"], "port": 27017, **take(_WITHOUT_URI)}
    else:
        uri, named, dbname = _parse(f"{prefix}_URI", uri)
        options = {name: value for name, value in options.items() if name.lower() not in named}
        options["host"] = re.sub("^mongomock:", "mongodb:", uri)
    options |= {name: value for name, value in arguments.items() if name not in _OURS}
    if uri is None:
        _complete_credentials(prefix, options, dbname)
    name = app_name if dbname is None else dbname
    if not _is_database_name(name):
        # Not quoted: with an unescaped password, a part of it may be taken for the database.
        wrong = f"{name!r}" if uri is None or dbname is None else f"the database in {prefix}_URI"
        advice = "set {0}_DBNAME" if uri is None else "name a database in {0}_URI, which overrides {0}_DBNAME"
        raise ValueError(
            f'{wrong} is not a database name (63 bytes, none of / \\ . " $ * < > : | ? or space); '
            + advice.format(prefix)
        )
    given = {option: value for option, value in arguments.items() if option in _OURS and value is not None}
    ours = take(_OUR_SETTINGS) | {option: _OURS[option](option, value) for option, value in given.items()}
    if "accel" in ours and "file_cache" not in ours:
        raise ValueError(f"accel needs file_cache, the folder whose files are sent: set {prefix}_FILE_CACHE")
    return Settings(name, options, uri is not None and uri.startswith("mongomock://"), **ours)


def _take(config: Mapping[str, Any], prefix: str, rows: Mapping[str, tuple[str, _Check]]) -> dict[str, Any]:
    """Return the options of those of *rows* that are set, checked."""
    found = {}
    for suffix, (option, check) in rows.items():
        setting = f"{prefix}_{suffix}"
        if (value := config.get(setting)) is not None:
            found[option] = check(setting, value)
    return found


def _parse(setting: str, uri: Any) -> tuple[str, set[str], str | None]:
    """Return *uri* as the driver takes it, the names of its options in lower case, and its database."""
    uri = _string(setting, uri).rstrip()  # files with secrets end with a line break
    if re.search(r"[\0-\x1f\x7f]", uri):
        raise ValueError(f"{setting} must have no control characters, such as line breaks and tabs")
    # Only the address of an SRV URI needs the network, not its options and its database.
    plain, _, query = re.sub(r"^(mongodb\+srv|mongomock)://", "mongodb://", uri).partition("?")
    if uri.startswith("mongodb+srv://"):  # these options are an error with any other scheme
        query = "&".join(option for option in re.split("[&;]", query) if not option.lower().startswith("srv"))
    plain += f"?{query}" if query else ""
    try:
        parsed = parse_uri(plain, warn=True)
    except (InvalidURI, ConfigurationError, ValueError, TypeError):
        # The driver's message may quote a part of an unescaped password.
        raise ValueError(
            f"{setting} is not a MongoDB URI (mongodb://user:password@host:port/database?option=value); "
            "in user and password, percent-encode every : / ? # [ ] @ and %"
        ) from None
    return uri, {name.lower() for name in parsed["options"]}, parsed["database"]


def _complete_credentials(prefix: str, options: dict[str, Any], dbname: str | None) -> None:
    """Check user name and password, and set where the user is defined."""
    mechanism = options.get("authMechanism")
    if ("username" in options) != ("password" in options) and mechanism in _PASSWORD_MECHANISMS:
        raise ValueError(f"set both {prefix}_USERNAME and {prefix}_PASSWORD, or neither")
    if "username" in options and mechanism not in _EXTERNAL_MECHANISMS:
        options.setdefault("authSource", "admin" if dbname is None else dbname)


def _is_database_name(name: Any) -> bool:
    fits = isinstance(name, str) and len(name.encode()) < 64
    return fits and re.fullmatch(r'[^/\\. "$*<>:|?\0]+', name) is not None
