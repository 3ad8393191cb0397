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
    """Returns (passed, names of what failed) of one cmocka program; a crash counts as one failure."""
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP")
    if not program.exists():
        print(f"{program.name} has not been built")
        return 0, ["not built"]
    try:
        done = subprocess.run([program], env=env, cwd=ROOT, capture_output=True, timeout=UNIT_TIMEOUT_S)
        out = (done.stdout + done.stderr).decode("utf-8", "replace")
        code = done.returncode
    except subprocess.TimeoutExpired:
        return 0, [f"timed out after {UNIT_TIMEOUT_S} s"]
    passed = len(re.findall(r"^ok \d+", out, re.M))
    failed = [name or "?" for name in re.findall(r"^not ok \d+(?: - (\S+))?", out, re.M)]
    if code != 0 and not failed:
        failed = [f"exit status {code}"]
    elif passed == 0 and not failed:
        failed = ["no test ran"]
    if failed:
        print(out)
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
    passed = skipped = 0
    failed = []
    # Only programs whose source still exists: an old build folder keeps what was renamed.
    for source in sorted((ROOT / "tests" / "unit").glob("test_*.c")):
        if args.only and args.only not in source.stem:
            continue
        begin = time.monotonic()
        p, f = run_unit(build / "unit" / source.stem)
        seconds = time.monotonic() - begin
        print(f"{'FAIL' if f else 'ok  '} {source.stem}: {p} passed, {len(f)} failed ({seconds:.1f} s)", flush=True)
        passed += p
        failed += [f"{source.stem}: {name}" for name in f]
    for folder in ("scenarios", "regress"):
        runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, verbosity=2)
        result = runner.run(load(folder, args.only))
        passed += result.passed
        skipped += len(result.skipped)
        # Subtests that fail are many for one test, which is what is counted.
        bad = [getattr(test, "test_case", test) for test, _ in result.failures + result.errors]
        failed += list(dict.fromkeys(test.id() for test in bad + result.unexpectedSuccesses))
    for name in failed:
        print(f"FAILED {name}")
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
