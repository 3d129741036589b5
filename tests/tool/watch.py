"""`filz watch`, with a terminal of its own.

    watch.py FILZ HEAPS       the tool, and the program built of map_heaps.c"""

import signal

from screen import PLAIN, Terminal, WithHeaps, filz
from tool_test import FILZ, main


class Watch(WithHeaps):
    def watch(self, **options):
        terminal = Terminal(FILZ, "watch", "heap", **options)
        self.addCleanup(terminal.process.kill)
        terminal.wait_for(rb"q to end")
        return terminal

    def check_end(self, terminal, status=0):
        self.assertEqual(terminal.end(), status)
        self.assertTrue(terminal.restored)
        self.assertIn(b"\x1b[?1049l", terminal.output)
        return terminal.output[terminal.output.rindex(b"\x1b[?1049l"):]

    def test_the_rate_is_shown(self):
        self.running(3, 100)
        terminal = self.watch()
        for columns in range(81, 181):  # a screen of another size is drawn anew, and not only what is new on it
            terminal.resize(columns, 24)
            if terminal.wait_for(rb"(\d+) blocks/s, [0-9.]+ [KM]?i?B/s, 0:")[1] != b"0":
                break
        else:
            self.fail("the rate stays 0")
        terminal.type(b"q")
        self.check_end(terminal)

    def test_a_narrow_terminal_shows_how_to_end_it(self):
        self.running()
        terminal = Terminal(FILZ, "watch", "heap", columns=20)
        self.addCleanup(terminal.process.kill)
        terminal.wait_for(rb"q to end|blocks/s")
        self.assertIn(b"q to end", terminal.all)
        terminal.type(b"q")
        self.check_end(terminal)

    def test_watch_ends_when_the_program_closes_its_heap(self):
        program = self.running(3, 100)
        terminal = self.watch()
        program.end()
        last = self.check_end(terminal)
        closed = rb"heap: .*, pid %d, has closed it after \d+ blocks and [0-9.]+ [KM]iB"
        self.assertRegex(last, closed % program.process.pid)

    def test_watch_ends_when_the_program_is_killed(self):
        program = self.running(3, 100)
        terminal = self.watch()
        program.kill()
        self.assertIn(b"has ended without closing it", self.check_end(terminal))

    def test_watch_ends_on_q_and_on_signals_and_restores_the_terminal(self):
        self.running()
        for end in b"q", b"Q", b"\x03", signal.SIGTERM, signal.SIGHUP:
            terminal = self.watch()
            if isinstance(end, bytes):
                terminal.type(end)
            else:
                terminal.process.send_signal(end)
            self.assertNotIn(b"pid", self.check_end(terminal))

    def test_other_keys_do_nothing(self):
        self.running()
        terminal = self.watch()
        terminal.type(b"xyz\n\x1b[A\x1b")
        for _ in range(10):
            terminal.read(0.1)
        self.assertIsNone(terminal.process.poll())
        terminal.type(b"q")
        self.check_end(terminal)

    def test_the_map_follows_the_size_of_the_terminal(self):
        self.running(12, 100)
        terminal = self.watch()
        at_first = int(terminal.wait_for(rb"Pages, (\d+) ")[1])
        terminal.resize(40, 10)
        self.assertGreater(int(terminal.wait_for(rb"Pages, (\d+) ")[1]), at_first)
        for columns, rows in (1, 1), (10, 3), (200, 60):
            terminal.resize(columns, rows)
            terminal.read(0.4)
        terminal.wait_for(rb"\x1b\[\d+;1[0-9][0-9]H")
        terminal.type(b"q")
        self.check_end(terminal)

    def test_watch_has_no_colours_with_NO_COLOR(self):
        self.running()
        for variables, coloured in ({}, True), ({"NO_COLOR": "1"}, False):
            terminal = self.watch(env={**PLAIN, **variables})
            terminal.type(b"q")
            self.check_end(terminal)
            self.assertEqual(b"\x1b[38;5;" in terminal.all, coloured)

    def test_a_heap_that_changes_all_the_time_is_read(self):
        program = self.running(3, 0, "reset")
        terminal = self.watch()
        for _ in range(20):
            terminal.read(0.2)
        self.assertIsNone(terminal.process.poll())
        program.end()
        self.assertIn(b"has closed it", self.check_end(terminal))

    def test_a_heap_that_no_program_has_open_is_an_error(self):
        self.heap()
        terminal = Terminal(FILZ, "watch", "heap")
        self.assertEqual(terminal.end(), 1)
        self.assertEqual((terminal.errors, terminal.output), (b"filz: heap: no program has it open\n", b""))

    def test_watch_without_a_terminal_is_wrong_use(self):
        self.running()
        result = filz("watch", "heap")
        self.assertEqual((result.returncode, result.stdout), (2, b""))
        self.assertIn(b"isn't a terminal", result.stderr)

    def test_an_unknown_terminal_is_an_error(self):
        self.running()
        terminal = Terminal(FILZ, "watch", "heap", env={**PLAIN, "TERM": "nonsense"})
        self.assertEqual(terminal.end(), 1)
        self.assertIn(b"$TERM", terminal.errors)


if __name__ == "__main__":
    main()
