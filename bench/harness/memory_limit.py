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
def limit(size):
    """Gives a function that a child process calls to enter the group."""
    parent, name = place()
    group = parent / f"filz-bench-{os.getpid()}"
    group.mkdir()
    try:
        (group / name).write_text(str(size))
        yield lambda: (group / "cgroup.procs").write_text(str(os.getpid()))
    finally:
        group.rmdir()
