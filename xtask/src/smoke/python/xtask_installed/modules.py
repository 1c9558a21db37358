"""Where the modules of a tree lie."""

import os


def root(task, module):
    """The directory of a package of ours."""
    return os.path.dirname(task["modules"][module])


def walk(top):
    """Directories with their files, those of bytecode left out."""
    for folder, folders, files in os.walk(top, followlinks=True):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        yield folder, folders, sorted(files)


def files(top):
    """Every file with Python in it, be it a module or not."""
    for folder, _, names in walk(top):
        for name in names:
            if name.endswith(".py"):
                yield os.path.join(folder, name)


def modules(top):
    """Every module of a package, name -> file. What runs when it is imported is none."""
    base = os.path.dirname(top)
    found = {}
    for folder, folders, names in walk(top):
        if "__init__.py" not in names:
            folders[:] = []
            continue
        package = os.path.relpath(folder, base).replace(os.sep, ".")
        found[package] = os.path.join(folder, "__init__.py")
        for name in names:
            stem, extension = os.path.splitext(name)
            if extension == ".py" and stem.isidentifier() and stem not in ("__init__", "__main__"):
                found["%s.%s" % (package, stem)] = os.path.join(folder, name)
    return found
