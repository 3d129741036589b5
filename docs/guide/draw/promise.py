"""The buffer after each request, a row each: what is allocated in its owner's colour, what isn't any more, pale."""

import re

from matplotlib import patches

from draw.style import COLOURS, FREE, INK, PALE, card, on

ROW = re.compile(r"(alloc +\d+|reset) +(NULL)?[A-Z]?[\d to]*? +(\d+)  ([A-Z.]+)$", re.MULTILINE)


def draw(output):
    rows = ROW.findall(output)
    figure, axes = card("48 bytes after each request", 0.31 * len(rows) + 0.6)
    for i, (request, failed, used, letters) in enumerate(rows):
        y = -1.25 * i * 1.4
        for x, letter in enumerate(letters):
            colour = FREE if letter == "." else COLOURS[ord(letter) - ord("A")]
            alive = x < int(used)
            alpha = 1 if alive or letter == "." else 0.25
            axes.add_patch(patches.Rectangle((x, y), 0.92, 1.3, facecolor=colour, alpha=alpha))
            axes.text(x + 0.46, y + 0.62, letter.strip("."), ha="center", va="center", size=6.5,
                      color=on(colour) if alive else PALE)
        axes.text(-0.6, y + 0.62, re.sub(" +", " ", request), ha="right", va="center", color=INK)
        axes.text(48.6, y + 0.62, f"{used} used{': NULL' if failed else ''}", ha="left", va="center", color=INK)
        axes.plot([int(used) - 0.04] * 2, [y - 0.2, y + 1.5], color=INK, linewidth=1.6, solid_capstyle="butt")
    axes.set_xlim(-6, 56)
    axes.set_ylim(y - 0.5, 1.8)
    axes.axis("off")
    return figure
