"""Runs one program: for its time and figures, for its instructions, for its system calls."""

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path


class Failed(Exception):
    """The program didn't end well."""


class Killed(Failed):
    """The kernel had no memory left for it."""


def drop_from_page_cache(path):
    with open(path, "rb") as file:
        os.fsync(file)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def memory_of(process):
    """What the kernel says of a process's memory, by the names that it has in /proc, in bytes."""
    text = "".join(Path(f"/proc/{process}/{file}").read_text() for file in ("smaps_rollup", "status"))
    return {name: int(number) * 1024 for name, number in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}


class Runner:
    """Runs programs whose heap files go to `directory`, which is emptied before each, so that no run has the last one's
    file to overwrite, nor its pages to wait for on their way to the disk. It becomes the working directory: there, no
    `memory/` lies about."""

    def __init__(self, directory):
        self.directory = directory
        self.kept = False
        os.chdir(directory)
        settings = {name: value for name, value in os.environ.items() if not name.startswith("FILZ_")}
        self.environment = {**settings, "FILZ_DIR": str(directory), "TMPDIR": str(directory)}
        self.unnamed = {**settings, "TMPDIR": str(directory)}

    def empty(self):
        for found in self.directory.iterdir():
            shutil.rmtree(found) if found.is_dir() else found.unlink()

    def empty_but_for_memory(self):
        self.empty()
        (self.directory / "memory").mkdir()

    def bytes_on_disk(self):
        return sum(file.stat().st_blocks * 512 for file in self.directory.iterdir())

    @contextlib.contextmanager
    def keeping(self, directory):
        """Within, runs work in this directory, which is new and not emptied, and gone afterwards."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        os.chdir(directory)
        self.kept = True
        try:
            yield
        finally:
            self.kept = False
            os.chdir(self.directory)
            shutil.rmtree(directory)

    def run(self, command, **options):
        """The figures that the program prints, and how long it took from start to exit."""
        if not self.kept:
            self.empty()
        start = time.perf_counter()
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              **options)
        seconds = time.perf_counter() - start
        if done.returncode != 0:
            reason = Killed if done.returncode == -signal.SIGKILL else Failed
            raise reason(f"{' '.join(map(str, command))}: {done.returncode}: {done.stderr.strip()}")
        figures = {name: float(number) for name, number in (line.split() for line in done.stdout.splitlines())}
        return {**figures, "process nanoseconds": seconds * 1e9}

    @contextlib.contextmanager
    def at_once(self, commands, last):
        """Runs programs that print their figures, of which `last` is the last, and wait for the end of their input.
        Within, all of them wait; gives the processes' ids."""
        with contextlib.ExitStack() as stack:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            started = [stack.enter_context(subprocess.Popen(command, env=self.environment, **pipes))
                       for command in commands]
            for process in started:
                if not any(line.startswith(last + " ") for line in process.stdout):
                    raise Failed(f"{' '.join(map(str, process.args))}: {process.wait()}")
            yield [process.pid for process in started]
        if any(process.returncode != 0 for process in started):
            raise Failed(f"{commands}: {[process.returncode for process in started]}")

    def milliseconds(self, program, environment):
        """From start to exit, of a program that prints nothing: as little as can be beside it."""
        start = time.perf_counter()
        child = os.posix_spawn(program, [program], environment)
        _, status = os.waitpid(child, 0)
        taken = time.perf_counter() - start
        if status != 0:
            raise Failed(f"{program}: {status}")
        return taken * 1e3

    def instructions(self, command):
        self.empty()
        tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *map(str, command)]
        said = subprocess.run(tool, env=self.environment, capture_output=True, text=True)
        counted = re.search(r"Collected : (\d+)", said.stderr)
        if said.returncode != 0 or not counted:
            raise Failed(f"{' '.join(tool)}: {said.stderr}")
        return int(counted[1])

    def system_calls(self, command, environment=None, prepare=None, until=None):
        """How many the program makes; up to the first that is `until`, if that is given."""
        if not self.kept:
            (prepare or self.empty)()
        with tempfile.NamedTemporaryFile("r") as log:
            tool = ["strace", "-f", "-qq", "-o", log.name, *map(str, command)]
            subprocess.run(tool, env=environment or self.environment, check=True, capture_output=True,
                           stdin=subprocess.DEVNULL)
            lines = itertools.takewhile(lambda line: until is None or until not in line, log)
            # A call that another thread interrupts has a second line.
            return sum("resumed>" not in line and "(" in line for line in lines)
