"""Draws the charts from results.csv alone, each beside it. Called by bench/run.

    draw.py DIRECTORY"""

import sys
import textwrap
from pathlib import Path
from typing import Callable, NamedTuple

from matplotlib import pyplot, textpath, ticker

from harness.table import read

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs/draw"))
import plots
from plots import INK, PALE, PAPER

pyplot.rcParams.update({"font.size": 10, "xtick.labelsize": 9})
COLOURS = [*plots.COLOURS, "#7a7a7a", "#b8860b", "#5e3c99"]

# In inches. A chart is so narrow that its letters can be read where it is 400 pixels wide.
WIDTH, EDGE = 6, 0.12
VALUES = 0.72  # the column of numbers at the right
BAR, LINE, TICKS = 0.155, 0.17, 0.34

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
        self.machine, self.rows = read(path)
        self.used = set()  # (peer, language), since the last chart

    def figures(self, metric, **where):
        """{peer: (median, low, high)} of the rows that `where` describes. In ratios to filz, that is 1."""
        found = {}
        for row in self.rows:
            if row["metric"] == metric and all(row[name] == value for name, value in where.items()):
                peer = NAMES.get(row["peer"], row["peer"])
                found[peer] = tuple(float(row[name]) for name in ("median", "low", "high"))
                self.used.add((row["peer"], row["language"].split()[0]))
        return {"filz": (1, 1, 1), **found} if found and metric == RATIO else found

    def version(self, peer, language):
        """The library or crate that the peer is, and its version; None for filz's own."""
        if peer.startswith("mimalloc") and language == "C":
            return next(f"mimalloc {one}" for one in self.machine["mimalloc in C"].split(", ") if one[0] == peer[-1])
        name = {("obstack", "C"): "glibc", ("jemalloc", "Rust"): "tikv-jemallocator"}.get((peer, language), peer)
        known = f"{self.machine['libraries']}, {self.machine['crates']}".split(", ")
        return next((one for one in known if name.startswith(one.split()[0].lower())), None)

    def notes(self, has_quartiles):
        """Where it was measured, and the versions of what was asked for since the last call."""
        versions = {self.version(*one) for one in self.used}
        languages = {language for _, language in self.used}
        compilers = {"C": self.version("gcc", "C"), "Rust": self.machine["rust"]}
        named = [*sorted(versions - {None}, key=str.lower), *(compilers[one] for one in sorted(languages))]
        self.used.clear()
        return [
            "; ".join(self.machine[name] for name in ("machine", "kernel", "file system", "date")) + ".",
            *(["Bars are medians, the thin lines quartiles."] if has_quartiles else []),
            ", ".join(named) + "."]


class Panel(NamedTuple):
    title: str
    names: list  # at the left of the axes
    height: float  # of the axes
    header: float  # between the title and the axes, for the legend
    footer: float  # below the ticks
    draw: Callable
    has_quartiles: bool = False


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def order_of(series):
    """Every peer, from the best on: in the first of the series that has it."""
    first = {peer: figures[0] for one in reversed(series.values()) for peer, figures in one.items()}
    return sorted(first, key=first.get)


def bars(title, series, start=0, logarithmic=False, order=None, show=number):
    """Bars of {name: {peer: (median, low, high)}}, from `start` on, and the medians in a column."""
    series = {name: one for name, one in series.items() if one}
    order = [peer for peer in order or order_of(series) if any(peer in one for one in series.values())]
    y, ticks, places = 0, {}, []
    for peer in order:
        top = y
        for (name, one), colour in zip(series.items(), COLOURS):
            if peer in one:
                places.append((y, colour, one[peer]))
                y += 1
        ticks[peer] = (top + y - 1) / 2
        y += 0.5
    height = y + 0.2

    def draw(axes):
        for y, colour, (median, low, high) in places:
            axes.barh(y, median - start, 0.85, start, color=colour, xerr=[[median - low], [high - median]],
                      error_kw={"elinewidth": 0.9, "ecolor": INK})
            text = show(median)
            at_left = not text[0].isdigit()
            axes.annotate(text, (0 if at_left else 1, y), (4 if at_left else 72 * VALUES - 12, 0),
                          ("axes fraction", "data"), "offset points", va="center", ha="left" if at_left else "right",
                          fontsize=9, color=PALE if at_left else INK)
        axes.set_ylim(height - 0.85, -0.85)
        axes.set_yticks(list(ticks.values()), list(ticks))
        axes.tick_params("y", length=0)
        for label in axes.get_yticklabels():
            label.set_weight("bold" if label.get_text().startswith("filz") else "normal")
        if logarithmic:
            axes.set_xscale("log")
            least, most = axes.get_xlim()
            axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if most < 400 * least else (1,), numticks=12))
            axes.minorticks_off()
        else:
            axes.xaxis.set_major_locator(ticker.MaxNLocator(6))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        if start == 0:
            axes.set_xlim(left=0)
        if len(series) > 1:
            legend_above(axes, series)

    return Panel(title, order, height * BAR, 0.22 if len(series) > 1 else 0.05, 0, draw,
                 any(high > 1.01 * low for _, _, (_, low, high) in places))


