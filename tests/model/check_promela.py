#!/usr/bin/env python3
"""Runs Spin over purchase.pml: our design in four settings, and every tempting one. One line each.

usage: check_promela.py PRINT_MACHINE     (the program that prints the attempt's table)

Exits 0 only if ours has no error and reaches every end it names, and each of the others has a
counter-example that is a harm to somebody's money.
"""
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import tempfile

MODEL = pathlib.Path(__file__).resolve().parent / "purchase.pml"
OURS = {
    "ours, class N": [],
    "ours, class N, three attempts, three crashes": ["MAX_ATTEMPTS=3", "MAX_CRASHES=3"],
    "ours, class N, provider contradicts itself": ["LIES"],
    "ours, class I": ["CLASS_I"],
    "ours, class I, provider contradicts itself": ["CLASS_I", "LIES", "MAX_ATTEMPTS=1"],
}
TEMPTING = {
    "NAIVE": [],
    "LEASE": [],
    "CHECK_THEN_SEND": [],
    "FENCED": [],
    "NO_OWNER_DEAD": [],
    "HASTY": [],
    "REFUND_ON_UNKNOWN": [],
    "RETENTION": ["CLASS_I"],
    "NOT_SENT_AFTER_RESEND": ["CLASS_I"],
    "RETRY_REGARDLESS": ["LIES"],
    "RESEND_REGARDLESS": ["CLASS_I", "LIES"],
    "NO_WITHDRAWAL": ["LIES"],
    "NO_RECALL": ["LIES"],
    "WRITE_OFF_IS_PROOF": [],
    "SECOND_REFUND": [],
}
HARMS = {
    "executed[l]<=1": "executed twice",
    "executed[1]+executed[2]": "delivered and refunded",
    "(l!=2)": "refund sent for what may be delivered",
}
MEMORY_MB = 700
TIMEOUT_S = 120


def run(table, defines):
    """Compiles and runs one setting; returns what the checker printed."""
    with tempfile.TemporaryDirectory(prefix="tama-spin-") as folder:
        at = pathlib.Path(folder)
        (at / "attempt.pml").write_text(table)
        (at / "purchase.pml").write_text(MODEL.read_text())
        flags = [f"-D{name}" for name in defines]
        said = subprocess.run(["spin", "-a", *flags, "purchase.pml"], cwd=at, capture_output=True, text=True, check=False)
        if said.returncode != 0 or "Error" in said.stdout:
            raise RuntimeError(f"spin: {said.stdout}{said.stderr}")
        # A counter-example is found at once; only an exhaustive search is worth optimizing for.
        level = "-O0" if "TEMPTING" in defines else "-O2"
        build = ["gcc", level, "-w", "-DSAFETY", "-DNOFAIR", f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c"]
        subprocess.run(build, cwd=at, check=True)
        pan = subprocess.run(["./pan", "-m200000", "-w20"], cwd=at, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        return pan.stdout


def unreached(out):
    """The names of the ends that were not reached: the comment beside each unreached line of Witness."""
    lines = MODEL.read_text().splitlines()
    part = out[out.index("unreached in proctype Witness"):].split("unreached in init")[0]
    numbers = re.findall(r'purchase\.pml:(\d+), state \d+, "hit = 0"', part)
    return [re.search(r"/\* (.*) \*/", lines[int(n) - 1]).group(1) for n in numbers]


def judge(name, out):
    """Returns (is as it must be, the line to print)."""
    errors = int(re.search(r"errors: (\d+)", out).group(1))
    states = int(re.search(r"(\d+) states, stored", out).group(1))
    line = f"{name:46} {states:9,} states  {errors} errors"
    if name in OURS:
        missed = unreached(out) if errors == 0 and "Search not completed" not in out else ["nothing was shown"]
        return not missed, line + (f"  not reached: {', '.join(missed)}" if missed else "  all ends reached")
    claim = re.search(r"assertion violated (.*) \(at depth", out)
    harm = next((text for mark, text in HARMS.items() if claim and mark in claim.group(1)), None)
    return harm is not None, line + f"  {harm or 'no harm found'}"


def main():
    if len(sys.argv) != 2:
        print(__doc__.strip().splitlines()[2])
        return 2
    table = subprocess.run([sys.argv[1], "promela"], capture_output=True, text=True, check=True).stdout
    settings = {**OURS, **{name: ["TEMPTING", name, *more] for name, more in TEMPTING.items()}}
    is_good = True
    # The largest first: two cores are then busy to the end.
    order = sorted(settings, key=lambda name: "CLASS_I" not in settings[name] or "TEMPTING" in settings[name])
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        outs = dict(zip(order, pool.map(lambda name: run(table, settings[name]), order)))
    for name in settings:
        good, line = judge(name, outs[name])
        print(line if good else f"{line}  <- WRONG")
        is_good = is_good and good
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
