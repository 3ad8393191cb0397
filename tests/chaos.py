"""The chaos proxy (tests/faults/chaos.c) as scenario tests use it.

    chaos = Chaos(sandbox.port, seed=7)
    world.gateway.settings["easytransfert"] = chaos.url + "/api_v1/transaction"
    chaos.plan("cut_down", 40)
"""
import os
import pathlib
import subprocess
import threading

from harness import ROOT

BUILD = pathlib.Path(os.environ.get("TAMA_BUILD", ROOT / "build" / "test"))


class Chaos:
    def __init__(self, port, seed=1):
        self._process = subprocess.Popen([BUILD / "faults" / "chaos", str(port), str(seed)], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._told = threading.Condition()
        self._answers, self.links = [], []
        self.url = "http://127.0.0.1:" + self._process.stdout.readline().split()[-1]
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            with self._told:
                (self.links if line.startswith("link ") else self._answers).append(line.split())
                self._told.notify_all()

    def order(self, line):
        """One line of control, once it is in force."""
        with self._told:
            before = len(self._answers)
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            assert self._told.wait_for(lambda: len(self._answers) > before, 10), "chaos does not answer"
            assert self._answers[-1] == ["ok"], line

    def plan(self, fate, arg=0, times=1):
        self.order(f"plan {fate} {arg} {times}")

    def random(self, permille):
        self.order(f"random {permille}")

    def calm(self):
        self.order("calm")

    def fates(self):
        """[(fate, bytes up, bytes down)] of the links that have ended."""
        with self._told:
            return [(link[2], int(link[5]), int(link[7])) for link in self.links]

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()
