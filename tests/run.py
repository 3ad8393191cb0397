#!/usr/bin/env python3
"""Runs every test and ends with one line: N passed, N failed.

Unit tests are cmocka programs below BUILD/unit and report in TAP. Scenarios and regressions are
unittest modules in tests/scenarios and tests/regress; they find the binary through the environment
variable TAMA. Each program and each module is a job with a process of its own; as many run at once
as there are processors. `--only WORD` runs what has WORD in its name.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

import claims

ROOT = pathlib.Path(__file__).resolve().parent.parent
JOB_TIMEOUT_S = 1500


class Outcome:
    """What a job came to."""

    def __init__(self, name, passed=0, failed=(), skipped=0, out="", ran=()):
        self.name, self.passed, self.failed, self.skipped = name, passed, list(failed), skipped
        self.ran = list(ran)  # what --only would have found of it, once for each that did not fail
        self.out, self.seconds = out, 0.0


def run_process(name, command, env):
    """(exit status or None when it took too long, what it printed)"""
    try:
        done = subprocess.run(command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=JOB_TIMEOUT_S)
    except subprocess.TimeoutExpired as late:
        return None, (late.stdout or b"").decode("utf-8", "replace")
    return done.returncode, done.stdout.decode("utf-8", "replace")


def run_unit(program):
    """One cmocka program; a crash counts as one failure."""
    name = program.name
    if not program.exists():
        return Outcome(name, failed=[f"{name}: not built"])
    code, out = run_process(name, [program], dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP"))
    if code is None:
        return Outcome(name, failed=[f"{name}: timed out after {JOB_TIMEOUT_S} s"], out=out)
    passed = len(re.findall(r"^ok \d+", out, re.M))
    failed = [word or "?" for word in re.findall(r"^not ok \d+(?: - (\S+))?", out, re.M)]
    if code != 0 and not failed:
        failed = [f"exit status {code}"]
    elif passed == 0 and not failed:
        failed = ["no test ran"]
    said = "".join(line + "\n" for line in out.splitlines() if line.startswith("# figure "))
    return Outcome(name, passed, [f"{name}: {word}" for word in failed], out=out if failed else said,
                   ran=[name] * passed)


def run_module(path, only):
    """One unittest module, in a process of its own, which reports through a file."""
    name = f"{path.parent.name}/{path.stem}"
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [sys.executable, __file__, "--module", str(path), "--report", report.name, "--only", only]
        code, out = run_process(name, command, os.environ)
        try:
            told = json.load(open(report.name))
        except ValueError:
            end = "timed out" if code is None else f"ended with {code}"
            return Outcome(name, failed=[f"{name}: {end}"], out=out)
    return Outcome(name, told["passed"], told["failed"], told["skipped"], out, told["ran"])


class Result(unittest.TextTestResult):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.passed = []

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed.append(test.id())


def select(path, only):
    sys.path[:0] = [str(ROOT / "tests"), str(path.parent)]
    suite = unittest.TestSuite()
    for case in unittest.TestLoader().loadTestsFromName(path.stem):
        for test in case if isinstance(case, unittest.TestSuite) else [case]:
            if only in test.id():
                suite.addTest(test)
    return suite


def play_module(path, only, report):
    """The inside of run_module."""
    runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, verbosity=2)
    result = runner.run(select(path, only))
    # Subtests that fail are many for one test, which is what is counted.
    bad = [getattr(test, "test_case", test) for test, _ in result.failures + result.errors]
    failed = list(dict.fromkeys(test.id() for test in bad + result.unexpectedSuccesses))
    ran = result.passed + [test.id() for test, _ in result.skipped]
    json.dump({"passed": len(result.passed), "failed": failed, "skipped": len(result.skipped), "ran": ran},
              open(report, "w"))


def run_jobs(jobs, at_once, durations):
    """Longest first, by the last run's times, so that none is left alone at the end."""
    def timed(name, job):
        begin = time.monotonic()
        outcome = job()
        outcome.seconds = time.monotonic() - begin
        return outcome

    order = sorted(jobs, key=lambda name: -durations.get(name, 5.0))
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for future in concurrent.futures.as_completed([pool.submit(timed, name, jobs[name]) for name in order]):
            yield future.result()


def collect(build, only):
    jobs = {}
    # Only programs whose source still exists: an old build folder keeps what was renamed.
    for source in sorted((ROOT / "tests" / "unit").glob("test_*.c")):
        if only in source.stem:
            jobs[source.stem] = lambda program=build / "unit" / source.stem: run_unit(program)
    for folder in ("scenarios", "regress"):
        for path in sorted((ROOT / "tests" / folder).glob("test_*.py")):
            jobs[f"{folder}/{path.stem}"] = lambda path=path: run_module(path, only)
    return jobs


def durations_of(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--build", default="build/test")
    args.add_argument("--mode", default="test")
    args.add_argument("--only", default="")
    args.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args.add_argument("--module", type=pathlib.Path, help=argparse.SUPPRESS)
    args.add_argument("--report", help=argparse.SUPPRESS)
    args = args.parse_args()
    if args.module:
        play_module(args.module, args.only, args.report)
        return 0
    build = (ROOT / args.build).resolve()
    os.environ.update(TAMA=str(build / "tama"), TAMA_BUILD=str(build), TAMA_MODE=args.mode)
    memory = build / "durations.json"
    durations = durations_of(ROOT / "tests" / "durations.json") | durations_of(memory)
    passed = skipped = 0
    failed, ran = [], []
    for outcome in run_jobs(collect(build, args.only), args.jobs, durations):
        if args.only and not (outcome.passed or outcome.failed or outcome.skipped):
            continue
        mark = "FAIL" if outcome.failed else "ok  "
        print(outcome.out, end="")
        print(f"{mark} {outcome.name}: {outcome.passed} passed, {len(outcome.failed)} failed ({outcome.seconds:.1f} s)",
              flush=True)
        durations[outcome.name] = round(outcome.seconds, 1)
        passed += outcome.passed
        skipped += outcome.skipped
        failed += outcome.failed
        ran += outcome.ran
    if not args.only:
        if args.mode == "test" and not failed:
            failed += claims.untrue(ran)
        memory.write_text(json.dumps(durations, indent=1, sort_keys=True))
    for name in failed:
        print(f"FAILED {name}")
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
