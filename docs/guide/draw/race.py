"""Three panels, one for each way to take a block: what two threads do in turns, and the count between them."""

import re

from matplotlib import pyplot

from draw.style import COLOURS, INK, PALE, PAPER, on

# What is wrong at the end of each; the second is right.
ENDS = ["both have 8 to 23", "each has its own", "8 would have fitted"]


def parts_of(output):
    """[title, count before, [(thread, what, count after)...]] of each."""
    parts = []
    for line in output.splitlines():
        columns = line[2:32].strip(), line[32:62].strip(), line[62:]
        if not line.startswith(" "):
            parts.append([line, None, []])
        elif columns[0] and columns[1]:
            parts[-1][1] = re.sub(r"\D", "", columns[2])
        else:
            parts[-1][2].append((1 if columns[0] else 2, columns[0] or columns[1], columns[2]))
    return parts


def frame(fill, edge, padding=0.35):
    return {"boxstyle": f"round,pad={padding}", "facecolor": fill, "edgecolor": edge, "linewidth": 1.4}


def draw_part(axes, part, end, right):
    title, before, steps = part
    axes.set_title(title.capitalize(), weight="bold", color=INK, fontsize=9)
    axes.text(0.5, 0.25, f"used: {before}", ha="center", va="center", size=8, color=INK)
    for thread in 1, 2:
        axes.text(thread - 1, 0.25, f"thread {thread}", ha="center", va="center", size=8, weight="bold",
                  color=on(COLOURS[thread - 1]), bbox=frame(COLOURS[thread - 1], COLOURS[thread - 1], 0.2))
    for i, (thread, what, after) in enumerate(steps):
        y = -1.1 * i - 0.9
        lines = re.sub("[,:] ", "\n", what, 1) if len(what) > 10 else what
        axes.text(thread - 1, y, lines, ha="center", va="center", size=7.5, color=INK,
                  bbox=frame(PAPER, COLOURS[thread - 1]))
        axes.text(0.5, y, after, ha="center", va="center", size=8, color=INK)
    axes.text(0.5, -6.5, end, ha="center", va="center", size=8.5, weight="bold", color=INK,
              bbox=frame(PAPER, COLOURS[2] if right else COLOURS[5]))
    for x in 0, 1:
        axes.plot([x, x], [0, -5.9], color=PALE, linewidth=0.8, zorder=0)
    axes.set_xlim(-0.5, 1.5)
    axes.set_ylim(-7, 0.7)
    axes.axis("off")


def draw(output):
    figure, panels = pyplot.subplots(1, 3, figsize=(7.5, 3.5), layout="constrained", linewidth=1)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    for i, part in enumerate(parts_of(output)):
        draw_part(panels[i], part, ENDS[i], i == 1)
    return figure
