"""The tool's commands `inspect`, `check` and `run`, and how it takes wrong use: the real program, with heap files of
programs that have ended, were killed, or run, and with damaged ones.

    commands.py FILZ HEAPS       the tool, and the program built of heaps.c"""

import contextlib
import fcntl
import json
import mmap
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

FILZ, HEAPS = (os.path.abspath(path) for path in sys.argv[1:3])
TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../c/tool")
PAGE = mmap.PAGESIZE
PATIENCE = 3600  # seconds, as in tests/c/support/children.h
PLAIN = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}

# Offsets in the header, in a checkpoint and in a chunk; see c/format.h.
MAGIC, FORMAT, WORD_SIZE, PERSISTENT, CLEAN, PAGE_SIZE, BASE, TAG, CHECKSUM = 0, 8, 12, 16, 20, 24, 32, 40, 48
CAPACITY, CURSOR, LAST, ROOT, THREADS, TAILS, ID, GENERATION, PID, PROGRAM = 56, 64, 72, 80, 88, 96, 104, 112, 116, 120
CHECKPOINTS = 184, 224
HEADER_SIZE = 264
SEQUENCE, CHECKPOINT_CURSOR, CHECKPOINT_LAST, CHECKPOINT_ROOT, CHECKPOINT_CHECKSUM = 0, 8, 16, 24, 32
OFFSET, SIZE, FILL, BLOCKS, FRESH, NEXT_TAIL, OWNER, STATE, CHUNK_GENERATION = 0, 8, 16, 24, 32, 40, 48, 52, 56
TAIL = 1

# What the tool says of a heap that isn't in use, where it can know that: see c/tool/lock.c.
SEES_ALL_LOCKS = os.stat("/proc/self/ns/pid").st_ino == 0xEFFFFFFC
NOT_IN_USE = False if SEES_ALL_LOCKS else None
UNKNOWN = "unknown: in use, or not closed in order; its lock can't be seen from here"
NOT_CLOSED = "not closed in order, as after a kill or a crash" if SEES_ALL_LOCKS else UNKNOWN


def rounds_of(full):
    """As in tests/c/support/basics.h."""
    return max(1, full * int(os.environ.get("FILZ_TEST_PERCENT", "10")) // 100)


def run(*command, env=PLAIN, **options):
    return subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", env=env, timeout=PATIENCE,
                          **options)


def filz(*arguments, **options):
    return run(FILZ, *arguments, **options)


def get(data, offset, kind="Q"):
    return struct.unpack_from("=" + kind, data, offset)[0]


def put(data, offset, number, kind="Q"):
    struct.pack_into("=" + kind, data, offset, number % 2 ** (8 * struct.calcsize(kind)))


def fnv_1a(numbers):
    checksum = 0xCBF29CE484222325
    for number in numbers:
        checksum = (checksum ^ number) * 0x100000001B3 % 2**64
    return checksum


def put_checksum(data):
    """Of what never changes."""
    fields = (FORMAT, "I"), (WORD_SIZE, "I"), (PAGE_SIZE, "Q"), (BASE, "Q"), (TAG, "Q")
    put(data, CHECKSUM, fnv_1a(get(data, offset, kind) for offset, kind in fields))


def put_checkpoint(data, at, *numbers):
    """Its sequence, cursor, last chunk and root."""
    struct.pack_into("=5Q", data, at, *numbers, fnv_1a(numbers))


def can(*command):
    """Whether the command, which is a harmless one, can be run here."""
    try:
        return run(*command).returncode == 0
    except FileNotFoundError:
        return False


class InFreshDirectory(unittest.TestCase):
    def setUp(self):
        self.before = os.getcwd()
        self.directory = os.path.realpath(tempfile.mkdtemp(prefix="filz-test-"))
        os.chdir(self.directory)

    def tearDown(self):
        os.chdir(self.before)
        shutil.rmtree(self.directory)

    def make(self, what="fill", path="heap.filz", status=0):
        self.assertEqual(run(HEAPS, what, path).returncode, status)
        return path

    def inspect(self, path="heap.filz"):
        result = filz("inspect", "--json", path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return json.loads(result.stdout)

    def assert_report(self, result, message, status=1):
        self.assertEqual((result.returncode, result.stderr), (status, message + "\n"))


class Living:
    """A program that goes on until its standard input ends."""

    def __init__(self, what, path="heap.filz", env=PLAIN, before=()):
        self.process = subprocess.Popen([*before, HEAPS, what, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=env)

    def __enter__(self):
        assert self.process.stdout.readline() == b"ready\n"
        return self.process

    def __exit__(self, *error):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


F_OFD_SETLK = 37  # which Python's fcntl has since 3.9, on some systems
NOBODY = {"writer": "none", "readers": 0, "private_copies": 0, "pids": [], "complete": SEES_ALL_LOCKS}


def lock_first_byte(file, kind):
    """Of the open file description: see fcntl(2)."""
    fcntl.fcntl(file, F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 1, 0))


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

    def test_a_writer_that_lets_readers_in(self):
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

    def test_of_a_writer_that_is_not_known_the_readers_are_only_counted(self):
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

    def test_a_private_copy_of_another_counts_as_a_reader(self):
        with Living("copy") as process:
            self.assert_open_by(f"1 reader (process {process.pid})", readers=1, pids=[process.pid])

    def test_a_writer_in_use_that_only_its_lock_of_the_first_byte_shows(self):
        """As from another PID namespace, where flock(2) isn't listed."""
        writer = self.open(fcntl.LOCK_UN)
        lock_first_byte(writer, fcntl.F_WRLCK)
        self.assertIs(self.assert_open_by("a writer", writer="unknown")["in_use"], True)

    def test_a_lock_of_another_byte_is_nobody_s(self):
        file = self.open(fcntl.LOCK_UN)
        fcntl.fcntl(file, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 1, 1, 0))
        self.assert_open_by("nobody")

    def test_a_writer_that_publishes_its_heap_is_no_reader(self):
        """It lets readers in before the heap is closed in order."""
        with open("heap.filz", "r+b") as file:
            for offset, number in (CLEAN, 0), (PID, os.getpid()):
                file.seek(offset)
                file.write(struct.pack("=I", number))
        self.open()
        self.assertEqual(self.state(), "in use")

    def test_looking_takes_no_lock_of_the_first_byte(self):
        """As a writer sees it that lets readers in."""
        with open("heap.filz", "r+b") as file:
            process = subprocess.Popen(["sh", "-c", 'for i in $(seq 50); do "$0" inspect heap.filz; done', FILZ],
                                       stdout=subprocess.DEVNULL, env=PLAIN)
            while process.poll() is None:
                lock_first_byte(file, fcntl.F_WRLCK)
                lock_first_byte(file, fcntl.F_UNLCK)


