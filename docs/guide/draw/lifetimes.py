"""How many times what is alive five kinds of program take: with free lists, and with filz."""

from .style import COLOURS, INK, card


def draw(output):
    rows = [line.rsplit(maxsplit=4) for line in output.splitlines()[1:]]
    figure, axes = card("Memory taken, as a multiple of what was alive at most", 3.3)
    for place, (name, alive, lists, allocated, _) in enumerate(rows):
        for offset, taken, colour in ((-0.19, lists, COLOURS[1]), (0.19, allocated, COLOURS[0])):
            ratio = int(taken) / int(alive)
            axes.barh(place + offset, ratio - 0.8, 0.36, left=0.8, color=colour)
            label = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
            axes.text(ratio * 1.06, place + offset, label, va="center", size=8, color=INK)
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(0.8, 400)
    axes.set_xticks([1, 10, 100], ["1: what is alive", "10", "100"])
    axes.minorticks_off()
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    for colour, text in ((COLOURS[1], "a free list for each power of two"), (COLOURS[0], "filz, which frees nothing")):
        axes.barh([0], [0], color=colour, label=text)
    axes.legend(frameon=False, fontsize=8, loc="center right")
    return figure
