"""The tool's commands `inspect`, `check` and `run`, and how it takes wrong use: the real program, with heap files of
programs that have ended, were killed, or run, and with damaged ones.

    commands.py FILZ HEAPS       the tool, and the program built of heaps.c"""

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
PATIENCE = 120
PLAIN = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}

# Offsets in the header and in a chunk, on a 64-bit machine; see c/format.h.
MAGIC, FORMAT, WORD_SIZE, KEPT, CLEAN, PAGE_SIZE, BASE, TAG, CHECKSUM = 0, 8, 12, 16, 20, 24, 32, 40, 48
CAPACITY, CURSOR, LAST, ROOT, ID, THREADS, PID, PROGRAM = 56, 64, 72, 80, 88, 96, 104, 108
END, FILL, BLOCKS, FRESH, NEXT_REST, OWNER, ALONE = 0, 8, 16, 24, 32, 40, 44


def rounds_of(full):
    """As in tests/c/support.h."""
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


def put_checksum(data):
    """FNV-1a, of what never changes."""
    checksum = 0xCBF29CE484222325
    for offset, kind in ((FORMAT, "I"), (WORD_SIZE, "I"), (PAGE_SIZE, "Q"), (BASE, "Q"), (TAG, "Q")):
        checksum = (checksum ^ get(data, offset, kind)) * 0x100000001B3 % 2**64
    put(data, CHECKSUM, checksum)


