"""`filz inspect` of heaps that nobody has open, as text and as JSON; and what the tool says of files that aren't heaps.

    inspect_heap.py FILZ HEAPS       the tool, and the program built of heaps.c"""

import json
import os
import signal
import struct
import subprocess
import sys

from heap_format import PROGRAM
from tool_test import (FILZ, NOT_CLOSED, NOT_IN_USE, PAGE, PLAIN, SEES_ALL_LOCKS, TOOL, InFreshDirectory, filz, main,
                       run)


class Inspect(InFreshDirectory):
    def test_a_closed_heap_is_described(self):
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

    def test_the_checkpoint_of_the_last_sync_is_described(self):
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

    def test_the_JSON_has_the_members_that_the_manual_lists(self):
        self.make()
        names = list(self.inspect())
        with open(os.path.join(TOOL, "filz.1")) as manual:
            lines = manual.read().split(".Sh JSON\n")[1].split(".Sh ")[0].splitlines()
        self.assertEqual(names, [line[len(".It Cm "):] for line in lines if line.startswith(".It Cm ")])

    def test_python_parses_the_JSON(self):
        self.make()
        text = filz("inspect", "--json", "heap.filz").stdout
        result = run(sys.executable, "-m", "json.tool", input=text)
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_the_text_has_the_same_numbers_in_columns(self):
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

    def test_a_sparse_file_of_terabytes_can_be_inspected(self):
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

    def test_a_file_that_is_not_a_heap_is_described(self):
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

    def test_a_file_without_read_permission_is_an_error(self):
        if os.geteuid() == 0:
            self.skipTest("root may read every file")
        self.make()
        os.chmod("heap.filz", 0)
        self.assert_refused("heap.filz", "permission denied")


if __name__ == "__main__":
    main()
