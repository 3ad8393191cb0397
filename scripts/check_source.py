#!/usr/bin/env python3
"""The project's own rules, where no other tool has them: places of libraries, lengths, words, SQL.

Prints "file:line: message" for each breach and the ten longest functions; exits 1 on any breach.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

FUNCTION_LOOK = 60  # reported
FUNCTION_MAX = 100  # refused
FILE_MAX = 800
TEST_MAX = 1200  # a file of tests is a list: nobody reads it as a whole
# A parser's switch is read as one table and gains nothing by being cut up.
LONG_FUNCTIONS = set()

# Which folder may include which library (the map of the sources, ARCHITECTURE.md).
LIBRARIES = [
    (re.compile(r"microhttpd\.h$|curl/"), ("src/net",)),
    (re.compile(r"(lua|lauxlib|lualib|luaconf)\.h$|tama/lua_gate\.h$"), ("src/lua",)),
    (re.compile(r"sqlite3\.h$|libpq"), ("src/store",)),
]
# The gate's own header is what lets the rest of src/lua see Lua; headers elsewhere name no library.
MAY_INCLUDE = {"include/tama/lua_gate.h"}

WORDS = [
    (re.compile(r"\b(FIXME|XXX|HACK)\b"), "say what is so, or open a ticket: TODO(#12)"),
    (re.compile(r"\bTODO\b(?!\(#\d+\))"), "a TODO needs a ticket: TODO(#12)"),
    (re.compile(r"(?<![\w/.])/(work|home|root)/"), "a path of one machine"),
]
C_WORDS = [
    (re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|strncpy|strncat|strtok|atoi|atol|atof|gmtime|localtime|alloca|gets)\s*\("),
     "is banned (include/tama/banned.h)"),
]
# Tests may look behind the gate and break a store on purpose.
SRC_WORDS = C_WORDS + [
    (re.compile(r"\bsqlite3_(v?mprintf|v?snprintf)\b"), "SQL has bound parameters only (F-J4)"),
    (re.compile(r"\blua_(pcall|pcallk|resume)\s*\("), "only the gate calls this"),
]
GATE = "src/lua/lua_gate.c"

SQL = re.compile(
    r"\b(SELECT\s.*\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|CREATE\s+(TABLE|INDEX)"
    r"|ALTER\s+TABLE|PRAGMA|ATTACH|VACUUM|SAVEPOINT|ROLLBACK|RELEASE)\b", re.S)
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Report:
    def __init__(self):
        self.breaches = 0
        self.functions = []

    def breach(self, path, line, message):
        self.breaches += 1
        print(f"{path}:{line}: {message}")


def strip_comments(text):
    """C without comments, lines kept."""
    def blank(found):
        piece = found[0]
        return piece if piece[0] in "\"'" else re.sub(r"[^\n]", " ", piece)
    return re.sub(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|/\*.*?\*/|//[^\n]*', blank, text, flags=re.S)


def call_text(code, begin):
    """From an opening parenthesis to its closing one."""
    depth = 0
    for i in range(begin, min(len(code), begin + 4000)):
        depth += (code[i] == "(") - (code[i] == ")")
        if depth == 0:
            return code[begin:i]
    return code[begin:begin + 4000]


def check_sql(report, path, code):
    for found in re.finditer(r"\b\w*printf\s*\(", code):
        text = "".join(LITERAL.findall(call_text(code, found.end() - 1)))
        # A pragma takes no parameters; the numbers of our own constants are all that one may be given.
        is_numbered = re.match(r"PRAGMA \w+ = %d$", text)
        if "%" in text and SQL.search(text) and not is_numbered:
            line = code.count("\n", 0, found.start()) + 1
            report.breach(path, line, "SQL is not put together with printf: bind parameters (F-J4)")


def check_includes(report, path, lines):
    if path in MAY_INCLUDE or not path.startswith(("src/", "include/")):
        return
    for number, line in enumerate(lines, 1):
        found = re.match(r'\s*#\s*include\s*[<"]([^>"]+)', line)
        for library, folders in LIBRARIES if found else ():
            if library.search(found[1]) and not path.startswith(folders):
                report.breach(path, number, f"{found[1]} belongs to {', '.join(folders)}")


def check_functions(report, path, lines):
    """By the house's format a body opens and closes in the first column."""
    begin = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            begin = number
        elif line == "}" and begin is not None:
            head = "\n".join(lines[max(0, begin - 6):begin - 1])
            names = re.findall(r"^\S.*?\b(\w+)\(", head, re.M)
            name = names[-1] if names else "?"
            length = number - begin - 1
            report.functions.append((length, path, begin, name))
            if length > FUNCTION_MAX and name not in LONG_FUNCTIONS:
                report.breach(path, begin, f"{name} has {length} lines, more than {FUNCTION_MAX}")
            begin = None


def check_words(report, path, lines, words):
    for number, line in enumerate(lines, 1):
        for word, message in words:
            found = word.search(line)
            if found:
                report.breach(path, number, f"{found[0].strip('( ')}: {message}")


def check_file(report, path):
    text = (ROOT / path).read_text()
    lines = text.split("\n")
    check_words(report, path, lines, WORDS)
    most = TEST_MAX if path.startswith("tests/") else FILE_MAX
    if len(lines) > most:
        report.breach(path, 1, f"{len(lines)} lines, more than {most}: split it")
    if path.endswith((".c", ".h")):
        code = strip_comments(text)
        words = SRC_WORDS if path.startswith("src/") and path != GATE else C_WORDS
        if path != "include/tama/banned.h":
            check_words(report, path, code.split("\n"), words)
        check_includes(report, path, code.split("\n"))
        if path.startswith("src/"):
            check_sql(report, path, code)
        check_functions(report, path, lines)


def main():
    report = Report()
    files = []
    for pattern in ("src/**/*", "include/**/*.h", "tests/**/*", "menus/**/*.lua", "config/**/*.lua", "scripts/*",
                    "bench/*"):
        files += [p for p in ROOT.glob(pattern) if p.suffix in (".c", ".h", ".lua", ".py", ".sh", ".sql")]
    this = pathlib.Path(__file__).resolve()
    for path in sorted(set(files) - {this}):
        check_file(report, str(path.relative_to(ROOT)))
    longest = sorted(report.functions, reverse=True)
    print("longest functions:")
    for length, path, line, name in longest[:10]:
        print(f"  {length:4d} {name} ({path}:{line}){'  look again' if length > FUNCTION_LOOK else ''}")
    print(f"{len(files)} files, {len(longest)} functions, {report.breaches} breaches")
    return 1 if report.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
