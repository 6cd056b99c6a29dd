"""A proxy in front of a mongod that answers as a mongos would: no package of Python brings a mongos.

It says ``msg: "isdbgrid"``, refuses what a mongos of MongoDB 6.0 refuses for sharded collections, and notes commands.
What it cannot show is how shards share the work: there is one.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Lock, Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.timestamp import Timestamp

_QUERY, _MESSAGE = 2004, 2013  # opcodes
_MORE_TO_COME = 2  # a flag of OP_MSG
_ANY: CodecOptions[Any] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO, unicode_decode_error_handler="surrogateescape"
)
_DATABASE = ("hello", "ismaster", "isMaster", "ping", "endSessions", "killCursors", "getMore", "buildInfo")
Document = Mapping[str, Any]


class Command(NamedTuple):
    name: str
    collection: str
    document: Document
    """with the documents of its sequences"""

    def selections(self) -> list[Document]:
        """The queries of a command, or the documents that it inserts."""
        document = self.document
        if self.name == "aggregate":
            return [next((stage["$match"] for stage in document["pipeline"][:1] if "$match" in stage), {})]
        if self.name in ("update", "delete"):
            return [one["q"] for one in document[f"{self.name}s"]]
        if self.name == "insert":
            return list(document["documents"])
        return [document.get("filter") or document.get("query") or {}]

    def names(self, *fields: str) -> bool:
        """Whether each selection asks for equality with values of these *fields*."""
        return all(is_equal(selection.get(field)) for selection in self.selections() for field in fields)


def is_equal(condition: Any) -> bool:
    is_operator = isinstance(condition, dict) and any(name.startswith("$") for name in condition)
    return condition is not None and (not is_operator or not condition.keys().isdisjoint(("$eq", "$in")))


class Fault(NamedTuple):
    """An answer in place of the server's."""

    code: int
    done: bool = False
    """whether the server gets the command nevertheless"""
    label: str = ""
    of_document: bool = False
    """whether it is the error of the first document of a write"""

    def reply(self) -> Document:
        error = {"code": self.code, "errmsg": f"a mongos refuses: {self.code}"}
        if self.of_document:
            return {"ok": 1.0, "n": 0, "writeErrors": [{"index": 0, **error}]}
        return {"ok": 0.0, **error, **({"errorLabels": [self.label]} if self.label else {})}


class Mongos:
    """The proxy.

    :param sharded: the fields of the shard key of each sharded collection; ``hashed`` after them: the first one hashed
    """

    def __init__(self, target: tuple[str, int], sharded: Mapping[str, tuple[str, ...]]) -> None:
        self.commands: list[Command] = []
        """all of those that name a collection"""
        self.faults: list[tuple[Callable[[Command], bool], Fault]] = []
        """each is the answer to the first command that fits"""
        self._target, self._sharded, self._lock = target, sharded, Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets = [self._listener]
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, suppress(OSError, EOFError):
            while True:
                header, rest = _read(client)
                request, opcode = struct.unpack("<4xi4xi", header)
                command, sent = _command(opcode, rest)
                fault = self._fault(command) if command.collection else None
                if fault is None or fault.done:
                    server.sendall(_framed(request, 0, opcode, sent))
                    more = True
                    while more:
                        header, answer = _read(server)
                        more = header[12:] == struct.pack("<i", _MESSAGE) and bool(answer[0] & _MORE_TO_COME)
                        if fault is None:
                            opcode, number = struct.unpack("<i", header[12:])[0], struct.unpack("<4xi8x", header)[0]
                            client.sendall(_framed(number, request, opcode, _with_fields(opcode, answer, command.name)))
                if fault is not None:
                    client.sendall(_framed(0, request, _MESSAGE, b"\0\0\0\0\0" + bson.encode(fault.reply())))

    def _fault(self, command: Command) -> Fault | None:
        with self._lock:
            self.commands.append(command)
            for number, (fits, fault) in enumerate(self.faults):
                if fits(command):
                    del self.faults[number]
                    return fault
        code = refusal(command, self._sharded.get(command.collection, ()))
        return Fault(code) if code else None


