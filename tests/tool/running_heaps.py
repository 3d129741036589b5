"""`filz inspect` and `filz check` of heaps whose programs run at the same time, or were killed.

    running_heaps.py FILZ HEAPS       the tool, and the program built of heaps.c"""

import fcntl
import os
import random
import subprocess
import time

from tool_test import FILZ, NOT_IN_USE, PAGE, PLAIN, InFreshDirectory, Living, descriptor_path, filz, main, rounds_of


class Running(InFreshDirectory):
    def test_a_heap_in_use_is_reported_with_its_process(self):
        with Living("wait") as process:
            heap = self.inspect()
            self.assertEqual((heap["in_use"], heap["clean"], heap["pid"]), (True, False, process.pid))
            self.assertIn("  state      in use\n", filz("inspect", "heap.filz").stdout)
        self.assertIs(self.inspect()["in_use"], False)

    def test_the_heap_of_a_process_in_an_unnamed_file_is_found(self):
        with Living("wait", "heap.filz") as process:
            os.unlink("heap.filz")
            heap = self.inspect(descriptor_path(process, "heap.filz"))
            self.assertEqual((heap["blocks"], heap["in_use"]), (1001, True))
        for parent in self.directory, "/proc":  # in a directory; in memory, where no file can be made
            with Living("wait-anywhere", "", env=PLAIN | {"TMPDIR": parent}) as process:
                path = descriptor_path(process, self.directory if parent == self.directory else "#")
                heap = self.inspect(path)
                self.assertEqual((heap["blocks"], heap["in_use"], heap["pid"]), (1001, True, process.pid))
                self.assertIn(b", in use\n", subprocess.run([FILZ, "map", path], capture_output=True).stdout)

    def test_inspect_prevents_no_program_from_opening_its_heap(self):
        with Living("reopen") as process:
            for _ in range(rounds_of(2000)):
                self.assertIn(filz("inspect", "heap.filz").returncode, (0, 1))
                self.assertIsNone(process.poll())
        self.assertEqual(process.returncode, 0)

    def test_the_lock_of_a_heap_stays_free_during_inspect(self):
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

    def test_the_numbers_are_right_while_blocks_grow_and_shrink_and_are_reset(self):
        self.watch_closely("churn", rounds_of(1000))

    def test_the_numbers_are_right_while_the_heap_is_synced_and_reset(self):
        self.watch_closely("sync-often", rounds_of(1000))

    def test_the_numbers_are_right_while_the_end_of_the_heap_moves(self):
        self.watch_closely("shake", rounds_of(1000))

    def test_the_numbers_are_right_while_threads_fill_a_heap(self):
        self.watch_closely("crowd", rounds_of(1000))


class Killed(InFreshDirectory):
    def test_the_heap_of_a_killed_program_is_not_damaged(self):
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


if __name__ == "__main__":
    main()
