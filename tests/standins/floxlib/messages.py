"""flox's own messages: all of them go to stderr."""

import sys


class Failure(Exception):
    """An error of flox's own; printed after `✘ ERROR: `."""


def say(text):
    sys.stderr.write(text + "\n")  # in one piece
    sys.stderr.flush()
