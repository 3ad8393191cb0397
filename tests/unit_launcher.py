"""Runs a program the way systemd would by a unit file, where no systemd runs: the restrictions are read from the
unit and put into force with the kernel's own calls. Root only.

    unit_launcher.py UNIT ROOT KEY=VALUE... -- [arguments instead of ExecStart's]

ROOT is an empty folder that becomes the program's root directory. KEY=VALUE places something there:
bind:/usr/local/bin/tama=/path/to/tama, write:/var/lib/tama=/folder. Every directive of [Service] is in one of
the tables below or it is an error: what a new line does cannot be left to chance.
"""
import ctypes
import errno
import os
import pathlib
import resource
import shlex
import subprocess
import sys

UID = GID = 61234

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWIPC = 0x20000, 0x08000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
NAMESPACES = 0x7E020080  # every CLONE_NEW* flag
PROT_WRITE, PROT_EXEC = 2, 4

# What systemd itself does with them, or what makes no difference to one process below a test.
NOT_HERE = {
    "Type", "ExecReload", "TimeoutStopSec", "KillMode", "Restart", "RestartForceExitStatus", "RestartPreventExitStatus",
    "RestartSec",  # supervision
    "StateDirectoryMode",  # the test makes the folder
    "ProtectControlGroups", "ProtectKernelTunables", "ProtectProc", "ProcSubset",  # there is no /sys here, and a bare /proc
    "ProtectKernelLogs", "ProtectKernelModules", "ProtectClock", "ProtectHostname",  # @privileged and no capabilities
    "RemoveIPC", "KeyringMode", "AmbientCapabilities",
}
HERE = {
    "User", "Group", "ExecStart", "StateDirectory", "RuntimeDirectory", "RuntimeDirectoryMode", "UMask",
    "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "LoadCredential",
    "LimitMEMLOCK", "LimitCORE", "LimitNOFILE", "NoNewPrivileges", "CapabilityBoundingSet",
    "MemoryDenyWriteExecute", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID",
    "LockPersonality", "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber",
}
# Without their line the launcher would be more lenient than it says.
NEEDED = HERE - {"StateDirectory", "RuntimeDirectory", "RuntimeDirectoryMode", "LoadCredential"}


def read_unit(path):
    """{directive: [values]} of [Service]; a directive may stand more than once."""
    unit, section = {}, None
    for line in pathlib.Path(path).read_text().splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and line[0] not in "#;":
            name, _, value = line.partition("=")
            unit.setdefault(name, []).append(value)
    unknown = set(unit) - HERE - NOT_HERE
    assert not unknown, f"the launcher does not know {sorted(unknown)}"
    assert NEEDED <= set(unit), f"the unit does not say {sorted(NEEDED - set(unit))}"
    return unit


def check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, kind=None, flags=0, data=None):
    encode = lambda s: s.encode() if s is not None else None  # noqa: E731
    check(libc.mount(encode(str(source)), encode(str(target)), encode(kind), flags, encode(data)), f"mount {target}")


