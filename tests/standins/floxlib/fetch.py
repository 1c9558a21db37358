"""Builders that fetch: a source archive of the upstream server, a wheel or sdist of its index."""

import os
import shutil
import tarfile
import urllib.error
import urllib.request

from .store import remove

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def download(builder, url, path):
    builder.say("trying %s" % url)
    try:
        with OPENER.open(url, timeout=60) as response, open(path, "wb") as file:
            shutil.copyfileobj(response, file)
    except (urllib.error.URLError, OSError) as error:
        builder.fail("error: cannot download %s: %s" % (os.path.basename(path), error))


def fetch_file(builder, arguments):
    download(builder, arguments["url"], builder.out)


def fetch_tree(builder, arguments):
    """Unpacks an archive without its one top directory, as `fetchzip` does."""
    path = os.path.join(builder.scratch, "source.tar.gz")
    download(builder, arguments["url"], path)
    remove(builder.out)
    os.mkdir(builder.out)
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                unpack(builder, archive, member)
    except (tarfile.TarError, EOFError, OSError) as error:
        builder.fail("error: cannot unpack the archive: %s" % error)


def unpack(builder, archive, member):
    parts = member.name.split("/")[1:]
    if ".." in parts:
        builder.fail("error: unexpected entry %s" % member.name)
    if not parts:
        return
    target = os.path.join(builder.out, *parts)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if member.isdir():
        os.makedirs(target, exist_ok=True)
    elif member.issym():
        os.symlink(member.linkname, target)
    elif member.isreg():
        with archive.extractfile(member) as source, open(target, "wb") as file:
            shutil.copyfileobj(source, file)
        os.chmod(target, 0o755 if member.mode & 0o100 else 0o644)
    else:
        builder.fail("error: unexpected entry %s" % member.name)
