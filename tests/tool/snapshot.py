"""`filz snapshot` of heaps that nobody has open, that have readers, and that are written during the copy; and what it
refuses.

    snapshot.py FILZ HEAPS       the tool, and the program built of heaps.c"""

import contextlib
import fcntl
import os
import resource
import signal
import stat
import struct
import subprocess

from heap_format import CLEAN, CURSOR, ROOT, get
from tool_test import (FILZ, HEAPS, NOT_IN_USE, PAGE, PATIENCE, PLAIN, InFreshDirectory, Living, descriptor_path, filz,
                       lock_byte, main, rounds_of, run)

COPY = "copy.filz"
READERS_BYTE = 2  # see c/format.h
WRITTEN_ALONE = "a program has it open to write alone: it must close the heap, or open it with FILZ_MMAP_SHARED"


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Snapshot(InFreshDirectory):
    def assert_refused(self, message, *arguments, status=1, **options):
        """And that nothing is left."""
        before = sorted(os.listdir())
        self.assert_report(filz("snapshot", *(arguments or ("heap.filz", COPY)), **options), message, status)
        self.assertEqual(sorted(os.listdir()), before)

    def assert_taken(self, path="heap.filz", **options):
        before = os.listdir()
        result = filz("snapshot", path, COPY, **options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, rf"^copy.filz: {os.stat(COPY).st_size:,} bytes (copied|reflinked)\n$")
        self.assertEqual(sorted(os.listdir()), sorted(before + [COPY]))
        result = filz("check", COPY)
        self.assertEqual((result.returncode, result.stderr), (0, ""))


class AtRest(Snapshot):
    def setUp(self):
        super().setUp()
        self.make("chunks")
        self.data = read("heap.filz")
        self.assertEqual(get(self.data, CLEAN, "I"), 1)

    def assert_same(self):
        """Up to the end of the heap; nothing is after it."""
        self.assertEqual(read(COPY), self.data[:get(self.data, CURSOR)])
        self.assertEqual(read("heap.filz"), self.data)

    def test_the_copy_of_a_heap_that_nobody_has_open_is_identical(self):
        with open("heap.filz", "ab") as file:
            file.write(b"after the end")
        self.data = read("heap.filz")
        self.assert_taken()
        self.assert_same()

    def test_the_copy_opens_and_allocates(self):
        os.unlink("heap.filz")
        self.make("fill")
        self.assert_taken()
        self.assertEqual(run(HEAPS, "fill", COPY).returncode, 0)
        self.assertEqual(self.inspect(COPY)["blocks"], 2002)
        self.assertEqual(self.inspect()["blocks"], 1001)

    def test_the_copy_of_a_killed_program_s_heap_opens_as_after_a_kill(self):
        self.make("kill-itself", "killed.filz", status=-signal.SIGKILL)
        self.assert_taken("killed.filz")
        self.assertEqual((self.inspect(COPY)["clean"], self.inspect(COPY)["blocks"]), (False, 1001))
        self.make("kill-itself", COPY, status=-signal.SIGKILL)
        self.assertEqual(self.inspect(COPY)["blocks"], 2002)

    def test_the_copy_of_a_synced_heap_has_its_checkpoint(self):
        self.make("sync", "synced.filz")
        self.assert_taken("synced.filz")
        self.assertEqual(self.inspect(COPY)["checkpoint"], self.inspect("synced.filz")["checkpoint"])

    def test_the_copy_has_the_mode_of_the_original_without_write_permission_for_others(self):
        for mode, expected in (0o400, 0o400), (0o600, 0o600), (0o664, 0o644), (0o4755, 0o755), (0o666, 0o644):
            os.chmod("heap.filz", mode)
            self.assert_taken(umask=0o777)
            self.assertEqual(stat.S_IMODE(os.stat(COPY).st_mode), expected)
            self.assert_same()
            os.unlink(COPY)

    def test_a_heap_without_write_permission_is_copied(self):
        os.chmod("heap.filz", 0o400)
        unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
        result = run(*unprivileged, FILZ, "snapshot", "heap.filz", COPY)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assert_same()

    def test_a_heap_with_readers_is_copied(self):
        with Living("read-untagged"), Living("read-untagged"):
            self.assert_taken()
            self.assertEqual(self.inspect()["open_by"]["readers"], 2)
        self.assert_same()

    def test_a_link_to_the_heap_is_followed(self):
        os.symlink("heap.filz", "link")
        self.assert_taken("link")
        self.assertFalse(os.path.islink(COPY))
        self.assert_same()

    def test_the_heap_of_a_process_in_an_unnamed_file_is_copied(self):
        with Living("read-untagged") as process:
            os.unlink("heap.filz")
            self.assert_taken(descriptor_path(process, "heap.filz"))
        self.assertEqual(read(COPY), self.data[:get(self.data, CURSOR)])

    def test_unwritten_memory_is_a_hole_in_the_copy(self):
        self.make("large", "large.filz")
        self.assertGreater(self.inspect("large.filz")["used"], 64 << 20)
        self.assert_taken("large.filz")
        self.assertLess(os.stat(COPY).st_blocks * 512, 8 << 20)
        self.assertEqual(read(COPY), read("large.filz")[:os.stat(COPY).st_size])
        self.assertEqual(run(HEAPS, "large", COPY).returncode, 0)

    def test_the_copy_may_be_in_any_directory(self):
        os.mkdir("directory")
        for path in "directory/copy.filz", "./copy.filz", "/dev/shm/filz-test-copy.filz":
            if not os.access(os.path.dirname(path), os.W_OK):
                print(f"no {path}: its directory can't be written")
                continue
            result = filz("snapshot", "heap.filz", path)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertEqual(read(path), self.data[:get(self.data, CURSOR)])
            os.unlink(path)


