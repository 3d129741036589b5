"""A terminal for `filz map` and `filz watch`, and heaps of programs built of map_heaps.c to show there."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import tool_test
from tool_test import FILZ, PATIENCE, InFreshDirectory, Program

PLAIN = tool_test.PLAIN | {"TERM": "xterm-256color"}


def filz(*arguments, env=PLAIN):
    """Its output is bytes."""
    return tool_test.filz(*arguments, env=env, text=False)


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


class WithHeaps(InFreshDirectory):
    def heap(self, path="heap", threads=3):
        Program(path, str(threads), "0").end()
        return path

    def running(self, threads=3, rate=0, *more):
        program = Program("heap", str(threads), str(rate), *more)
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        return program
