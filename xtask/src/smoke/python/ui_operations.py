"""Validates the GraphQL operations of the web UI against the schema of dagster_graphql, with the
graphql-core that is installed beside it: what the server does before it runs one.

Input, a JSON file: `path`; `operations`, each with `name`, `script`, `text` and `fragments`, the names of
all it needs; `fragments`, name -> text; `broken`, the operations that upstream ships broken. Output, the
last line, JSON: `count`, `problems` as [what, expected, found], `unchecked`, and `mended`, those of
`broken` that are not."""

import json
import re
import sys

# Problems that are told one by one.
SHOWN = 8

with open(sys.argv[1], encoding="utf-8") as file:
    task = json.load(file)
sys.path[:] = task["path"]

problems = []
unchecked = []
names_of = {}
schema = None
try:
    from dagster_graphql.schema import create_schema
    from graphql import parse, validate
    from graphql.language.ast import DocumentNode

    schema = create_schema().graphql_schema
except BaseException as error:
    problems.append(["`dagster_graphql.schema`", "a schema", "`%s: %s`" % (type(error).__name__, error)])


def definitions(text, cache={}):
    if text not in cache:
        cache[text] = parse(text).definitions
    return cache[text]


def messages(operation):
    own = list(definitions(operation["text"]))
    for name in operation["fragments"]:
        own += definitions(task["fragments"][name])
    return [error.message for error in validate(schema, DocumentNode(definitions=own))]


count = 0
broken = set()
for operation in task["operations"] if schema else []:
    name = operation["name"]
    try:
        found = messages(operation)
    except Exception as error:
        text = re.sub(r"\s+", " ", str(error))[:200]
        unchecked.append("`%s` of `%s`: %s" % (name, operation["script"], text))
        continue
    count += 1
    if found:
        broken.add(name)
    for message in [] if name in task["broken"] else found:
        # suggestions differ from one place to the next
        names_of.setdefault(message.split(" Did you mean ")[0], {})[name] = None

# What is not there says more than what follows from it.
most_telling = sorted(names_of.items(), key=lambda item: not item[0].startswith("Cannot query field"))
for message, names in most_telling[:SHOWN]:
    names = ["`%s`" % name for name in names]
    few = ", ".join(names[:3]) + (" and %d more" % (len(names) - 3) if len(names) > 3 else "")
    what = "%s of the web UI, %s" % ("an operation" if len(names) == 1 else "operations", few)
    problems.append([what, "what the schema of dagster_graphql has", message])
if len(most_telling) > SHOWN:
    what = "%d of %d operations of the web UI" % (len(set().union(*names_of.values())), count)
    found = "%d more that it has not" % (len(most_telling) - SHOWN)
    problems.append([what, "what the schema of dagster_graphql has", found])

mended = sorted(set(task["broken"]) - broken)
print("\n" + json.dumps({"count": count, "problems": problems, "unchecked": unchecked, "mended": mended}))
