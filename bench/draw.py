"""Draws the charts from results.csv alone, each beside it. Called by bench/run.

    draw.py DIRECTORY"""

import sys
import textwrap
from pathlib import Path

from matplotlib import pyplot, ticker

from harness.table import read

# Letters are outlines, since a reader may not have the font; the same CSV gives the same bytes.
pyplot.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "filz", "font.size": 9, "axes.titlesize": 9,
                        "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False})
COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7a7a7a", "#b8860b", "#5e3c99"]
INK, PALE = "#24292f", "#57606a"

NAMES = {"glibc": "glibc malloc", "memkind": "memkind PMEM", "boost": "Boost mapped_file", "obstack": "GNU obstack",
         "filz-local": "filz local", "filz-stack": "filz stack", "cas": "bare compare-and-swap", "lmdb": "LMDB",
         "lmdb-nolock": "LMDB, MDB_NOLOCK", "lmdb-nordahead": "LMDB, MDB_NORDAHEAD", "sqlite": "SQLite",
         "disk-dlmalloc-random": "disk-dlmalloc, Random",
         "mapping": "mapping, no advice", "mapping-advised": "mapping, best advice"}
RATIO = "time as a ratio to filz"
SLOWER = "to the right: slower than filz"
LESS = "shorter is better"


class Results:
    def __init__(self, path):
        machine, self.rows = read(path)
        where = "; ".join(machine[name] for name in ("machine", "kernel", "file system", "date"))
        versions = (f"{machine['libraries']}, mimalloc in C {machine['mimalloc in C']}; {machine['rust']}, "
                    f"{machine['crates']}")
        lines = textwrap.wrap(versions, 195)
        self.notes = "\n".join([f"{where}. Bars are medians, the thin lines quartiles.", *lines])

    def figures(self, metric, **where):
        """{peer: (median, low, high)} of the rows that `where` describes. In ratios to filz, that is 1."""
        found = {NAMES.get(row["peer"], row["peer"]): tuple(float(row[name]) for name in ("median", "low", "high"))
                 for row in self.rows
                 if row["metric"] == metric and all(row[name] == value for name, value in where.items())}
        return {"filz": (1, 1, 1), **found} if found and metric == RATIO else found


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def order_of(series):
    """Every peer, from the best on: in the first of the series that has it."""
    first = {peer: figures[0] for one in reversed(series.values()) for peer, figures in one.items()}
    return sorted(first, key=first.get)


def bars(axes, title, series, start=0, logarithmic=False, order=None):
    """Bars of {name: {peer: (median, low, high)}}, from `start` on."""
    series = {name: one for name, one in series.items() if one}
    y, ticks = 0, {}
    for peer in order or order_of(series):
        top = y
        for (name, one), colour in zip(series.items(), COLOURS):
            if peer not in one:
                continue
            median, low, high = one[peer]
            axes.barh(y, median - start, 0.85, start, color=colour, xerr=[[median - low], [high - median]],
                      error_kw={"elinewidth": 0.9, "ecolor": INK})
            axes.annotate(number(median), (max(high, start), y), (3, 0), textcoords="offset points", va="center",
                          fontsize=7)
            y += 1
        ticks[peer] = (top + y - 1) / 2
        y += 0.6
    axes.set_title(title)
    axes.set_ylim(y - 0.6, -3 if len(series) > 1 else -0.9)
    axes.spines["left"].set_bounds(y - 0.6, -0.6)  # not through the legend
    axes.set_yticks(list(ticks.values()), list(ticks), size=9)
    axes.tick_params("y", length=0)
    for label in axes.get_yticklabels():
        label.set_weight("bold" if label.get_text().startswith("filz") else "normal")
    if logarithmic:
        axes.set_xscale("log")
        least, most = axes.get_xlim()
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if most < 1e4 * least else (1,)))
        axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.margins(x=0.12)
    if start == 0:
        axes.set_xlim(left=0)
    if len(series) > 1:
        boxes = [pyplot.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS[:len(series)]]
        axes.legend(boxes, series, loc="upper right", ncols=len(series), frameon=False, fontsize=8, handlelength=1.4,
                    columnspacing=1.2, borderaxespad=0)


