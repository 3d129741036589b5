"""A row for each call of the allocator: the bytes of the heap after it."""

import re

from matplotlib import patches

from .style import COLOURS, FREE, GREY, INK, PAPER, card


def read(output):
    """The calls, each with the blocks after it: {start: [size, name]}, and the spans that were given up."""
    rows, blocks, given_up, name = [], {}, [], ""
    for line in output.splitlines():
        if found := re.match(r"let (?:mut )?(\w+)", line):
            name = found[1]
        elif found := re.match(r"(\w+)\.|drop\((\w+)\)", line):
            name = found[1] or found[2]
        if not line.startswith("    "):
            continue
        call = line.strip()
        numbers = [int(number) for number in re.findall(r"\d+", call)]
        if call.startswith("alloc"):
            size, _, start = numbers
            blocks[start] = (size, name)
        elif call.startswith("dealloc"):
            given_up.append((numbers[0], blocks.pop(numbers[0])[0]))
        elif not call.endswith("null"):
            before, old_size, size, start = numbers
            owner = blocks.pop(before)[1]
            newest = all(start >= other for other in blocks)
            blocks[start] = (size, owner)
            if start != before:
                given_up.append((before, old_size))
            elif size < old_size and not newest:
                given_up.append((start + size, old_size - size))
        rows.append((call, dict(blocks), list(given_up)))
    return rows


def draw(output):
    rows = read(output)
    names = list(dict.fromkeys(name for _, blocks, _ in rows for _, name in blocks.values()))
    colour = dict(zip(names, COLOURS))
    end = max(start + size for _, blocks, given_up in rows
              for start, size in [(s, b[0]) for s, b in blocks.items()] + given_up)
    figure, axes = card("Each call, and the bytes of the heap after it", 0.34 * len(rows) + 1.0)
    for y, (call, blocks, given_up) in enumerate(rows):
        spans = [(0, end, FREE)] + [(start, size, GREY) for start, size in given_up]
        spans += [(start, size, colour[name]) for start, (size, name) in blocks.items()]
        for start, size, fill in spans:
            axes.add_patch(patches.Rectangle((start, -y - 0.37), size, 0.74, facecolor=fill, edgecolor=PAPER,
                                             linewidth=0.8))
        axes.text(-2, -y, call, ha="right", va="center", color=INK, size=8, family="monospace")
    axes.set_xlim(-1, end + 1)
    axes.set_ylim(-len(rows) + 0.4, 0.7)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks(range(0, end + 1, 16))
    meanings = [*colour.items(), ("given up", GREY), ("free", FREE)]
    axes.legend(handles=[patches.Patch(facecolor=fill, label=text) for text, fill in meanings], loc="upper left",
                bbox_to_anchor=(-0.02, -0.08), ncols=6, frameon=False, fontsize=8, handlelength=1, handleheight=1,
                columnspacing=1.5)
    return figure
