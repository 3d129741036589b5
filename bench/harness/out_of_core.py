"""Data larger than memory: what the workload `out_of_core` measures. bench/c/out_of_core/main.c is what it runs."""

import contextlib
import os
import subprocess

from . import memory_limit
from .bench import MIB
from .process import Failed, drop_from_page_cache

RECORD = 256
PEERS = ["filz", "mapping-advised", "mapping", "glibc", "lmdb-nordahead", "lmdb", "boost", "sqlite",
         "disk-dlmalloc-random", "disk-dlmalloc", "lgalloc"]
SLOW = {"mapping", "lmdb", "boost", "disk-dlmalloc", "lgalloc"}  # megabytes for each access, where the disk reads so much ahead
FILES = {"filz": "filz", "mapping": "mapping", "mapping-advised": "mapping", "lmdb": "mdb", "lmdb-nordahead": "mdb"}
MAPPED = {*FILES, "disk-dlmalloc-random", "disk-dlmalloc", "lgalloc"}
DONE = ["build", "first-writes", "reads-1", "reads-2", "reads-4", "writes", "slots", "walk", "advised-walk"]
ADVISED = {"walk": "advised-walk", "cold-walk": "cold-advised-walk"}  # what the best advice makes of it
COLD = ["first", "lookups", "cold-walk", "cold-advised-walk"]


@contextlib.contextmanager
def swap(path, size):
    """So much swap space in a file; False where that isn't permitted."""
    try:
        with open(path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        path.chmod(0o600)
        commands = [["mkswap", path], ["swapon", path]]
        on = all(subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in commands)
    except OSError:
        on = False
    try:
        yield on
    finally:
        if on:
            subprocess.run(["swapoff", path], check=True)
        path.unlink(missing_ok=True)


class OutOfCore:
    """Under a limit on memory of `limit` bytes."""

    def __init__(self, bench, limit, accesses):
        self.bench, self.limit, self.accesses = bench, limit, accesses
        self.pairs = bench.size(5, 1) if bench.pairs > 5 else bench.pairs

    def run(self, peer, group, how, count, what):
        program = self.bench.build / "c" / peer / "out-of-core"
        return self.bench.runner.run([program, how, str(count), str(what), *([str(group)] if group else [])])

    def add(self, size, peer, runs, ratios, names):
        """Of each thing done: what it took, and how that compares with the best advice."""
        for name in names:
            if f"{name}-faults" not in runs[0]:
                continue
            done, _, threads = name.partition("reads-")
            where = ("out_of_core", f"{size // MIB} of {self.limit // MIB} MiB", threads or 1, peer, "C")
            done = done or "reads"
            is_scattered, is_written = "walk" not in name and name != "build", name == "build" or "writes" in name
            figures = {("time", "us"): lambda run: run[f"{name}-nanoseconds"] / 1e3}
            if name != "build":
                figures["read", "KiB"] = lambda run: run[f"{name}-read"] / 1024
            if is_written and peer != "glibc":  # what goes to swap space isn't counted
                figures["written", "KiB"] = lambda run: run[f"{name}-written"] / 1024
            if is_scattered and peer != "sqlite":
                figures["major faults", ""] = lambda run: run[f"{name}-faults"]
            if is_scattered and peer in MAPPED:
                figures["pages read a major fault", ""] = \
                    lambda run: run[f"{name}-read"] / 4096 / run[f"{name}-faults"] if run[f"{name}-faults"] > 0 else None
            for (metric, unit), figure in figures.items():
                values = [value for value in map(figure, runs) if value is not None]
                if values:
                    self.bench.table.add(*where, f"{done}: {metric}", values, unit)
            if ratios.get(name):
                self.bench.table.add(*where, f"{done}: time as a ratio to the best advice", ratios[name], "")

    def use(self, times, peers):
        """Adds records of `times` the limit, and uses them."""
        size = times * self.limit
        runs, ratios = {peer: [] for peer in peers}, {peer: {} for peer in peers}
        self.bench.runner.environment["BENCH_ROOM"] = str(size + size // 2 + 16 * MIB)  # for Boost
        with memory_limit.group(self.limit) as group:
            for i in range(self.pairs):
                done = {}
                for peer in peers if i % 2 == 0 else peers[::-1]:
                    accesses = self.accesses // (20 if peer in SLOW else 1)
                    if peer not in SLOW or i < 2:
                        done[peer] = self.run(peer, group, "use", size // RECORD, accesses)
                for peer, run in done.items():
                    runs[peer].append(run)
                    for name in DONE:
                        if f"{name}-nanoseconds" in run and peer != "mapping-advised":
                            best = done["mapping-advised"][f"{ADVISED.get(name, name)}-nanoseconds"]
                            ratios[peer].setdefault(name, []).append(run[f"{name}-nanoseconds"] / best)
        for peer in peers:
            self.add(size, peer, runs[peer], ratios[peer], DONE)

    def cold(self, times):
        """Opens what was kept, when nothing of it is in memory: the first lookup, a thousand more, a walk."""
        size = times * self.limit
        count, runs = size // RECORD, {peer: [] for peer in FILES}
        directory = self.bench.runner.directory.parent / "kept"
        for peer, ending in FILES.items():
            with self.bench.runner.keeping(directory):
                self.bench.runner.run([self.bench.build / "c" / peer / "out-of-core", "keep", str(count)])
                for _ in range(self.pairs):
                    run = {}
                    for how, what in ("find", self.bench.size(1000, 10)), ("walk", "plain"), ("walk", "advised"):
                        if what != "advised" or peer in ("filz", "mapping-advised"):
                            drop_from_page_cache(directory / f"out-of-core.{ending}")
                            with memory_limit.group(self.limit) as group:
                                run |= self.run(peer, group, how, count, what)
                    runs[peer].append(run)
        for peer in FILES:
            best = zip(runs[peer], runs["mapping-advised"])
            pairs = [(one, other) for one, other in best if peer != "mapping-advised"]
            ratios = {name: [one[f"{name}-nanoseconds"] / other[f"{ADVISED.get(name, name)}-nanoseconds"]
                             for one, other in pairs if f"{name}-nanoseconds" in one] for name in COLD}
            self.add(size, peer, runs[peer], ratios, COLD)


def measure(bench):
    limit, accesses = bench.size((64 * MIB, 2000), (24 * MIB, 20))
    workload = OutOfCore(bench, limit, accesses)
    try:
        with memory_limit.group(limit):
            pass
    except OSError as why:
        print(f"out_of_core: not run: no control group for memory can be made here: {why}")
        bench.table.add("out_of_core", "", 1, "filz", "C", "not run", [1], "")
        return
    with swap(bench.runner.directory.parent / "swap", 10 * limit) as has_swap:
        if not has_swap:
            print("out_of_core: glibc is left out: no swap space can be had here")
        peers = [peer for peer in PEERS if has_swap or peer != "glibc"]
        for times in bench.size((1, 2, 4, 8), (2,)):
            try:
                workload.use(times, peers)
            except Failed as why:
                print(f"out_of_core: {times} times the limit: {why}")
                raise
    workload.cold(2)
