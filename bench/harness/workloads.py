"""The workloads. Each adds rows to the table; its first line is what `bench/run --list` says."""

import os

from . import data, memory_limit, out_of_core as larger_than_memory, readers_of_files
from .bench import FILE_PEERS, MALLOCS, MIB, PEERS, small_bytes
from .process import Killed

WORKLOADS = {}
REOPENED = ["serde_json", "rkyv, deserialized", "rkyv, mapped and checked", "rkyv, mapped"]
ALL_C = ["filz", *PEERS["C"]]


def workload(function):
    WORKLOADS[function.__name__] = function
    return function


def memory(run):
    return run["anonymous"] + run["file"]


PEAK = {
    ("peak memory", "MiB"): lambda run: run["peak"] / MIB,
    ("anonymous memory", "MiB"): lambda run: run["anonymous"] / MIB,
    ("file memory", "MiB"): lambda run: run["file"] / MIB,
}


@workload
def blocks(bench):
    """10 million small blocks, each touched and none freed, on 1, 2 and 4 threads"""
    count = bench.size(10_000_000, 20_000)
    mib = small_bytes(count) / MIB
    figures = {
        ("time a block", "ns"): lambda run: run["nanoseconds"] / count,
        ("pages brought in per MiB", ""): lambda run: run["pages"] / mib,
        ("memory a block", "bytes"): lambda run: memory(run) / count,
    }
    in_c = {("page faults per MiB", ""): lambda run: run["faults"] / mib if "faults" in run else None}
    for threads in 1, 2, 4:
        arguments = ["blocks", count, threads]
        bench.compare("blocks", count, "C", arguments, {**figures, **in_c}, threads=threads)
        bench.compare("blocks", count, "Rust", arguments, figures, threads=threads)
    alone = "Rust Allocator"
    bench.compare("blocks", count, alone, ["blocks", count], figures)
    few = bench.size(200_000, 5_000)
    bench.instructions("blocks", few, "C", lambda n: ["blocks", n, 1], few, [*ALL_C, "cas"])
    bench.instructions("blocks", few, alone, lambda n: ["blocks", n], few, ["filz", *PEERS[alone]])
    calls = {peer: bench.runner.system_calls(bench.command("C", peer, "blocks", count, 1)) for peer in ["none", *ALL_C]}
    for peer in ALL_C:
        bench.table.add("blocks", count, 1, peer, "C", "system calls", [calls[peer] - calls["none"]], "")


@workload
def fast(bench):
    """The fast path alone: small blocks from memory that is touched already, on 1 and 2 threads"""
    pieces, rounds = bench.size((20, 50), (10, 10))
    blocks_a_round, time = pieces * 2000, "fast-picoseconds"
    figures = {("time a block", "ns"): lambda run: run[time] / 1000}
    in_c = {**figures, ("mean time a block", "ns"): lambda run: run["fast-mean-picoseconds"] / 1000}
    for base, peers in ("filz", [*PEERS["C"], "cas"]), ("cas", ["filz-stack"]):
        bench.compare("fast", blocks_a_round, "C", ["fast", pieces, rounds, 1], in_c if base == "filz" else {},
                      peers=peers, base=base, time=time)
    bench.compare("fast", blocks_a_round, "Rust Allocator", ["fast", pieces, rounds], figures, time=time)
    if len(os.sched_getaffinity(0)) < 2:
        print("fast: on 1 thread only: there is no second CPU")
        return
    in_c["pieces that count", "%"] = lambda run: run["fast-percent"]
    bench.compare("fast", blocks_a_round, "C", ["fast", pieces, rounds, 2], in_c, threads=2, time=time)
    for peer in "filz", "filz-stack", *MALLOCS, "boost":
        runs = [[bench.runner.run(bench.command("C", peer, "fast", pieces, rounds, threads)) for threads in (1, 2)]
                for _ in range(bench.pairs)]
        for metric, name in {"throughput on 2 threads over 1": time,
                             "throughput on 2 threads over 1, by the mean": "fast-mean-picoseconds"}.items():
            gains = [2 * one[name] / two[name] for one, two in runs]
            bench.table.add("fast", blocks_a_round, 2, peer, "C", metric, gains, "")


