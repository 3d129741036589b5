"""`filz run`.

    run_program.py FILZ HEAPS       the tool, and the program built of heaps.c"""

import os
import signal
import subprocess
import time

from tool_test import FILZ, HEAPS, NOT_CLOSED, PATIENCE, PLAIN, InFreshDirectory, filz, main, run


class Run(InFreshDirectory):
    def setUp(self):
        super().setUp()
        os.mkdir("tmp")
        self.env = PLAIN | {"TMPDIR": os.path.abspath("tmp")}

    def run_it(self, *arguments, **options):
        return filz("run", *arguments, env=self.env, **options)

    def test_the_heap_of_the_program_is_inspected_and_removed(self):
        result = self.run_it("--", HEAPS, "anywhere")
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        self.assertRegex(result.stderr, r"tmp/filz-run-\w{6}/tool-heaps\.filz: heap of filz, format 2\n")
        self.assertIn("  blocks          1,001\n", result.stderr)
        self.assertEqual(os.listdir("tmp"), [])

    def test_keep_prints_where_the_heap_is(self):
        result = self.run_it("--keep", HEAPS, "anywhere")
        directory = result.stderr.splitlines()[-1].removeprefix("filz: kept in ")
        self.assertEqual(os.path.dirname(directory), os.path.abspath("tmp"))
        self.assertEqual(self.inspect(directory + "/tool-heaps.filz")["blocks"], 1001)

    def test_a_given_directory_keeps_the_heap(self):
        os.mkdir("mine")
        self.make(path="mine/older.filz")
        time.sleep(0.05)
        result = self.run_it("--dir", "mine", "--", HEAPS, "anywhere")
        self.assertEqual(result.returncode, 0)
        self.assertEqual(sorted(os.listdir("mine")), ["older.filz", "tool-heaps.filz"])
        self.assertEqual(result.stderr.count("heap of filz"), 1)
        self.assertIn("mine/tool-heaps.filz: heap", result.stderr)
        self.assert_report(self.run_it("--dir", "none", HEAPS, "anywhere"), "filz: none: no such file or directory")

    def test_the_program_gets_the_capacity_and_its_own_options(self):
        result = self.run_it("--capacity", "8M", HEAPS, "anywhere", "")
        self.assertIn("  capacity      8.0 MiB              8,388,608 bytes\n", result.stderr)
        result = self.run_it("sh", "-c", 'echo "$FILZ_CAPACITY-$0-$1"', "--keep", "--help")
        self.assertEqual(result.stdout, "---keep---help\n")

    def test_each_of_several_heaps_is_inspected(self):
        script = f"cp {HEAPS} one; cp {HEAPS} two; ./one anywhere; ./two anywhere"
        result = self.run_it("sh", "-c", script)
        self.assertEqual([line.rsplit("/")[-1] for line in result.stderr.splitlines() if "heap of filz" in line],
                         ["one.filz: heap of filz, format 2", "two.filz: heap of filz, format 2"])

    def test_a_program_without_a_heap_is_reported(self):
        result = self.run_it("--keep", "true")
        self.assert_report(result, "filz: true: made no heap file: it doesn't use filz, or puts its heap somewhere "
                              "else", status=0)
        self.assertEqual(os.listdir("tmp"), [])

    def test_the_exit_status_is_that_of_the_program(self):
        for script, status in (("exit 0", 0), ("exit 42", 42), ("kill -KILL $$", 137), ("kill -SEGV $$", 139)):
            self.assertEqual(self.run_it("sh", "-c", script).returncode, status)
        result = self.run_it("sh", "-c", f"FILZ_QUIET=1 {HEAPS} kill-here; exit $?")
        self.assertEqual(result.returncode, 137)
        self.assertIn(NOT_CLOSED, result.stderr)

    def test_a_program_that_cannot_be_run_has_its_own_status(self):
        open("text", "w").close()
        self.assert_report(self.run_it("--", "./none"), "filz: ./none: no such file or directory", status=127)
        self.assert_report(self.run_it("no-such-program"), "filz: no-such-program: no such file or directory",
                              status=127)
        self.assert_report(self.run_it("./text"), "filz: ./text: permission denied", status=126)
        self.assert_report(self.run_it("/"), "filz: /: permission denied", status=126)
        self.assertEqual(os.listdir("tmp"), [])

    PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

    def unignore(self):
        """A shell can't trap what it was started without, as background jobs are."""
        for number in self.PASSED_ON:
            signal.signal(number, signal.SIG_DFL)

    def start(self, script):
        process = subprocess.Popen([FILZ, "run", "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env=self.env, start_new_session=True, preexec_fn=self.unignore)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def test_signals_are_passed_on_to_the_program(self):
        for number in self.PASSED_ON:
            process = self.start("trap 'exit 9' HUP INT QUIT TERM USR1 USR2; echo ready; while :; do sleep 0.01; done")
            process.send_signal(number)
            process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 9, number)
        process = self.start("echo ready; exec sleep 100")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 128 + signal.SIGTERM)

    def test_the_program_starts_with_the_signals_that_the_tool_was_started_with(self):
        def masks(*command):
            """Those that are blocked, and those that are ignored, up to 31: glibc has 32 and 33 for itself."""
            output = run(*command, "grep", "^Sig[BI]", "/proc/self/status", env=self.env).stdout
            return [int(line.split()[1], 16) % 2**31 for line in output.splitlines()]

        self.assertEqual(masks(FILZ, "run"), masks("env"))


if __name__ == "__main__":
    main()