class Inspect(InFreshDirectory):
    def test_it_says_what_a_closed_heap_is(self):
        self.make()
        heap = self.inspect()
        size = os.stat("heap.filz").st_size
        expected = {
            "path": "heap.filz", "format": 2, "initialized": True, "in_use": False, "clean": True, "persistent": True,
            "program": "tool-heaps", "tag": "0x7", "word_size": struct.calcsize("P"), "page_size": PAGE,
            "checkpoint": {"sequence": 1, "cursor": PAGE, "root": None}, "falls_back": False,
            "committed": size, "blocks": 1001, "threads": 1, "damage": None,
        }
        self.assertEqual({name: heap[name] for name in expected}, expected)
        self.assertEqual(heap["root"]["offset"], PAGE + 64)
        self.assertEqual(int(heap["root"]["address"], 16), int(heap["base"], 16) + heap["root"]["offset"])
        self.assertGreaterEqual(heap["used"], 1000 * 100 + (1 << 20) + PAGE)
        self.assertLessEqual(heap["used"], heap["in_chunks"])
        self.assertLessEqual(heap["in_chunks"], heap["committed"])
        self.assertLessEqual(heap["committed"], heap["capacity"])
        self.assertEqual(heap["on_disk"], os.stat("heap.filz").st_blocks * 512)
        self.assertGreater(heap["in_ram"], 0)

    def test_it_says_what_the_last_sync_has_left(self):
        self.make("sync")
        heap = self.inspect()
        self.assertEqual(heap["checkpoint"]["root"], heap["root"])
        self.assertEqual(heap["checkpoint"]["sequence"], 2)
        self.assertTrue(PAGE < heap["checkpoint"]["cursor"] < heap["in_chunks"])
        line = (f"  checkpoint number 2, of the first {heap['checkpoint']['cursor']:,} bytes; "
                f"root {heap['root']['address']}, at offset {PAGE + 64:,}\n")
        self.assertIn(line, filz("inspect", "heap.filz").stdout)
        self.make("anywhere", path="other.filz")
        self.assertIsNone(self.inspect("other.filz")["checkpoint"])
        self.assertIn("  checkpoint none\n", filz("inspect", "other.filz").stdout)

    def test_the_members_of_its_JSON_are_those_in_the_manual(self):
        self.make()
        names = list(self.inspect())
        with open(os.path.join(TOOL, "filz.1")) as manual:
            lines = manual.read().split(".Sh JSON\n")[1].split(".Sh ")[0].splitlines()
        self.assertEqual(names, [line[len(".It Cm "):] for line in lines if line.startswith(".It Cm ")])

    def test_its_JSON_is_what_python_takes_for_it(self):
        self.make()
        text = filz("inspect", "--json", "heap.filz").stdout
        result = run(sys.executable, "-m", "json.tool", input=text)
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_it_shows_people_the_same_in_columns(self):
        self.make()
        heap = self.inspect()
        result = filz("inspect", "heap.filz")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        lines = result.stdout.splitlines()
        self.assertEqual(lines[0], "heap.filz: heap of filz, format 2")
        for line in (f"  program    tool-heaps, process {heap['pid']}", "  state      closed in order",
                     "  persistent yes: the next run goes on in it", "  tag        0x7",
                     f"  root       {heap['root']['address']}, at offset {PAGE + 64:,}",
                     f"  blocks     {1001:>10,}", f"  pages      {heap['pages']['total']:>10,} of {PAGE:,} bytes"):
            self.assertIn(line, lines)
        sizes = [line for line in lines if " bytes" in line and "pages" not in line and "checkpoint" not in line]
        self.assertEqual(len({line.index(" bytes") for line in sizes}), 1)
        self.assertTrue(any(f" {heap['used']:,} bytes" in line for line in sizes))

    def test_a_heap_that_was_killed_is_not_closed_in_order(self):
        self.make("kill-itself", status=-signal.SIGKILL)
        heap = self.inspect()
        self.assertEqual((heap["clean"], heap["in_use"], heap["blocks"]), (False, NOT_IN_USE, 1001))
        self.assertIn(f"  state      {NOT_CLOSED}\n", filz("inspect", "heap.filz").stdout)

    def test_a_heap_in_use_is_said_to_be_so_with_its_process(self):
        with Living("wait") as process:
            heap = self.inspect()
            self.assertEqual((heap["in_use"], heap["clean"], heap["pid"]), (True, False, process.pid))
            self.assertIn("  state      in use\n", filz("inspect", "heap.filz").stdout)
        self.assertIs(self.inspect()["in_use"], False)

    def test_it_finds_the_heap_of_a_process_in_a_file_without_a_name(self):
        def find(process, name):
            paths = [f"/proc/{process.pid}/fd/{fd}" for fd in os.listdir(f"/proc/{process.pid}/fd")]
            return next(path for path in paths if name in os.readlink(path))

        with Living("wait", "heap.filz") as process:
            os.unlink("heap.filz")
            heap = self.inspect(find(process, "heap.filz"))
            self.assertEqual((heap["blocks"], heap["in_use"]), (1001, True))
        for parent in self.directory, "/proc":  # in a directory; in memory, where no file can be made
            with Living("wait-anywhere", "", env=PLAIN | {"TMPDIR": parent}) as process:
                path = find(process, self.directory if parent == self.directory else "#")
                heap = self.inspect(path)
                self.assertEqual((heap["blocks"], heap["in_use"], heap["pid"]), (1001, True, process.pid))
                self.assertIn(b", in use\n", subprocess.run([FILZ, "map", path], capture_output=True).stdout)

    def test_looking_keeps_no_program_from_opening_its_heap(self):
        with Living("reopen") as process:
            for _ in range(rounds_of(2000)):
                self.assertIn(filz("inspect", "heap.filz").returncode, (0, 1))
                self.assertIsNone(process.poll())
        self.assertEqual(process.returncode, 0)

    def test_the_lock_of_a_heap_is_free_while_it_looks(self):
        """As a program sees it that wants the lock all the time."""
        self.make()
        with open("heap.filz") as file:
            process = subprocess.Popen(["sh", "-c", 'for i in $(seq 50); do "$0" inspect heap.filz; done', FILZ],
                                       stdout=subprocess.DEVNULL, env=PLAIN)
            while process.poll() is None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.flock(file, fcntl.LOCK_UN)

    def watch_closely(self, what, rounds):
        with Living(what) as process:
            for _ in range(rounds):
                heap = self.inspect()
                pages = heap["pages"]
                self.assertTrue(heap["in_use"])
                self.assertEqual(heap["pid"], process.pid)
                self.assertLessEqual(heap["used"], heap["in_chunks"])
                self.assertLessEqual(heap["in_chunks"], heap["committed"])
                self.assertEqual((pages["used"] + pages["tail"]) * PAGE, heap["in_chunks"])
                self.assertEqual(pages["used"] + pages["tail"] + pages["free"], pages["total"])
                self.assertGreaterEqual(heap["used"], heap["blocks"] + PAGE)
                result = filz("check", "heap.filz")
                self.assertEqual((result.returncode, result.stderr), (0, ""))
        print(f"{what}: inspected and checked {rounds:,} times while it ran")

    def test_it_is_right_while_blocks_grow_and_shrink_and_are_reset(self):
        self.watch_closely("churn", rounds_of(1000))

    def test_it_is_right_while_the_heap_is_synced_and_reset(self):
        self.watch_closely("sync-often", rounds_of(1000))

    def test_it_is_right_while_the_heap_s_end_moves_all_the_time(self):
        self.watch_closely("shake", rounds_of(1000))

    def test_it_is_right_while_threads_fill_a_heap(self):
        self.watch_closely("crowd", rounds_of(1000))

    def test_a_name_of_any_bytes_is_legible_and_its_JSON_valid(self):
        self.make()
        with open("heap.filz", "r+b") as file:
            file.seek(PROGRAM)
            file.write(b"\x1b[31m\xff\n\"\xc3\xa9" + bytes(55))
        self.assertEqual(self.inspect()["program"], "?[31m??\"é")
        result = filz("inspect", "--json", "heap.filz", env=PLAIN | {"LC_ALL": "C"})
        self.assertEqual(json.loads(result.stdout)["program"], "?[31m??\"é")
        self.assertIn("  program    ?[31m??\"é, process", filz("inspect", "heap.filz").stdout)
        os.rename("heap.filz", b"h\xff\x1beap.filz")
        result = filz("inspect", b"h\xff\x1beap.filz")
        self.assertTrue(result.stdout.startswith("h??eap.filz: heap"))
        self.assertEqual(self.inspect(b"h\xff\x1beap.filz")["path"], "h??eap.filz")

    def test_a_heap_that_was_not_initialized_is_empty(self):
        for bytes_of_it in (b"filzheap", b"filzheap" + bytes(PAGE)):
            with open("heap.filz", "wb") as file:
                file.write(bytes_of_it)
            heap = self.inspect()
            self.assertEqual((heap["initialized"], heap["committed"], heap["blocks"]), (False, len(bytes_of_it), 0))
            ended = "ended before it initialized it" if SEES_ALL_LOCKS else "hasn't initialized it yet, or ended before"
            self.assertIn(f"its program {ended}.", filz("inspect", "heap.filz").stdout)
            self.assertEqual(filz("check", "heap.filz").stdout, "heap.filz: headers undamaged: 0 chunks with 0 blocks, "
                             "whose contents have no checksums\n")

    def test_a_full_disk_is_an_error(self):
        self.make()
        for arguments in (("inspect", "heap.filz"), ("inspect", "--json", "heap.filz"), ("--help",), ("map", "--help")):
            with open("/dev/full", "w") as full:
                result = subprocess.run([FILZ, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, env=PLAIN)
            self.assert_report(result, "filz: standard output: no disk space is left")

    def test_a_sparse_file_of_terabytes_takes_no_time(self):
        self.make()
        os.truncate("heap.filz", 8 << 40)
        heap = self.inspect()
        self.assertEqual((heap["committed"], heap["blocks"]), (8 << 40, 1001))


class NotAHeap(InFreshDirectory):
    def assert_refused(self, path, why):
        for command in (("inspect",), ("inspect", "--json"), ("check",), ("map",)):
            result = filz(*command, path)
            self.assert_report(result, f"filz: {path}: {why}")
            self.assertEqual(result.stdout, "")

    def test_it_says_what_a_file_is_that_is_no_heap(self):
        os.mkfifo("fifo")
        os.mkdir("directory")
        open("empty", "w").close()
        with open("text", "w") as file:
            file.write("hello, world\n" * 1000)
        self.assert_refused("nothing", "no such file or directory")
        for path in ("text", "empty"):
            self.assert_refused(path, "the file isn't a heap of filz, or has none in it yet; it is left as it is")
        for path in ("fifo", "directory", "/dev/null"):
            self.assert_refused(path, "it isn't a regular file")

    def test_it_says_if_it_may_not_read_a_file(self):
        if os.geteuid() == 0:
            self.skipTest("root may read every file")
        self.make()
        os.chmod("heap.filz", 0)
        self.assert_refused("heap.filz", "permission denied")


@unittest.skipUnless(struct.calcsize("P") == 8, "the offsets are those of a 64-bit machine")
class Changed(InFreshDirectory):
    """Bytes of a heap file are changed: what `check` and `inspect` say then, and of which offset."""

    WHAT, STATUS, BLOCKS = "chunks", 0, 204

    def setUp(self):
        super().setUp()
        self.make(self.WHAT, "whole.filz", self.STATUS)
        with open("whole.filz", "rb") as file:
            self.data = bytearray(file.read())
        self.base, self.cursor, self.last = (get(self.data, offset) for offset in (BASE, CURSOR, LAST))
        self.second = PAGE + get(self.data, PAGE + SIZE)

    def write(self, *changes, checksum=False, length=None, data=None):
        data = bytearray(self.data if data is None else data)
        for offset, number, kind in changes:
            put(data, offset, number, kind)
        if checksum:
            put_checksum(data)
        with open("heap.filz", "wb") as file:
            file.write(data[:length])

    def assert_refused(self, offset, what):
        """There is nothing to show."""
        for command in (("inspect",), ("inspect", "--json"), ("check",), ("map",)):
            result = filz(*command, "heap.filz")
            self.assert_report(result, f"filz: heap.filz: offset {offset}: {what}")
            self.assertEqual(result.stdout, "")

    def assert_broken_at(self, offset, what, chunks):
        """`inspect` shows what is before it."""
        result = filz("check", "heap.filz")
        self.assert_report(result, f"filz: heap.filz: offset {offset}: {what}")
        result = filz("inspect", "--json", "heap.filz")
        self.assert_report(result, f"filz: heap.filz: offset {offset}: {what}")
        heap = json.loads(result.stdout)
        self.assertEqual(heap["damage"], {"offset": offset, "what": what})
        self.assertEqual(heap["chunks"], chunks)
        self.assertEqual(filz("inspect", "heap.filz").returncode, 1)

    def assert_checked(self, offset, what):
        """The walk isn't hindered by it, so only `check` minds."""
        self.assert_report(filz("check", "heap.filz"), f"filz: heap.filz: offset {offset}: {what}")
        self.inspect()

    def assert_damaged(self, offset, what):
        """No open would take it, but all of it can be shown."""
        message = f"filz: heap.filz: offset {offset}: {what}"
        self.assert_report(filz("check", "heap.filz"), message)
        result = filz("inspect", "--json", "heap.filz")
        self.assert_report(result, message)
        heap = json.loads(result.stdout)
        self.assertEqual((heap["damage"], heap["blocks"]), ({"offset": offset, "what": what}, self.BLOCKS))
        return heap

    def test_any_changed_bytes_give_a_message_or_the_truth(self):
        random.seed(1)
        rounds = rounds_of(2000)
        for _ in range(rounds):
            places = [random.choice((random.randrange(HEADER_SIZE), PAGE + random.randrange(64),
                                     self.second + random.randrange(64), self.last + random.randrange(64)))
                      for _ in range(random.randrange(1, 4))]
            self.write(*((place, random.choice((0, 1, 127, 128, 255)), "B") for place in places))
            statuses = [filz(command, "heap.filz").returncode for command in ("inspect", "check")]
            self.assertTrue(set(statuses) <= {0, 1}, (places, statuses))
            self.assertLessEqual(*statuses)
        print(f"inspected and checked {rounds:,} damaged files")


class Damaged(Changed):
    def test_the_whole_heap_is_undamaged(self):
        result = filz("check", "whole.filz")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"^whole.filz: headers undamaged: \d+ chunks with 204 blocks, whose "
                                        r"contents have no checksums\n$")

    def test_a_header_of_another_kind(self):
        self.write((FORMAT, 1, "I"))
        self.assert_refused(FORMAT, "another heap format: 1")
        self.write((WORD_SIZE, 4, "I"))
        self.assert_refused(WORD_SIZE, "another word size or byte order: 4")
        self.write((PAGE_SIZE, 4 * PAGE, "Q"), checksum=True)
        self.assert_refused(PAGE_SIZE, f"another page size: {4 * PAGE}")

    def test_a_damaged_header(self):
        for offset, number in ((BASE, self.base ^ PAGE), (TAG, 8), (PAGE_SIZE, 0), (CHECKSUM, 0)):
            self.write((offset, number, "Q"))
            self.assert_refused(CHECKSUM, "the header's checksum is wrong")
        self.write((BASE, self.base + 1, "Q"), checksum=True)
        self.assert_refused(BASE, "the base isn't the address of a page")
        for capacity in (PAGE - 1, 2**64 - PAGE, 2**63):
            self.write((CAPACITY, capacity, "Q"))
            self.assert_refused(CAPACITY, "the capacity is invalid")
        for cursor in (1, PAGE + 1, 2**64 - PAGE):
            self.write((CURSOR, cursor, "Q"))
            self.assert_refused(CURSOR, "the cursor is invalid")
        self.write((PERSISTENT, 3, "I"))
        self.assert_refused(PERSISTENT, "neither 0, 1 nor 2")
        self.write((CLEAN, 2, "I"))
        self.assert_refused(CLEAN, "neither 0 nor 1")

    def test_a_file_that_was_truncated(self):
        for length in (self.cursor - 1, self.second, PAGE):
            self.write(length=length)
            self.assert_refused(length, "the file ends before its heap does")

    def test_a_root_outside_the_heap(self):
        for root in (self.base + self.cursor, self.base - 1, 1):
            self.write((ROOT, root, "Q"))
            self.assertIsNone(self.assert_damaged(ROOT, "the root isn't in a chunk")["root"]["offset"])
            self.assertIn(f"  root       {root:#x}, outside the heap\n", filz("inspect", "heap.filz").stdout)

    def test_a_last_chunk_that_is_another(self):
        self.write((LAST, PAGE, "Q"))
        self.assert_damaged(LAST, "this isn't the last chunk")
        self.write((LAST, PAGE, "Q"), (CLEAN, 0, "I"))
        self.assert_checked(LAST, f"the last chunk isn't at {PAGE}, but at {self.last}")

    def test_a_chunk_of_an_impossible_size(self):
        for size in (0, 64, PAGE - 1, PAGE + 64, 2**64 - PAGE):
            self.write((self.second + SIZE, size, "Q"))
            self.assert_broken_at(self.second, "the chunk's size is invalid", 1)

    def test_a_chunk_that_ends_within_another(self):
        self.write((PAGE + SIZE, self.second, "Q"))
        self.assert_broken_at(self.second + PAGE, "no chunk begins here", 1)

    def test_a_chunk_whose_header_is_zero(self):
        data = bytearray(self.data)
        data[self.second:self.second + 64] = bytes(64)
        self.write(data=data)
        self.assert_broken_at(self.second, "no chunk begins here", 1)

    def test_a_chunk_from_before_a_reset(self):
        self.write((self.second + CHUNK_GENERATION, get(self.data, GENERATION, "I") - 1, "I"))
        self.assert_broken_at(self.second, "this chunk is from before a reset", 1)

    def test_a_chunk_with_more_left_than_it_has(self):
        size = self.second - PAGE
        self.write((PAGE + FILL, 2**64 - 1 - size, "Q"))
        self.assert_broken_at(PAGE, "the chunk's tail is larger than the chunk", 0)

    def test_a_chunk_in_no_state(self):
        self.write((PAGE + STATE, 3, "I"))
        self.assert_broken_at(PAGE, "the chunk's state is invalid", 0)

    def test_a_chunk_with_too_many_blocks(self):
        used = self.second - PAGE - 64 - (2**64 - 1 - get(self.data, PAGE + FILL))
        self.write((PAGE + BLOCKS, used + 2, "Q"))
        self.assert_checked(PAGE, f"this chunk can't have {used + 2} blocks: {used} bytes of it are used")

    def test_a_chunk_of_no_thread(self):
        threads = get(self.data, THREADS)
        self.write((PAGE + OWNER, threads + 1, "I"))
        self.assert_checked(PAGE, f"this chunk belongs to thread {threads + 1}, but there are only {threads}")
        self.write((PAGE + OWNER, 0, "I"))
        self.assert_checked(PAGE, "this chunk has blocks, but belongs to no thread")

    def test_a_chunk_whose_header_counts_as_fresh(self):
        self.write((PAGE + FRESH, 0, "Q"))
        self.assert_checked(PAGE, "this chunk counts its own header as never allocated")

    def test_a_chunk_after_the_end_is_damage_if_the_heap_was_closed_in_order(self):
        end = self.last + PAGE
        changes = [(CURSOR, end, "Q"), (self.last + FILL, 2**64 - 1, "Q"), (TAILS, 0, "Q")]
        self.write(*changes)
        self.assert_checked(self.last, "this chunk extends past the heap's end, but the heap was closed in order")
        self.write((CLEAN, 0, "I"), *changes)
        self.assertEqual(filz("check", "heap.filz").returncode, 0)
        self.assertEqual(self.inspect()["in_chunks"], end)

    def test_chunks_of_a_heap_that_was_not_initialized(self):
        self.write((CURSOR, 0, "Q"))
        self.assert_report(filz("check", "heap.filz"), f"filz: heap.filz: offset {PAGE}: there are chunks, but no header for them")

    def test_a_list_of_tails_that_is_another(self):
        first = get(self.data, TAILS)
        self.assertNotIn(first, (0, self.last))
        self.write((first + STATE, 0, "I"))
        self.assert_checked(first, "this chunk is in the list of tails, but isn't a tail")
        self.write((TAILS, first + PAGE, "Q"))
        self.assert_checked(first + PAGE, "no chunk begins here")
        self.write((TAILS, self.cursor, "Q"))
        self.assert_checked(TAILS, f"the list of tails continues at {self.cursor}, past the heap's end")
        self.write((first + NEXT_TAIL, first, "Q"))
        self.assert_checked(first, f"the list of tails continues at {first}, and never ends")
        self.write((first + NEXT_TAIL, first, "Q"), (CLEAN, 0, "I"))
        self.assertEqual(filz("check", "heap.filz").returncode, 0)

    def test_all_that_is_wrong_is_said(self):
        self.write((CHECKPOINTS[1], 2, "Q"), (ROOT, 1, "Q"), (PAGE + OWNER, 0, "I"), (self.second + OWNER, 0, "I"),
                   (self.last + SIZE, 0, "Q"))
        offsets = [line.split("offset ")[1].split(":")[0] for line in filz("check", "heap.filz").stderr.splitlines()]
        self.assertEqual([int(offset) for offset in offsets], [ROOT, PAGE, self.second, self.last, CHECKPOINTS[1]])

    def test_of_very_many_problems_the_first_and_the_last_are_said(self):
        data = bytearray(self.data[:PAGE]) + bytes(30 * PAGE)
        for offset in range(PAGE, len(data), PAGE):
            put(data, offset + SIZE, PAGE)
            put(data, offset + FILL, 2**64 - 1)
            put(data, offset + BLOCKS, offset)
            put(data, offset + FRESH, PAGE)
            put(data, offset + OFFSET, offset)
            put(data, offset + OWNER, 1, "I")
        put(data, CURSOR, len(data))
        put(data, LAST, len(data) - PAGE)
        put(data, ROOT, 0)
        put(data, TAILS, 0)
        with open("heap.filz", "wb") as file:
            file.write(data)
        lines = filz("check", "heap.filz").stderr.splitlines()
        self.assertEqual(len(lines), 21)
        self.assertIn(f"offset {len(data) - PAGE}:", lines[19])
        self.assertEqual(lines[20], "filz: heap.filz: 30 problems in all; shown are the first ones and the last")