class InFreshFolder(unittest.TestCase):
    def setUp(self):
        self.before = os.getcwd()
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="filz-test-"))
        os.chdir(self.folder)

    def tearDown(self):
        os.chdir(self.before)
        shutil.rmtree(self.folder)

    def make(self, what="fill", path="heap.filz", status=0):
        self.assertEqual(run(HEAPS, what, path).returncode, status)
        return path

    def inspect(self, path="heap.filz"):
        result = filz("inspect", "--json", path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return json.loads(result.stdout)

    def assert_complaint(self, result, message, status=1):
        self.assertEqual((result.returncode, result.stderr), (status, message + "\n"))


class Living:
    """A program that goes on until its standard input ends."""

    def __init__(self, what, path="heap.filz"):
        self.process = subprocess.Popen([HEAPS, what, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=PLAIN)

    def __enter__(self):
        assert self.process.stdout.readline() == b"ready\n"
        return self.process

    def __exit__(self, *error):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


class Inspect(InFreshFolder):
    def test_it_says_what_a_closed_heap_is(self):
        self.make()
        heap = self.inspect()
        size = os.stat("heap.filz").st_size
        expected = {
            "path": "heap.filz", "format": 1, "begun": True, "in_use": False, "clean": True, "kept": True,
            "program": "tool-heaps", "tag": "0x7", "word_size": struct.calcsize("P"), "page_size": PAGE,
            "committed": size, "blocks": 1001, "threads": 1, "damage": None,
        }
        self.assertEqual({name: heap[name] for name in expected}, expected)
        self.assertEqual(heap["root"]["offset"], PAGE + 64)
        self.assertEqual(int(heap["root"]["address"], 16), int(heap["base"], 16) + heap["root"]["offset"])
        self.assertGreaterEqual(heap["used"], 1000 * 100 + (1 << 20) + PAGE)
        self.assertLessEqual(heap["used"], heap["reserved"])
        self.assertLessEqual(heap["reserved"], heap["committed"])
        self.assertLessEqual(heap["committed"], heap["capacity"])
        self.assertEqual(heap["on_disk"], os.stat("heap.filz").st_blocks * 512)
        self.assertGreater(heap["in_ram"], 0)

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
        self.assertEqual(lines[0], "heap.filz: heap of filz, format 1")
        for line in (f"  program    tool-heaps, process {heap['pid']}", "  state      closed in order",
                     "  kept       yes: the next run goes on in it", "  tag        0x7",
                     f"  root       {heap['root']['address']}, at offset {PAGE + 64:,}",
                     f"  blocks     {1001:>10,}", f"  pages      {heap['pages']['total']:>10,} of {PAGE:,} bytes"):
            self.assertIn(line, lines)
        sizes = [line for line in lines if " bytes" in line and "pages" not in line]
        self.assertEqual(len({line.index(" bytes") for line in sizes}), 1)
        self.assertTrue(any(f" {heap['used']:,} bytes" in line for line in sizes))

    def test_a_heap_that_was_killed_is_not_closed_in_order(self):
        self.make("kill-itself", status=-signal.SIGKILL)
        heap = self.inspect()
        self.assertEqual((heap["clean"], heap["in_use"], heap["blocks"]), (False, False, 1001))
        self.assertIn("not closed in order", filz("inspect", "heap.filz").stdout)

    def test_a_heap_in_use_is_said_to_be_so_with_its_process(self):
        with Living("wait") as process:
            heap = self.inspect()
            self.assertEqual((heap["in_use"], heap["clean"], heap["pid"]), (True, False, process.pid))
            self.assertIn("  state      in use\n", filz("inspect", "heap.filz").stdout)
        self.assertFalse(self.inspect()["in_use"])

    def test_it_finds_the_heap_of_a_process_in_a_file_without_a_name(self):
        with Living("wait", "heap.filz") as process:
            os.unlink("heap.filz")
            folder = f"/proc/{process.pid}/fd"
            found = [name for name in os.listdir(folder) if "heap.filz" in os.readlink(f"{folder}/{name}")]
            self.assertEqual(self.inspect(f"{folder}/{found[0]}")["blocks"], 1001)

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
                self.assertLessEqual(heap["used"], heap["reserved"])
                self.assertLessEqual(heap["reserved"], heap["committed"])
                self.assertEqual((pages["used"] + pages["rest"]) * PAGE, heap["reserved"])
                self.assertEqual(pages["used"] + pages["rest"] + pages["free"], pages["total"])
                self.assertGreaterEqual(heap["used"], heap["blocks"] + PAGE)
                result = filz("check", "heap.filz")
                self.assertEqual((result.returncode, result.stderr), (0, ""))
        print(f"{what}: inspected and checked {rounds:,} times while it ran")

    def test_it_is_right_while_blocks_grow_and_shrink_and_all_end(self):
        self.watch_closely("churn", rounds_of(1000))

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

    def test_a_heap_that_had_not_begun_is_empty(self):
        for bytes_of_it in (b"filzheap", b"filzheap" + bytes(PAGE)):
            with open("heap.filz", "wb") as file:
                file.write(bytes_of_it)
            heap = self.inspect()
            self.assertEqual((heap["begun"], heap["committed"], heap["blocks"]), (False, len(bytes_of_it), 0))
            self.assertIn("its program ended before it had begun", filz("inspect", "heap.filz").stdout)
            self.assertEqual(filz("check", "heap.filz").stdout, "heap.filz: undamaged: 0 chunks with 0 blocks\n")

    def test_a_full_disk_is_an_error(self):
        self.make()
        for arguments in (("inspect", "heap.filz"), ("inspect", "--json", "heap.filz"), ("--help",), ("map", "--help")):
            with open("/dev/full", "w") as full:
                result = subprocess.run([FILZ, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, env=PLAIN)
            self.assert_complaint(result, "filz: standard output: No space left on device")

    def test_a_sparse_file_of_terabytes_takes_no_time(self):
        self.make()
        os.truncate("heap.filz", 8 << 40)
        heap = self.inspect()
        self.assertEqual((heap["committed"], heap["blocks"]), (8 << 40, 1001))


class NotAHeap(InFreshFolder):
    def assert_refused(self, path, why):
        for command in (("inspect",), ("inspect", "--json"), ("check",), ("map",)):
            result = filz(*command, path)
            self.assert_complaint(result, f"filz: {path}: {why}")
            self.assertEqual(result.stdout, "")

    def test_it_says_what_a_file_is_that_is_no_heap(self):
        os.mkfifo("fifo")
        os.mkdir("folder")
        open("empty", "w").close()
        with open("text", "w") as file:
            file.write("hello, world\n" * 1000)
        self.assert_refused("nothing", "No such file or directory")
        self.assert_refused("text", "not a heap file of filz")
        self.assert_refused("empty", "not a heap file of filz: it is empty")
        for path in ("fifo", "folder", "/dev/null"):
            self.assert_refused(path, "not a heap file of filz: it isn't a regular file")

    def test_it_says_if_it_may_not_read_a_file(self):
        if os.geteuid() == 0:
            self.skipTest("root may read every file")
        self.make()
        os.chmod("heap.filz", 0)
        self.assert_refused("heap.filz", "Permission denied")


@unittest.skipUnless(struct.calcsize("P") == 8, "the offsets are those of a 64-bit machine")
class Damaged(InFreshFolder):
    """Each damage: its own message and offset, from `check` and from `inspect`."""

    def setUp(self):
        super().setUp()
        self.make("chunks", "whole.filz")
        with open("whole.filz", "rb") as file:
            self.data = bytearray(file.read())
        self.base, self.cursor, self.last = (get(self.data, offset) for offset in (BASE, CURSOR, LAST))
        self.second = get(self.data, PAGE + END) - self.base

    def write(self, *changes, checksum=False, length=None):
        data = bytearray(self.data)
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
            self.assert_complaint(result, f"filz: heap.filz: offset {offset}: {what}")
            self.assertEqual(result.stdout, "")

    def assert_broken_at(self, offset, what, chunks):
        """`inspect` shows what is before it."""
        result = filz("check", "heap.filz")
        self.assert_complaint(result, f"filz: heap.filz: offset {offset}: {what}")
        result = filz("inspect", "--json", "heap.filz")
        self.assert_complaint(result, f"filz: heap.filz: offset {offset}: {what}")
        heap = json.loads(result.stdout)
        self.assertEqual(heap["damage"], {"offset": offset, "what": what})
        self.assertEqual(heap["chunks"], chunks)
        self.assertEqual(filz("inspect", "heap.filz").returncode, 1)

    def assert_checked(self, offset, what):
        """The walk isn't hindered by it, so only `check` minds."""
        self.assert_complaint(filz("check", "heap.filz"), f"filz: heap.filz: offset {offset}: {what}")
        self.inspect()

    def test_the_whole_heap_is_undamaged(self):
        result = filz("check", "whole.filz")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"^whole.filz: undamaged: \d+ chunks with 204 blocks\n$")

    def test_a_header_of_another_kind(self):
        self.write((FORMAT, 2, "I"))
        self.assert_refused(FORMAT, "heap format 2, and not 1, which this program reads")
        self.write((WORD_SIZE, 4, "I"))
        self.assert_refused(WORD_SIZE, "words of 4 bytes, and not 8, or another byte order")
        self.write((PAGE_SIZE, 4 * PAGE, "Q"), checksum=True)
        self.assert_refused(PAGE_SIZE, f"pages of {4 * PAGE} bytes, and not {PAGE} as here")

    def test_a_damaged_header(self):
        for offset, number in ((BASE, self.base ^ PAGE), (TAG, 8), (PAGE_SIZE, 0), (CHECKSUM, 0)):
            self.write((offset, number, "Q"))
            self.assert_refused(CHECKSUM, "the header is damaged: its checksum is another")
        self.write((BASE, self.base + 1, "Q"), checksum=True)
        self.assert_refused(BASE, f"the base address {self.base + 1:#x} isn't a page's")
        for capacity in (0, PAGE - 1, 2**64 - PAGE, 2**63):
            self.write((CAPACITY, capacity, "Q"))
            self.assert_refused(CAPACITY, f"the capacity can't be {capacity} bytes")
        for cursor in (1, PAGE + 1, 2**64 - PAGE):
            self.write((CURSOR, cursor, "Q"))
            self.assert_refused(CURSOR, f"the cursor can't be {cursor}")

    def test_a_file_that_was_cut_short(self):
        for length in (self.cursor - 1, self.second, PAGE):
            self.write(length=length)
            self.assert_refused(length, f"the file was cut short: its heap goes on to {self.cursor}")

    def test_a_flag_that_is_none(self):
        self.write((KEPT, 2, "I"))
        self.assert_checked(KEPT, "the header's `kept` is 2, and not 0 or 1")
        self.write((CLEAN, 256, "I"))
        self.assert_checked(CLEAN, "the header's `clean` is 256, and not 0 or 1")

    def test_a_root_outside_the_heap(self):
        for root in (self.base + self.cursor, self.base - 1, 1):
            self.write((ROOT, root, "Q"))
            self.assert_checked(ROOT, f"the root {root:#x} lies outside the heap")
            self.assertIsNone(self.inspect()["root"]["offset"])
            self.assertIn(f"  root       {root:#x}, outside the heap\n", filz("inspect", "heap.filz").stdout)

    def test_a_last_chunk_that_is_another(self):
        self.write((LAST, PAGE, "Q"))
        self.assert_checked(LAST, f"the header has the last chunk at {PAGE}; it is at {self.last}")

    def test_a_chunk_that_ends_nowhere(self):
        for end in (0, self.base + self.second, self.base + self.second + PAGE - 1, self.base, 2**64 - PAGE):
            self.write((self.second + END, end, "Q"))
            self.assert_broken_at(self.second, f"no chunk: it would end at address {'0x%x' % end if end else '0'}", 1)

    def test_a_chunk_that_ends_within_another(self):
        self.write((PAGE + END, self.base + self.second + PAGE, "Q"))
        result = filz("check", "heap.filz")
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"filz: heap.filz: offset {self.second + PAGE}: no chunk", result.stderr)

    def test_a_chunk_with_more_left_than_it_has(self):
        size = self.second - PAGE
        self.write((PAGE + FILL, 2**64 - 1 - size, "Q"))
        self.assert_broken_at(PAGE, f"no chunk: {size} bytes would be left of its {size}", 0)

    def test_a_chunk_that_is_neither_one_thread_s_nor_one_block_s(self):
        self.write((PAGE + ALONE, 2, "I"))
        self.assert_broken_at(PAGE, "no chunk: it has 2 where 0 or 1 stands", 0)

    def test_a_chunk_with_too_many_blocks(self):
        used = self.second - PAGE - 64 - (2**64 - 1 - get(self.data, PAGE + FILL))
        self.write((PAGE + BLOCKS, used + 2, "Q"))
        self.assert_checked(PAGE, f"this chunk can't have {used + 2} blocks: {used} bytes of it are used")

    def test_a_chunk_of_no_thread(self):
        threads = get(self.data, THREADS)
        self.write((PAGE + OWNER, threads + 1, "I"))
        self.assert_checked(PAGE, f"this chunk belongs to thread {threads + 1}, and there are {threads}")
        self.write((PAGE + OWNER, 0, "I"))
        self.assert_checked(PAGE, "this chunk has blocks, and belongs to no thread")

    def test_a_chunk_whose_header_counts_as_fresh(self):
        self.write((PAGE + FRESH, self.base + PAGE, "Q"))
        self.assert_checked(PAGE, "this chunk counts its own header as never handed out")

    def test_a_chunk_behind_the_end_is_damage_if_the_heap_was_closed_in_order(self):
        end = self.last + PAGE
        changes = [(CURSOR, end, "Q"), (self.last + FILL, 2**64 - 1, "Q")]
        self.write(*changes)
        self.assert_checked(self.last, "this chunk goes on behind the heap's end, which was closed in order")
        self.write((CLEAN, 0, "I"), *changes)
        self.assertEqual(filz("check", "heap.filz").returncode, 0)
        self.assertEqual(self.inspect()["reserved"], end)

    def test_chunks_of_a_heap_that_had_not_begun(self):
        self.write((CURSOR, 0, "Q"))
        self.assert_checked(PAGE, "something stands here, but the header says that the heap isn't begun")

    def test_all_that_is_wrong_is_said(self):
        self.write((KEPT, 2, "I"), (ROOT, 1, "Q"), (PAGE + OWNER, 0, "I"), (self.second + OWNER, 0, "I"),
                   (self.last + END, 0, "Q"))
        offsets = [line.split("offset ")[1].split(":")[0] for line in filz("check", "heap.filz").stderr.splitlines()]
        self.assertEqual([int(offset) for offset in offsets], [KEPT, ROOT, PAGE, self.second, self.last])

    def test_of_very_many_problems_the_first_and_the_last_are_said(self):
        data = bytearray(self.data[:PAGE]) + bytes(30 * PAGE)
        for offset in range(PAGE, len(data), PAGE):
            put(data, offset + END, self.base + offset + PAGE)
            put(data, offset + FILL, 2**64 - 1)
            put(data, offset + BLOCKS, offset)
            put(data, offset + FRESH, self.base + offset + 64)
            put(data, offset + OWNER, 1, "I")
        put(data, CURSOR, len(data))
        put(data, LAST, len(data) - PAGE)
        put(data, ROOT, 0)
        with open("heap.filz", "wb") as file:
            file.write(data)
        lines = filz("check", "heap.filz").stderr.splitlines()
        self.assertEqual(len(lines), 21)
        self.assertIn(f"offset {len(data) - PAGE}:", lines[19])
        self.assertEqual(lines[20], "filz: heap.filz: 30 problems in all; these were the first, and the last one")

    def test_any_changed_bytes_give_a_message_or_the_truth(self):
        random.seed(1)
        rounds = rounds_of(2000)
        for _ in range(rounds):
            places = [random.choice((random.randrange(176), PAGE + random.randrange(64),
                                     self.second + random.randrange(64), self.last + random.randrange(64)))
                      for _ in range(random.randrange(1, 4))]
            self.write(*((place, random.choice((0, 1, 127, 128, 255)), "B") for place in places))
            statuses = [filz(command, "heap.filz").returncode for command in ("inspect", "check")]
            self.assertTrue(set(statuses) <= {0, 1}, (places, statuses))
            self.assertLessEqual(*statuses)
        print(f"inspected and checked {rounds:,} damaged files")


class Killed(InFreshFolder):
    def test_what_a_killed_program_leaves_is_not_damage(self):
        rounds = rounds_of(500)
        random.seed(2)
        for i in range(rounds):
            what = random.choice(("churn", "crowd"))
            path = what + ".filz"
            with Living(what, path) as process:
                time.sleep(random.random() / 50)
                process.kill()
            result = filz("check", path)
            self.assertEqual((result.returncode, result.stderr), (0, ""), i)
            self.assertFalse(self.inspect(path)["in_use"])
            if random.randrange(2):
                os.unlink(path)
        print(f"checked {rounds:,} heaps of killed programs")


class Run(InFreshFolder):
    def setUp(self):
        super().setUp()
        os.mkdir("tmp")
        self.env = PLAIN | {"TMPDIR": os.path.abspath("tmp")}

    def run_it(self, *arguments, **options):
        return filz("run", *arguments, env=self.env, **options)

    def test_it_inspects_the_heap_of_the_program_and_removes_it(self):
        result = self.run_it("--", HEAPS, "anywhere")
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        self.assertRegex(result.stderr, r"tmp/filz-run-\w{6}/tool-heaps\.filz: heap of filz, format 1\n")
        self.assertIn("  blocks          1,001\n", result.stderr)
        self.assertEqual(os.listdir("tmp"), [])

    def test_with_keep_it_says_where_the_heap_is(self):
        result = self.run_it("--keep", HEAPS, "anywhere")
        folder = result.stderr.splitlines()[-1].removeprefix("filz: kept in ")
        self.assertEqual(os.path.dirname(folder), os.path.abspath("tmp"))
        self.assertEqual(self.inspect(folder + "/tool-heaps.filz")["blocks"], 1001)

    def test_a_folder_that_was_given_stays_with_the_heap(self):
        os.mkdir("mine")
        self.make(path="mine/older.filz")
        time.sleep(0.05)
        result = self.run_it("--dir", "mine", "--", HEAPS, "anywhere")
        self.assertEqual(result.returncode, 0)
        self.assertEqual(sorted(os.listdir("mine")), ["older.filz", "tool-heaps.filz"])
        self.assertEqual(result.stderr.count("heap of filz"), 1)
        self.assertIn("mine/tool-heaps.filz: heap", result.stderr)
        self.assert_complaint(self.run_it("--dir", "none", HEAPS, "anywhere"), "filz: none: No such file or directory")

    def test_the_program_gets_the_capacity_and_its_own_options(self):
        result = self.run_it("--capacity", "8M", HEAPS, "anywhere", "")
        self.assertIn("  capacity      8.0 MiB              8,388,608 bytes\n", result.stderr)
        result = self.run_it("sh", "-c", 'echo "$FILZ_CAPACITY-$0-$1"', "--keep", "--help")
        self.assertEqual(result.stdout, "---keep---help\n")

    def test_each_of_several_heaps_is_inspected(self):
        script = f"cp {HEAPS} one; cp {HEAPS} two; ./one anywhere; ./two anywhere"
        result = self.run_it("sh", "-c", script)
        self.assertEqual([line.rsplit("/")[-1] for line in result.stderr.splitlines() if "heap of filz" in line],
                         ["one.filz: heap of filz, format 1", "two.filz: heap of filz, format 1"])

    def test_it_says_if_there_is_no_heap(self):
        result = self.run_it("--keep", "true")
        self.assert_complaint(result, "filz: true: made no heap file: it doesn't use filz, or puts its heap somewhere "
                              "else", status=0)
        self.assertEqual(os.listdir("tmp"), [])

    def test_it_ends_as_the_program_does(self):
        for script, status in (("exit 0", 0), ("exit 42", 42), ("kill -KILL $$", 137), ("kill -SEGV $$", 139)):
            self.assertEqual(self.run_it("sh", "-c", script).returncode, status)
        result = self.run_it("sh", "-c", f"FILZ_QUIET=1 {HEAPS} kill-here; exit $?")
        self.assertEqual(result.returncode, 137)
        self.assertIn("not closed in order", result.stderr)

    def test_a_program_that_can_t_be_run_has_a_status_of_its_own(self):
        open("text", "w").close()
        self.assert_complaint(self.run_it("--", "./none"), "filz: ./none: No such file or directory", status=127)
        self.assert_complaint(self.run_it("no-such-program"), "filz: no-such-program: No such file or directory",
                              status=127)
        self.assert_complaint(self.run_it("./text"), "filz: ./text: Permission denied", status=126)
        self.assert_complaint(self.run_it("/"), "filz: /: Permission denied", status=126)
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


class Use(InFreshFolder):
    COMMANDS = ("inspect", "map", "watch", "check", "run")

    def test_help_and_version_are_on_standard_output(self):
        for arguments in (("--help",), ("-h",), *((command, "--help") for command in self.COMMANDS),
                          ("inspect", "file", "-h")):
            result = filz(*arguments)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertTrue(result.stdout.startswith("Usage: filz "))
            self.assertLessEqual(max(map(len, result.stdout.splitlines())), 92)
        self.assertRegex(filz("--version").stdout, r"^filz \d+\.\d+\.\d+, heap format 1\n$")

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
                (("run",), "filz run: no PROGRAM given"),
                (("run", "--keep"), "filz run: no PROGRAM given"),
                (("run", "--capacity"), "filz run: option '--capacity' requires an argument"),
                *((("run", "--capacity", size, "true"), f"filz run: '{size}' is no size")
                  for size in ("", "M", "1X", "1MB", "-1", " 1"))):
            result = filz(*arguments)
            hint = " ".join(message.split(":")[0].split())
            self.assert_complaint(result, f"{message}\nSee '{hint} --help'.", status=2)
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
        os.mkdir("folder")
        for name in ("a.filz", "b.svg", "c.txt"):
            open(name, "w").close()
        self.assertEqual(self.complete("filz", "inspect", ""), ["a.filz", "folder/"])
        self.assertEqual(self.complete("filz", "map", "--svg", ""), ["b.svg", "folder/"])
        self.assertEqual(self.complete("filz", "run", "--dir", ""), ["folder"])
        self.assertIn("seq", self.complete("filz", "run", "--keep", "--", "seq"))
        self.assertIn("seq", self.complete("filz", "run", "seq"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
