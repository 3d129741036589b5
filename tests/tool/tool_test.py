"""What the tests of the tool share. Each test is a script with two arguments: the tool, and a program with heaps."""

import fcntl
import json
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import unittest

FILZ, HEAPS = (os.path.abspath(path) for path in sys.argv[1:3])
TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../c/tool")
PAGE = mmap.PAGESIZE
PATIENCE = 3600  # seconds, as in tests/c/support/children.h
PLAIN = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
F_OFD_SETLK = 37  # which Python's fcntl has since 3.9, on some systems

# What the tool says of a heap that isn't in use, where it can know that: see c/tool/lock.c.
SEES_ALL_LOCKS = os.stat("/proc/self/ns/pid").st_ino == 0xEFFFFFFC
NOT_IN_USE = False if SEES_ALL_LOCKS else None
UNKNOWN = "unknown: in use, or not closed in order; its lock can't be seen from here"
NOT_CLOSED = "not closed in order, as after a kill or a crash" if SEES_ALL_LOCKS else UNKNOWN


def rounds_of(full):
    """As in tests/c/support/basics.h."""
    return max(1, full * int(os.environ.get("FILZ_TEST_PERCENT", "10")) // 100)


def run(*command, env=PLAIN, text=True, **options):
    """Captures the output: as a text, or with text=False as bytes."""
    return subprocess.run(command, capture_output=True, text=text, errors="surrogateescape" if text else None, env=env,
                          timeout=PATIENCE, **options)


def filz(*arguments, **options):
    return run(FILZ, *arguments, **options)


def lock_byte(file, kind, byte=0):
    """Of the open file description: see fcntl(2)."""
    fcntl.fcntl(file, F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0))


def descriptor_path(process, name):
    """The path in /proc of the file that the process has open by this part of its name."""
    paths = [f"/proc/{process.pid}/fd/{fd}" for fd in os.listdir(f"/proc/{process.pid}/fd")]
    return next(path for path in paths if name in os.readlink(path))


class Program:
    """A program with a heap. It goes on until its standard input ends."""

    def __init__(self, *arguments, env=PLAIN, before=()):
        self.process = subprocess.Popen([*before, HEAPS, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=env)
        if self.process.stdout.readline() != b"ready\n":
            self.end()
            raise AssertionError("no heap")

    def end(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.end()


class Living(Program):
    """A program built of heaps.c, in a `with` statement, which returns its process."""

    def __init__(self, what, path="heap.filz", **options):
        super().__init__(what, path, **options)

    def __enter__(self):
        return self.process

    def __exit__(self, *error):
        self.end()


class InFreshDirectory(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="filz-test-")
        self.addCleanup(directory.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        self.directory = os.path.realpath(directory.name)
        os.chdir(self.directory)

    def make(self, what="fill", path="heap.filz", status=0):
        self.assertEqual(run(HEAPS, what, path).returncode, status)
        return path

    def inspect(self, path="heap.filz"):
        result = filz("inspect", "--json", path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return json.loads(result.stdout)

    def assert_report(self, result, message, status=1):
        self.assertEqual((result.returncode, result.stderr), (status, message + "\n"))


def main():
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