class Checkpoints(Changed):
    """Of a heap that was synced, and went on until its program was killed."""

    WHAT, STATUS, BLOCKS = "sync-and-kill", -signal.SIGKILL, 1205
    FALLS_BACK = "\nfilz: heap.filz: an open would fall back to the checkpoint"

    def setUp(self):
        super().setUp()
        self.older, self.newest = CHECKPOINTS
        self.sequence, self.synced, self.synced_last, self.root = struct.unpack_from("=4Q", self.data, self.newest)
        self.assertEqual(self.sequence, 2)
        self.assertTrue(PAGE < self.synced < self.last)

    def write_newest(self, cursor, last, root, *changes):
        data = bytearray(self.data)
        put_checkpoint(data, self.newest, self.sequence, cursor, last, root)
        self.write(*changes, data=data)

    def test_the_whole_heap_is_undamaged(self):
        self.write()
        self.assertEqual(filz("check", "heap.filz").stderr, "")
        self.assertIs(self.inspect()["falls_back"], False)

    def assert_falls_back(self, offset, what, blocks, in_chunks):
        """The heap is shown as far as it goes."""
        message = f"filz: heap.filz: offset {offset}: {what}"
        self.assert_report(filz("check", "heap.filz"), message + self.FALLS_BACK)
        result = filz("inspect", "--json", "heap.filz")
        self.assert_report(result, message)
        heap = json.loads(result.stdout)
        self.assertEqual((heap["falls_back"], heap["damage"]), (True, {"offset": offset, "what": what}))
        self.assertEqual((heap["blocks"], heap["in_chunks"]), (blocks, in_chunks))
        self.assertIn(f"first {self.synced:,} bytes, to which an open would fall back; root",
                      filz("inspect", "heap.filz").stdout)

    def test_damage_after_the_checkpoint_makes_an_open_fall_back(self):
        self.assertEqual(self.synced, self.second)
        self.write((self.second + OFFSET, 0, "Q"))
        self.assert_falls_back(self.second, "no chunk begins here", 1001, self.synced)
        self.write((self.last + SIZE, 1, "Q"))
        self.assert_falls_back(self.last, "the chunk's size is invalid", 1204, self.last)
        self.write((ROOT, 1, "Q"))
        self.assert_falls_back(ROOT, "the root isn't in a chunk", 1205, self.cursor)

    def test_where_the_end_of_the_heap_is_lost_the_checkpoint_is_shown(self):
        for length in (self.cursor - 1, self.synced):
            self.write(length=length)
            self.assert_falls_back(length, "the file ends before its heap does", 1001, self.synced)
        self.write((CURSOR, 1, "Q"))
        self.assert_falls_back(CURSOR, "the cursor is invalid", 1001, self.synced)

    def test_a_heap_that_ends_before_its_checkpoint_falls_back(self):
        self.synced = self.cursor
        self.write_newest(self.cursor, self.last, self.root,
                          (CURSOR, self.second, "Q"), (LAST, PAGE, "Q"), (ROOT, 0, "Q"))
        self.assert_falls_back(CURSOR, "the heap ends before its checkpoint does", 1205, self.cursor)

    def test_a_heap_that_was_reset_after_its_checkpoint_is_empty(self):
        self.write((CURSOR, PAGE, "Q"))
        self.assertEqual(filz("check", "heap.filz").stderr, "")
        heap = self.inspect()
        self.assertEqual((heap["falls_back"], heap["blocks"]), (False, 0))

    def test_damage_before_the_checkpoint_is_final(self):
        self.write((PAGE + OFFSET, 0, "Q"))
        self.assert_broken_at(PAGE, "no chunk begins here", 0)
        self.write(length=self.synced - 1)
        self.assert_refused(self.synced - 1, "the file ends before its heap does")

    def test_a_checkpoint_outside_the_heap(self):
        for numbers, offset, what in (
                ((self.synced + 1, self.synced_last, self.root), CHECKPOINT_CURSOR, "the cursor is invalid"),
                ((self.synced, self.synced_last, self.base + self.synced), CHECKPOINT_ROOT,
                 "the root isn't in a chunk"),
                ((self.last, self.synced_last, self.root), CHECKPOINT_LAST, "this isn't the last chunk")):
            self.write_newest(*numbers)
            self.assert_checked(self.newest + offset, f"the checkpoint: {what}")

    def test_a_checkpoint_with_another_checksum_is_damage_unless_a_killed_program_may_have_left_it(self):
        for checkpoint, other in (self.older, self.newest), (self.newest, self.older):
            self.write((checkpoint + CHECKPOINT_CHECKSUM, 0, "Q"))
            self.assertEqual(filz("check", "heap.filz").returncode, 0)
            self.assertEqual(self.inspect()["checkpoint"]["cursor"], get(self.data, other + CHECKPOINT_CURSOR))
            self.write((checkpoint + CHECKPOINT_CHECKSUM, 0, "Q"), (CLEAN, 1, "I"), (TAILS, 0, "Q"))
            self.assert_checked(checkpoint, "the checkpoint's checksum is wrong")
        self.write(*((checkpoint + CHECKPOINT_CHECKSUM, 0, "Q") for checkpoint in CHECKPOINTS))
        result = filz("check", "heap.filz")
        self.assertEqual(result.stderr.count("the checkpoint's checksum is wrong\n"), 2)
        self.assertIsNone(self.inspect()["checkpoint"])
        self.write(data=self.data[:CHECKPOINTS[0]] + bytes(HEADER_SIZE - CHECKPOINTS[0]) + self.data[HEADER_SIZE:])
        self.assertEqual(filz("check", "heap.filz").returncode, 0)


