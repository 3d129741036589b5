"""The bytes of one struct, as two languages lay it out."""

import re

from matplotlib import patches

from .style import COLOURS, FREE, HEAD, INK, PALE, PAPER, card, on


def read(output):
    """[(title, size, [(field, offset, size)])]"""
    structs = []
    for line in output.splitlines():
        if found := re.fullmatch(r"(.+): (\d+) bytes, align \d+", line):
            structs.append((found[1], int(found[2]), []))
        elif found := re.fullmatch(r"    (\w+) +(\d+) bytes at (\d+)", line):
            structs[-1][2].append((found[1], int(found[3]), int(found[2])))
    return structs


def draw(output):
    structs = read(output)
    names = [name for name, _, _ in structs[0][2]]
    # Eight fields and six colours; the eighth is the yellow of the same palette.
    colour = dict(zip(names, COLOURS + [HEAD, "#f0e442"]))
    widest = max(size for _, size, _ in structs)
    figure, axes = card("One struct, byte for byte", 0.75 * len(structs) + 0.75)
    for y, (title, size, fields) in enumerate(structs):
        axes.text(0, -y + 0.36, f"{title}: {size} bytes", color=INK, va="bottom", size=8.5)
        axes.add_patch(patches.Rectangle((0, -y - 0.3), size, 0.6, facecolor=FREE, edgecolor="none"))
        for name, start, length in fields:
            axes.add_patch(patches.Rectangle((start, -y - 0.3), length, 0.6, facecolor=colour[name], edgecolor=PAPER))
            axes.text(start + length / 2, -y, name, ha="center", va="center", size=8 if length > 4 else 5.5,
                      color=on(colour[name]))
        padding = set(range(size)) - {byte for _, start, length in fields for byte in range(start, start + length)}
        for byte in sorted(padding):
            if byte - 1 not in padding:
                axes.text(byte + 2, -y, "padding", ha="center", va="center", color=PALE, size=6)
    axes.set_xlim(-0.3, widest + 0.3)
    axes.set_ylim(-len(structs) + 0.55, 0.8)
    axes.set_xticks(range(0, widest + 1, 8))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    return figure
