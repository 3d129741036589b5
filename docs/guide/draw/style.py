"""The one style of the guide's pictures."""

from matplotlib import patches, pyplot

# The pictures have the colours from here.
from plots import BLACK, COLOURS, DARK, FREE, GREY, HEAD, INK, PALE, PAPER, WHITE, tint

pyplot.rcParams.update({"font.size": 9, "axes.titlesize": 10, "axes.titlelocation": "left"})


def on(colour):
    """What a letter is written in on this colour."""
    if colour in DARK:
        return INK
    return WHITE if colour in (COLOURS[0], COLOURS[2], COLOURS[5], HEAD) else BLACK


def card(title, height, width=7.5):
    """A figure with one panel."""
    figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained", linewidth=1)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    axes.set_title(title, weight="bold", color=INK)
    return figure, axes


def cells(axes, colours, columns, texts=None):
    """Squares in rows of `columns`, one for each colour, some with a letter or two in them; no scales."""
    for i, colour in enumerate(colours):
        x, y = i % columns, -(i // columns)
        axes.add_patch(patches.Rectangle((x, y), 0.92, 0.92, facecolor=colour, edgecolor="none"))
        if texts and texts[i]:
            axes.text(x + 0.46, y + 0.44, texts[i], ha="center", va="center", size=7,
                      color=PALE if colour == FREE else on(colour))
    axes.set_xlim(-0.2, columns + 0.2)
    axes.set_ylim(-(len(colours) - 1) // columns - 0.4, 1.3)
    axes.set_aspect("equal")
    axes.axis("off")


def legend(axes, entries):
    """Below: a square and its meaning, for each (colour, text)."""
    boxes = [patches.Patch(facecolor=colour, edgecolor="none") for colour, _ in entries]
    axes.legend(boxes, [text for _, text in entries], loc="upper left", bbox_to_anchor=(0, -0.02),
                ncols=min(len(entries), 4), frameon=False, fontsize=8, handlelength=1, handleheight=1)