class Killed(InFreshDirectory):
    def test_what_a_killed_program_leaves_is_not_damage(self):
        rounds = rounds_of(500)
        random.seed(2)
        for i in range(rounds):
            what = random.choice(("churn", "crowd", "sync-often"))
            path = what + ".filz"
            with Living(what, path) as process:
                time.sleep(random.random() / 50)
                process.kill()
            result = filz("check", path)
            self.assertEqual((result.returncode, result.stderr), (0, ""), i)
            heap = self.inspect(path)
            self.assertEqual((heap["in_use"], heap["falls_back"]), (NOT_IN_USE, False))
            if random.randrange(2):
                os.unlink(path)
        print(f"checked {rounds:,} heaps of killed programs")


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

    def test_a_heap_in_use_in_a_PID_namespace_inside_is_in_use(self):
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


class Run(InFreshDirectory):
    def setUp(self):
        super().setUp()
        os.mkdir("tmp")
        self.env = PLAIN | {"TMPDIR": os.path.abspath("tmp")}

    def run_it(self, *arguments, **options):
        return filz("run", *arguments, env=self.env, **options)

    def test_it_inspects_the_heap_of_the_program_and_removes_it(self):
        result = self.run_it("--", HEAPS, "anywhere")
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        self.assertRegex(result.stderr, r"tmp/filz-run-\w{6}/tool-heaps\.filz: heap of filz, format 2\n")
        self.assertIn("  blocks          1,001\n", result.stderr)
        self.assertEqual(os.listdir("tmp"), [])

    def test_with_keep_it_says_where_the_heap_is(self):
        result = self.run_it("--keep", HEAPS, "anywhere")
        directory = result.stderr.splitlines()[-1].removeprefix("filz: kept in ")
        self.assertEqual(os.path.dirname(directory), os.path.abspath("tmp"))
        self.assertEqual(self.inspect(directory + "/tool-heaps.filz")["blocks"], 1001)

    def test_a_directory_that_was_given_stays_with_the_heap(self):
        os.mkdir("mine")
        self.make(path="mine/older.filz")
        time.sleep(0.05)
        result = self.run_it("--dir", "mine", "--", HEAPS, "anywhere")
        self.assertEqual(result.returncode, 0)
        self.assertEqual(sorted(os.listdir("mine")), ["older.filz", "tool-heaps.filz"])
        self.assertEqual(result.stderr.count("heap of filz"), 1)
        self.assertIn("mine/tool-heaps.filz: heap", result.stderr)
        self.assert_report(self.run_it("--dir", "none", HEAPS, "anywhere"), "filz: none: no such file or directory")

    def test_the_program_gets_the_capacity_and_its_own_options(self):
        result = self.run_it("--capacity", "8M", HEAPS, "anywhere", "")
        self.assertIn("  capacity      8.0 MiB              8,388,608 bytes\n", result.stderr)
        result = self.run_it("sh", "-c", 'echo "$FILZ_CAPACITY-$0-$1"', "--keep", "--help")
        self.assertEqual(result.stdout, "---keep---help\n")

    def test_each_of_several_heaps_is_inspected(self):
        script = f"cp {HEAPS} one; cp {HEAPS} two; ./one anywhere; ./two anywhere"
        result = self.run_it("sh", "-c", script)
        self.assertEqual([line.rsplit("/")[-1] for line in result.stderr.splitlines() if "heap of filz" in line],
                         ["one.filz: heap of filz, format 2", "two.filz: heap of filz, format 2"])

    def test_it_says_if_there_is_no_heap(self):
        result = self.run_it("--keep", "true")
        self.assert_report(result, "filz: true: made no heap file: it doesn't use filz, or puts its heap somewhere "
                              "else", status=0)
        self.assertEqual(os.listdir("tmp"), [])

    def test_it_ends_as_the_program_does(self):
        for script, status in (("exit 0", 0), ("exit 42", 42), ("kill -KILL $$", 137), ("kill -SEGV $$", 139)):
            self.assertEqual(self.run_it("sh", "-c", script).returncode, status)
        result = self.run_it("sh", "-c", f"FILZ_QUIET=1 {HEAPS} kill-here; exit $?")
        self.assertEqual(result.returncode, 137)
        self.assertIn(NOT_CLOSED, result.stderr)

    def test_a_program_that_can_t_be_run_has_a_status_of_its_own(self):
        open("text", "w").close()
        self.assert_report(self.run_it("--", "./none"), "filz: ./none: no such file or directory", status=127)
        self.assert_report(self.run_it("no-such-program"), "filz: no-such-program: no such file or directory",
                              status=127)
        self.assert_report(self.run_it("./text"), "filz: ./text: permission denied", status=126)
        self.assert_report(self.run_it("/"), "filz: /: permission denied", status=126)
        self.assertEqual(os.listdir("tmp"), [])

    PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

    def unignore(self):
        """A shell can't trap what it was started without, as background jobs are."""
        for number in self.PASSED_ON:
            signal.signal(number, signal.SIG_DFL)

    def start(self, script):
        process = subprocess.Popen([FILZ, "run", "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env=self.env, start_new_session=True, preexec_fn=self.unignore)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def test_signals_that_it_gets_go_to_the_program(self):
        for number in self.PASSED_ON:
            process = self.start("trap 'exit 9' HUP INT QUIT TERM USR1 USR2; echo ready; while :; do sleep 0.01; done")
            process.send_signal(number)
            process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 9, number)
        process = self.start("echo ready; exec sleep 100")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 128 + signal.SIGTERM)

    def test_the_program_starts_with_the_signals_that_the_tool_was_started_with(self):
        def masks(*command):
            """Those that are blocked, and those that are ignored, up to 31: glibc has 32 and 33 for itself."""
            output = run(*command, "grep", "^Sig[BI]", "/proc/self/status", env=self.env).stdout
            return [int(line.split()[1], 16) % 2**31 for line in output.splitlines()]

        self.assertEqual(masks(FILZ, "run"), masks("env"))


