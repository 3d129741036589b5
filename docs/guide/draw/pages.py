"""16 pages after each access, a row each: mapped here, in RAM only, or neither; and the faults that the access took."""

import re

from matplotlib import patches

from draw.style import COLOURS, FREE, INK, card, legend, tint

ROW = re.compile(r"^(\S.*?) +(\d+)  ([.#]{16})  ([.#]{16})$", re.MULTILINE)
MAPPED, IN_RAM = COLOURS[0], tint(COLOURS[0])


def draw(output):
    rows = ROW.findall(output)
    figure, axes = card("A file of 16 pages, page by page", 0.29 * len(rows) + 0.9)
    axes.text(-0.5, 1.5, "after", ha="right", va="center", color=INK, weight="bold")
    axes.text(16.5, 1.5, "faults", ha="left", va="center", color=INK, weight="bold")
    for page in range(16):
        axes.text(page + 0.46, 1.5, page, ha="center", va="center", size=7.5, color=INK)
    for i, (what, faults, here, ram) in enumerate(rows):
        y = -1.15 * i
        for page in range(16):
            colour = MAPPED if here[page] == "#" else IN_RAM if ram[page] == "#" else FREE
            axes.add_patch(patches.Rectangle((page, y), 0.92, 0.9, facecolor=colour))
        axes.text(-0.5, y + 0.42, what, ha="right", va="center", color=INK)
        axes.text(16.5, y + 0.42, faults, ha="left", va="center", color=INK)
    axes.set_xlim(-9, 18.5)
    axes.set_ylim(y - 0.3, 2)
    axes.axis("off")
    legend(axes, [(MAPPED, "in RAM, and mapped in this process"), (IN_RAM, "in RAM only"), (FREE, "neither")])
    return figure
