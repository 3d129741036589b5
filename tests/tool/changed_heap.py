"""Heap files with changed bytes: what `filz check` and `filz inspect` say of them, and of which offset."""

import json
import random
import struct
import unittest

from heap_format import BASE, CURSOR, HEADER_SIZE, LAST, SIZE, get, put, put_checksum
from tool_test import PAGE, InFreshDirectory, filz, rounds_of


@unittest.skipUnless(struct.calcsize("P") == 8, "the offsets are those of a 64-bit machine")
class ChangedHeap(InFreshDirectory):
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

    def check_random_changes(self):
        """They give a message or the truth."""
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
