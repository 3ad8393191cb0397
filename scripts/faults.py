#!/usr/bin/env python3
"""Prints docs/faults.md from tests/faults/catalogue.tsv; --check says what is wrong with the table.

A row is: id, fault, tests that inject it (file.py:Class.method of the scenarios and regressions, or
program:function of the unit tests; "-" where it cannot be injected here, "open" where it is not yet),
what happened or why not. Ids are those of the analysis: 30 crash points and 141 faults.
"""
import importlib.util
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "tests" / "faults" / "catalogue.tsv"
PAGE = ROOT / "docs" / "faults.md"
SECTIONS = [
    ("K", 30, "Crash points"), ("F-B", 17, "Storage"), ("F-C", 13, "Clock, operating system, resources"),
    ("F-D", 28, "Provider and network"), ("F-E", 15, "IPN"), ("F-F", 5, "SMS gateway"),
    ("F-G", 13, "Aggregator and sessions"), ("F-H", 17, "Concurrency, nodes, PostgreSQL"),
    ("F-I", 13, "Menus, Lua, configuration"), ("F-J", 12, "Hostile and broken input"), ("F-K", 8, "Operators"),
]
IDS = [f"{letter}{n}" for letter, count, _ in SECTIONS for n in range(1, count + 1)]
HEAD = """# Faults, and what happened

Printed by `scripts/faults.py` from `tests/faults/catalogue.tsv`; a test fails when they differ. Each row is a fault of the
analysis (`reliability.md` section 3: 30 crash points, 141 faults), the tests of this repository that inject it, and what
happened. "-" says why it cannot be injected here; "open" is what nothing injects yet.

How faults are injected: crash points by name (`include/tama/crash.h`, test builds only); `tests/faults/shim.c`, a library
between the gateway and the C library, which kills at, fails, shortens or delays the n-th call of a kind; strace, which
does some of it again and is not ours; `tests/faults/chaos.c`, a bad network between us and the providers; libfiu and
libfaketime; ext4 on a loop image with its shutdown ioctl for power loss; small and read-only file systems; and the
simulation, in which the engine's own object code meets all of them at once by a seed.

`make test` prints `kills N`, the deaths of the real binary by SIGKILL, and fails below 1,000. `make soak MINUTES=n` runs it
under load in a bad network and tells whether memory or descriptors grow.
"""


def read_table():
    rows = [line.split("\t") for line in TABLE.read_text().splitlines()]
    return [row for row in rows if row != [""]]


def methods_of(path):
    """Class.method of every test, those that are made when the module is loaded as well."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {f"{name}.{method}" for name, cls in vars(module).items() if isinstance(cls, type)
            for method in dir(cls) if method.startswith("test")}


def exists(test, known):
    file, _, name = test.partition(":")
    if file.endswith(".py"):
        paths = [ROOT / "tests" / folder / file for folder in ("scenarios", "regress")]
        path = next((p for p in paths if p.exists()), None)
        if path and path not in known:
            sys.path[:0] = [str(ROOT / "tests"), str(path.parent)]
            known[path] = methods_of(path)
        return path is not None and name in known[path]
    path = ROOT / "tests" / "unit" / f"{file}.c"
    return path.exists() and bool(re.search(rf"static void {re.escape(name)}\(void \*\*", path.read_text()))


def breaches():
    found, known, rows = [], {}, read_table()
    for row in rows:
        if len(row) != 4 or not all(row):
            found.append(f"{row[0]}: not four columns")
    ids = [row[0] for row in rows]
    if ids != IDS:
        found.append(f"missing {sorted(set(IDS) - set(ids))}, unknown or twice {sorted(i for i in ids if ids.count(i) > 1 or i not in IDS)}")
    for row in rows:
        for test in row[2].split():
            if test not in ("-", "open") and not exists(test, known):
                found.append(f"{row[0]}: there is no {test}")
    if not PAGE.exists() or PAGE.read_text() != page():
        found.append("docs/faults.md is not what scripts/faults.py prints")
    return found


def counts(rows):
    """(injected, cannot be, open)"""
    cannot = sum(row[2] == "-" for row in rows)
    open_ = sum(row[2] == "open" for row in rows)
    return len(rows) - cannot - open_, cannot, open_


def cell(text):
    return text.replace("|", "\\|")


def page():
    rows = {row[0]: row for row in read_table()}
    out = [HEAD, "{} injected, {} cannot be injected here, {} open.".format(*counts(rows.values()))]
    for letter, count, title in SECTIONS:
        out.append(f"\n## {title}\n\n| id | fault | injected by | what happened |\n|---|---|---|---|")
        for n in range(1, count + 1):
            id_, fault, tests, what = rows.get(f"{letter}{n}", [f"{letter}{n}", "?", "?", "?"])
            names = "<br>".join(f"`{t}`" if ":" in t else t for t in tests.split())
            out.append(f"| {id_} | {cell(fault)} | {names} | {cell(what)} |")
    return "\n".join(out) + "\n"


def main():
    if sys.argv[1:] == ["--check"]:
        for breach in breaches():
            print(breach)
        return 1 if breaches() else 0
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
