"""`filz map` and `filz watch` as one sees them: run with a terminal of their own (pty), or into a pipe or a file.

    map_screen.py FILZ HEAPS       the tool, and the program built of map_heaps.c"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
from xml.dom import minidom

FILZ, HEAPS = (os.path.abspath(path) for path in sys.argv[1:3])
PLAIN = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
PATIENCE = 3600  # seconds, as in tests/c/support/children.h


def run(*arguments, env=PLAIN, **options):
    return subprocess.run([FILZ, *arguments], capture_output=True, env=env, timeout=PATIENCE, **options)


class Terminal:
    """A command with a terminal of its own, and all that it writes there."""

    def __init__(self, *command, columns=80, rows=24, env=PLAIN):
        self.output = self.all = b""
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=subprocess.PIPE, env=env,
                                        start_new_session=True, preexec_fn=self.take_terminal)

    def take_terminal(self):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        """Some of what was written; whether there was any in this time."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        new = os.read(self.master, 65536)
        self.output += new
        self.all += new
        return True

    def wait_for(self, pattern):
        """Whatever was written up to it is forgotten."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.output)):
            ended = self.process.poll() is not None
            if not self.read(0.1) and (ended or time.monotonic() > end):
                raise AssertionError(f"no {pattern} in {self.output[-2000:]}")
        self.output = self.output[found.end():]
        return found

    def type(self, keys):
        os.write(self.master, keys)

    def end(self):
        """The exit status, once all is read."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            if time.monotonic() > end:
                self.process.kill()
                raise AssertionError(f"it doesn't end: {self.output[-2000:]}")
            self.read(0.05)
        while self.read(0.1):
            pass
        self.errors = self.process.stderr.read()
        self.process.stderr.close()
        self.restored = termios.tcgetattr(self.slave) == self.before
        os.close(self.master)
        os.close(self.slave)
        return self.process.returncode


def on_terminal(*arguments, **options):
    """What a command writes to a terminal, as lines."""
    terminal = Terminal(FILZ, *arguments, **options)
    status = terminal.end()
    if status != 0:
        raise AssertionError(f"status {status}: {terminal.errors}")
    return terminal.output.replace(b"\r\n", b"\n")


