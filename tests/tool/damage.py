"""`filz check` and `filz inspect` of damaged heaps.

    damage.py FILZ HEAPS       the tool, and the program built of heaps.c"""

from changed_heap import ChangedHeap
from heap_format import (BASE, BLOCKS, CAPACITY, CHECKPOINTS, CHECKSUM, CHUNK_GENERATION, CLEAN, CURSOR, FILL, FORMAT,
                         FRESH, GENERATION, LAST, NEXT_TAIL, OFFSET, OWNER, PAGE_SIZE, PERSISTENT, ROOT, SIZE, STATE,
                         TAG, TAILS, THREADS, WORD_SIZE, get, put)
from tool_test import PAGE, filz, main


class Damaged(ChangedHeap):
    def test_the_whole_heap_is_undamaged(self):
        result = filz("check", "whole.filz")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"^whole.filz: headers undamaged: \d+ chunks with 204 blocks, whose "
                                        r"contents have no checksums\n$")

    def test_random_changes_of_bytes_give_an_error_or_a_correct_result(self):
        self.check_random_changes()

    def test_a_header_of_another_format_word_size_or_page_size(self):
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

    def test_a_last_chunk_offset_of_another_chunk(self):
        self.write((LAST, PAGE, "Q"))
        self.assert_damaged(LAST, "this isn't the last chunk")
        self.write((LAST, PAGE, "Q"), (CLEAN, 0, "I"))
        self.assert_checked(LAST, f"the last chunk isn't at {PAGE}, but at {self.last}")

    def test_a_chunk_with_an_invalid_size(self):
        for size in (0, 64, PAGE - 1, PAGE + 64, 2**64 - PAGE):
            self.write((self.second + SIZE, size, "Q"))
            self.assert_broken_at(self.second, "the chunk's size is invalid", 1)

    def test_a_chunk_that_ends_inside_another(self):
        self.write((PAGE + SIZE, self.second, "Q"))
        self.assert_broken_at(self.second + PAGE, "no chunk begins here", 1)

    def test_a_chunk_whose_header_is_zero(self):
        data = bytearray(self.data)
        data[self.second:self.second + 64] = bytes(64)
        self.write(data=data)
        self.assert_broken_at(self.second, "no chunk begins here", 1)

    def test_a_chunk_older_than_the_last_reset(self):
        self.write((self.second + CHUNK_GENERATION, get(self.data, GENERATION, "I") - 1, "I"))
        self.assert_broken_at(self.second, "this chunk is from before a reset", 1)

    def test_a_chunk_whose_tail_is_larger_than_the_chunk(self):
        size = self.second - PAGE
        self.write((PAGE + FILL, 2**64 - 1 - size, "Q"))
        self.assert_broken_at(PAGE, "the chunk's tail is larger than the chunk", 0)

    def test_a_chunk_with_an_invalid_state(self):
        self.write((PAGE + STATE, 3, "I"))
        self.assert_broken_at(PAGE, "the chunk's state is invalid", 0)

    def test_a_chunk_with_too_many_blocks(self):
        used = self.second - PAGE - 64 - (2**64 - 1 - get(self.data, PAGE + FILL))
        self.write((PAGE + BLOCKS, used + 2, "Q"))
        self.assert_checked(PAGE, f"this chunk can't have {used + 2} blocks: {used} bytes of it are used")

    def test_a_chunk_with_an_invalid_owner(self):
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
        self.assert_report(filz("check", "heap.filz"),
                           f"filz: heap.filz: offset {PAGE}: there are chunks, but no header for them")

    def test_a_list_of_tails_that_is_wrong(self):
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

    def test_all_problems_are_reported(self):
        self.write((CHECKPOINTS[1], 2, "Q"), (ROOT, 1, "Q"), (PAGE + OWNER, 0, "I"), (self.second + OWNER, 0, "I"),
                   (self.last + SIZE, 0, "Q"))
        offsets = [line.split("offset ")[1].split(":")[0] for line in filz("check", "heap.filz").stderr.splitlines()]
        self.assertEqual([int(offset) for offset in offsets], [ROOT, PAGE, self.second, self.last, CHECKPOINTS[1]])

    def test_only_the_first_and_the_last_of_very_many_problems_are_reported(self):
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


if __name__ == "__main__":
    main()
