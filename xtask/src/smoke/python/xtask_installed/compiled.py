"""Are the compiled modules of this system and of this Python?

Looked at are names and headers, of every package on the path but those of Python itself. An extension
module is `NAME.TAG.so`, `NAME.abi3.so`, or `NAME.so` with `PyInit_NAME` in it (PEP 3149). Libraries are
looked at where wheels keep those that they bring, in `PACKAGE.libs` or `.dylibs`; elsewhere they are
data, of which a package may have one for each system. Whoever brings a module for each of several
Pythons is asked for the one that is for this.

Headers: ELF has a byte for the order of bytes at 5 and `e_machine` at 18 (System V ABI, "ELF header");
Mach-O `cputype` at 4, and one for many architectures a table of them (<mach-o/fat.h>).
"""

import importlib.machinery
import os
import platform
import re
import struct
import sys
import sysconfig

ELF = {3: "i386", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64",
       258: "loongarch64"}
MACH_O = {7: "i386", 0x01000007: "x86_64", 0x0100000C: "aarch64"}
SAME = {"arm64": "aarch64", "amd64": "x86_64", "i686": "i386", "ppc64le": "ppc64"}
TAGGED = re.compile(r"(.+?)\.((?:cpython|pypy|graalpy|cp)[^.]*|abi3t?)\.so")


def machine():
    name = platform.machine().lower()
    return SAME.get(name, name)


def machines(head):
    """What a file is for: its format and the machines; `None` if it is of neither format."""
    if head[:4] == b"\x7fELF" and len(head) >= 20:
        (number,) = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)
        return "ELF", [ELF.get(number, "machine %d" % number)]
    if head[:4] in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe"):
        (number,) = struct.unpack_from("<I", head, 4)
        return "Mach-O", [MACH_O.get(number, "machine %d" % number)]
    if head[:4] == b"\xca\xfe\xba\xbe":
        (count,) = struct.unpack_from(">I", head, 4)
        numbers = [struct.unpack_from(">I", head, 8 + 20 * at)[0] for at in range(count)]
        return "Mach-O", [MACH_O.get(number, "machine %d" % number) for number in numbers]
    return None


def is_other(path):
    """What a file is, if it is not for this system."""
    ours = "Mach-O" if sys.platform == "darwin" else "ELF"
    with open(path, "rb") as file:
        head = file.read(4096)
    found = machines(head)
    if found is None:
        return "no %s file" % ours
    if found[0] != ours:
        return "a %s file" % found[0]
    return None if machine() in found[1] else "one for %s" % ", ".join(found[1])


def is_data(path, name):
    """Is it neither importable nor a library that something importable needs?"""
    if TAGGED.fullmatch(name) or is_library(os.path.dirname(path), name):
        return False
    with open(path, "rb") as file:
        return b"PyInit_" + name[:-3].encode() not in file.read()


def is_for_another_python(name, beside):
    """The tag of a module that this Python does not import, unless one beside it is for this."""
    tagged = TAGGED.fullmatch(name)
    suffixes = importlib.machinery.EXTENSION_SUFFIXES
    if tagged is None or any(tagged[1] + suffix in beside for suffix in suffixes):
        return None
    return tagged[2]


def is_library(folder, name):
    return folder.endswith((".libs", ".dylibs")) and (".so" in name or name.endswith(".dylib"))


def folders(path):
    """Every directory on a path, without those of Python itself."""
    own = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    own |= {os.path.join(place, "lib-dynload") for place in own}
    own = {os.path.realpath(place) for place in own}
    seen = set()
    for root in path:
        if os.path.realpath(root) in own:
            continue
        for folder, names, files in os.walk(root, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:
                names[:] = []
                continue
            seen.add(real)
            names[:] = sorted(name for name in names if name != "__pycache__")
            yield folder, sorted(files)


def check(task):
    this = "%s, Python %d.%d" % (machine(), *sys.version_info[:2])
    expected = "a module for this system (%s)" % this
    count, problems = 0, []
    for folder, files in folders(task["path"]):
        names = [name for name in files if name.endswith(".so") or is_library(folder, name)]
        for name in names:
            path = os.path.join(folder, name)
            count += 1
            tag = is_for_another_python(name, files)
            found = is_other(path) or ("one for `%s`" % tag if tag else None)
            if found and not is_data(path, name):
                problems.append(["`%s`" % path, expected, found])
    return "%d, for %s" % (count, this), problems
