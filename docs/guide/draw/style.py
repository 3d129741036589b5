"""The one style of the guide's pictures: a white card, so that it can be read in a light page and in a dark one."""

from matplotlib import patches, pyplot

# Letters are outlines, because a reader may not have the font; the same output gives the same bytes.
pyplot.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "filz", "font.size": 9, "axes.titlesize": 10,
                        "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
                        "figure.edgecolor": "#d0d7de"})
INK, PALE, FREE = "#24292f", "#57606a", "#eaeef2"
# People who can't tell red from green can tell these apart: M. Okabe and K. Ito, Color Universal Design, 2008.
COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"]


def on(colour):
    """What a letter is written in on this colour: white on those that are dark enough for it."""
    return "white" if colour in (COLOURS[0], COLOURS[2], COLOURS[5], PALE) else INK


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
                      color=PALE if colour in (FREE, "white") else on(colour))
    axes.set_xlim(-0.2, columns + 0.2)
    axes.set_ylim(-(len(colours) - 1) // columns - 0.4, 1.3)
    axes.set_aspect("equal")
    axes.axis("off")


def legend(axes, entries):
    """Below: a square and its meaning, for each (colour, text)."""
    boxes = [patches.Patch(facecolor=colour, edgecolor="none") for colour, _ in entries]
    axes.legend(boxes, [text for _, text in entries], loc="upper left", bbox_to_anchor=(0, -0.02),
                ncols=min(len(entries), 4), frameon=False, fontsize=8, handlelength=1, handleheight=1)
