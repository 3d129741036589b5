"""Three heaps after a fork, as parent and child read them: whose store is in each page."""

from matplotlib import patches

from .style import COLOURS, FREE, INK, PALE, card, legend, on

PARENT, CHILD, WRONG = COLOURS[0], COLOURS[1], COLOURS[5]
COLOUR = {"a": FREE, "p": PARENT, "c": CHILD}


def cell(axes, x, y, letter, reads_the_others):
    axes.add_patch(patches.Rectangle((x, y), 0.92, 0.92, facecolor=COLOUR[letter], edgecolor=WRONG if reads_the_others
                                     else "none", linewidth=2.5))
    axes.text(x + 0.46, y + 0.44, letter, ha="center", va="center", size=9, weight="bold",
              color=PALE if letter == "a" else on(COLOUR[letter]))


def draw(output):
    figure, axes = card("After a fork: the parent wrote p, the child c", 3.9)
    y = 0
    for line in output.splitlines()[2:]:
        words = line.split()
        if "parent" in words:
            name = " ".join(words[:words.index("parent")])
            y -= 0.7
        who = "parent" if "parent" in words else "child"
        letters = words[words.index(who) + 1:][:7]
        for i, letter in enumerate(letters):
            others = letter == ("c" if who == "parent" else "p")
            cell(axes, i + (0.6 if i == 6 else 0), y, letter, others)
        axes.text(-0.4, y + 0.44, who, ha="right", va="center", size=8, color=INK)
        axes.text(7.9, y + 0.44, f"in page {words[-1]}", va="center", size=8, color=PALE)
        if who == "parent":
            axes.text(-2.4, y - 0.06, name, ha="right", va="center", size=9, weight="bold", color=INK)
        y -= 1
    for i in range(6):
        axes.text(i + 0.46, 0.55, str(i), ha="center", size=8, color=PALE)
    axes.text(7.06, 0.55, "new", ha="center", size=8, color=PALE)
    axes.text(-0.4, 0.55, "page", ha="right", size=8, color=PALE)
    axes.set_xlim(-6.4, 10)
    axes.set_ylim(y + 0.5, 1.3)
    axes.set_aspect("equal")
    axes.axis("off")
    legend(axes, [(FREE, "from before the fork"), (PARENT, "the parent's store"), (CHILD, "the child's"),
                  (WRONG, "frame: reads the other's")])
    return figure
