"""Put on the path of one run of a tree's command as `sitecustomize`: tries what upstream's code must not
be able to do. Nothing that is reached is kept, changed or told, and nothing is sent anywhere.

Read from `task.json` beside this file: what there is to reach (`isolation.rs`), and where to write to.
Written, JSON: `variables`, the names in the environment, and `attempts`, each with `area`, `what` and
`outcome`: `refused`, `succeeded`, or the error that kept it from being tried."""

import ctypes
import errno
import json
import os
import socket

HERE = os.path.dirname(os.path.abspath(__file__))
PTRACE_SEIZE = 0x4206
PIDFD_OPEN, PIDFD_GETFD = 434, 438

with open(os.path.join(HERE, "task.json"), encoding="utf-8") as file:
    TASK = json.load(file)
LIBC = ctypes.CDLL(None, use_errno=True)


def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def read(path):
    with open(path, "rb") as file:
        try:
            file.read(1)
        except OSError as error:
            # at the beginning of a process's memory there is nothing
            if error.errno != errno.EIO:
                raise


def write(path):
    """Opens a file to write; writes nothing."""
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))


def create(directory):
    path = os.path.join(directory, ".xtask-isolation-%d" % os.getpid())
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    os.unlink(path)


def take(path):
    """Moves a file here, and back again."""
    own = os.path.join(HERE, "taken")
    os.rename(path, own)
    os.rename(own, path)


def link(path):
    own = os.path.join(HERE, "linked")
    os.link(path, own)
    os.unlink(own)


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def memory(pid):
    """Reads from an address that is not there: that it may not is said first."""
    own = ctypes.create_string_buffer(1)
    here, there = Vector(ctypes.addressof(own), 1), Vector(4096, 1)
    try:
        called(LIBC.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
    except OSError as error:
        if error.errno != errno.EFAULT:
            raise


def trace(pid):
    """Does not stop the other; ends with this process."""
    called(LIBC.ptrace(PTRACE_SEIZE, pid, None, None))


def descriptor(pid):
    process = called(LIBC.syscall(PIDFD_OPEN, pid, 0))
    os.close(called(LIBC.syscall(PIDFD_GETFD, process, 0, 0)))


def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        client.connect(address)


def opened(family, kind, protocol=0):
    socket.socket(family, kind, protocol).close()


def attempts():
    for what, path in TASK["lists"].items():
        yield "files", "list %s `%s`" % (what, path), lambda path=path: os.listdir(path)
    for what, path in TASK["reads"].items():
        yield "files", "read %s `%s`" % (what, path), lambda path=path: read(path)
    for what, path in TASK["creates"].items():
        yield "files", "create a file in %s `%s`" % (what, path), lambda path=path: create(path)
    canary = TASK["canary"]
    yield "files", "write to a file of others", lambda: write(canary)
    yield "truncation", "empty a file of others", lambda: os.truncate(canary, 0)
    yield "files", "take a file of others", lambda: take(canary)
    yield "files", "link to a file of others", lambda: link(canary)
    yield "metadata", "ask for the size of a file of others", lambda: os.stat(canary)
    yield "metadata", "change the mode of a file of others", lambda: os.chmod(canary, 0o600)
    for who, pid in TASK["processes"].items():
        for name in ("environ", "mem", "cmdline", "maps"):
            path = "/proc/%d/%s" % (pid, name)
            yield "processes", "read `%s` of %s" % (path, who), lambda path=path: read(path)
        path = "/proc/%d/fd" % pid
        yield "processes", "list `%s` of %s" % (path, who), lambda path=path: os.listdir(path)
    pid = TASK["pid"]
    yield "processes", "read the memory of the tool", lambda: memory(pid)
    yield "processes", "trace the tool", lambda: trace(pid)
    yield "processes", "take a descriptor of the tool", lambda: descriptor(pid)
    yield "signals", "signal the tool", lambda: os.kill(pid, 0)
    port = TASK["port"]
    yield "tcp", "connect to a foreign port", lambda: connect(socket.AF_INET, ("127.0.0.1", port))
    for family in ("AF_INET", "AF_INET6"):
        for kind in ("SOCK_DGRAM", "SOCK_RAW"):
            arguments = getattr(socket, family), getattr(socket, kind)
            what = "open a socket `%s` `%s`" % (family, kind)
            yield "other-sockets", what, lambda arguments=arguments: opened(*arguments)
    multipath = socket.AF_INET, socket.SOCK_STREAM, 262
    yield "other-sockets", "open a socket of multipath TCP", lambda: opened(*multipath)
    if TASK["abstract"]:
        name = b"\0" + TASK["abstract"].encode()
        yield "abstract-sockets", "connect to an abstract socket", lambda: connect(socket.AF_UNIX, name)
    if TASK["socket"]:
        path = TASK["socket"]
        yield "file-sockets", "connect to `%s`" % path, lambda: connect(socket.AF_UNIX, path)


def outcome(attempt):
    try:
        attempt()
    except OSError as error:
        # EXDEV: to another directory, said by Landlock; both are on one file system.
        if error.errno in (errno.EACCES, errno.EPERM, errno.EXDEV):
            return "refused"
        return errno.errorcode.get(error.errno, str(error))
    except AttributeError as error:
        return str(error)
    return "succeeded"


found = [{"area": area, "what": what, "outcome": outcome(attempt)} for area, what, attempt in attempts()]
with open(TASK["report"], "w", encoding="utf-8") as file:
    json.dump({"variables": sorted(os.environ), "attempts": found}, file)
os._exit(0)
