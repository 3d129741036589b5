"""What the workloads share: peers, sizes, and pairs of runs."""

from . import data

FILE_PEERS = ["memkind", "boost"]
MALLOCS = ["glibc", "mimalloc-3", "mimalloc-2", "jemalloc", "tcmalloc"]
PEERS = {
    "C": MALLOCS + FILE_PEERS + ["obstack", "filz-stack"],
    "Rust": ["glibc", "mimalloc-3", "mimalloc-2", "jemalloc", "bump_alloc2"],
    # What can be borrowed, through `Allocator::allocate`; "called": what the compiler would inline is behind a call.
    "Rust Allocator": ["bumpalo", "bumpalo, called", "bump-scope", "bump-scope, called", "filz-local", "filz-stack"],
}
PROGRAMS = {"glibc": "system", "mimalloc-3": "mimalloc", "mimalloc-2": "mimalloc"}
MIB = 2**20


def small_bytes(count):
    """What `count` small blocks of the workloads have, of 16 to 79 bytes."""
    return count * 47.5


class Bench:
    def __init__(self, build, runner, table, quick, pairs):
        self.build = build
        self.runner = runner
        self.table = table
        self.quick = quick
        self.pairs = pairs or self.size(9, 1)

    def size(self, full, quick):
        return quick if self.quick else full

    def command(self, language, peer, *arguments):
        if language == "C":
            program = [self.build / "c" / peer / "workloads"]
        else:
            target = self.build / ("rust-2" if peer == "mimalloc-2" else "rust") / "release"
            borrowed = language == "Rust Allocator"
            program = [target / "borrowed", peer] if borrowed else [target / PROGRAMS.get(peer, peer)]
        return [*program, *map(str, arguments)]

    def once(self, peer):
        return str(self.build / "c" / peer / "once")

    def rounds(self, base, peers, pairs=None):
        """A run of `base` and those of one or two peers beside it, in the order in which to run them: B A C, D A E, and
        so on as often as `pairs` says, or else `self.pairs`; every other time from the last to the first, so that each
        peer has its turn before `base` and after it."""
        for i in range(pairs or self.pairs):
            order = peers if i % 2 == 0 else peers[::-1]
            for first in range(0, len(order), 2):
                yield [order[first], base, *order[first + 1:first + 2]]

    def compare(self, workload, parameters, language, arguments, figures, *, peers=None, threads=1, base="filz",
                time="nanoseconds"):
        """Runs `base` and each peer in pairs, and adds to the table how the times compare, and for each of `figures`, a
        metric's (name, unit): what the function makes of what a run has printed, None for nothing."""
        peers = PEERS[language] if peers is None else peers
        times = {f"time as a ratio to {base}": time}
        if time == "nanoseconds":
            times[f"process time as a ratio to {base}"] = "process nanoseconds"
        runs = {peer: [] for peer in [base, *peers]}
        ratios = {(peer, metric): [] for peer in peers for metric in times}
        for together in self.rounds(base, peers):
            done = {peer: self.runner.run(self.command(language, peer, *arguments)) for peer in together}
            for peer, run in done.items():
                runs[peer].append(run)
                for metric, name in times.items() if peer != base else ():
                    ratios[peer, metric].append(run[name] / done[base][name])
        for peer in runs:
            where = (workload, parameters, threads, peer, language)
            for metric in times if peer != base else ():
                self.table.add(*where, metric, ratios[peer, metric], "")
            for (metric, unit), figure in figures.items():
                values = [value for value in map(figure, runs[peer]) if value is not None]
                if values:
                    self.table.add(*where, metric, values, unit)

    def instructions(self, workload, parameters, language, arguments, count, peers):
        """Instructions a block: those of a run with `count` more blocks over one with a single block, so that opening
        the heap isn't in it; less those of the loop, which the peer `none` shows. `arguments` gives a run's, by its
        count."""
        def a_block(peer):
            run = [self.runner.instructions(self.command(language, peer, *arguments(n))) for n in (1, count + 1)]
            return (run[1] - run[0]) / count

        loop = a_block("none")
        for peer in peers:
            self.table.add(workload, parameters, 1, peer, language, "instructions a block", [a_block(peer) - loop], "")

    def input(self, name, write, full, quick):
        """A file of input in the build directory."""
        size = self.size(full, quick)
        return data.have(self.build / f"{size // MIB}M-{name}", write, size)