def ratios(axes, title, series):
    """Bars from filz on: to the right who is slower, to the left who is faster."""
    most = max(figures[0] for one in series.values() for figures in one.values())
    order = order_of(series)
    for one in list(series.values())[1:]:
        one.pop("filz", None)
    bars(axes, f"{title}; {SLOWER}", series, start=1, logarithmic=most > 10, order=order)
    axes.vlines(1, -0.6, axes.get_ylim()[0], INK, linewidth=1)


def card(results, title, height, rows=1, columns=1):
    """A figure and its panels, on white: so it can be read in a light page and in a dark one."""
    figure, panels = pyplot.subplots(rows, columns, figsize=(9, height), layout="constrained", squeeze=False)
    figure.suptitle(title, x=0.01, ha="left", size=13, weight="bold")
    figure.supxlabel(results.notes, x=0.01, ha="left", size=6.5, color=PALE)
    return figure, panels


def on_threads(results, metric, **where):
    return {f"{threads} thread{'s' * (threads > 1)}": results.figures(metric, threads=str(threads), **where)
            for threads in (1, 2, 4)}


def blocks(results):
    figure, [[axes]] = card(results, "10 million small blocks, each touched, none freed", 6.5)
    ratios(axes, "Time as a ratio to filz, C", on_threads(results, RATIO, workload="blocks", language="C"))
    return figure


def instructions(results):
    figure, [[axes]] = card(results, "Instructions an allocation of a small block takes", 4)
    bars(axes, f"Instructions a block, refills included, C; {LESS}",
         {"C": results.figures("instructions a block", workload="blocks", language="C")}, 1, True)
    return figure


def rust(results):
    figure, [[left, right]] = card(results, "Small blocks in Rust: time as a ratio to filz", 4.5, columns=2)
    ratios(left, "Global allocators", on_threads(results, RATIO, workload="blocks", language="Rust"))
    kinds = {"fresh memory": "blocks", "memory touched before": "fast"}
    ratios(right, "Allocator::allocate", {name: results.figures(RATIO, workload=workload, language="Rust Allocator")
                                          for name, workload in kinds.items()})
    return figure


def zeroed(results):
    lines = {}
    for size in sorted({int(row["parameters"]) for row in results.rows if row["workload"] == "zeroed"}):
        for peer, figures in results.figures("instructions a block", workload="zeroed", parameters=str(size)).items():
            lines.setdefault(peer, {})[size] = figures[0]
    figure, [[axes]] = card(results, "Zeroed blocks never handed out before: what clearing them costs", 4.5)
    for (peer, line), colour in zip(sorted(lines.items(), key=lambda line: -max(line[1].values())),
                                    [*COLOURS, "#222222"]):
        axes.loglog(line.keys(), line.values(), "o-", color=INK if peer == "filz" else colour, label=peer,
                    linewidth=3 if peer == "filz" else 1.5, markersize=3, zorder=3 if peer == "filz" else 2)
    axes.set_title("Instructions a block, by its size, C; lower is better, flat: nothing is cleared but by the kernel")
    axes.set_xticks(list(lines["filz"]), map(size_name, lines["filz"]))
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def size_name(size):
    for unit in "B", "KiB", "MiB":
        if size < 1024:
            return f"{size} {unit}"
        size //= 1024


def programs(results):
    figure, panels = card(results, "Real programs: whole-process time and peak memory", 8.5, 2, 2)
    kinds = {"json": "JSON into a tree", "words": "Index of words"}
    for (workload, name), [left, right] in zip(kinds.items(), panels):
        time, memory = ({language: results.figures(metric, workload=workload, language=language)
                         for language in ("C", "Rust")} for metric in (f"process {RATIO}", "peak memory"))
        time = {language: {"filz": (1, 1, 1), **one} for language, one in time.items() if one}
        order = order_of(time)
        ratios(left, f"{name}: time", time)
        bars(right, f"Peak memory, MiB; {LESS}", memory, order=order)
        right.set_yticklabels([])
    return figure


def larger(results):
    finished, seconds = (results.figures(metric, workload="larger") for metric in ("finished", "time"))
    size, limit = next(row for row in results.rows if row["workload"] == "larger")["parameters"].split(" of ")
    figure, [[axes]] = card(results, f"A heap of {size} MiB under a limit of {limit} on memory", 3.6)
    bars(axes, f"Seconds to write it and to read it again; {LESS}",
         {"C": {peer: seconds.get(peer, (0, 0, 0)) for peer in finished}},
         order=sorted(finished, key=lambda peer: seconds.get(peer, (99,))))
    for label in axes.texts:
        label.set_text(label.get_text() if label.xy[0] else "killed: out of memory")
    return figure


