"""The pages of a persistent heap after each of three runs."""

from matplotlib import patches

from .style import COLOURS, FREE, GREY, INK, card, legend

COLOUR = {"h": INK, "1": COLOURS[0], "2": COLOURS[1], "3": COLOURS[2], ".": GREY, "-": FREE}


def draw(output):
    lines = output.splitlines()
    maps = [line.split()[1] for line in lines if line.startswith("  pages")]
    ends = [line.strip() for line in lines if line.startswith("  ") and not line.startswith("  pages")]
    columns = max(map(len, maps))
    figure, axes = card("The file's pages at the end of each run", 2.3)
    for run, (states, end) in enumerate(zip(maps, ends)):
        y = -3.4 * run
        axes.text(0, y + 2.2, f"run {run + 1}: {end}", size=8, va="bottom", color=INK)
        for i, state in enumerate(states):
            axes.add_patch(patches.Rectangle((i, y), 0.85, 1.8, facecolor=COLOUR[state], edgecolor="none"))
    axes.set_xlim(-0.2, columns + 0.2)
    axes.set_ylim(-3.4 * (len(maps) - 1) - 0.3, 4)
    axes.axis("off")
    legend(axes, [(COLOUR["h"], "the header"), (COLOUR["1"], "nodes of run 1"), (COLOUR["2"], "of run 2"),
                  (COLOUR["3"], "of run 3"), (COLOUR["."], "tail of the chunk"), (COLOUR["-"], "not in a chunk yet")])
    return figure