class Use(InFreshDirectory):
    COMMANDS = ("inspect", "map", "watch", "check", "snapshot", "run")

    def test_help_and_version_are_on_standard_output(self):
        for arguments in (("--help",), ("-h",), *((command, "--help") for command in self.COMMANDS),
                          ("inspect", "file", "-h")):
            result = filz(*arguments)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertTrue(result.stdout.startswith("Usage: filz "))
            self.assertLessEqual(max(map(len, result.stdout.splitlines())), 92)
        self.assertRegex(filz("--version").stdout, r"^filz \d+\.\d+\.\d+, heap format 2\n$")

    def test_help_names_each_command(self):
        for command in self.COMMANDS:
            self.assertRegex(filz("--help").stdout, rf"\n  {command} +\w")

    def test_wrong_use_ends_with_status_2_and_a_hint(self):
        for arguments, message in (
                (("nonsense",), "filz: no command 'nonsense'"),
                (("--nonsense",), "filz: no command '--nonsense'"),
                (("inspect",), "filz inspect: no FILE given"),
                (("inspect", "a", "b"), "filz inspect: more than one FILE given"),
                (("inspect", "--nonsense", "a"), "filz inspect: unrecognized option '--nonsense'"),
                (("inspect", "--json=1", "a"), "filz inspect: option '--json' doesn't allow an argument"),
                (("inspect", "-x", "a"), "filz inspect: invalid option -- 'x'"),
                (("check",), "filz check: no FILE given"),
                (("check", "--json", "a"), "filz check: unrecognized option '--json'"),
                (("snapshot",), "filz snapshot: no FILE given"),
                (("snapshot", "a"), "filz snapshot: no COPY given"),
                (("snapshot", "a", "b", "c"), "filz snapshot: more than FILE and COPY given"),
                (("run",), "filz run: no PROGRAM given"),
                (("run", "--keep"), "filz run: no PROGRAM given"),
                (("run", "--capacity"), "filz run: option '--capacity' requires an argument"),
                *((("run", "--capacity", size, "true"), f"filz run: '{size}' isn't a size")
                  for size in ("", "M", "1X", "1MB", "-1", " 1"))):
            result = filz(*arguments)
            hint = " ".join(message.split(":")[0].split())
            self.assert_report(result, f"{message}\nSee '{hint} --help'.", status=2)
            self.assertEqual(result.stdout, "")
        result = filz()
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertTrue(result.stderr.startswith("Usage: filz "))

    def complete(self, *words):
        script = '. "$0"; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _filz; printf "%s\\n" "${COMPREPLY[@]}"'
        result = run("bash", "-c", script, os.path.join(TOOL, "completion.bash"), *words)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return sorted(result.stdout.split())

    def test_completion_knows_the_commands_and_their_options(self):
        self.assertEqual(self.complete("filz", ""), sorted([*self.COMMANDS, "--help", "--version"]))
        self.assertEqual(self.complete("filz", "in"), ["inspect"])
        for command in self.COMMANDS:
            options = set(re.findall(r"^  (--\w+)", filz(command, "--help").stdout, re.MULTILINE))
            self.assertEqual(self.complete("filz", command, "-"), sorted(options))

    def test_completion_offers_heaps_and_programs(self):
        os.mkdir("directory")
        for name in ("a.filz", "b.svg", "c.txt"):
            open(name, "w").close()
        self.assertEqual(self.complete("filz", "inspect", ""), ["a.filz", "directory/"])
        self.assertEqual(self.complete("filz", "snapshot", "a.filz", ""), ["a.filz", "directory/"])
        self.assertEqual(self.complete("filz", "map", "--svg", ""), ["b.svg", "directory/"])
        self.assertEqual(self.complete("filz", "run", "--dir", ""), ["directory"])
        self.assertIn("seq", self.complete("filz", "run", "--keep", "--", "seq"))
        self.assertIn("seq", self.complete("filz", "run", "seq"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
