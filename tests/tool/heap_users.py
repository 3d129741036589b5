"""What `filz inspect` reports of the processes that have a heap open, and where it can't see them.

    heap_users.py FILZ HEAPS       the tool, and the program built of heaps.c"""

import contextlib
import fcntl
import json
import os
import re
import signal
import struct
import subprocess

from heap_format import CLEAN, PID
from tool_test import (FILZ, PLAIN, SEES_ALL_LOCKS, UNKNOWN, InFreshDirectory, Living, filz, lock_byte, main, run)

NOBODY = {"writer": "none", "readers": 0, "private_copies": 0, "pids": [], "complete": SEES_ALL_LOCKS}


class Users(InFreshDirectory):
    """Who has a heap open, and how."""

    def setUp(self):
        super().setUp()
        self.make()

    def assert_open_by(self, text=None, **members):
        """`text`, if that has the processes in one order only."""
        expected = NOBODY | members
        heap = self.inspect()
        self.assertEqual(sorted(heap["open_by"].pop("pids")), sorted(expected.pop("pids")))
        self.assertEqual(heap["open_by"], expected)
        if text is not None:
            seen = "" if expected["complete"] else ", as far as can be seen from here"
            self.assertIn(f"  open by    {text}{seen}\n", filz("inspect", "heap.filz").stdout)
        return heap

    def state(self):
        return re.search("  state      (.*)\n", filz("inspect", "heap.filz").stdout)[1]

    def open(self, mode=fcntl.LOCK_SH):
        file = open("heap.filz", "r+b")
        self.addCleanup(file.close)
        fcntl.flock(file, mode | fcntl.LOCK_NB)
        return file

    def test_nobody(self):
        self.assertIs(self.assert_open_by("nobody")["in_use"], False)

    def test_a_writer(self):
        with Living("wait"):
            self.assertIs(self.assert_open_by("a writer", writer="exclusive", complete=True)["in_use"], True)
            self.assertEqual(self.state(), "in use")

    def test_readers_with_their_processes(self):
        with Living("read") as first, contextlib.ExitStack() as readers:
            heap = self.assert_open_by(f"1 reader (process {first.pid})", readers=1, pids=[first.pid])
            self.assertIs(heap["in_use"], True)
            self.assertEqual(self.state(), "closed in order")
            self.assertIn(", closed\n", filz("map", "heap.filz").stdout)
            pids = [first.pid, readers.enter_context(Living("read")).pid]
            text = filz("inspect", "heap.filz").stdout
            self.assertEqual(sorted(map(int, re.search(r" 2 readers \(processes (\d+), (\d+)\)", text).groups())),
                             sorted(pids))
            pids += [readers.enter_context(Living("read")).pid for _ in range(5)]
            self.assertRegex(filz("inspect", "heap.filz").stdout, r" 7 readers \(processes (\d+, ){5}\.\.\.\)")
            self.assertEqual(sorted(self.inspect()["open_by"]["pids"]), sorted(pids))

    def test_very_many_readers(self):
        for _ in range(100):
            self.open()
        for _ in range(100):  # where other locks come and go meanwhile, it may miss some
            heap = self.inspect()["open_by"]
            if heap["readers"] == 100:
                break
        self.assertEqual((heap["readers"], heap["pids"]), (100, 16 * [os.getpid()]))

    def test_a_heap_that_was_killed_and_is_read_is_not_in_use_by_a_writer(self):
        os.unlink("heap.filz")
        self.make("kill-itself", status=-signal.SIGKILL)
        with Living("read-untagged") as process:
            heap = self.assert_open_by(f"1 reader (process {process.pid})", readers=1, pids=[process.pid])
            self.assertEqual((heap["clean"], heap["in_use"]), (False, True))
            self.assertEqual(self.state(), "not closed in order, as after a kill or a crash")
            self.assertIn(", only read, never closed\n", filz("map", "heap.filz").stdout)

    def test_a_shared_writer(self):
        with Living("wait-shared") as writer:
            self.assertIs(self.assert_open_by("a writer that lets readers in", writer="shared")["in_use"], True)
            self.assertEqual(self.state(), "in use")
            with Living("read") as first, Living("read") as second:
                heap = self.assert_open_by(writer="shared", readers=2, pids=[first.pid, second.pid])
                self.assertEqual(heap["pid"], writer.pid)
                self.assertRegex(filz("inspect", "heap.filz").stdout,
                                 r"open by    a writer that lets readers in, 2 readers \(processes \d+, \d+\)")
                writer.kill()
                writer.wait()
                self.assertEqual(self.assert_open_by(readers=2, pids=[first.pid, second.pid])["clean"], False)

    def test_readers_beside_an_unknown_writer_are_only_counted(self):
        with Living("wait-shared"), Living("read"):
            with open("heap.filz", "r+b") as file:
                file.seek(PID)
                file.write(struct.pack("=I", 0))
            self.assert_open_by("a writer that lets readers in, 1 reader", writer="shared", readers=1)

    def test_a_private_copy_of_a_heap_that_had_a_shared_writer(self):
        with Living("wait-shared"):
            pass
        with Living("copy") as copy:
            self.assert_open_by(f"1 private copy (process {copy.pid})", private_copies=1, pids=[copy.pid])
            with Living("read") as reader:
                self.assert_open_by(readers=1, private_copies=1, pids=[copy.pid, reader.pid])
                self.assertRegex(filz("inspect", "heap.filz").stdout, r"open by    1 reader, 1 private copy \(processes ")

    def test_a_private_copy_of_a_heap_without_a_shared_writer_counts_as_a_reader(self):
        with Living("copy") as process:
            self.assert_open_by(f"1 reader (process {process.pid})", readers=1, pids=[process.pid])

    def test_a_writer_is_recognized_by_its_lock_of_the_first_byte_alone(self):
        """As from another PID namespace, where flock(2) isn't listed."""
        writer = self.open(fcntl.LOCK_UN)
        lock_byte(writer, fcntl.F_WRLCK)
        self.assertIs(self.assert_open_by("a writer", writer="unknown")["in_use"], True)

    def test_a_lock_of_another_byte_is_not_a_user(self):
        file = self.open(fcntl.LOCK_UN)
        lock_byte(file, fcntl.F_WRLCK, 1)
        self.assert_open_by("nobody")

    def test_a_writer_that_publishes_its_heap_is_not_a_reader(self):
        """It lets readers in before the heap is closed in order."""
        with open("heap.filz", "r+b") as file:
            for offset, number in (CLEAN, 0), (PID, os.getpid()):
                file.seek(offset)
                file.write(struct.pack("=I", number))
        self.open()
        self.assertEqual(self.state(), "in use")

    def test_inspect_takes_no_lock_of_the_first_byte(self):
        """As a writer sees it that lets readers in."""
        with open("heap.filz", "r+b") as file:
            process = subprocess.Popen(["sh", "-c", 'for i in $(seq 50); do "$0" inspect heap.filz; done', FILZ],
                                       stdout=subprocess.DEVNULL, env=PLAIN)
            while process.poll() is None:
                lock_byte(file, fcntl.F_WRLCK)
                lock_byte(file, fcntl.F_UNLCK)


