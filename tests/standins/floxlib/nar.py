"""The NAR hash of a directory on disk, by the format in the Nix manual ("Nix Archive").

Independent of the release tool's own: it walks files that were unpacked, the tool never unpacks.
"""

import base64
import hashlib
import os
import stat
import struct


class Mismatch(Exception):
    """A fixed-output derivation whose output is not what was specified."""

    def __init__(self, drv, specified, got):
        super().__init__(
            "hash mismatch in fixed-output derivation '%s':\n"
            "         specified: %s\n            got:    %s" % (drv, specified, got)
        )


def _write(sink, data):
    sink.update(struct.pack("<Q", len(data)))
    sink.update(data)
    sink.update(b"\0" * (-len(data) % 8))


def _node(sink, path):
    info = os.lstat(path)
    _write(sink, b"(")
    _write(sink, b"type")
    if stat.S_ISLNK(info.st_mode):
        _write(sink, b"symlink")
        _write(sink, b"target")
        _write(sink, os.readlink(path))
    elif stat.S_ISREG(info.st_mode):
        _write(sink, b"regular")
        if info.st_mode & stat.S_IXUSR:
            _write(sink, b"executable")
            _write(sink, b"")
        _write(sink, b"contents")
        sink.update(struct.pack("<Q", info.st_size))
        with open(path, "rb") as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                sink.update(chunk)
        sink.update(b"\0" * (-info.st_size % 8))
    else:
        _write(sink, b"directory")
        for name in sorted(os.listdir(path)):
            _write(sink, b"entry")
            _write(sink, b"(")
            _write(sink, b"name")
            _write(sink, name)
            _write(sink, b"node")
            _node(sink, os.path.join(path, name))
            _write(sink, b")")
    _write(sink, b")")


def sri(digest):
    return "sha256-" + base64.b64encode(digest).decode()


def of_path(path):
    """SRI hash of a file or directory as `nix hash path` prints it."""
    sink = hashlib.sha256()
    _write(sink, b"nix-archive-1")
    _node(sink, os.fsencode(path))
    return sri(sink.digest())


def of_file(path):
    """SRI hash of a file's bytes (a flat fixed-output derivation)."""
    sink = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            sink.update(chunk)
    return sri(sink.digest())
