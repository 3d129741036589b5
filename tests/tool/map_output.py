"""`filz map` on terminals and in pipes, and its pictures (SVG).

    map_output.py FILZ HEAPS       the tool, and the program built of map_heaps.c"""

import os
import re
import shutil
import subprocess
from xml.dom import minidom

from screen import PLAIN, WithHeaps, filz, on_terminal
from tool_test import FILZ, HEAPS, main

COLOUR = re.compile(rb"\x1b\[[0-9;]*m")


class Map(WithHeaps):
    def test_the_map_fits_every_terminal(self):
        self.heap(threads=12)
        for columns, rows in (20, 10), (40, 12), (80, 24), (132, 43), (300, 80):
            lines = on_terminal("map", "heap", columns=columns, rows=rows).split(b"\n")
            widths = [len(COLOUR.sub(b"", line).decode()) for line in lines]
            self.assertLessEqual(max(widths), columns)
            self.assertLess(len(lines), rows + 1)
            self.assertIn(columns, widths)

    def test_a_map_in_a_pipe_has_80_columns_or_COLUMNS_and_no_colours(self):
        self.heap()
        for variables, columns in ({}, 80), ({"COLUMNS": "50"}, 50), ({"COLUMNS": "nonsense"}, 80):
            lines = filz("map", "heap", env={**PLAIN, **variables}).stdout.decode().splitlines()
            self.assertEqual(max(map(len, lines)), columns)
            self.assertLessEqual(len(lines), 20)
            self.assertNotIn("\x1b", "".join(lines))

    def test_each_thread_has_a_colour_and_is_in_the_legend(self):
        self.heap(threads=3)
        output = on_terminal("map", "heap")
        threads = re.search(rb"Threads:(.*)", output)[1]
        colours = re.findall(rb"\x1b\[38;5;(\d+)m\xe2\x96\x88", threads)
        self.assertEqual(len(set(colours)), 3)
        for colour in colours:
            self.assertIn(colour, re.findall(rb"\x1b\[38;5;(\d+)m", output[:output.index(b"Threads:")]))
        for number in b"123":
            self.assertRegex(threads, rb"%c: [0-9.]+ KiB" % number)

    def test_a_terminal_of_eight_colours_gets_only_those(self):
        output = on_terminal("map", self.heap(), env={**PLAIN, "TERM": "xterm"})
        self.assertRegex(output, rb"\x1b\[3[1-7]m")
        self.assertNotIn(b"38;5", output)

    def test_there_are_no_colours_with_NO_COLOR_or_on_a_dumb_or_unknown_terminal(self):
        self.heap()
        for variables in {"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": "nonsense"}, {"TERM": ""}:
            self.assertNotIn(b"\x1b", on_terminal("map", "heap", env={**PLAIN, **variables}))
        self.assertIn(b"\x1b[", on_terminal("map", "heap", env={**PLAIN, "NO_COLOR": ""}))

    def test_the_map_is_ascii_if_the_locale_is_not_utf_8(self):
        output = filz("map", self.heap(), env={**PLAIN, "LC_ALL": "C"}).stdout
        self.assertTrue(output.isascii())
        self.assertRegex(output, rb"\n#+")
        self.assertIn("█".encode(), filz("map", "heap").stdout)

    def test_used_pages_that_are_not_in_ram_look_different(self):
        self.heap()
        fd = os.open("heap", os.O_RDWR)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        output = filz("map", "heap").stdout.decode()
        if "not in RAM" not in output:
            self.skipTest("the pages stay in RAM here, as on tmpfs")
        self.assertIn("▓▓▓", output)

    def test_names_cannot_control_the_terminal(self):
        name = b"a\x1b[31m\x07\xff\xc2\x9b"
        os.rename(self.heap(), name)
        for output in on_terminal("map", name, env={**PLAIN, "NO_COLOR": "1"}), filz("map", b"no" + name).stderr:
            self.assertIn(b"a?[31m???", output)
            self.assertNotIn(b"\x1b", output)
            self.assertNotIn(b"\x07", output)

    def test_a_file_that_is_not_a_heap_is_an_error_with_status_1(self):
        with open("text", "w") as file:
            file.write("no heap")
        for path in "text", "missing", ".":
            result = filz("map", path)
            self.assertEqual((result.returncode, result.stdout), (1, b""))
            self.assertTrue(result.stderr.startswith(b"filz: " + path.encode() + b": "))

    def test_a_damaged_heap_is_drawn_up_to_the_damage_with_status_1(self):
        with open(self.heap(), "r+b") as file:
            file.seek(os.sysconf("SC_PAGESIZE"))
            file.write(b"\xff" * 8)
        for arguments in ("map", "heap"), ("map", "--svg", "-", "heap"):
            result = filz(*arguments)
            self.assertEqual(result.returncode, 1)
            self.assertIn(b"after damage", result.stdout)
            self.assertRegex(result.stderr, rb"filz: heap: offset \d+: ")

    def test_a_full_disk_is_an_error(self):
        self.heap()
        for arguments in ("map", "heap"), ("map", "--svg", "-", "heap"):
            with open("/dev/full", "w") as full:
                result = subprocess.run([FILZ, *arguments], stdout=full, stderr=subprocess.PIPE, env=PLAIN)
            self.assertEqual((result.returncode, b"no disk space is left" in result.stderr), (1, True))
        result = filz("map", "--svg", "/dev/full", "heap")
        self.assertEqual((result.returncode, b"/dev/full: no disk space is left" in result.stderr), (1, True))

    def test_wrong_use_ends_with_status_2(self):
        for arguments in (), ("a", "b"), ("--svg",), ("--nonsense", "heap"):
            result = filz("map", *arguments)
            self.assertEqual((result.returncode, result.stdout), (2, b""))
            self.assertIn(b"filz map --help", result.stderr)

    def test_a_heap_that_changes_all_the_time_is_read(self):
        program = self.running(3, 0, "reset")
        for _ in range(100):
            result = filz("map", "heap")
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            self.assertIn(b"in use", result.stdout)
        program.end()


