"""Many processes that read one file: what the workload `readers` measures. bench/c/readers/main.c is what they run."""

import os
import statistics

from . import machine
from .bench import MIB
from .process import drop_from_page_cache, memory_of

PAIR = 16 + 112  # bytes of a key and its value
FILES = {"filz": "readers.filz", "lmdb": "readers.mdb", "rkyv, mapped": "readers.rkyv", "boost": "readers.boost"}
PEERS = ["filz", "lmdb", "lmdb-nolock", "rkyv, mapped", "boost"]  # lmdb-nolock reads the file of lmdb


def size_that_fits(bench, size):
    """So much, or a half of it, or a quarter: there must be room for a file of each peer, and for what rkyv needs to
    make its own."""
    room, wanted = machine.room(bench.runner.directory), size
    while 6 * size > room:
        size //= 2
    if size < wanted:
        print(f"readers: {size // MIB} MiB and not {wanted // MIB}: there is no room for more")
    return size


def read_anew(path):
    """Drops the file from the page cache and reads it into it again: how large its pages are there, and so how many page
    faults and page tables they take, would otherwise depend on how its peer has written it."""
    drop_from_page_cache(path)
    with open(path, "rb", buffering=0) as file:
        while file.read(MIB):
            pass


class Files:
    """A file of each peer, in the working directory."""

    def __init__(self, bench, size, many):
        self.bench, self.many, self.pairs = bench, many, size // PAIR
        self.parameters = f"{many} of {size // MIB} MiB"
        for peer, file in FILES.items():
            bench.runner.run([self.program(peer), "make", str(self.pairs)])
            read_anew(file)
            self.add(peer, "file", [os.path.getsize(file) / MIB], "MiB")

    def program(self, peer):
        build = self.bench.build
        return build / "rust" / "release" / "readers" if "rkyv" in peer else build / "c" / peer / "readers"

    def command(self, peer, how, seed, lookups=0):
        return [self.program(peer), how, *map(str, (self.pairs, seed, lookups))]

    def add(self, peer, metric, values, unit):
        language = "Rust" if "rkyv" in peer else "C"
        self.bench.table.add("readers", self.parameters, 1, peer, language, metric, values, unit)

    def memory(self, peer, lookups):
        """Of all readers, when each has looked up its keys, and has the file open."""
        def all_of(how):
            commands = [self.command(peer, how, seed, lookups) for seed in range(self.many)]
            with self.bench.runner.at_once(commands, "lookups") as processes:
                return [memory_of(process) for process in processes]

        without, with_file = all_of("nothing"), all_of("find")
        for metric, of_one in {
            "private memory of a reader": lambda memory: memory["Private_Clean"] + memory["Private_Dirty"],
            "page tables of a reader": lambda memory: memory["VmPTE"],
        }.items():
            base = statistics.median(map(of_one, without))
            self.add(peer, metric, [(of_one(memory) - base) / 1024 for memory in with_file], "KiB")
        for name in "Pss", "Rss":
            both = [sum(memory[name] for memory in every) for every in (with_file, without)]
            self.add(peer, f"{name.upper()} of all readers", [(both[0] - both[1]) / MIB], "MiB")

    def first_answers(self, pairs):
        """How soon one more reader has its first answer. Each file is open already, in another process."""
        run, calls = self.bench.runner.run, self.bench.runner.system_calls
        times = {"time": "nanoseconds", "time of the open": "open-nanoseconds"}
        runs = {(peer, metric): [] for peer in PEERS for metric in times}
        ratios = {(peer, metric): [] for peer in PEERS[1:] for metric in times}
        with self.bench.runner.at_once([self.command(peer, "find", 0) for peer in PEERS], "lookups"):
            for peer in PEERS:
                made = [calls(self.command(peer, how, 1), until="write(1,") for how in ("find", "nothing")]
                self.add(peer, "system calls of an open", [made[0] - made[1]], "")
            for seed, together in enumerate(self.bench.rounds(PEERS[0], PEERS[1:], pairs)):
                done = {peer: run(self.command(peer, "find", seed)) for peer in together}
                for peer, figures in done.items():
                    for metric, name in times.items():
                        runs[peer, metric].append(figures[name] / 1e3)
                        if peer != PEERS[0]:
                            ratios[peer, metric].append(figures[name] / done[PEERS[0]][name])
        for (peer, metric), values in runs.items():
            self.add(peer, metric, values, "us")
        for (peer, metric), values in ratios.items():
            self.add(peer, f"{metric} as a ratio to filz", values, "")
