"""Draws which file of libfilz calls which: rows of boxes, each below all that call it."""

import platform
import sys
from itertools import combinations, permutations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs/draw"))
import svg
from svg import MARGIN, WIDTH

BOX_WIDTH, BOX_HEIGHT, ROW = 118, 26, 52


def reachable(calls, name):
    """All files that a file calls, by others too."""
    return calls[name].union(*(reachable(calls, callee) for callee in calls[name]))


def reduced(calls):
    """The calls without those that a longer way implies."""
    return {name: {callee for callee in callees
                   if not any(callee in reachable(calls, other) for other in callees - {callee})}
            for name, callees in calls.items()}


def rows_of(names, calls):
    """Each file right below the lowest of its callers; those without one are at the top. A call that passes a row has a
    place there: (caller, callee)."""
    depth = {}
    for name in reversed(names):  # callers come later
        depth[name] = 1 + max((depth[caller] for caller in names if name in calls[caller]), default=-1)
    rows = [[name for name in reversed(names) if depth[name] == row] for row in range(max(depth.values()) + 1)]
    ways = {}
    for name in names:
        for callee in sorted(calls[name], key=names.index):
            passed = [(name, callee, row) for row in range(depth[name] + 1, depth[callee])]
            for place in passed:
                rows[place[2]].append(place)
            ways[name, callee] = [name, *passed, callee]
    return rows, list(ways.values())


def cost(upper, lower, ways):
    """How often the arrows between two rows cross; then, how far they lead sideways."""
    above = {place: (i + 0.5) / len(upper) for i, place in enumerate(upper)}
    below = {place: (i + 0.5) / len(lower) for i, place in enumerate(lower)}
    arrows = [(above[start], below[end]) for way in ways for start, end in zip(way, way[1:]) if start in above]
    crossings = sum((one[0] - other[0]) * (one[1] - other[1]) < 0 for one, other in combinations(arrows, 2))
    return crossings, round(sum(abs(start - end) for start, end in arrows), 6)


def arrange(rows, ways):
    """Each row in the order in which the least arrows cross in all: the best for each order of the row before."""
    best = [((0, 0), [order]) for order in permutations(rows[0])]
    for row in rows[1:]:
        best = [min((((crossings + so_far[0], length + so_far[1]), [*orders, order]) for so_far, orders in best
                     for crossings, length in [cost(orders[-1], order, ways)]), key=lambda choice: choice[0])
                for order in permutations(row)]
    orders = min(best, key=lambda choice: choice[0])[1]
    return {place: (MARGIN + (i + 0.5) / len(row) * (WIDTH - 2 * MARGIN), 40 + ROW * y)
            for y, row in enumerate(orders) for i, place in enumerate(row)}


def draw(order, names, calls, public):
    """`order`: the files as in c/filz.c; `names`: those that aren't empty; `public`: those with functions of the headers."""
    shown = reduced(calls)
    rows, ways = rows_of(names, shown)
    at = arrange(rows, ways)
    picture = svg.Picture(
        "The layers of libfilz",
        "Which file calls which. From the top: " + "; ".join(
            f"{name} calls {', '.join(sorted(shown[name], key=names.index, reverse=True)) or 'no other'}"
            for row in rows for name in row if isinstance(name, str)) + ".",
        "tests/layers/run")
    picture.text(MARGIN, 24, "Each file calls only files below it", "ink title")
    for way in ways:
        x, y = at[way[0]]
        y += BOX_HEIGHT
        path = f"M{x:g} {y:g}"
        for place in way[1:]:
            next_x, next_y = at[place]
            path += f"C{x:g} {y + 16:g} {next_x:g} {next_y - 16:g} {next_x:g} {next_y - 2:g}"
            x, y = next_x, next_y
            if place is not way[-1]:
                y += BOX_HEIGHT
                path += f"V{y:g}"
        picture.line(path, y, arrow=True)
    for name in names:
        x, y = at[name]
        kind = "two" if name.startswith("os_") else "one" if name in public else "free"
        picture.box(kind, x - BOX_WIDTH / 2, y, BOX_WIDTH, BOX_HEIGHT, f"{order.index(name) + 1} {name}.c", rounded=4)
    y = picture.height + 26
    for words in ("Blue files have public functions. Orange ones call the system.",
                  "The numbers are the order in c/filz.c.",
                  *(f"{order.index(name) + 1} {name}.c is empty on {platform.system()}."
                    for name in order if name not in names),
                  f"{sum(map(len, calls.values())) - len(ways)} arrows are left out, because longer ways lead to the same file."):
        picture.text(MARGIN, y, words, "soft")
        y += 18
    return picture.write()