def can(*command):
    """Whether the command, which is a harmless one, can be run here."""
    try:
        return run(*command).returncode == 0
    except FileNotFoundError:
        return False


class Unknown(InFreshDirectory):
    """Where the lock of a heap in use can't be seen, nothing is said of it."""

    ELSEWHERE = ("unshare", "--pid", "--fork", "--mount-proc")

    def need(self, *command):
        if not can(*command):
            self.skipTest("it needs root, and can't be done here: " + " ".join(command))

    def assert_unknown(self, *before, path="heap.filz"):
        result = run(*before, FILZ, "inspect", "--json", path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        heap = json.loads(result.stdout)
        self.assertEqual((heap["in_use"], heap["open_by"]), (None, None))
        self.assertIn(f"  state      {UNKNOWN}\n  open by    unknown\n", run(*before, FILZ, "inspect", path).stdout)
        self.assertIn(", in use or never closed\n", run(*before, FILZ, "map", path).stdout)
        self.assertEqual(run(*before, FILZ, "check", path).returncode, 0)

    def test_from_another_PID_namespace_a_heap_may_be_in_use_unless_it_was_closed(self):
        self.need(*self.ELSEWHERE, "true")
        with Living("wait"):
            self.assert_unknown(*self.ELSEWHERE)
        self.assertIn("  state      closed in order\n  open by    nobody, as far as can be seen from here\n",
                      run(*self.ELSEWHERE, FILZ, "inspect", "heap.filz").stdout)
        self.make("kill-itself", "killed.filz", status=-signal.SIGKILL)
        self.assert_unknown(*self.ELSEWHERE, path="killed.filz")

    def test_a_heap_in_use_in_a_child_PID_namespace_is_in_use(self):
        self.need(*self.ELSEWHERE, "true")
        with Living("wait", before=self.ELSEWHERE):
            heap = self.inspect()
            self.assertEqual((heap["in_use"], heap["pid"]), (True, 1))

    def test_without_the_list_of_locks_a_heap_may_be_in_use(self):
        for script in ('mount --bind /dev/null /proc/locks && exec "$0" "$@"',
                       'mount -t proc -o subset=pid proc /proc && exec "$0" "$@"'):
            without = "unshare", "--mount", "sh", "-c", script
            with self.subTest(script):
                self.need(*without, "true")
                with Living("wait"):
                    self.assert_unknown(*without)

    def test_a_file_that_is_in_use_under_another_name_may_be_in_use(self):
        """As what a container has open is, in the directory of its upper layer."""
        for name in "lower", "upper", "work", "merged":
            os.mkdir(name)
        mount = "mount", "-t", "overlay", "overlay", "-o", "lowerdir=lower,upperdir=upper,workdir=work", "merged"
        self.need(*mount)
        try:
            with Living("wait", "merged/heap.filz"):
                self.assertTrue(self.inspect("merged/heap.filz")["in_use"])
                self.assert_unknown(path="upper/heap.filz")
        finally:
            run("umount", "merged")


if __name__ == "__main__":
    main()
