"""tama check: the demo passes, and everything broken is refused where it is broken."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TAMA = os.environ.get("TAMA", str(ROOT / "build/test/tama"))
MENUS = "tests/fixtures/menus"


def check(*args):
    return subprocess.run([TAMA, "check", *args], cwd=ROOT, capture_output=True, text=True, timeout=120)


def check_menu(menu, *args):
    return check("-c", f"{MENUS}/check.lua", "--set", f"menu={menu}", *args)


class Check(unittest.TestCase):
    def assert_first(self, done, line):
        self.assertEqual(done.stdout.splitlines()[0], line, done.stdout + done.stderr)
        self.assertEqual(done.returncode, 1, done.stdout)

    def assert_menu(self, menu, line):
        self.assert_first(check_menu(menu), f"{MENUS}/{menu}/{line}")

    def test_demo(self):
        done = check("-c", "config/demo.lua")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        found = re.fullmatch(
            r"ok: 5 channels, 1 service, (\d+) screens walked, 3 transcripts\n", done.stdout)
        self.assertTrue(found, done.stdout)
        # A walk that stops at the first question would be no walk.
        self.assertGreater(int(found[1]), 300)

    def test_good_menu(self):
        done = check_menu("good")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"^ok: 2 channels, 1 service, \d+ screens walked, 1 transcript\n$")

    def test_broken_configurations(self):
        played = 0
        for path in sorted((ROOT / "tests/fixtures/config").glob("*.lua")):
            expected = re.match(r"-- expect: (.*)", path.read_text())
            if not expected:
                continue
            with self.subTest(path.name):
                self.assert_first(check("-c", str(path.relative_to(ROOT))), expected[1])
            played += 1
        self.assertGreater(played, 40)

    def test_script_error(self):
        self.assert_menu("script_error", "menu.lua:5: attempt to index a nil value (field 'name') "
                         "(ussd, fr, a caller of mtn-ci: dial > 2)")

    def test_syntax_error(self):
        self.assert_menu("syntax_error", "menu.lua:3: '}' expected (to close '{' at line 1) near 'run'")

    def test_missing_text(self):
        self.assert_menu("missing_text", "menu.lua:5: no text has the name \"goodbye\"")

    def test_missing_text_put_together(self):
        self.assert_menu("missing_state", "menu.lua:1: no text has the name \"last_confirmed\"")
        self.assertIn("\"last_refund_due\"", check_menu("missing_state").stdout)

    def test_missing_key_of_a_language(self):
        self.assert_menu("missing_key", "texts.fr.lua:1: \"no\" is missing in texts.en.lua")

    def test_screen_cut(self):
        self.assertRegex(check_menu("cut").stdout, r"^" + MENUS +
                         r"/cut/menu.lua:1: the last screen is too long: \"Bonjour .*\" "
                         r"\(ussd, fr, a caller of mtn-ci: dial > 1\)\n")
        self.assertEqual(check_menu("cut").returncode, 1)

    def test_question_without_room(self):
        self.assert_menu("wide", "menu.lua:4: the question does not fit on a screen of 160 characters "
                         "(ussd, fr, a caller of mtn-ci: dial)")

    def test_dead_end(self):
        self.assert_menu("dead_end", "menu.lua:1: no answer leads to an end: \"Non\" "
                         "(ussd, fr, a caller of mtn-ci: dial > 2)")

    def test_no_bye(self):
        self.assert_menu("no_bye", "menu.lua:1: run() ended without bye(text) "
                         "(ussd, fr, a caller of mtn-ci: dial > 1)")

    def test_endless(self):
        self.assert_menu("endless", "menu.lua:1: the script runs for too long (instructions) "
                         "(ussd, fr, a caller of mtn-ci: dial)")

    def test_keyword_that_errs(self):
        self.assert_menu("bad_keyword", "menu.lua:3: attempt to index a nil value (field 'integer index') "
                         "(sms, fr, a caller of mtn-ci: GO)")

    def test_transcript(self):
        self.assert_menu("bad_transcript", "fr.transcript:4: written \"< Bonsoir\", came \"< Bonjour\"")

    def test_what_is_not_reached_is_said(self):
        done = check_menu("riddle")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"note: {MENUS}/riddle: the walk knows no answer to \"Bonjour\" (ussd)\n", done.stdout)

    def test_record(self):
        with tempfile.TemporaryDirectory() as folder:
            menu = pathlib.Path(folder) / "menu"
            shutil.copytree(ROOT / MENUS / "bad_transcript", menu)
            shutil.copy(ROOT / MENUS / "check.lua", folder)
            args = ["-c", f"{folder}/check.lua", "--set", "menu=menu"]
            self.assertEqual(check(*args).returncode, 1)
            done = check(*args, "--record")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("< Bonjour\n. end\n", (menu / "fr.transcript").read_text())
            self.assertEqual(check(*args).returncode, 0)

    def test_dialects_and_fields(self):
        for setting, line in [
            ("ussd=nope", "26: channel \"ussd\": there is no USSD dialect \"nope\""),
            ("scheme=Basic", "16: account \"xente\": only Bearer and Token can be in the field \"auth_scheme\""),
            ("key=apikey", "11: account \"et-ci\": its provider needs the field \"api_key\""),
            ("sender=from", "30: channel \"sms\": its dialect needs the field \"sender\""),
        ]:
            with self.subTest(setting):
                self.assert_first(check("-c", f"{MENUS}/check.lua", "--set", setting), f"{MENUS}/check.lua:{line}")

    def test_exchanges(self):
        dialect = "src/dialects/ussd/africastalking.lua"
        folder = "tests/fixtures/dialects/ussd"
        first, later = (f"{folder}/africastalking/0{n}.txt" for n in ("1-first-hop", "2-later-hops"))
        done = check("--dialect", dialect, "--exchange", first, later)
        self.assertEqual((done.returncode, done.stdout), (0, "ok: 2 exchanges\n"), done.stderr)
        done = check("--dialect", dialect, "--exchange", first, "--exchange", f"{folder}/infobip/01-start.txt")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"^tests/fixtures/dialects/ussd/infobip/01-start.txt:\d+: ")
        done = check("--dialect", f"{MENUS}/syntax_error/menu.lua", "--exchange", first)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"^tests/fixtures/menus/syntax_error/menu.lua:3: ")
        done = check("--dialect", "nowhere.lua", "--exchange", first)
        self.assertEqual((done.returncode, done.stdout), (1, "nowhere.lua:1: No such file or directory\n"))

    def test_called_wrongly(self):
        for args in [], ["--dialect", "x.lua"], ["--exchange", "x.txt"], ["-c"], ["-c", "x", "--set", "y"]:
            with self.subTest(args):
                self.assertEqual(check(*args).returncode, 2)
        done = check("-c", "nowhere.lua")
        self.assertEqual((done.returncode, done.stdout),
                         (1, "nowhere.lua:1: \"nowhere.lua\": No such file or directory\n"))


if __name__ == "__main__":
    unittest.main()
