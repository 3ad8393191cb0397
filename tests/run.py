#!/usr/bin/env python3
"""Runs every test and ends with one line: N passed, N failed.

Unit tests are cmocka programs below BUILD/unit and report in TAP. Scenarios and regressions are
unittest modules in tests/scenarios and tests/regress; they find the binary through the environment
variable TAMA. `--only WORD` runs what has WORD in its name.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNIT_TIMEOUT_S = 600


def run_unit(program):
    """Returns (passed, failed) of one cmocka program; a crash counts as one failure."""
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP")
    try:
        done = subprocess.run([program], env=env, cwd=ROOT, capture_output=True, timeout=UNIT_TIMEOUT_S)
        out = (done.stdout + done.stderr).decode("utf-8", "replace")
        code = done.returncode
    except subprocess.TimeoutExpired:
        out, code = "timed out\n", 1
    passed = len(re.findall(r"^ok \d+", out, re.M))
    failed = len(re.findall(r"^not ok \d+", out, re.M))
    if code != 0 and failed == 0:
        failed = 1
    if failed or passed == 0:
        print(out)
        failed = max(failed, 1)
    return passed, failed


class Result(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def load(folder, only):
    loader = unittest.TestLoader()
    suite = unittest.TestSuite()
    sys.path.insert(0, str(ROOT / "tests"))
    sys.path.insert(0, str(ROOT / "tests" / folder))
    for path in sorted((ROOT / "tests" / folder).glob("test_*.py")):
        for case in loader.loadTestsFromName(path.stem):
            for test in case if isinstance(case, unittest.TestSuite) else [case]:
                if not only or only in test.id():
                    suite.addTest(test)
    return suite


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--build", default="build/test")
    args.add_argument("--mode", default="test")
    args.add_argument("--only", default="")
    args = args.parse_args()
    build = (ROOT / args.build).resolve()
    os.environ["TAMA"] = str(build / "tama")
    os.environ["TAMA_BUILD"] = str(build)
    os.environ["TAMA_MODE"] = args.mode
    passed = failed = 0
    # Only programs whose source still exists: an old build folder keeps what was renamed.
    for source in sorted((ROOT / "tests" / "unit").glob("test_*.c")):
        if args.only and args.only not in source.stem:
            continue
        begin = time.monotonic()
        p, f = run_unit(build / "unit" / source.stem)
        print(f"{'ok  ' if not f else 'FAIL'} {source.stem}: {p} passed, {f} failed ({time.monotonic() - begin:.1f} s)", flush=True)
        passed, failed = passed + p, failed + f
    for folder in ("scenarios", "regress"):
        runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, verbosity=2)
        result = runner.run(load(folder, args.only))
        passed += result.passed
        failed += len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
