"""An operation in a process that dies at each of its writes.

::

    for writes in killed_at_each_write(uri, "store.rename_many({'a': 'b', 'c': 'd'})"):
        ...  # look at what is there

What comes last is an operation that has ended.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from ..conftest import ROOT

_CODE = """
import os, signal, sys
import pymongo
from pymongo import monitoring
from flask_gridfs_pymongo.store import *

class Killer(monitoring.CommandListener):
    def __init__(self, writes):
        self.left = writes

    def started(self, event):
        if event.command_name in ("insert", "update", "delete", "findAndModify"):
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
            self.left -= 1

    def succeeded(self, event): ...
    def failed(self, event): ...

uri, code = sys.argv[1:]
compiled = compile(code, "operation", "exec")
for writes in range(200):
    child = os.fork()
    if child == 0:
        store = Bucket(pymongo.MongoClient(uri, event_listeners=[Killer(writes)]).get_default_database())
        exec(compiled)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(status, flush=True)
    sys.stdin.readline()
"""


def killed_at_each_write(uri: str, code: str) -> Iterator[int]:
    """Run *code*, which changes ``store``, and kill its process before its first write, its second one, and so on.

    :return: after each run, the number of writes that were done
    """
    command = [sys.executable, "-c", _CODE, uri, code]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        for writes, line in enumerate(process.stdout):
            assert line.strip() in ("0", "9"), line
            yield writes
            if line.strip() == "0":
                break
            process.stdin.write("\n")
            process.stdin.flush()
        else:
            raise AssertionError("it never ended")
        process.kill()
