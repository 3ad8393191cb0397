#!/usr/bin/env python3
"""Builds each seeded bug of README.md and runs the one test that must catch it.

usage: run.py [--build build/test] [NAME...]

The objects of a build of MODE=test are copied, the sources that mention the mutant are compiled anew, and the
named test is run: a cmocka test (test_engine: its_name) or a scenario (test_kill.Class.test_name). Ends with
`mutants N/N`, and exits 1 unless all were caught. The test itself must pass without the bug; that is what the
ordinary suite shows.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TABLE = ROOT / "tests" / "mutants" / "README.md"
HEADER = ROOT / "include" / "tama" / "mutant.h"
TIMEOUT_S = 120
# What says that nothing was shown, rather than that a bug was caught.
BROKEN = re.compile(r"No rule to make|error:|ImportError|ModuleNotFoundError|not been built|not built")


class Mutant:
    def __init__(self, number, name, caught_by):
        self.number, self.name = number, name
        self.program, _, self.test = caught_by.partition(": ")
        self.is_unit = bool(self.test)
        self.build = f"build/mutant-{number}"
        mark = f"MUTANT({name})"
        self.sources = [p for p in (ROOT / "src").rglob("*.c") if mark in p.read_text()]


def read_table():
    """The rows of README.md, which must be those of mutant.h, numbered in the same order."""
    names = re.findall(r"^\tMUTANT_(\w+)", HEADER.read_text(), re.M)
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|.*\| `([^`|]+)` \|$", TABLE.read_text(), re.M)
    if [(int(n), name) for n, name, _ in rows] != list(enumerate(names, 1)):
        sys.exit("README.md and mutant.h do not name the same mutants")
    return [Mutant(int(n), name, test) for n, name, test in rows]


def make_build(mutant, base):
    """The base build's objects with the mutant's compiled anew; returns what make said when it failed."""
    target = ROOT / mutant.build
    shutil.rmtree(target, ignore_errors=True)
    for folder in ("src", "gen"):
        shutil.copytree(ROOT / base / folder, target / folder)
    for source in mutant.sources:
        (target / source.relative_to(ROOT)).with_suffix(".o").unlink()
    wanted = [f"{mutant.build}/tama"]
    if mutant.is_unit:
        wanted = [f"{mutant.build}/unit/{mutant.program}"]
        test = pathlib.Path("tests", "unit", f"{mutant.program}.o")
        (target / test).parent.mkdir(parents=True)
        shutil.copy2(ROOT / base / test, target / test)
    command = ["make", "--no-print-directory", "MODE=test", f"B={mutant.build}"]
    done = subprocess.run(
        [*command, f"TESTDEFS=-DTAMA_TEST -DTAMA_MUTANT={mutant.number}", *wanted],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def run_test(mutant):
    """(what the test printed, whether the named test failed)."""
    build = ROOT / mutant.build
    if mutant.is_unit:
        env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP")
        command = [build / "unit" / mutant.program]
    else:
        env = dict(os.environ, TAMA=str(build / "tama"), TAMA_BUILD=str(build), TAMA_MODE="test", PYTHONPATH=str(ROOT / "tests"))
        command = [sys.executable, "-m", "unittest", "-q", mutant.program]
    where = ROOT if mutant.is_unit else ROOT / "tests" / "scenarios"
    try:
        done = subprocess.run(command, cwd=where, env=env, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return "did not end: nothing says why", False
    out = (done.stdout + done.stderr).decode("utf-8", "replace")
    if not mutant.is_unit:
        return out, done.returncode == 1 and not BROKEN.search(out)
    named = re.search(rf"^(not )?ok \d+ - {re.escape(mutant.test)}\b", out, re.M)
    # A program that died, of whichever test, has not shown that the named one sees the bug.
    return out, named is not None and named.group(1) is not None


def judge(mutant, base):
    """(whether it was caught, the line to print)."""
    begin = time.monotonic()
    caught_by = f"{mutant.program}: {mutant.test}" if mutant.is_unit else mutant.program
    is_caught, why = False, ""
    if not mutant.sources:
        why = "no source mentions it"
    else:
        why = make_build(mutant, base)
        if not why:
            why, is_caught = run_test(mutant)
    shutil.rmtree(ROOT / mutant.build, ignore_errors=True)
    head = f"{'caught' if is_caught else 'MISSED'} {mutant.number:2} {mutant.name:28} {caught_by}"
    line = f"{head} ({time.monotonic() - begin:.1f} s)"
    return is_caught, line if is_caught else f"{line}\n{why[-600:]}"


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--build", default="build/test")
    args.add_argument("names", nargs="*")
    args = args.parse_args()
    mutants = [m for m in read_table() if not args.names or m.name in args.names]
    caught = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for is_caught, line in pool.map(lambda m: judge(m, args.build), mutants):
            caught += is_caught
            print(line, flush=True)
    print(f"mutants {caught}/{len(mutants)}")
    return 0 if caught == len(mutants) and mutants else 1


if __name__ == "__main__":
    sys.exit(main())
