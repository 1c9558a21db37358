"""Runs functions one after the other, for scripts that check one thing in each. After each, `each.json` in
the working directory has what came of all so far: `done`, a list of [name, error or null], and `now`, the
function that runs."""

import json
import os
import traceback


def words(error):
    """An error by its innermost cause, or by the line of the script that it came out of."""
    script = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__][0]
    while error.__cause__ or error.__context__ and not error.__suppress_context__:
        error = error.__cause__ or error.__context__
    text = " ".join(str(error).split()) or "`%s`" % script.line
    return "%s: %s" % (type(error).__name__, text[:300])


def run(functions):
    done = []

    def report(now):
        with open("each.part", "w", encoding="utf-8") as file:
            json.dump({"done": done, "now": now}, file)
        os.replace("each.part", "each.json")

    for function in functions:
        name = function.__name__.replace("_", " ")
        report(name)
        try:
            function()
            done.append([name, None])
        except BaseException as error:
            done.append([name, words(error)])
    report(None)
