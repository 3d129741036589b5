"""The tool's help, its errors for wrong use, and its completion in bash.

    command_line.py FILZ HEAPS       the tool, and the program built of heaps.c"""

import os
import re

from tool_test import TOOL, InFreshDirectory, filz, main, run

COMMANDS = ("inspect", "map", "watch", "check", "snapshot", "run")


class Use(InFreshDirectory):
    def test_help_and_version_are_on_standard_output(self):
        for arguments in (("--help",), ("-h",), *((command, "--help") for command in COMMANDS),
                          ("inspect", "file", "-h")):
            result = filz(*arguments)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertTrue(result.stdout.startswith("Usage: filz "))
            self.assertLessEqual(max(map(len, result.stdout.splitlines())), 92)
        self.assertRegex(filz("--version").stdout, r"^filz \d+\.\d+\.\d+, heap format 2\n$")

    def test_help_names_each_command(self):
        for command in COMMANDS:
            self.assertRegex(filz("--help").stdout, rf"\n  {command} +\w")

    def test_wrong_use_ends_with_status_2_and_a_hint(self):
        for arguments, message in (
                (("nonsense",), "filz: no command 'nonsense'"),
                (("--nonsense",), "filz: no command '--nonsense'"),
                (("inspect",), "filz inspect: no FILE given"),
                (("inspect", "a", "b"), "filz inspect: more than one FILE given"),
                (("inspect", "--nonsense", "a"), "filz inspect: unrecognized option '--nonsense'"),
                (("inspect", "--json=1", "a"), "filz inspect: option '--json' doesn't allow an argument"),
                (("inspect", "-x", "a"), "filz inspect: invalid option -- 'x'"),
                (("check",), "filz check: no FILE given"),
                (("check", "--json", "a"), "filz check: unrecognized option '--json'"),
                (("snapshot",), "filz snapshot: no FILE given"),
                (("snapshot", "a"), "filz snapshot: no COPY given"),
                (("snapshot", "a", "b", "c"), "filz snapshot: more than FILE and COPY given"),
                (("run",), "filz run: no PROGRAM given"),
                (("run", "--keep"), "filz run: no PROGRAM given"),
                (("run", "--capacity"), "filz run: option '--capacity' requires an argument"),
                *((("run", "--capacity", size, "true"), f"filz run: '{size}' isn't a size")
                  for size in ("", "M", "1X", "1MB", "-1", " 1"))):
            result = filz(*arguments)
            hint = " ".join(message.split(":")[0].split())
            self.assert_report(result, f"{message}\nSee '{hint} --help'.", status=2)
            self.assertEqual(result.stdout, "")
        result = filz()
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertTrue(result.stderr.startswith("Usage: filz "))


class Completion(InFreshDirectory):
    def complete(self, *words):
        script = '. "$0"; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _filz; printf "%s\\n" "${COMPREPLY[@]}"'
        result = run("bash", "-c", script, os.path.join(TOOL, "completion.bash"), *words)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return sorted(result.stdout.split())

    def test_completion_knows_the_commands_and_their_options(self):
        self.assertEqual(self.complete("filz", ""), sorted([*COMMANDS, "--help", "--version"]))
        self.assertEqual(self.complete("filz", "in"), ["inspect"])
        for command in COMMANDS:
            options = set(re.findall(r"^  (--\w+)", filz(command, "--help").stdout, re.MULTILINE))
            self.assertEqual(self.complete("filz", command, "-"), sorted(options))

    def test_completion_offers_heaps_and_programs(self):
        os.mkdir("directory")
        for name in ("a.filz", "b.svg", "c.txt"):
            open(name, "w").close()
        self.assertEqual(self.complete("filz", "inspect", ""), ["a.filz", "directory/"])
        self.assertEqual(self.complete("filz", "snapshot", "a.filz", ""), ["a.filz", "directory/"])
        self.assertEqual(self.complete("filz", "map", "--svg", ""), ["b.svg", "directory/"])
        self.assertEqual(self.complete("filz", "run", "--dir", ""), ["directory"])
        self.assertIn("seq", self.complete("filz", "run", "--keep", "--", "seq"))
        self.assertIn("seq", self.complete("filz", "run", "seq"))


if __name__ == "__main__":
    main()
