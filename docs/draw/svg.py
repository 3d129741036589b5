"""The style of the pictures that are drawn without matplotlib: in dark colours on a dark page, and with real text, for
which a reader's fonts serve. They are 460 wide, so that they can be read on a telephone."""

import difflib
import html

WIDTH, MARGIN = 460, 16

# Text is `ink`, or `soft`; on a box of a class it is `on-` that class.
STYLE = """
    text { font-family: system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; font-size: 12px }
    .title { font-weight: 600; font-size: 13px } .small { font-size: 11px }
    .code { font-family: ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: 11px }
    .paper { fill: #ffffff } .ink, .on-free { fill: #1f2328 } .soft { fill: #59636e }
    .line { stroke: #59636e; fill: none; stroke-width: 1.2 } .dashed { stroke-dasharray: 4 3 }
    .head { fill: #57606a } .one { fill: #0072b2 } .two { fill: #e69f00 } .on-head, .on-one { fill: #ffffff }
    .one-tail { fill: #cfe4f5 } .two-tail { fill: #fbe3b3 } .free { fill: #eaeef2 }
    .on-two, .on-one-tail, .on-two-tail { fill: #1f2328 }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #0d1117 } .ink, .on-free, .on-one-tail, .on-two-tail { fill: #e6edf3 } .soft { fill: #9aa4ae }
      .line { stroke: #9aa4ae } .one-tail { fill: #12344f } .two-tail { fill: #4a3400 } .free { fill: #262c36 }
    }
"""


def size(count):
    """A number of bytes, in words."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.4g} {unit}"
        count /= 1024


class Picture:
    """Its height is where the last thing ends."""

    def __init__(self, title, description, made_by):
        self.title, self.description, self.made_by, self.parts, self.height = title, description, made_by, [], 0

    def add(self, element, bottom):
        self.parts.append(element)
        self.height = max(self.height, bottom)

    def box(self, kind, x, y, width, height, words="", rounded=0):
        self.add(f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{rounded}"/>',
                 y + height)
        if words:
            self.text(x + width / 2, y + height / 2 + 4, words, f"on-{kind} small", "middle")

    def text(self, x, y, words, kind="ink", anchor="start"):
        self.add(f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{html.escape(words)}</text>', y)

    def code(self, x, y, lines):
        """Each line is where its indentation says: SVG drops spaces. Returns where the next one would be."""
        for line in lines:
            words = line.lstrip()
            self.text(x + 6.6 * (len(line) - len(words)), y, words, "ink code")
            y += 15
        return y

    def line(self, path, bottom, kind="", arrow=False):
        tip = ' marker-end="url(#tip)"' if arrow else ""
        self.add(f'<path class="{f"line {kind}".strip()}" d="{path}"{tip}/>', bottom)

    def write(self):
        height = self.height + MARGIN
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{1.2 * WIDTH:g}" '
            f'height="{1.2 * height:g}" role="img" aria-labelledby="title desc">',
            f"  <!-- drawn by {self.made_by} -->",
            f'  <title id="title">{html.escape(self.title)}</title>',
            f'  <desc id="desc">{html.escape(self.description)}</desc>',
            f"  <style>{STYLE}  </style>",
            '  <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
            '<path class="soft" d="M0 0L8 4L0 8z"/></marker></defs>',
            f'  <rect class="paper" width="{WIDTH}" height="{height:g}"/>',
            *(f"  {part}" for part in self.parts), "</svg>", ""])


def write_or_check(path, picture, check, command):
    """Writes the picture; or says, in words, in which lines the file isn't this one."""
    if not check:
        path.write_text(picture)
    before = path.read_text() if path.exists() else ""
    if before == picture:
        return None
    lines = difflib.unified_diff(before.splitlines(), picture.splitlines(), f"docs/{path.name}", "now", lineterm="", n=0)
    return "\n".join([*lines, f"docs/{path.name} isn't what the code says now: {command} draws it"])
