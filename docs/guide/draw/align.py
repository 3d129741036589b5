"""Two byte maps, 16 bytes a row: the same six blocks in two orders."""

from matplotlib import patches, pyplot

from draw.style import COLOURS, FREE, GREY, INK, PALE, cells

NAMES = {"f": "flag, 1 byte", "n": "number, 4", "m": "name, 5", "t": "time, 8", "p": "port, 2", "v": "vector, 16",
         "-": "padding"}


def colour_of(letter):
    return {"-": GREY, ".": FREE}.get(letter) or COLOURS[list(NAMES).index(letter)]


def read(part):
    lines = part.splitlines()
    return lines[0], "".join(line[4:] for line in lines if line[2:4] == "  " and line[:2].strip().isdigit()), lines[-1]


def draw(output):
    figure, panels = pyplot.subplot_mosaic([["left", "right"], ["below", "below"]], figsize=(7.5, 1.6),
                                           layout="constrained", height_ratios=[5, 1])
    figure.get_layout_engine().set(h_pad=0.08)
    for axes, part in zip((panels["left"], panels["right"]), output.split("\n\n")):
        title, letters, total = read(part)
        cells(axes, [colour_of(letter) for letter in letters], 16, [letter.strip(".") for letter in letters])
        for row in range(0, len(letters), 16):
            axes.text(-0.4, -row // 16 + 0.44, row, ha="right", va="center", size=7, color=PALE)
        axes.set_xlim(-1.3, 16.2)
        axes.set_title(f"{title.capitalize()}: {total}", weight="bold", color=INK, fontsize=8.5)
    boxes = [patches.Patch(facecolor=colour_of(letter)) for letter in NAMES]
    panels["below"].axis("off")
    panels["below"].legend(boxes, [f"{letter}: {name}" for letter, name in NAMES.items()], loc="center left", ncols=7,
                           frameon=False, fontsize=7.5, handlelength=1, handleheight=1, columnspacing=1.1)
    return figure