class Program:
    """A running program with a heap."""

    def __init__(self, path, threads=3, rate=0, *more):
        self.process = subprocess.Popen([HEAPS, path, str(threads), str(rate), *more], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise AssertionError("no heap")

    def end(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.end()


class InDirectory(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="filz-test-")
        self.addCleanup(directory.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(directory.name)

    def heap(self, path="heap", threads=3):
        Program(path, threads).end()
        return path

    def running(self, *arguments):
        program = Program("heap", *arguments)
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        return program


class Map(InDirectory):
    def test_it_fits_every_terminal(self):
        self.heap(threads=12)
        for columns, rows in (20, 10), (40, 12), (80, 24), (132, 43), (300, 80):
            lines = on_terminal("map", "heap", columns=columns, rows=rows).split(b"\n")
            widths = [len(COLOUR.sub(b"", line).decode()) for line in lines]
            self.assertLessEqual(max(widths), columns)
            self.assertLess(len(lines), rows + 1)
            self.assertIn(columns, widths)

    def test_into_a_pipe_it_is_80_columns_or_COLUMNS_and_has_no_colours(self):
        self.heap()
        for variables, columns in ({}, 80), ({"COLUMNS": "50"}, 50), ({"COLUMNS": "nonsense"}, 80):
            lines = run("map", "heap", env={**PLAIN, **variables}).stdout.decode().splitlines()
            self.assertEqual(max(map(len, lines)), columns)
            self.assertLessEqual(len(lines), 20)
            self.assertNotIn("\x1b", "".join(lines))

    def test_each_thread_has_a_colour_and_stands_in_the_legend(self):
        self.heap(threads=3)
        output = on_terminal("map", "heap")
        threads = re.search(rb"Threads:(.*)", output)[1]
        colours = re.findall(rb"\x1b\[38;5;(\d+)m\xe2\x96\x88", threads)
        self.assertEqual(len(set(colours)), 3)
        for colour in colours:
            self.assertIn(colour, re.findall(rb"\x1b\[38;5;(\d+)m", output[:output.index(b"Threads:")]))
        for number in b"123":
            self.assertRegex(threads, rb"%c: [0-9.]+ KiB" % number)

    def test_a_terminal_of_eight_colours_has_those(self):
        output = on_terminal("map", self.heap(), env={**PLAIN, "TERM": "xterm"})
        self.assertRegex(output, rb"\x1b\[3[1-7]m")
        self.assertNotIn(b"38;5", output)

    def test_there_are_no_colours_with_NO_COLOR_or_on_a_dumb_terminal_or_one_that_isn_t_known(self):
        self.heap()
        for variables in {"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": "nonsense"}, {"TERM": ""}:
            self.assertNotIn(b"\x1b", on_terminal("map", "heap", env={**PLAIN, **variables}))
        self.assertIn(b"\x1b[", on_terminal("map", "heap", env={**PLAIN, "NO_COLOR": ""}))

    def test_it_is_ascii_where_the_locale_isn_t_utf_8(self):
        output = run("map", self.heap(), env={**PLAIN, "LC_ALL": "C"}).stdout
        self.assertTrue(output.isascii())
        self.assertRegex(output, rb"\n#+")
        self.assertIn("█".encode(), run("map", "heap").stdout)

    def test_used_pages_that_are_not_in_ram_look_different(self):
        self.heap()
        fd = os.open("heap", os.O_RDWR)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        output = run("map", "heap").stdout.decode()
        if "not in RAM" not in output:
            self.skipTest("the pages stay in RAM here, as on tmpfs")
        self.assertIn("▓▓▓", output)

    def test_names_can_t_write_to_the_terminal(self):
        name = b"a\x1b[31m\x07\xff\xc2\x9b"
        os.rename(self.heap(), name)
        for output in on_terminal("map", name, env={**PLAIN, "NO_COLOR": "1"}), run("map", b"no" + name).stderr:
            self.assertIn(b"a?[31m???", output)
            self.assertNotIn(b"\x1b", output)
            self.assertNotIn(b"\x07", output)

    def test_what_can_t_be_mapped_is_said_on_standard_error_with_status_1(self):
        with open("text", "w") as file:
            file.write("no heap")
        for path in "text", "missing", ".":
            result = run("map", path)
            self.assertEqual((result.returncode, result.stdout), (1, b""))
            self.assertTrue(result.stderr.startswith(b"filz: " + path.encode() + b": "))

    def test_a_damaged_heap_is_drawn_as_far_as_it_goes_with_status_1(self):
        with open(self.heap(), "r+b") as file:
            file.seek(os.sysconf("SC_PAGESIZE"))
            file.write(b"\xff" * 8)
        for arguments in ("map", "heap"), ("map", "--svg", "-", "heap"):
            result = run(*arguments)
            self.assertEqual(result.returncode, 1)
            self.assertIn(b"after damage", result.stdout)
            self.assertRegex(result.stderr, rb"filz: heap: offset \d+: ")

    def test_a_full_disk_is_an_error(self):
        self.heap()
        for arguments in ("map", "heap"), ("map", "--svg", "-", "heap"):
            with open("/dev/full", "w") as full:
                result = subprocess.run([FILZ, *arguments], stdout=full, stderr=subprocess.PIPE, env=PLAIN)
            self.assertEqual((result.returncode, b"no disk space is left" in result.stderr), (1, True))
        result = run("map", "--svg", "/dev/full", "heap")
        self.assertEqual((result.returncode, b"/dev/full: no disk space is left" in result.stderr), (1, True))

    def test_wrong_use_ends_with_status_2(self):
        for arguments in (), ("a", "b"), ("--svg",), ("--nonsense", "heap"):
            result = run("map", *arguments)
            self.assertEqual((result.returncode, result.stdout), (2, b""))
            self.assertIn(b"filz map --help", result.stderr)

    def test_it_reads_a_heap_that_never_rests(self):
        program = self.running(3, 0, "reset")
        for _ in range(100):
            result = run("map", "heap")
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            self.assertIn(b"in use", result.stdout)
        program.end()


class Picture(InDirectory):
    def draw(self, path):
        self.assertEqual(run("map", "--svg", "out.svg", path).returncode, 0)
        return minidom.parse("out.svg")

    def test_it_is_the_same_in_a_file_as_on_standard_output(self):
        with open("out.svg", "w") as file:
            file.write("x" * 100000)
        picture = self.draw(self.heap())
        self.assertEqual(minidom.parseString(run("map", "--svg", "-", "heap").stdout).toxml(), picture.toxml())

    def test_any_bytes_in_the_names_leave_it_XML(self):
        not_utf8 = b"\xff\xc3\xc0\xaf\xed\xa0\x80\xef\xbf\xbf\xf4\x90\x80\x80"
        for name in b"<&>\"']]>--", b"\x01\x1b[1m\x7f", not_utf8, "é☃𝄞".encode():
            with open(self.heap(), "r+b") as file:
                file.seek(file.read(4096).index(os.path.basename(HEAPS).encode()))
                file.write(name[:40] + b"\0")
            os.rename("heap", name)
            picture = self.draw(name)
            texts = [text.firstChild.data for text in picture.getElementsByTagName("text")]
            self.assertIn(name.decode(errors="ignore").translate(dict.fromkeys([*range(32), 127, 0xffff])),
                          texts[1].replace("\ufffd", ""))
            self.assertIn("The heap of ", texts[0])

    def test_it_says_in_words_what_it_shows(self):
        picture = self.draw(self.heap())
        svg = picture.documentElement
        self.assertEqual(svg.getAttribute("aria-labelledby"), "filz-title filz-desc")
        self.assertIn(os.path.basename(HEAPS)[:15], svg.getElementsByTagName("title")[0].firstChild.data)
        self.assertRegex(svg.getElementsByTagName("desc")[0].firstChild.data,
                         r"heap: [0-9.]+ KiB of [0-9.]+ [KM]iB used .*a square is one page")
        titles = [title.firstChild.data for title in svg.getElementsByTagName("title")[1:]]
        self.assertEqual(titles[0], "page 0: used")
        for thread in 1, 2, 3:
            self.assertTrue(any(title.endswith(f"used, thread {thread}") for title in titles))

    def test_the_rectangles_are_all_pages(self):
        picture = self.draw(self.heap())
        runs = [rect for rect in picture.getElementsByTagName("rect") if rect.getElementsByTagName("title")]
        pages = os.path.getsize("heap") // os.sysconf("SC_PAGESIZE")
        self.assertEqual(sum(int(rect.getAttribute("width")) for rect in runs), pages)

    def test_the_heap_is_not_overwritten_by_its_picture(self):
        with open(self.heap(), "rb") as file:
            before = file.read()
        os.link("heap", "link")
        for path in "heap", "link":
            result = run("map", "--svg", path, "heap")
            self.assertEqual((result.returncode, result.stderr),
                             (1, f"filz: {path}: is the heap itself\n".encode()))
        with open("heap", "rb") as file:
            self.assertEqual(file.read(), before)

    def test_a_file_that_can_t_be_written_is_an_error(self):
        result = run("map", "--svg", "no/out.svg", self.heap())
        self.assertEqual((result.returncode, result.stderr), (1, b"filz: no/out.svg: no such file or directory\n"))


class Watch(InDirectory):
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

    def test_it_shows_the_rate(self):
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

    def test_it_ends_when_the_program_closes_its_heap(self):
        program = self.running(3, 100)
        terminal = self.watch()
        program.end()
        last = self.check_end(terminal)
        closed = rb"heap: .*, pid %d, has closed it after \d+ blocks and [0-9.]+ [KM]iB"
        self.assertRegex(last, closed % program.process.pid)

    def test_it_ends_when_the_program_is_killed(self):
        program = self.running(3, 100)
        terminal = self.watch()
        program.kill()
        self.assertIn(b"has ended without closing it", self.check_end(terminal))

    def test_it_ends_on_q_and_on_signals_and_restores_the_terminal(self):
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

    def test_it_goes_with_the_size_of_the_terminal(self):
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

    def test_it_has_no_colours_with_NO_COLOR(self):
        self.running()
        for variables, coloured in ({}, True), ({"NO_COLOR": "1"}, False):
            terminal = self.watch(env={**PLAIN, **variables})
            terminal.type(b"q")
            self.check_end(terminal)
            self.assertEqual(b"\x1b[38;5;" in terminal.all, coloured)

    def test_it_reads_a_heap_that_never_rests(self):
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

    def test_without_a_terminal_it_is_wrong_use(self):
        self.running()
        result = run("watch", "heap")
        self.assertEqual((result.returncode, result.stdout), (2, b""))
        self.assertIn(b"isn't a terminal", result.stderr)

    def test_a_terminal_that_isn_t_known_is_an_error(self):
        self.running()
        terminal = Terminal(FILZ, "watch", "heap", env={**PLAIN, "TERM": "nonsense"})
        self.assertEqual(terminal.end(), 1)
        self.assertIn(b"$TERM", terminal.errors)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
