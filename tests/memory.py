"""What a process holds in memory, read as root through /proc: all of it, and what a core file would have."""
import contextlib
import re

CHUNK = 1 << 22


class Region:
    def __init__(self, begin, end, mode, name):
        self.begin, self.end, self.mode, self.name = begin, end, mode, name
        self.flags = set()

    @property
    def is_locked(self):
        return "lo" in self.flags

    @property
    def is_left_out_of_cores(self):
        return "dd" in self.flags

    def __repr__(self):
        return f"{self.begin:x} {self.mode} {self.name or 'anonymous'} {' '.join(sorted(self.flags))}"


def regions(pid):
    found = []
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+\s*(.*)", line)
            if head:
                found.append(Region(int(head[1], 16), int(head[2], 16), head[3], head[4]))
            elif line.startswith("VmFlags:"):
                found[-1].flags = set(line.split()[1:])
    return found


def can_read(pid):
    try:
        with open(f"/proc/{pid}/mem", "rb", 0):
            return True
    except OSError:
        return False


def find(pid, needles):
    """{needle: [regions that have it]}. Pages without permissions are read as well: root may."""
    found = {needle: [] for needle in needles}
    longest = max(map(len, needles))
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for region in regions(pid):
            tail = b""
            for at in range(region.begin, region.end, CHUNK):
                # Guard pages and what the kernel keeps to itself.
                with contextlib.suppress(OSError, ValueError, OverflowError):
                    mem.seek(at)
                    piece = tail + mem.read(min(CHUNK, region.end - at))
                    tail = piece[-longest:]
                    for needle in needles:
                        if needle in piece and region not in found[needle]:
                            found[needle].append(region)
    return found
