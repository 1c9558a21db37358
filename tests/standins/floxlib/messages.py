"""flox's own messages: all of them go to stderr."""

import sys


class Failure(Exception):
    """An error of flox's own; printed after `✘ ERROR: `."""


def say(text):
    print(text, file=sys.stderr, flush=True)