def legend_above(axes, names):
    boxes = [pyplot.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS[:len(names)]]
    right = 1 + (VALUES - EDGE) / (axes.get_position().width * WIDTH)
    axes.legend(boxes, names, loc="lower right", bbox_to_anchor=(right, 1), ncols=len(names), frameon=False,
                fontsize=9, handlelength=1.2, columnspacing=1.2, borderaxespad=0, borderpad=0.3)


def ratios(title, series, to_whom=SLOWER):
    """Bars from 1 on: to the right who is slower, to the left who is faster."""
    most = max(figures[0] for one in series.values() for figures in one.values())
    order = order_of(series)
    for one in list(series.values())[1:]:
        if one.get("filz") == (1, 1, 1):
            del one["filz"]  # once is enough
    panel = bars(f"{title}; {to_whom}", series, start=1, logarithmic=most > 10, order=order)

    def draw(axes):
        panel.draw(axes)
        axes.axvline(1, color=INK, linewidth=1)

    return panel._replace(draw=draw)


def text_width(name):
    width = textpath.TextPath((0, 0), name, size=pyplot.rcParams["font.size"]).get_extents().width / 72
    return width * (1.12 if name.startswith("filz") else 1)  # bold letters are wider


def card(results, title, *panels):
    """Panels, one below the other."""
    heading = textwrap.wrap(title, 54)
    titles = [textwrap.wrap(panel.title, 78) for panel in panels]
    notes = [line for note in results.notes(any(panel.has_quartiles for panel in panels))
             for line in textwrap.wrap(note, 92, break_on_hyphens=False)]
    height = 2 * EDGE + 0.22 * len(heading) + 0.13 * len(notes) + 0.1 + sum(
        0.14 + LINE * len(lines) + panel.header + panel.height + TICKS + panel.footer
        for panel, lines in zip(panels, titles))
    figure = pyplot.figure(figsize=(WIDTH, height), linewidth=2)  # half of it is outside

    def write(lines, y, size, **look):
        figure.text(EDGE / WIDTH, y / height, "\n".join(lines), va="top", fontsize=size, linespacing=1.3, **look)

    y = height - EDGE
    write(heading, y, 12.5, weight="bold", color=INK)
    y -= 0.22 * len(heading)
    left = max(text_width(name) for panel in panels for name in panel.names) + EDGE + 0.12
    for panel, lines in zip(panels, titles):
        y -= 0.14
        write(lines, y, 10, color=INK)
        y -= LINE * len(lines) + panel.header + panel.height
        axes = figure.add_axes([left / WIDTH, y / height, (WIDTH - left - VALUES) / WIDTH, panel.height / height])
        panel.draw(axes)
        y -= TICKS + panel.footer
    write(notes, y - 0.06, 8, color=PALE)
    return figure


def on_threads(results, metric, **where):
    return {f"{threads} thread{'s' * (threads > 1)}": results.figures(metric, threads=str(threads), **where)
            for threads in (1, 2, 4)}


def blocks(results):
    return card(results, "10 million small blocks, each touched, none freed",
                ratios("Time as a ratio to filz, C", on_threads(results, RATIO, workload="blocks", language="C")))


def instructions(results):
    counts = results.figures("instructions a block", workload="blocks", language="C")
    return card(results, "Instructions an allocation of a small block takes",
                bars(f"C; refills included, with the call and its arguments (filz: 17 inside filz_mmap_alloc); {LESS}",
                     {"C": counts}, 1, True))


