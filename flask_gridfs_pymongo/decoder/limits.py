"""What a child process may take of the machine, if the system has :mod:`resource`."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from contextlib import suppress

CPU_SECONDS = 3
"""of the CPU, for each job"""
MAX_MEMORY = 1024**3
"""bytes of address space"""
_NICENESS = 5  # requests of other clients come first


def start() -> None:
    """Set the limits that are the same for all jobs."""
    if sys.platform == "win32":
        return
    import resource

    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a server's threads may block signals
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    os.nice(_NICENESS)
    for kind, most in ((resource.RLIMIT_AS, MAX_MEMORY), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(OSError, ValueError):  # macOS does not limit the address space
            resource.setrlimit(kind, (most, most))


def share_cpu() -> None:
    """Grant a job its share of the CPU; beyond it the process is killed by SIGXCPU."""
    if sys.platform == "win32":
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + CPU_SECONDS, hard))


def allow_memory(size: int | None) -> None:
    """Let the process take so many bytes more than it has now; None: all that it may ever have."""
    if not sys.platform.startswith("linux"):
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if size is not None:
        with open("/proc/self/statm") as pages:
            size += int(pages.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (hard if size is None else min(size, hard), hard))