@workload
def arrays(bench):
    """Growing arrays: one to 100 million numbers by doubling; one by equal steps, and a thousand side by side"""
    elements = bench.size(100_000_000, 100_000)
    fewer = elements // 5
    grow_in_c(bench, "doubling", elements, ["vector", elements, 0])
    grow_in_c(bench, "steps", fewer, ["vector", fewer, fewer // 20])
    grow_in_c(bench, "1000 side by side", fewer, ["vectors", fewer, 1000])
    bench.compare("arrays", "doubling", "Rust", ["vector", elements], growing(elements))


def growing(elements):
    return {
        ("time an element", "ns"): lambda run: run["nanoseconds"] / elements,
        ("memory over size", ""): lambda run: memory(run) / run["size"],
        ("peak memory over size", ""): lambda run: run["peak"] / run["size"],
    }


def grow_in_c(bench, name, elements, arguments):
    # Of arrays whose address changes. glibc moves large blocks with mremap, which copies nothing.
    in_c = {
        ("bytes moved over size", ""): lambda run: run["moved"] / run["size"],
        ("allocated over size", ""): lambda run: run["used"] / run["size"] if run["used"] else None,
    }
    bench.compare("arrays", name, "C", arguments, {**growing(elements), **in_c})


@workload
def zeroed(bench):
    """Zeroed blocks from 64 B to 64 MiB, touched and not"""
    total = bench.size(64 * MIB, 4 * MIB)
    for size in bench.size([64, 512, 4096, 32768, MIB // 4, 2 * MIB, 16 * MIB, 64 * MIB], [MIB]):
        count = max(1, total // size)
        figures = {("time a block", "us"): lambda run: run["nanoseconds"] / count / 1000}
        for name in "zeroed", "zeroed-touched":
            bench.compare(name, size, "C", [name, count, size], figures)
        more = min(bench.size(1000, 10), max(2, count - 1))
        bench.instructions("zeroed", size, "C", lambda n: ["zeroed", n, size], more, ALL_C)


@workload
def once(bench):
    """Start-up and exit of a program that allocates once"""
    runner = bench.runner
    variants = [(peer, "", runner.environment, runner.empty) for peer in ALL_C if peer not in ("filz", "glibc")] + [
        ("filz", "new named file", runner.environment, runner.empty),
        ("filz", "named file already there", runner.environment, lambda: None),
        ("filz", "unnamed file", runner.unnamed, runner.empty),
        ("filz", "new file in memory/", runner.unnamed, runner.empty_but_for_memory),
    ]
    plain_calls = runner.system_calls([bench.once("glibc")], runner.environment, runner.empty)
    bench.table.add("once", "", 1, "glibc", "C", "system calls", [plain_calls], "")
    for peer, parameters, environment, prepare in variants:
        times, over = starts(bench, bench.once(peer), environment, prepare)
        calls = runner.system_calls([bench.once(peer)], environment, prepare)
        for metric, values, unit in [
            ("start and exit", times, "ms"), ("start and exit over glibc", over, "ms"),
            ("system calls", [calls], ""), ("system calls of its own", [calls - plain_calls], ""),
        ]:
            bench.table.add("once", parameters, 1, peer, "C", metric, values, unit)


def starts(bench, program, environment, prepare):
    """Milliseconds from start to exit, and how many more than those of the same program on glibc malloc, which runs
    right before it and right after it by turns."""
    plain, times, over = bench.once("glibc"), [], []
    for i in range(-1, bench.size(100, 3)):
        prepare()
        order = (plain, program) if i % 2 == 0 else (program, plain)
        taken = {one: bench.runner.milliseconds(one, environment) for one in order}
        if i >= 0:  # the first brings the programs into memory, and makes the file that is to be there
            times.append(taken[program])
            over.append(taken[program] - taken[plain])
    return times, over


def program(bench, name, path):
    figures = {("time", "ms"): lambda run: run["nanoseconds"] / 1e6, **PEAK}
    for language in "C", "Rust":
        bench.compare(name, f"{path.stat().st_size // 10**6} MB", language, [name, path], figures)


@workload
def json(bench):
    """A real program: a JSON document of 100 MB parsed into a tree, with cJSON and serde_json"""
    program(bench, "json", bench.input("document.json", data.write_json, 101 * MIB, MIB))


@workload
def words(bench):
    """A real program: an index of the words of a large text"""
    program(bench, "words", bench.input("text.txt", data.write_text, 30 * MIB, MIB))


@workload
def larger(bench):
    """A heap four times as large as memory, under a limit on it"""
    most = bench.size(256 * MIB, 32 * MIB)
    size, count = 64 * 1024, 4 * most // (64 * 1024)
    for peer in ["filz", *MALLOCS, *FILE_PEERS]:
        where = ("larger", f"{4 * most // MIB} of {most // MIB} MiB", 1, peer, "C")
        command, seconds, killed = bench.command("C", peer, "larger", count, size), [], False
        try:
            while len(seconds) < bench.size(3, 1):
                with memory_limit.limit(most) as enter:
                    seconds.append(bench.runner.run(command, preexec_fn=enter)["process nanoseconds"] / 1e9)
        except Killed:
            killed = True
        except OSError as why:
            print(f"larger: not run: no control group for memory can be made here: {why}")
            bench.table.add(*where, "not run", [1], "")
            continue
        bench.table.add(*where, "finished", [int(not killed)], "")
        if not killed:
            bench.table.add(*where, "time", seconds, "s")


@workload
def out_of_core(bench):
    """Records of 1 to 8 times the memory, under a limit on it: added, read, written, walked; and opened cold"""
    larger_than_memory.measure(bench)


@workload
def reopen(bench):
    """An index of 1 GiB that an earlier run has left: had again, and a word looked up in it"""
    program = bench.build / "rust" / "release" / "persistent_index"
    words, peers = bench.size(15_000_000, 10_000), ["filz", *REOPENED]
    with bench.runner.keeping(bench.runner.directory.parent / "kept"):
        made = [bench.runner.run([program, "make", kind, str(words)]) for kind in ("filz", "json", "rkyv")]
        runs = [{peer: bench.runner.run([program, "find", peer])["nanoseconds"] for peer in peers}
                for _ in range(bench.pairs)]
    size = f"{made[0]['bytes'] / 2**30:.2f} GiB"
    for peer in peers:
        bench.table.add("reopen", size, 1, peer, "Rust", "time", [run[peer] / 1e6 for run in runs], "ms")
        if peer != "filz":
            ratios = [run[peer] / run["filz"] for run in runs]
            bench.table.add("reopen", size, 1, peer, "Rust", "time as a ratio to filz", ratios, "")


@workload
def readers(bench):
    """64 processes that read one file of 1 GiB: their memory, and how soon one more has an answer"""
    many, lookups = bench.size((64, 100_000), (4, 1_000))
    size = readers_of_files.size_that_fits(bench, bench.size(1024 * MIB, MIB))
    with bench.runner.keeping(bench.runner.directory.parent / "kept"):
        files = readers_of_files.Files(bench, size, many)
        for peer in readers_of_files.PEERS:
            files.memory(peer, lookups)
        files.first_answers(bench.size(100, 2))


@workload
def sparse(bench):
    """A block of 1 GiB of which one page is touched"""
    size = bench.size(1024 * MIB, 64 * MIB)
    for peer in ALL_C:
        run = bench.runner.run(bench.command("C", peer, "sparse", size))
        for metric, number in {
            "memory": memory(run),
            "written to disk": run["written"],
            "file's space on disk": bench.runner.bytes_on_disk(),
        }.items():
            bench.table.add("sparse", f"{size // MIB} MiB", 1, peer, "C", metric, [number / 1024], "KiB")