class Picture(WithHeaps):
    def draw(self, path):
        self.assertEqual(filz("map", "--svg", "out.svg", path).returncode, 0)
        return minidom.parse("out.svg")

    def test_a_picture_is_the_same_in_a_file_as_on_standard_output(self):
        with open("out.svg", "w") as file:
            file.write("x" * 100000)
        picture = self.draw(self.heap())
        self.assertEqual(minidom.parseString(filz("map", "--svg", "-", "heap").stdout).toxml(), picture.toxml())

    def test_the_squares_of_the_legend_are_shapes_and_no_patterns(self):
        with open(self.heap(), "r+b") as file:
            file.seek(os.sysconf("SC_PAGESIZE"))
            file.write(b"\xff" * 8)
        picture = minidom.parseString(filz("map", "--svg", "-", "heap").stdout)
        squares = [rect for rect in picture.getElementsByTagName("rect") if rect.getAttribute("width") == "26"]
        inside = [shape.tagName for square in squares for shape in square.parentNode.childNodes[1:]]
        self.assertNotIn("url", "".join(square.getAttribute("fill") for square in squares))
        self.assertIn("path", inside)  # the cross of what is after damage

    def test_a_picture_is_valid_XML_with_any_bytes_in_the_names(self):
        not_utf8 = b"\xff\xc3\xc0\xaf\xed\xa0\x80\xef\xbf\xbf\xf4\x90\x80\x80"
        for name in b"<&>\"']]>--", b"\x01\x1b[1m\x7f", not_utf8, "é☃𝄞".encode():
            with open(self.heap(), "r+b") as file:
                file.seek(file.read(4096).index(os.path.basename(HEAPS).encode()))
                file.write(name[:40] + b"\0")
            os.rename("heap", name)
            picture = self.draw(name)
            texts = [text.firstChild.data for text in picture.getElementsByTagName("text")]
            self.assertIn(name.decode(errors="ignore").translate(dict.fromkeys([*range(32), 127, 0xffff])),
                          texts[1].replace("\ufffd", ""))
            self.assertIn("The heap of ", texts[0])

    def test_a_picture_has_a_description_in_words(self):
        picture = self.draw(self.heap())
        svg = picture.documentElement
        self.assertEqual(svg.getAttribute("aria-labelledby"), "filz-title filz-desc")
        self.assertIn(os.path.basename(HEAPS)[:15], svg.getElementsByTagName("title")[0].firstChild.data)
        self.assertRegex(svg.getElementsByTagName("desc")[0].firstChild.data,
                         r"heap: [0-9.]+ KiB of [0-9.]+ [KM]iB used .*a square is one page")
        titles = [title.firstChild.data for title in svg.getElementsByTagName("title")[1:]]
        self.assertEqual(titles[0], "page 0: used")
        for thread in 1, 2, 3:
            self.assertTrue(any(title.endswith(f"used, thread {thread}") for title in titles))

    def test_the_rectangles_cover_all_pages(self):
        picture = self.draw(self.heap())
        runs = [rect for rect in picture.getElementsByTagName("rect") if rect.getElementsByTagName("title")]
        pages = os.path.getsize("heap") // os.sysconf("SC_PAGESIZE")
        self.assertEqual(sum(int(rect.getAttribute("width")) for rect in runs), pages)

    def test_no_heap_is_overwritten_by_a_picture(self):
        os.link(self.heap(), "link")
        shutil.copy("heap", "another")
        with open("heap", "rb") as file:
            before = file.read()
        for path in "heap", "link", "another":
            result = filz("map", "--svg", path, "heap")
            self.assertEqual((result.returncode, result.stderr),
                             (1, f"filz: {path}: is a heap, which the picture would overwrite\n".encode()))
            with open(path, "rb") as file:
                self.assertEqual(file.read(), before)

    def test_a_file_that_cannot_be_written_is_an_error(self):
        result = filz("map", "--svg", "no/out.svg", self.heap())
        self.assertEqual((result.returncode, result.stderr), (1, b"filz: no/out.svg: no such file or directory\n"))


if __name__ == "__main__":
    main()
