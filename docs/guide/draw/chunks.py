"""Rows of pages: which thread's chunk each is in, and whether it is used."""

import re

from matplotlib import patches

from .style import COLOURS, FREE, HEAD, INK, card, tint


def draw(output):
    rows = re.findall(r"^(.+?) +(H[A-Ca-c.]*)$", output, re.MULTILINE)
    colour = {letter: COLOURS[i] for i, letter in enumerate("ABC")}
    colour |= {letter.lower(): tint(fill) for letter, fill in colour.items()}
    colour |= {"H": HEAD, ".": FREE}
    width = max(len(pages.rstrip(".")) for _, pages in rows) + 4
    figure, axes = card("The pages of one heap while three threads allocate in turn", 0.36 * len(rows) + 0.75)
    for y, (what, pages) in enumerate(rows):
        axes.text(-0.6, -y, what, ha="right", va="center", color=INK, size=8)
        for x, letter in enumerate(pages[:width]):
            axes.add_patch(patches.Rectangle((x, -y - 0.36), 0.9, 0.72, facecolor=colour[letter], edgecolor="none"))
    axes.set_xlim(-0.2, width)
    axes.set_ylim(-len(rows) + 0.5, 0.6)
    axes.axis("off")
    meanings = [("H", "header")] + [(letter, f"{letter}'s") for letter in "ABC"]
    meanings += [("a", "fainter: the tail of a chunk"), (".", "free")]
    axes.legend(handles=[patches.Patch(facecolor=colour[letter], label=text) for letter, text in meanings],
                loc="upper left", bbox_to_anchor=(-0.01, 0), ncols=6, frameon=False, fontsize=8, handlelength=1,
                handleheight=1, columnspacing=1.5)
    return figure
