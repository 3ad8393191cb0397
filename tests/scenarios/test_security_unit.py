"""deploy/tama.service: what systemd's own tools say about it, and a purchase played by the real binary under the
same restrictions, with its keys as credentials (reliability.md 5.4)."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import unit_launcher
from harness import ROOT, TAMA, Process, Sandbox, eventually, request, run
from kannel import free_ports
from world import Call

UNIT = ROOT / "deploy" / "tama.service"
LAUNCHER = ROOT / "tests" / "unit_launcher.py"
IS_CHECKED_BUILD = os.environ.get("TAMA_MODE") in ("asan", "tsan")  # they need system calls of their own
HAS_SYSTEMD = shutil.which("systemd-analyze") is not None


def can_restrict():
    """Whether a mount namespace can be had here."""
    return os.getuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


@unittest.skipUnless(HAS_SYSTEMD, "systemd's tools are not installed")
class Words(unittest.TestCase):
    """The unit as systemd reads it. The binary is the built one: verify looks for it."""

    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="tama-test-"))
        self.path = pathlib.Path(folder) / "tama.service"
        self.path.write_text(UNIT.read_text().replace("/usr/local/bin/tama", TAMA))

    def analyze(self, *args):
        done = subprocess.run(["systemd-analyze", *args, self.path], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_verify(self):
        status, said = self.analyze("verify", "--man=no")
        self.assertEqual((status, said), (0, ""))

    def test_verify_would_tell(self):
        self.path.write_text(self.path.read_text().replace("NoNewPrivileges=yes", "NoNewPrivilege=yes"))
        self.assertIn("Unknown key 'NoNewPrivilege'", self.analyze("verify", "--man=no")[1])

    def test_exposure(self):
        """Of 10; a service without any of it has 9.6."""
        status, said = self.analyze("security", "--offline=true", "--no-pager", "--threshold=15")
        level = re.search(r"exposure level for tama.service: ([\d.]+)", said)
        self.assertTrue(level, said)
        self.assertLessEqual(float(level[1]), 1.5, said)
        self.assertEqual(status, 0)


@unittest.skipUnless(can_restrict(), "no mount namespace can be made here")
@unittest.skipUnless(HAS_SYSTEMD, "systemd's tools are not installed")
@unittest.skipIf(IS_CHECKED_BUILD, "a sanitizer needs system calls of its own")
class Restricted(unittest.TestCase):
    KEYS = {"demo-api-key": "et-ci.key", "demo-app-key": "xente-app.key", "demo-app-password": "xente.password",
            "demo-sms-password": "sms.password", "demo-ipn-secret-xente-ug": "xente.ipn"}
    MASTER = "00112233445566778899aabbccddeeff" * 2

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tama-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.etc = self.folder / "etc"
        shutil.copytree(ROOT / "config", self.etc)
        self.state, self.mark, self.root = (self.folder / name for name in ("state", "mark", "root"))
        for folder in (self.state, self.mark):
            folder.mkdir(mode=0o700)
            os.chown(folder, unit_launcher.UID, unit_launcher.GID)
        self.root.mkdir()

    def places(self):
        places = [f"bind:/usr/local/bin/tama={TAMA}", f"bind:/etc/tama={self.etc}",
                  f"bind:/usr/local/share/tama/menus={ROOT / 'menus'}", f"write:/var/lib/tama={self.state}", f"write:/var/lib/tama-mark={self.mark}"]
        return [sys.executable, LAUNCHER, UNIT, self.root, *places, "--"]

    def keep_keys(self, sandbox):
        """The demo under the production's name, with each key a credential that only root can read in its folder."""
        keys = self.etc / "keys"
        keys.mkdir(mode=0o700)
        text = (self.etc / "demo.lua").read_text()
        for value, name in self.KEYS.items():
            text = text.replace(f'demo_secret "{value}"', f'credential "keys_{name}"')
            (keys / name).write_text(value + "\n")
        text = text.replace(f'demo_secret "{self.MASTER}"', 'credential "keys_master.key"')
        (keys / "master.key").write_bytes(bytes.fromhex(self.MASTER))
        for file in keys.iterdir():
            file.chmod(0o400)
        self.assertNotIn("demo_secret \"", text)
        text = text.replace("gateway {\n", 'gateway {\n  socket = "/run/tama/tama.sock",\n')
        self.port, self.admin = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        for name, value in (("data", "/var/lib/tama/data"), ("listen", f"127.0.0.1:{self.port}"),
                            ("admin", f"127.0.0.1:{self.admin}"), ("public", self.url), ("sandbox", sandbox.url),
                            ("menus", "/usr/local/share/tama/menus")):
            text = re.sub(rf'setting\("{name}", [^)]*\)', f'"{value}"', text)
        (self.etc / "production.lua").write_text(text)
        self.etc.chmod(0o755)

    def serve(self):
        process = Process(*self.places())
        self.addCleanup(lambda: process._process.poll() is None and process.kill())
        process.wait_for_line("listening on")
        return process

    def test_a_purchase(self):
        sandbox = Sandbox(ipn_delay_ms=50)
        self.addCleanup(sandbox.stop)
        self.keep_keys(sandbox)
        process = self.serve()
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        for line in ("NoNewPrivs:\t1", "Seccomp:\t2", "CapBnd:\t0000000000000000", "CapEff:\t0000000000000000",
                     f"Uid:\t{unit_launcher.UID}\t"):
            self.assertIn(line, status)
        call = Call(self, "2250101020304", "at-ci", "demo-secret-of-at-ci", "*384*22#")
        ref = call.buy("1 500 1")
        sandbox.wait_for_sms("", ref)
        # Keys from root's folder came by the credentials alone, and secrets lie in locked memory.
        locked = re.search(r"VmLck:\s+(\d+) kB", pathlib.Path(f"/proc/{process.pid}/status").read_text())
        self.assertGreater(int(locked[1]), 64)
        # The commands' socket is where the group may come; what they tell is told through it.
        there = pathlib.Path("/proc", str(process.pid), "root", "run", "tama", "tama.sock")
        self.assertEqual(there.stat().st_mode & 0o777, 0o660)
        self.assertIn(ref, run("purchases", "--socket", there).stdout)
        # A reload reads the same again; it stops as asked, and the books survive under the same rules.
        process.send_signal(signal.SIGHUP)
        self.assertIn("in force", process.wait_for_line('"what":"reload"'))
        self.assertEqual(process.stop(), 0)
        self.assertEqual(sorted(p.name for p in self.state.iterdir() if p.is_dir()), ["data"])
        again = self.serve()
        eventually(lambda: request(f"http://127.0.0.1:{self.admin}/readyz").status == 200, "ready")
        self.assertEqual(again.stop(), 0)

    PROBE = r"""
import ctypes, errno, faulthandler, mmap, os, socket, sys
faulthandler.enable()
libc = ctypes.CDLL(None, use_errno=True)
def fails(what, call, *numbers):
    try:
        call()
    except OSError as error:
        if error.errno in numbers:
            return
        sys.exit(f"{what}: {error}")
    sys.exit(f"{what}: it is allowed")
def c(call, *args):
    def run():
        if getattr(libc, call)(*args) < 0:
            raise OSError(ctypes.get_errno(), call)
    return run
E = errno
fails("raw socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW), E.EAFNOSUPPORT, E.EPERM)
fails("vsock", lambda: socket.socket(40, socket.SOCK_STREAM), E.EAFNOSUPPORT)
socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
fails("write and run", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC), E.EPERM)
fails("ptrace", c("ptrace", 0, 0, 0, 0), E.EPERM)
fails("mount", c("mount", b"none", b"/tmp", b"tmpfs", 0, None), E.EPERM)
fails("a new namespace", c("unshare", 0x10000000), E.EPERM)
fails("another user", lambda: os.setuid(0), E.EPERM)
fails("another owner", lambda: os.chown("/tmp", 0, 0), E.EPERM)
fails("the clock", c("syscall", 227, 0, None), E.EPERM)
fails("a module", c("syscall", 175, None, 0, None), E.EPERM)
fails("bpf", c("syscall", 321, 0, None, 0), E.EPERM)
fails("the kernel's keys", c("syscall", 250, 0, 0, 0), E.EPERM)
fails("personality", c("personality", 0x0008), E.EPERM)
fails("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)), E.EPERM)
open("/tmp/own", "w").close()
fails("set-uid", lambda: os.chmod("/tmp/own", 0o4700), E.EPERM)
for path in ("/etc/x", "/usr/x", "/var/x", "/x", "/etc/tama/x", "/run/x", "/var/lib/x"):
    fails(path, lambda: open(path, "w"), E.EROFS, E.EACCES)
open("/var/lib/tama/probe", "w").close()
assert os.stat("/var/lib/tama/probe").st_mode & 0o777 == 0o600
for path in ("/var/lib/tama-mark/probe", "/run/tama/probe"):
    open(path, "w").close()
assert os.stat("/run/tama").st_mode & 0o777 == 0o750
fails("the folder of the keys", lambda: os.listdir("/etc/tama/keys"), E.EACCES)
assert os.listdir(os.environ["CREDENTIALS_DIRECTORY"]) == ["keys_master.key"]
import resource
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
assert all(os.listdir(folder) == [] for folder in ("/home", "/root"))
assert sorted(os.listdir("/dev")) == ["null", "random", "urandom", "zero"]
print("restricted")
"""

    def test_the_restrictions_are_in_force(self):
        """The launcher would prove nothing if what it runs could do as it likes."""
        keys = self.etc / "keys"
        keys.mkdir(mode=0o700)
        (keys / "master.key").write_bytes(b"x" * 32)
        python = "/usr/bin/python3"
        if not os.path.exists(python):
            self.skipTest("no python below /usr")
        done = subprocess.run([*map(str, self.places()), python, "-c", self.PROBE], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, "restricted\n"), done.stderr)

    def test_a_line_that_the_launcher_does_not_know(self):
        unit = self.folder / "other.service"
        unit.write_text(UNIT.read_text().replace("UMask=0077", "UMask=0077\nPrivateNetwork=yes"))
        with self.assertRaisesRegex(AssertionError, "PrivateNetwork"):
            unit_launcher.read_unit(unit)
        unit.write_text(UNIT.read_text().replace("NoNewPrivileges=yes\n", ""))
        with self.assertRaisesRegex(AssertionError, "NoNewPrivileges"):
            unit_launcher.read_unit(unit)


if __name__ == "__main__":
    unittest.main()
