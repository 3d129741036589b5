"""A limit on the memory of a process, file pages included: a control group, of whichever version the system has."""

import contextlib
import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def place():
    """The directory that groups are made in, and the name of the limit's file."""
    if (ROOT / "memory").is_dir():
        return ROOT / "memory", "memory.limit_in_bytes"
    if "memory" in (ROOT / "cgroup.subtree_control").read_text():
        return ROOT, "memory.max"
    raise OSError("no memory controller")


@contextlib.contextmanager
def group(size):
    """Gives the file of the group to which a process's number is written, so that it enters."""
    parent, name = place()
    made = parent / f"filz-bench-{os.getpid()}"
    made.mkdir()
    try:
        (made / name).write_text(str(size))
        yield made / "cgroup.procs"
    finally:
        made.rmdir()


@contextlib.contextmanager
def limit(size):
    """Gives a function that a child process calls to enter the group."""
    with group(size) as processes:
        yield lambda: processes.write_text(str(os.getpid()))
