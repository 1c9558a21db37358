#!/usr/bin/env python3
"""The tool's hash of an archive is the one that real Nix gives to its unpacked tree.

    tests/nar/check.py -- cargo xtask

Makes an archive with every oddity that a good one may have, asks `COMMAND prefetch FILE` for its hash,
unpacks it with tar, and asks `nix-hash`. Without Nix it says that it was skipped; exit status 0 then,
or 1 when `CI` is set.
"""

import base64
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile


def add(archive, name, data=b"", kind=tarfile.REGTYPE, mode=0o644, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.size = kind, mode, link, len(data)
    info.mtime = 1_700_000_000
    archive.addfile(info, io.BytesIO(data))


def odd(path, form):
    """An archive in one of tar's formats; names are bytes that need not be UTF-8."""
    headers = {"comment": "0123456789abcdef0123456789abcdef01234567"}
    options = {"format": form, "encoding": "utf-8", "errors": "surrogateescape"}
    if form == tarfile.PAX_FORMAT:
        options["pax_headers"] = headers
    noise = random.Random(7)
    with tarfile.open(path, "w:gz", **options) as archive:
        add(archive, "top", kind=tarfile.DIRTYPE, mode=0o755)
        # git's order of these is not Nix's
        for name in ("a/c", "a.b", "a-b", "a0", "a/b/d", "A"):
            add(archive, "top/" + name, name.encode())
        add(archive, "top/empty-file")
        add(archive, "top/empty-directory", kind=tarfile.DIRTYPE, mode=0o755)
        for mode in (0o755, 0o700, 0o100, 0o655, 0o444):
            add(archive, "top/mode-%o" % mode, b"#!/bin/sh\n", mode=mode)
        for size in (1, 7, 8, 9, 511, 512, 513, 100_000):
            add(archive, "top/size-%d" % size, noise.getrandbits(8 * size).to_bytes(size, "big"))
        add(archive, "top/link", kind=tarfile.SYMTYPE, mode=0o777, link="a/c")
        add(archive, "top/dangling", kind=tarfile.SYMTYPE, mode=0o777, link="../../nowhere")
        add(archive, "top/long-link", kind=tarfile.SYMTYPE, mode=0o777, link="t" * 150)
        add(archive, "top/hard", kind=tarfile.LNKTYPE, link="top/a/c")
        add(archive, "top/" + "d" * 130 + "/" + "f" * 130, b"long name")
        add(archive, os.fsdecode(b"top/not-utf-8-\xff\xfe"), b"bytes")
        add(archive, "top/ünïcode", "ü".encode())


def sri(directory):
    answer = subprocess.run(
        ["nix-hash", "--type", "sha256", directory], check=True, stdout=subprocess.PIPE
    )
    digest = bytes.fromhex(answer.stdout.decode().strip())
    return "sha256-" + base64.b64encode(digest).decode()


def main():
    command = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else ["cargo", "xtask"]
    if shutil.which("nix-hash") is None:
        print("skipped: `nix-hash` is not here")
        return 1 if os.environ.get("CI") else 0
    wrong = 0
    for name, form in [("pax", tarfile.PAX_FORMAT), ("GNU", tarfile.GNU_FORMAT)]:
        with tempfile.TemporaryDirectory() as work:
            path = os.path.join(work, "odd.tar.gz")
            odd(path, form)
            subprocess.run(["tar", "-xzf", path, "-C", work], check=True)
            expected = sri(os.path.join(work, "top"))
            asked = subprocess.run([*command, "prefetch", path], check=True, stdout=subprocess.PIPE)
            found = asked.stdout.decode().strip()
        same = expected == found
        wrong += not same
        print("%s format: Nix %s, ours %s: %s" % (name, expected, found, "same" if same else "DIFFERENT"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