class Refused(Snapshot):
    def setUp(self):
        super().setUp()
        self.make("chunks")

    def test_a_heap_with_an_exclusive_writer_is_refused(self):
        with Living("wait", "wait.filz") as process:
            self.assert_refused(f"filz: wait.filz: {WRITTEN_ALONE}", "wait.filz", COPY)
            self.assertIsNone(process.poll())
        self.assertEqual(process.returncode, 0)

    def test_a_heap_that_a_shared_writer_has_locked_for_a_reset_is_refused(self):
        with Living("wait-shared", "shared.filz"), open("shared.filz", "r+b") as file:
            lock_byte(file, fcntl.F_WRLCK, READERS_BYTE)
            self.assert_refused(f"filz: shared.filz: {WRITTEN_ALONE}", "shared.filz", COPY)

    def test_an_existing_name_is_refused(self):
        open("file", "w").close()
        os.mkdir("directory")
        os.symlink("nothing", "dangling")
        os.symlink("heap.filz", "link")
        for name in "file", "directory", "dangling", "link", "heap.filz", ".", "directory/..":
            self.assert_refused(f"filz: {name}: already exists, and is never overwritten", "heap.filz", name)
        self.assertEqual(os.stat("file").st_size, 0)
        self.assertFalse(os.path.exists("nothing"))

    def test_a_name_that_cannot_be_created_is_refused(self):
        for name in "none/copy.filz", "directory/", "":
            self.assert_refused(f"filz: {name}: no such file or directory", "heap.filz", name)
        self.assert_refused("filz: heap.filz/x: a part of the path isn't a directory", "heap.filz", "heap.filz/x")
        self.assert_refused(f"filz: {'x' * 300}: the path is too long", "heap.filz", "x" * 300)

    def test_a_file_that_is_not_a_heap_is_refused(self):
        open("empty", "w").close()
        with open("text", "w") as file:
            file.write("hello, world\n" * 1000)
        with open("begun", "wb") as file:
            file.write(b"filzheap" + bytes(PAGE))
        os.mkfifo("fifo")
        self.assert_refused("filz: none: no such file or directory", "none", COPY)
        self.assert_refused("filz: fifo: it isn't a regular file", "fifo", COPY)
        self.assert_refused("filz: begun: there is no heap in it yet", "begun", COPY)
        for name in "empty", "text":
            self.assert_refused(f"filz: {name}: the file isn't a heap of filz, or has none in it yet; it is left as it is",
                                name, COPY)

    def test_a_damaged_heap_is_refused_with_the_errors_of_check(self):
        self.make("sync-and-kill", "synced.filz", status=-signal.SIGKILL)
        for path, offset, number in (("heap.filz", ROOT, 1), ("heap.filz", PAGE, 1), ("heap.filz", CURSOR, 1),
                                     ("synced.filz", ROOT, 1), ("synced.filz", PAGE, 1)):
            data = bytearray(read(path))
            struct.pack_into("=Q", data, offset, number)
            with open("damaged.filz", "wb") as file:
                file.write(data)
            result = filz("check", "damaged.filz")
            self.assertEqual(result.returncode, 1)
            self.assert_refused(result.stderr[:-1], "damaged.filz", COPY)

    def test_a_copy_above_the_file_size_limit_is_refused(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (8 * PAGE, 8 * PAGE))

        self.assert_refused("filz: copy.filz: the file-size limit is too low", preexec_fn=limit)