def refusal(command: Command, key: tuple[str, ...]) -> int:
    """The code with which a mongos refuses a command on a collection with this shard key; 0: it does not."""
    fields, document = [field for field in key if field != "hashed"], command.document
    if not fields:
        return 0
    if command.name == "createIndexes":
        unique = [list(index["key"]) for index in document["indexes"] if index.get("unique")]
        return 67 if any("hashed" in key or one[: len(fields)] != fields for one in unique) else 0
    targeted = command.names(*fields)
    if command.name == "findAndModify":
        return 0 if targeted else 61
    if command.name == "update":
        single = [one for one in document["updates"] if not one.get("multi")]
        if any({*one["u"].get("$set", {})} & {*fields} for one in document["updates"] if one.get("multi")):
            return 72
        return 0 if targeted or all("_id" in one["q"] and not one.get("upsert") for one in single) else 61
    if command.name == "delete":
        return 0 if targeted or all("_id" in one["q"] or one["limit"] == 0 for one in document["deletes"]) else 61
    return 0


def _read(source: socket.socket) -> tuple[bytes, bytes]:
    header = _exactly(source, 16)
    return header, _exactly(source, struct.unpack("<i", header[:4])[0] - 16)


def _exactly(source: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = source.recv(min(size - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def _framed(number: int, answers: int, opcode: int, rest: bytes) -> bytes:
    return struct.pack("<iiii", 16 + len(rest), number, answers, opcode) + rest


def _command(opcode: int, rest: bytes) -> tuple[Command, bytes]:
    """Read a request, and return it without the number of a retryable write, which a single server refuses."""
    if opcode == _QUERY:  # the first one of a connection
        return Command("hello", "", {}), rest
    flags, position, sections, document = rest[:4], 4, b"", dict[str, Any]()
    while position < len(rest):
        kind, (size,) = rest[position], struct.unpack("<i", rest[position + 1 : position + 5])
        section = rest[position + 1 : position + 1 + size]
        position += 1 + size
        if kind == 0:
            body = bson.decode(section, _ANY)
            body.pop("txnNumber", None)
            document |= body
            sections = b"\0" + bson.encode(body, codec_options=_ANY) + sections
        else:
            name, _, documents = section[4:].partition(b"\0")
            document[name.decode()] = bson.decode_all(documents, _ANY)
            sections += b"\1" + section
    name = next(iter(document))
    collection = "" if name in _DATABASE else str(document[name])
    return Command(name, collection, document), flags + sections


def _with_fields(opcode: int, answer: bytes, name: str) -> bytes:
    """Add to an answer what a mongos says."""
    now = bson.encode({"operationTime": Timestamp(int(time.time()), 1)})[4:-1]
    added = bson.encode({"msg": "isdbgrid"})[4:-1] if name in _DATABASE[:3] else now
    head, document = (answer[:5], answer[5:]) if opcode == _MESSAGE else (answer[:20], answer[20:])
    return head + struct.pack("<i", len(document) + len(added)) + document[4:-1] + added + b"\0"


@contextmanager
def mongos(uri: str, **sharded: tuple[str, ...]) -> Iterator[tuple[Mongos, str]]:
    """Run a proxy in front of the server at *uri*; yields it, and the URI for its clients.

    :param sharded: ``chunks=("files_id", "n")``, by default
    """
    parts = urlsplit(uri)
    keys = {f"fs.{name}": key for name, key in (sharded or {"chunks": ("files_id", "n")}).items()}
    proxy = Mongos((parts.hostname or "", parts.port or 0), keys)
    try:
        yield proxy, f"mongodb://{proxy.address}{parts.path}"
    finally:
        proxy.close()
