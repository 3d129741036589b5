"""How far a heap is allocated, carved into chunks and in its file, up to a limit."""

import re

from .style import COLOURS, INK, PALE, PAPER, card


def draw(output):
    rows = [[int(word) for word in line.split()] for line in output.splitlines() if re.fullmatch(r"[\d ]+", line)]
    blocks, used, chunks, file = zip(*rows)
    figure, axes = card("The file grows before the chunks do, and the chunks before the blocks", 3.6)
    axes.fill_between(blocks, file, step="post", color=COLOURS[4], linewidth=0, label="in the file")
    axes.fill_between(blocks, chunks, step="post", color=COLOURS[0], linewidth=0, label="in chunks")
    axes.fill_between(blocks, used, color=INK, linewidth=0, label="allocated")
    limit = file[-1]
    axes.axhline(limit, color=COLOURS[5], linewidth=1.5)
    axes.text(blocks[0] + 1, limit + 60, f"the disk is full: {limit:,} KiB", color=INK, va="bottom")
    axes.set_xlim(blocks[0], blocks[-1])
    axes.set_ylim(0, limit * 1.15)
    axes.set_xlabel("blocks of 48 KiB taken", color=PALE)
    axes.set_ylabel("KiB", color=PALE)
    axes.legend(loc="lower right", frameon=True, facecolor=PAPER, edgecolor="none", framealpha=1)
    return figure