class Interrupted(Snapshot):
    def test_a_signal_leaves_no_copy_or_a_whole_one(self):
        self.make("large")
        with open("heap.filz", "r+b") as file:
            for offset in range(1 << 20, 60 << 20, 1 << 16):
                file.seek(offset)
                file.write(b"x")
        rounds, whole = rounds_of(200), 0
        for i in range(rounds):
            process = subprocess.Popen([FILZ, "snapshot", "heap.filz", COPY], stdout=subprocess.DEVNULL, env=PLAIN)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05 * i / rounds)
            process.send_signal((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[i % 3])
            self.assertIn(process.wait(PATIENCE), (0, -signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL))
            left = sorted(os.listdir())
            if left != ["heap.filz"]:
                self.assertEqual(left, [COPY, "heap.filz"])
                self.assertEqual(filz("check", COPY).returncode, 0)
                os.unlink(COPY)
                whole += 1
        print(f"interrupted {rounds:,} times, {whole:,} of them too late")


class Written(Snapshot):
    def walk(self, path, what="walk"):
        """Returns how many nodes of the list there were."""
        result = run(HEAPS, what, path)
        self.assertEqual(result.returncode, 0)
        return int(result.stdout.split()[0])

    def test_a_copy_has_everything_reachable_from_the_root(self):
        """Threads push to a list, whose nodes don't change once the root leads to them."""
        rounds, nodes = rounds_of(100), 0
        for first in range(0, rounds, 5):
            with Living("push") as process:
                for _ in range(min(5, rounds - first)):
                    before = self.walk("heap.filz")
                    self.assert_taken()
                    self.assertEqual(get(read(COPY), CLEAN, "I"), 0)
                    nodes = self.walk(COPY)
                    self.assertGreaterEqual(nodes, before)
                    self.assertEqual(self.walk(COPY, "walk-and-go-on"), nodes)
                    os.unlink(COPY)
                    self.assertIsNone(process.poll())
            self.assertEqual(process.returncode, 0)
            os.unlink("heap.filz")
        print(f"copied {rounds:,} times while 4 threads wrote, the last time {nodes:,} nodes")

    def copy_often(self, what, rounds):
        with Living(what) as process:
            for _ in range(rounds):
                self.assert_taken()
                self.assertEqual(self.walk(COPY, "walk-and-go-on"), 0)
                self.assertEqual(filz("check", COPY).returncode, 0)
                os.unlink(COPY)
                self.assertIsNone(process.poll())
        self.assertEqual(process.returncode, 0)
        print(f"{what}: copied {rounds:,} times")

    def test_a_copy_opens_while_the_end_of_the_heap_moves(self):
        self.copy_often("shake-shared", rounds_of(500))

    def test_a_copy_opens_while_the_program_opens_and_closes_the_heap(self):
        self.copy_often("reopen-shared", rounds_of(500))

    def test_a_shared_writer_continues_during_a_snapshot(self):
        with Living("wait-shared", "wait.filz"), Living("read", "wait.filz"):
            self.assert_taken("wait.filz")
            self.assertEqual(self.inspect("wait.filz")["open_by"]["readers"], 1)
            copy = self.inspect(COPY)
            self.assertEqual((copy["clean"], copy["blocks"], copy["in_use"]), (False, 1001, NOT_IN_USE))


if __name__ == "__main__":
    main()
