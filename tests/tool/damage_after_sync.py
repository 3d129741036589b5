"""`filz check` and `filz inspect` of damaged heaps that were synced: an open may fall back to the checkpoint.

    damage_after_sync.py FILZ HEAPS       the tool, and the program built of heaps.c"""

import json
import signal
import struct

from changed_heap import ChangedHeap
from heap_format import (CHECKPOINTS, CHECKPOINT_CHECKSUM, CHECKPOINT_CURSOR, CHECKPOINT_LAST, CHECKPOINT_ROOT,
                         CLEAN, CURSOR, HEADER_SIZE, LAST, OFFSET, ROOT, SIZE, TAILS, get, put_checkpoint)
from tool_test import PAGE, filz, main


class Checkpoints(ChangedHeap):
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

    def test_random_changes_of_bytes_give_an_error_or_a_correct_result(self):
        self.check_random_changes()

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

    def test_a_heap_without_a_valid_end_is_shown_up_to_its_checkpoint(self):
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

    def test_damage_before_the_checkpoint_does_not_fall_back(self):
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


if __name__ == "__main__":
    main()