class Root:
    """The tree that the program sees: /usr and a few files of /etc to read, the places given, and nothing else."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
        mount("tmpfs", self.path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
        for name in ("bin", "sbin", "lib", "lib64"):
            if os.path.islink(f"/{name}"):
                (self.path / name).symlink_to(os.readlink(f"/{name}"))
            elif os.path.isdir(f"/{name}"):
                self.bind(f"/{name}", f"/{name}")
        self.bind("/usr", "/usr")
        mount("tmpfs", self.path / "usr/local", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
        for name in ("ld.so.cache", "nsswitch.conf", "hosts", "resolv.conf", "localtime", "ssl"):
            if os.path.exists(f"/etc/{name}"):
                self.bind(os.path.realpath(f"/etc/{name}"), f"/etc/{name}")
        for name in ("null", "zero", "urandom", "random"):  # PrivateDevices
            self.bind(f"/dev/{name}", f"/dev/{name}", writable=True)
        (self.path / "proc").mkdir()
        mount("proc", self.path / "proc", "proc", MS_NOSUID | MS_NODEV)
        for name in ("tmp", "var/tmp"):  # PrivateTmp
            place = self.path / name
            place.mkdir(parents=True)
            mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
        for name in ("home", "root", "run"):  # ProtectHome: there, and empty
            (self.path / name).mkdir(exist_ok=True)

    def bind(self, source, target, writable=False):
        place = self.path / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if os.path.isdir(source):
            place.mkdir(exist_ok=True)
        else:
            place.touch()
        mount(source, place, flags=MS_BIND | MS_REC)
        if not writable:
            mount("none", place, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID)

    def credentials(self, lines):
        """LoadCredential=ID:PATH; of a folder each file becomes ID_NAME (systemd.exec(5))."""
        place = self.path / "run/credentials/tama.service"
        place.mkdir(parents=True)
        for line in lines:
            name, _, path = line.partition(":")
            source = self.path / path.lstrip("/")
            files = [(f"{name}_{p.name}", p) for p in source.iterdir()] if source.is_dir() else [(name, source)]
            for name_in_place, file in files:
                target = place / name_in_place
                target.write_bytes(file.read_bytes())
                target.chmod(0o400)
                os.chown(target, UID, GID)
        place.chmod(0o500)
        os.chown(place, UID, GID)
        return "/run/credentials/tama.service"

    def enter(self):
        mount("none", self.path, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)  # ProtectSystem=strict
        os.chroot(self.path)
        os.chdir("/")


def syscalls(words, depth=0):
    """The names behind @sets, as systemd itself has them."""
    names = set()
    for word in words:
        if not word.startswith("@"):
            names.add(word)
            continue
        text = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True).stdout
        inner = [line.strip() for line in text.splitlines()[1:]]
        names |= syscalls([w for w in inner if w and not w.startswith("#")], depth + 1)
    return names


class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class Filter:
    """libseccomp: what is allowed is listed, all else gets the error. Loaded before the root changes."""

    EQ, MASKED_EQ, GE = 4, 7, 5
    ALLOW = 0x7FFF0000

    def __init__(self, allowed, number):
        self.lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self.lib.seccomp_init.restype = ctypes.c_void_p
        self.error = 0x00050000 | number
        self.context = ctypes.c_void_p(self.lib.seccomp_init(self.error))
        self.known = {}
        for name in sorted(allowed):
            self.rule(self.ALLOW, name)

    def number_of(self, name):
        return self.lib.seccomp_syscall_resolve_name(name.encode())

    def rule(self, action, name, *compares):
        number = self.number_of(name)
        if number < 0:
            return  # not of this architecture
        array = (Compare * max(1, len(compares)))(*compares)
        self.lib.seccomp_rule_add_array.argtypes = [
            ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
        result = self.lib.seccomp_rule_add_array(self.context, action, number, len(compares), array)
        assert result == 0, (name, os.strerror(-result))

    def load(self):
        result = self.lib.seccomp_load(self.context)
        assert result == 0, os.strerror(-result)


def second_filter(unit):
    """Restrictions by arguments, as systemd makes them in filters of their own: everything else is allowed."""
    f = Filter(set(), 0)
    f.context = ctypes.c_void_p(f.lib.seccomp_init(Filter.ALLOW))
    denied = 0x00050000 | errno.EPERM

    def deny(name, *compares):
        f.rule(denied, name, *compares)

    if unit["MemoryDenyWriteExecute"][-1] == "yes":
        both = PROT_WRITE | PROT_EXEC
        deny("mmap", Compare(2, Filter.MASKED_EQ, both, both))
        deny("mprotect", Compare(2, Filter.MASKED_EQ, PROT_EXEC, PROT_EXEC))
        deny("pkey_mprotect", Compare(2, Filter.MASKED_EQ, PROT_EXEC, PROT_EXEC))
        deny("shmat", Compare(2, Filter.MASKED_EQ, 0o100000, 0o100000))
    if unit["RestrictNamespaces"][-1] == "yes":
        deny("setns")
        for flag in (1 << n for n in range(32) if NAMESPACES >> n & 1):
            deny("unshare", Compare(0, Filter.MASKED_EQ, flag, flag))
            deny("clone", Compare(0, Filter.MASKED_EQ, flag, flag))
        f.rule(0x00050000 | errno.ENOSYS, "clone3")  # its flags are in memory: glibc goes on with clone
    if unit["RestrictRealtime"][-1] == "yes":
        for policy in (1, 2, 6):
            deny("sched_setscheduler", Compare(1, Filter.EQ, policy, 0))
    if unit["RestrictSUIDSGID"][-1] == "yes":
        for bit in (0o4000, 0o2000):
            for name, arg in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1), ("mkdirat", 2), ("creat", 1)):
                deny(name, Compare(arg, Filter.MASKED_EQ, bit, bit))
    if unit["LockPersonality"][-1] == "yes":
        deny("personality")
    families = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
    allowed = {families[name] for name in unit["RestrictAddressFamilies"][-1].split()}
    for family in range(46):
        if family not in allowed:
            f.rule(0x00050000 | errno.EAFNOSUPPORT, "socket", Compare(0, Filter.EQ, family, 0))
    f.rule(0x00050000 | errno.EAFNOSUPPORT, "socket", Compare(0, Filter.GE, 46, 0))
    return f


def first_filter(unit):
    allowed, refused = set(), set()
    for line in unit["SystemCallFilter"]:
        if line.startswith("~"):
            refused |= syscalls(line[1:].split())
        else:
            allowed |= syscalls(line.split())
    # systemd's own start of the program, after the filter is in force.
    return Filter(allowed - refused | {"execve", "exit", "exit_group"}, getattr(errno, unit["SystemCallErrorNumber"][-1]))


def set_limits(unit):
    for name, limit in (("LimitCORE", resource.RLIMIT_CORE), ("LimitNOFILE", resource.RLIMIT_NOFILE),
                        ("LimitMEMLOCK", resource.RLIMIT_MEMLOCK)):
        text = unit[name][-1]
        value = int(text.rstrip("KMG")) << {"K": 10, "M": 20, "G": 30}.get(text[-1], 0)
        hard = resource.getrlimit(limit)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(limit, (value, value))


def drop(unit):
    """No capability, nor a way back to one, and another user."""
    assert unit["CapabilityBoundingSet"] == [""]
    for cap in range(64):
        if libc.prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0:
            break
    os.setgroups([])
    os.setresgid(GID, GID, GID)
    os.setresuid(UID, UID, UID)
    if unit["NoNewPrivileges"][-1] == "yes":
        check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")


def main():
    split = sys.argv.index("--")
    unit_path, root_path, *places = sys.argv[1:split]
    instead = sys.argv[split + 1:]
    unit = read_unit(unit_path)
    filters = [second_filter(unit), first_filter(unit)]  # after the second no further one can be loaded
    set_limits(unit)
    check(libc.unshare(CLONE_NEWNS | CLONE_NEWIPC), "unshare")
    root = Root(root_path)
    for place in places:
        how, _, rest = place.partition(":")
        target, _, source = rest.partition("=")
        root.bind(source, target, writable=how == "write")
    for state in unit.get("StateDirectory", [""])[-1].split():
        assert (root.path / "var/lib" / state).is_dir(), f"write:/var/lib/{state}=... is missing"
    for name in unit.get("RuntimeDirectory", [""])[-1].split():
        place = root.path / "run" / name
        place.mkdir()
        mode = unit.get("RuntimeDirectoryMode", ["0755"])[-1]
        mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode},uid={UID},gid={GID}")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    if "LoadCredential" in unit:
        environment["CREDENTIALS_DIRECTORY"] = root.credentials(unit["LoadCredential"])
    root.enter()
    os.umask(int(unit["UMask"][-1], 8))
    drop(unit)
    command = instead or shlex.split(unit["ExecStart"][-1])
    for f in filters:
        f.load()
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    main()