def rust(results):
    kinds = {"fresh memory": "blocks", "memory touched before": "fast"}
    return card(results, "Small blocks in Rust: time as a ratio to filz",
                ratios("Global allocators", on_threads(results, RATIO, workload="blocks", language="Rust")),
                ratios("Allocator::allocate",
                       {name: results.figures(RATIO, workload=workload, language="Rust Allocator")
                        for name, workload in kinds.items()}))


def zeroed(results):
    lines = {}
    for size in sorted({int(row["parameters"]) for row in results.rows if row["workload"] == "zeroed"}):
        for peer, figures in results.figures("instructions a block", workload="zeroed", parameters=str(size)).items():
            lines.setdefault(peer, {})[size] = figures[0]
    peers = sorted(lines, key=lambda peer: -lines[peer][max(lines[peer])])
    looks = dict(zip([peer for peer in peers if peer != "filz"],
                     zip([*COLOURS[5:], *COLOURS], "sD^vXP<>*", ["-", "--", ":", "-.", "-"] * 2)))
    bundle, since = bundled(lines, peers)

    def draw(axes):
        for i, peer in enumerate(peers):
            colour, marker, style = looks.get(peer, (INK, "o", "-"))
            # In a bundle, each marker is smaller than the one below it.
            axes.loglog(lines[peer].keys(), lines[peer].values(), style, marker=marker, color=colour, label=peer,
                        linewidth=3 if peer == "filz" else 1.4, zorder=3 if peer == "filz" else 2,
                        markersize=10 - 2 * i if peer in bundle else 6, markeredgecolor=PAPER, markeredgewidth=0.5)
        if len(bundle) > 1:
            middle = sorted(size for size in lines[peers[0]] if size >= since)
            size = middle[len(middle) // 2]
            names = textwrap.fill(f"one line from {size_name(since)} on: {', '.join(bundle)}", 30)
            axes.annotate(names, (size, lines[peers[0]][size]), (-24, 4), textcoords="offset points", ha="right",
                          va="center", fontsize=9, color=INK, arrowprops={"arrowstyle": "-", "color": PALE})
        axes.set_xticks(list(lines["filz"]), [size_name(size).replace(" ", "\n") for size in lines["filz"]])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}".replace(",000,000", " M"))
        axes.legend(loc="upper left", bbox_to_anchor=(-0.15, -0.13), ncols=3, frameon=False, fontsize=9,
                    handlelength=3.4, borderaxespad=0)

    title = "Instructions a block, by its size, C; lower is better; flat: only the kernel clears anything"
    return card(results, "Zeroed blocks never handed out before: what clearing them costs",
                Panel(title, ["100,000 "], 3.6, 0.06, 0.18 * -(-len(peers) // 3) + 0.3, draw))


def bundled(lines, peers):
    """The peers that end within 5 % of the first, and the size from which their lines are as close."""
    def close(peer, size):
        return abs(lines[peer][size] / lines[peers[0]][size] - 1) < 0.05

    sizes = sorted(lines[peers[0]])
    bundle = [peer for peer in peers if close(peer, sizes[-1])]
    apart = [size for size in sizes if not all(close(peer, size) for peer in bundle)]
    return bundle, next(size for size in sizes if not apart or size > apart[-1])


def size_name(size):
    for unit in "B", "KiB", "MiB":
        if size < 1024:
            return f"{size} {unit}"
        size //= 1024


def programs(results):
    panels = []
    for workload, name in {"json": "JSON into a tree", "words": "Index of words"}.items():
        time, memory = ({language: results.figures(metric, workload=workload, language=language)
                         for language in ("C", "Rust")} for metric in (f"process {RATIO}", "peak memory"))
        time = {language: {"filz": (1, 1, 1), **one} for language, one in time.items() if one}
        order = order_of(time)
        panels += [ratios(f"{name}: time as a ratio to filz", time),
                   bars(f"{name}: peak memory, MiB; {LESS}", memory, order=order)]
    results.used |= {("cjson", "C"), ("serde_json", "Rust")}
    return card(results, "Real programs: whole-process time and peak memory", *panels)


def larger(results):
    finished, seconds = (results.figures(metric, workload="larger") for metric in ("finished", "time"))
    size, limit = next(row for row in results.rows if row["workload"] == "larger")["parameters"].split(" of ")
    return card(results, f"A heap of {size} MiB under a limit of {limit} on memory",
                bars(f"Seconds to write it and to read it again, C; {LESS}",
                     {"C": {peer: seconds.get(peer, (0, 0, 0)) for peer in finished}},
                     order=sorted(finished, key=lambda peer: seconds.get(peer, (99,))),
                     show=lambda median: number(median) if median else "killed: out of memory"))


def once(results):
    kinds = {row["parameters"] for row in results.rows if row["workload"] == "once"}
    found = {f"{peer}: {kind}" if kind else peer: figures for kind in sorted(kinds) for peer, figures in
             results.figures("start and exit over glibc", workload="once", parameters=kind).items()}
    results.used.add(("glibc", "C"))
    return card(results, "Start-up and exit of a program that allocates once",
                bars(f"Milliseconds more than the same program on glibc malloc, C; {LESS}", {"C": found}))


def reopen(results):
    times = results.figures("time", workload="reopen")
    size = next(row for row in results.rows if row["workload"] == "reopen")["parameters"]
    return card(results, f"An index of {size} that an earlier run has left",
                bars(f"Milliseconds to have it again and look up a word, Rust; {LESS}", {"Rust": times}, 0.01, True))


def readers(results):
    many, size = next(row for row in results.rows if row["workload"] == "readers")["parameters"].split(" of ")
    panels = [bars(f"{title}; {LESS}", {"": results.figures(metric, workload="readers")},
                   show=lambda median: f"{int(median):,}") for title, metric in [
        ("Private memory of a reader, KiB", "private memory of a reader"),
        (f"Memory of all {many} (PSS), MiB", "PSS of all readers"),
        ("System calls of an open", "system calls of an open"),
    ]]
    times = {"open and first answer": results.figures(RATIO, workload="readers"),
             "open alone": results.figures("time of the open as a ratio to filz", workload="readers")}
    return card(results, f"{many} processes that read one file, {size} of keys and values", *panels,
                ratios("Time as a ratio to filz", times))


def out_of_core(results):
    found = {row["parameters"] for row in results.rows if row["workload"] == "out_of_core"}
    sizes = sorted(found, key=lambda parameters: int(parameters.split()[0]))
    limit = int(sizes[0].split()[2])

    def by_size(metric):
        return {f"{int(size.split()[0]) // limit} × memory":
                results.figures(metric, workload="out_of_core", parameters=size, threads="1")
                for size in (twice, sizes[-1])}

    def at(size, metrics):
        return {name: results.figures(metric, workload="out_of_core", parameters=size, threads="1")
                for name, metric in metrics.items()}

    twice = next(size for size in sizes if int(size.split()[0]) == 2 * limit)
    ratio, slower = "time as a ratio to the best advice", "to the right: slower"
    return card(
        results, f"Records of 256 bytes in a heap larger than memory, which is {limit} MiB",
        bars(f"KiB read for a random read; {LESS}", by_size("reads: read"), 1, True),
        ratios("Random reads: time as a ratio to the best advice", by_size(f"reads: {ratio}"), slower),
        bars(f"KiB dirtied by a random store, records twice as large as memory; {LESS}",
             at(twice, {"soon after the build": "first-writes: written", "later": "writes: written"}), 1, True),
        ratios("A walk through records twice as large as memory: time as a ratio to the best advice",
               at(twice, {"walk not announced": f"walk: {ratio}",
                          "announced by filz_mmap_advise": f"advised-walk: {ratio}"}), slower))


# Each chart, and the workloads that it is drawn from.
CHARTS = {blocks: {"blocks"}, instructions: {"blocks"}, rust: {"blocks", "fast"}, zeroed: {"zeroed"},
          programs: {"json", "words"}, larger: {"larger"}, once: {"once"},
          reopen: {"reopen"}, readers: {"readers"}, out_of_core: {"out_of_core"}}


def main(directory):
    results = Results(directory / "results.csv")
    measured = {row["workload"] for row in results.rows if row["metric"] != "not run"}
    for draw, workloads in CHARTS.items():
        if workloads <= measured:
            plots.save(draw(results), directory / f"{draw.__name__}.svg")
            print(f"{directory.name}/{draw.__name__}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
