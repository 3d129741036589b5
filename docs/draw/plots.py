"""What the pictures drawn with matplotlib share: their style, and an SVG that has other colours on a dark page."""

import io

from matplotlib import colors, pyplot

PAPER, INK, PALE, FREE, GREY, FRAME = "#ffffff", "#24292f", "#57606a", "#eaeef2", "#afb8c1", "#d0d7de"
# People who can't tell red from green can tell these apart: M. Okabe and K. Ito, Color Universal Design, 2008.
COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"]
# What a colour becomes in the dark. All others stay. WHITE and BLACK are for letters on those, so they must stay too.
DARK = {PAPER: "#0d1117", INK: "#e6edf3", PALE: "#9aa4ae", FREE: "#262c36", GREY: "#57606a", FRAME: "#3d444d",
        "#5e3c99": "#9d7fd6"}
HEAD, WHITE, BLACK = "#59636e", "#fefefe", "#1f2328"

# Letters are outlines, because a reader may not have the font; the same input gives the same bytes.
pyplot.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "filz", "axes.spines.top": False,
                        "axes.spines.right": False, "figure.edgecolor": FRAME,
                        **dict.fromkeys(["text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color",
                                         "ytick.color"], INK)})


def tint(colour):
    """The colour, nearer to the paper."""
    def mixed(share, paper):
        pairs = zip(colors.to_rgb(colour), colors.to_rgb(paper))
        return colors.to_hex([share * part + (1 - share) * other for part, other in pairs])

    light = mixed(0.35, PAPER)
    DARK[light] = mixed(0.6, DARK[PAPER])
    return light


def save(figure, path, creator=None):
    """Writes the figure, with a rule for each colour that is another one in the dark. A rule needs !important, because
    matplotlib writes colours into each element's own style. Programs that ignore the rules show the light colours."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": creator})
    svg = file.getvalue()
    rules = "".join(f'\n[style*="{what}: {light}"] {{{what}: {dark} !important}}' for light, dark in DARK.items()
                    for what in ("fill", "stroke") if f"{what}: {light}" in svg)
    path.write_text(svg.replace("</style>", f"\n@media (prefers-color-scheme: dark) {{{rules}\n}}</style>", 1))
