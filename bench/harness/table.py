"""The results: one CSV, a row for each figure, after lines that say where it was measured."""

import csv
import statistics

COLUMNS = ["workload", "parameters", "threads", "peer", "language", "metric", "median", "low", "high", "pairs", "unit"]


def spread(values):
    """The median and the quartiles; of fewer than four values, the least and the greatest."""
    if len(values) < 4:
        return statistics.median(values), min(values), max(values)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return median, low, high


def shown(number):
    return f"{number:.0f}" if abs(number) >= 1000 else f"{number:.4g}"


class Table:
    def __init__(self, path, machine):
        self.path = path
        self.machine = machine
        self.rows = []

    def keep(self, replaced):
        """Takes over the rows of an earlier run, but for the workloads that are measured anew, and the date of these rows."""
        if not self.path.exists():
            return
        machine, rows = read(self.path)
        self.rows = [row for row in rows if row["workload"] not in replaced]
        first, today = machine["date"].split(" to ")[0], self.machine["date"]
        if self.rows and first != today:
            self.machine = {**self.machine, "date": f"{first} to {today}"}

    def add(self, workload, parameters, threads, peer, language, metric, values, unit):
        figures = [shown(number) for number in spread(values)]
        row = [workload, parameters, threads, peer, language, metric, *figures, len(values), unit]
        self.rows.append(dict(zip(COLUMNS, map(str, row))))

    def write(self):
        with open(self.path, "w", newline="") as file:
            for name, text in self.machine.items():
                file.write(f"# {name}: {text}\n")
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)


def read(path):
    """What is said of the machine, and the rows."""
    with open(path, newline="") as file:
        lines = file.read().splitlines()
    notes = [line[2:].split(": ", 1) for line in lines if line.startswith("# ")]
    return dict(notes), list(csv.DictReader(line for line in lines if not line.startswith("# ")))
