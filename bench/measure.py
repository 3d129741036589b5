"""Runs workloads and writes what they measured to results.csv. Called by bench/run, which builds what is run here."""

import argparse
import sys
import time
from pathlib import Path

from harness import machine
from harness.bench import Bench
from harness.process import Runner
from harness.table import Table
from harness.workloads import WORKLOADS

HERE = Path(__file__).resolve().parent


def parsed():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="; ".join(WORKLOADS))
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether it works, and no figure")
    parser.add_argument("--pairs", type=int, help="how often each pair of programs is run; 9 unless told")
    for name in "build", "directory", "results":
        parser.add_argument(f"--{name}", type=lambda path: Path(path).resolve())
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.workloads:
        if name not in WORKLOADS:
            parser.error(f"no workload '{name}': there are {', '.join(WORKLOADS)}")
    return arguments


def main():
    arguments = parsed()
    if arguments.list:
        for name, function in WORKLOADS.items():
            print(f"{name:12}{function.__doc__}")
        return
    chosen = arguments.workloads or list(WORKLOADS)
    table = Table(arguments.results / "results.csv", machine.describe(HERE, arguments.build, arguments.directory))
    table.keep([*chosen, "zeroed-touched"] if "zeroed" in chosen else chosen)
    bench = Bench(arguments.build, Runner(arguments.directory), table, arguments.quick, arguments.pairs)
    for name in chosen:
        start = time.monotonic()
        WORKLOADS[name](bench)
        table.write()
        print(f"{name:12}{time.monotonic() - start:6.0f} s   {WORKLOADS[name].__doc__}", flush=True)
    bench.runner.empty()


if __name__ == "__main__":
    sys.exit(main())