def once(results):
    kinds = {row["parameters"] for row in results.rows if row["workload"] == "once"}
    found = {f"{peer}: {kind}" if kind else peer: figures for kind in sorted(kinds) for peer, figures in
             results.figures("start and exit over glibc", workload="once", parameters=kind).items()}
    figure, [[axes]] = card(results, "Start-up and exit of a program that allocates once", 4.2)
    bars(axes, f"Milliseconds more than the same program on glibc malloc, C; {LESS}", {"C": found})
    return figure


def reopen(results):
    times = results.figures("time", workload="reopen")
    size = next(row for row in results.rows if row["workload"] == "reopen")["parameters"]
    figure, [[axes]] = card(results, f"An index of {size} that an earlier run has left", 3)
    bars(axes, f"Milliseconds to have it again and look up a word, Rust; {LESS}", {"Rust": times}, 0.01, True)
    return figure


def readers(results):
    many, size = next(row for row in results.rows if row["workload"] == "readers")["parameters"].split(" of ")
    figure, [[private, together], [calls, times]] = card(
        results, f"{many} processes that read one file, {size} of keys and values", 5.5, 2, 2)
    for axes, title, metric in [
        (private, "Private memory of a reader, KiB", "private memory of a reader"),
        (together, f"Memory of all {many} (PSS), MiB", "PSS of all readers"),
        (calls, "System calls of an open", "system calls of an open"),
    ]:
        bars(axes, f"{title}; {LESS}", {"": results.figures(metric, workload="readers")})
        for label in axes.texts:
            label.set_text(label.get_text().split(".")[0])
    ratios(times, "Time", {
        "open and first answer": results.figures(RATIO, workload="readers"),
        "open alone": results.figures("time of the open as a ratio to filz", workload="readers")})
    return figure


def out_of_core(results):
    found = {row["parameters"] for row in results.rows if row["workload"] == "out_of_core"}
    sizes = sorted(found, key=lambda parameters: int(parameters.split()[0]))
    limit = int(sizes[0].split()[2])

    def by_size(metric, chosen=sizes):
        return {f"{int(size.split()[0]) // limit} × memory":
                results.figures(metric, workload="out_of_core", parameters=size, threads="1") for size in chosen}

    def at(size, metrics):
        return {name: results.figures(metric, workload="out_of_core", parameters=size, threads="1")
                for name, metric in metrics.items()}

    figure, panels = card(results, f"Records of 256 bytes in a heap larger than memory, which is {limit} MiB", 10, 2, 2)
    twice = next(size for size in sizes if int(size.split()[0]) == 2 * limit)
    larger = [size for size in sizes if int(size.split()[0]) > limit]
    ratio, is_one = "time as a ratio to the best advice", "time; the best advice is 1"
    bars(panels[0][0], "KiB read for a random read", by_size("reads: read", larger), 1, True)
    bars(panels[0][1], f"Random reads: {is_one}", by_size(f"reads: {ratio}", larger), 0.5, True)
    bars(panels[1][0], "KiB dirtied by a random store; 2 × memory",
         at(twice, {"after the build": "first-writes: written", "later": "writes: written"}), 1, True)
    bars(panels[1][1], f"Walks, 2 ×: {is_one}",
         at(twice, {"nothing said": f"walk: {ratio}", "said before": f"advised-walk: {ratio}"}), 0.2, True)
    return figure


# Each chart, and the workloads that it is drawn from.
CHARTS = {blocks: {"blocks"}, instructions: {"blocks"}, rust: {"blocks", "fast"}, zeroed: {"zeroed"},
          programs: {"json", "words"}, larger: {"larger"}, once: {"once"},
          reopen: {"reopen"}, readers: {"readers"}, out_of_core: {"out_of_core"}}


def main(directory):
    results = Results(directory / "results.csv")
    measured = {row["workload"] for row in results.rows if row["metric"] != "not run"}
    for draw, workloads in CHARTS.items():
        if workloads <= measured:
            draw(results).savefig(directory / f"{draw.__name__}.svg", metadata={"Date": None, "Creator": None})
            print(f"{directory.name}/{draw.__name__}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
