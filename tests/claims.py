"""What README.md says that a test word prints, against what a whole run printed."""
import pathlib
import re

README = pathlib.Path(__file__).resolve().parent.parent / "README.md"
PRINTED = re.compile(r"`(\d+) passed, 0 failed`")


def claims(text):
    """(word, number) of each row of the table of promises: a word in its second column, its number in the third."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 3 or not PRINTED.search(cells[2]):
            continue
        words = re.findall(r"`([^`]+)`", cells[1])
        for word, printed in zip(words, re.split(r"<br>", cells[2])):
            for number in PRINTED.findall(printed):
                yield word, int(number)


def untrue(ran, text=None):
    """One line for each claim that is not what ran: the name of every test that passed or was skipped."""
    for word, number in claims(text if text is not None else README.read_text()):
        count = sum(word in name for name in ran)
        if count != number:
            yield f"README.md: {word} prints {count}, not {number} passed"
