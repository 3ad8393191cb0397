"""The tests notice seeded bugs: `make mutants`, of which tests/mutants/README.md tells."""
import os
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


@unittest.skipUnless(os.environ["TAMA_MODE"] == "test", "a build with a sanitizer catches them no better, and slowly")
class Mutants(unittest.TestCase):
    def test_each_is_caught(self):
        program = ROOT / "tests" / "mutants" / "run.py"
        build = pathlib.Path(os.environ["TAMA_BUILD"]).relative_to(ROOT)
        done = subprocess.run([program, "--build", build], capture_output=True, text=True, timeout=900)
        print(done.stdout.splitlines()[-1] if done.stdout else done.stderr)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
