"""Evaluates the Nix language: what expressions of packages need of it, lazily, and no more.

Grammar and meaning follow the Nix manual ("Nix language"). Left out, and refused by file and line:
floats, URI literals, `<search/paths>`, dynamic attribute names, `__functor`, and every builtin that
is not in `BUILTINS`. Strings carry no context; the package set finds dependencies by store path.

Values: `str`, `int`, `bool`, `None`, `list` of thunks, `dict` of name to thunk, `Path`, `Lambda`,
and any Python callable of one argument.
"""

import os
import re
import sys
import threading

KEYWORDS = {"if", "then", "else", "let", "in", "with", "rec", "inherit", "assert"}
TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*|/\*.*?\*/)
      | (?P<path>(?:\.\.?|~)?(?:/[A-Za-z0-9._+-]+)+)
      | (?P<search><[A-Za-z0-9._/+-]+>)
      | (?P<id>[A-Za-z_][A-Za-z0-9_'-]*)
      | (?P<int>[0-9]+)
      | (?P<indented>'')
      | (?P<quote>")
      | (?P<op>\.\.\.|\+\+|//|==|!=|<=|>=|&&|\|\||->|[{}()\[\];:,.=@?+\-*/<>!])""",
    re.VERBOSE | re.DOTALL,
)
BINARY = {  # operator: (left power, right power)
    "->": (1, 0), "||": (2, 3), "&&": (4, 5), "==": (6, 7), "!=": (6, 7),
    "<": (8, 9), ">": (8, 9), "<=": (8, 9), ">=": (8, 9), "//": (11, 10),
    "+": (14, 15), "-": (14, 15), "*": (16, 17), "/": (16, 17), "++": (19, 18), "?": (20, 20),
}
NOT, NEGATE = 13, 21
PLACEHOLDER = "/placeholder-of-%s"  # what `placeholder` gives; builders put the path in its place


class NixError(Exception):
    """What Nix would call an evaluation error."""


class Path(str):
    """An absolute path, as opposed to a string."""


class Node:
    __slots__ = ("kind", "parts", "line")

    def __init__(self, kind, parts, line):
        self.kind, self.parts, self.line = kind, parts, line


class Thunk:
    """A value that is computed when it is first needed."""

    __slots__ = ("compute", "value")

    def __init__(self, compute=None, value=None):
        self.compute, self.value = compute, value

    def force(self):
        if self.compute is not None:
            compute, self.compute = self.compute, _blackhole
            try:
                self.value = compute()
            except BaseException:
                self.compute = compute
                raise
            self.compute = None
        return self.value


def _blackhole():
    raise NixError("infinite recursion encountered")


def done(value):
    return Thunk(value=value)


class Scope:
    """Names in sight: own ones, else those around, else those of the enclosing `with`s."""

    __slots__ = ("names", "parent", "attrs")

    def __init__(self, names, parent=None, attrs=None):
        self.names, self.parent, self.attrs = names, parent, attrs

    def find(self, name):
        scope = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        scope = self
        while scope is not None:
            if scope.attrs is not None:
                attrs = scope.attrs.force()
                if name in attrs:
                    return attrs[name]
            scope = scope.parent
        return None


class Lambda:
    def __init__(self, code, node, scope):
        self.code, self.node, self.scope = code, node, scope

    def arguments(self):
        """Names of a set pattern, each with whether it has a default."""
        _, pattern, _ = self.node.parts
        return {} if pattern is None else {name: default is not None for name, default in pattern[0]}

    def __call__(self, thunk):
        name, pattern, body = self.node.parts
        names = {}
        scope = Scope(names, self.scope)
        if name is not None:
            names[name] = thunk
        if pattern is not None:
            formals, open_ended = pattern
            given = expect(thunk.force(), dict, "a set")
            for formal, default in formals:
                if formal in given:
                    names[formal] = given[formal]
                elif default is not None:
                    names[formal] = self.code.thunk(default, scope)
                else:
                    self.code.fail(self.node, "function called without required argument '%s'" % formal)
            if not open_ended:
                for extra in given:
                    if extra not in names or extra == name:
                        self.code.fail(
                            self.node, "function called with unexpected argument '%s'" % extra
                        )
        return self.code.evaluate(body, scope)


def type_name(value):
    for kind, name in (
        (bool, "a Boolean"), (int, "an integer"), (Path, "a path"), (str, "a string"),
        (list, "a list"), (dict, "a set"), (type(None), "null"),
    ):
        if isinstance(value, kind):
            return name
    return "a function"


def expect(value, kind, name):
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise NixError("value is %s while %s was expected" % (type_name(value), name))
    return value


def is_function(value):
    return callable(value)


def call(function, *arguments):
    """Calls a Nix function with Python values or thunks."""
    for argument in arguments:
        if not is_function(function):
            raise NixError("attempt to call something which is not a function but %s" % type_name(function))
        function = function(argument if isinstance(argument, Thunk) else done(argument))
    return function


def is_derivation(value):
    return isinstance(value, dict) and "type" in value and value["type"].force() == "derivation"


def to_string(value):
    """Coerces as string interpolation does: strings, paths, and sets with `outPath`."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict) and "outPath" in value:
        return to_string(value["outPath"].force())
    raise NixError("cannot coerce %s to a string" % type_name(value))


def equal(left, right):
    if is_derivation(left) and is_derivation(right):
        return left["outPath"].force() == right["outPath"].force()
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            equal(a.force(), b.force()) for a, b in zip(left, right)
        )
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            equal(left[name].force(), right[name].force()) for name in left
        )
    if type(left) is not type(right) or is_function(left):
        return False
    return left == right


class Parser:
    def __init__(self, text, path):
        self.text, self.path, self.at = text, path, 0
        self.kind = self.token = None
        self.line = 1
        self.start = 0
        self.advance()

    def fail(self, message):
        raise NixError("%s\n       at %s:%d" % (message, self.path, self.line))

    def advance(self):
        """Reads the next token; inside of a string the callers read themselves."""
        while True:
            self.line = self.text.count("\n", 0, self.at) + 1
            self.start = self.at
            if self.at >= len(self.text):
                self.kind, self.token = "end", None
                return
            match = TOKEN.match(self.text, self.at)
            if match is None:
                self.fail("syntax error, unexpected %r" % self.text[self.at])
            self.at = match.end()
            self.kind, self.token = match.lastgroup, match.group()
            if self.kind != "space":
                break
        if self.kind == "id" and self.token in KEYWORDS:
            self.kind = "keyword"

    def sees(self, *tokens):
        return self.kind in ("op", "keyword", "indented", "quote") and self.token in tokens

    def take(self, token):
        if not self.sees(token):
            self.fail("syntax error, unexpected %r, expecting %r" % (self.token, token))
        self.advance()

    def name(self):
        if self.kind == "id":
            name = self.token
            self.advance()
            return name
        if self.sees('"'):
            node = self.string()
            parts = node.parts[0]
            if all(isinstance(part, str) for part in parts):
                return "".join(parts)
        self.fail("expected an attribute name, found %r (dynamic names are not supported)" % self.token)

    def file(self):
        node = self.expression()
        if self.kind != "end":
            self.fail("syntax error, unexpected %r" % self.token)
        return node

    def node(self, kind, *parts, line=None):
        return Node(kind, parts, line or self.line)

    def expression(self):
        line = self.line
        if self.sees("if"):
            self.advance()
            condition = self.expression()
            self.take("then")
            yes = self.expression()
            self.take("else")
            return self.node("if", condition, yes, self.expression(), line=line)
        if self.sees("let"):
            self.advance()
            bindings = self.bindings("in")
            self.take("in")
            return self.node("let", bindings, self.expression(), line=line)
        for word in ("with", "assert"):
            if self.sees(word):
                self.advance()
                subject = self.expression()
                self.take(";")
                return self.node(word, subject, self.expression(), line=line)
        return self.function() or self.binary(0)

    def function(self):
        """A lambda, or nothing when it is not one."""
        mark = (self.at, self.kind, self.token, self.line, self.start)
        line = self.line
        name = pattern = None
        if self.kind == "id":
            name = self.token
            self.advance()
            if self.sees(":"):
                self.advance()
                return self.node("lambda", name, None, self.expression(), line=line)
            if self.sees("@"):
                self.advance()
                pattern = self.pattern()
        elif self.sees("{"):
            pattern = self.pattern()
            if pattern is not None and self.sees("@"):
                self.advance()
                name = self.name()
        if pattern is not None and self.sees(":"):
            self.advance()
            return self.node("lambda", name, pattern, self.expression(), line=line)
        self.at, self.kind, self.token, self.line, self.start = mark
        return None

    def pattern(self):
        """`{ a, b ? 1, ... }`, or nothing when the braces hold something else."""
        if not self.sees("{"):
            return None
        self.advance()
        formals, open_ended = [], False
        while not self.sees("}"):
            if self.sees("..."):
                open_ended = True
                self.advance()
            elif self.kind == "id":
                formal = self.token
                self.advance()
                default = None
                if self.sees("?"):
                    self.advance()
                    default = self.expression()
                elif not self.sees(",", "}"):
                    return None
                formals.append((formal, default))
            else:
                return None
            if self.sees(","):
                self.advance()
            elif not self.sees("}"):
                return None
        self.advance()
        return formals, open_ended

    def binary(self, least):
        line = self.line
        if self.sees("!"):
            self.advance()
            left = self.node("not", self.binary(NOT), line=line)
        elif self.sees("-"):
            self.advance()
            left = self.node("negate", self.binary(NEGATE), line=line)
        else:
            left = self.application()
        while self.kind == "op" and self.token in BINARY and BINARY[self.token][0] >= least:
            operator, line = self.token, self.line
            self.advance()
            if operator == "?":
                left = self.node("has", left, self.path_of_names(), line=line)
            else:
                right = self.binary(BINARY[operator][1])
                left = self.node("binary", operator, left, right, line=line)
        return left

    def path_of_names(self):
        names = [self.name()]
        while self.sees("."):
            self.advance()
            names.append(self.name())
        return names

    def application(self):
        function = self.select()
        while self.starts_simple():
            line = self.line
            function = self.node("apply", function, self.select(), line=line)
        return function

    def starts_simple(self):
        return self.kind in ("id", "int", "path", "search", "indented", "quote") or self.sees(
            "{", "(", "[", "rec", "let"
        )

    def select(self):
        value = self.simple()
        if self.sees("."):
            line = self.line
            self.advance()
            names = self.path_of_names()
            default = None
            if self.kind == "id" and self.token == "or":
                self.advance()
                default = self.select()
            value = self.node("select", value, names, default, line=line)
        return value

    def simple(self):
        line, token = self.line, self.token
        if self.kind == "id":
            self.advance()
            return self.node("name", token, line=line)
        if self.kind == "int":
            self.advance()
            return self.node("value", int(token), line=line)
        if self.kind == "path":
            self.advance()
            return self.node("path", token, line=line)
        if self.sees('"'):
            return self.string()
        if self.sees("''"):
            return self.indented()
        if self.sees("("):
            self.advance()
            inside = self.expression()
            self.take(")")
            return inside
        if self.sees("["):
            self.advance()
            items = []
            while not self.sees("]"):
                items.append(self.select())
            self.advance()
            return self.node("list", items, line=line)
        recursive = self.sees("rec")
        if recursive:
            self.advance()
        if self.sees("{"):
            self.advance()
            bindings = self.bindings("}")
            self.advance()
            return self.node("set", recursive, bindings, line=line)
        self.fail("syntax error, unexpected %r" % token)

    def bindings(self, end):
        """[(names, node)] and [("inherit", source or None, names)], in order."""
        bindings = []
        while not self.sees(end):
            line = self.line
            if self.sees("inherit"):
                self.advance()
                source = None
                if self.sees("("):
                    self.advance()
                    source = self.expression()
                    self.take(")")
                names = []
                while not self.sees(";"):
                    names.append(self.name())
                self.advance()
                bindings.append(("inherit", source, names, line))
            else:
                names = self.path_of_names()
                self.take("=")
                bindings.append(("bind", names, self.expression(), line))
                self.take(";")
        return bindings

    def interpolation(self):
        """Between `${` and `}`; leaves the position behind the brace."""
        self.at += 2
        self.advance()
        node = self.expression()
        if not self.sees("}"):
            self.fail("syntax error, expecting '}'")
        self.at = self.start + 1
        return node

    def string(self):
        line, parts, text = self.line, [], ""
        escapes = {"n": "\n", "t": "\t", "r": "\r"}
        while True:
            if self.at >= len(self.text):
                self.fail("syntax error, unterminated string")
            here = self.text[self.at]
            if here == '"':
                self.at += 1
                break
            if here == "\\":
                following = self.text[self.at + 1]
                text += escapes.get(following, following)
                self.at += 2
            elif self.text.startswith("${", self.at):
                parts += [text, self.interpolation()]
                text = ""
            else:
                text += here
                self.at += 1
        self.advance()
        return self.node("string", [part for part in [*parts, text] if part != ""], line=line)

    def indented(self):
        """`''…''`: the smallest indentation of its lines is taken away (an empty line has none)."""
        line, parts, text = self.line, [], ""
        while True:
            if self.at >= len(self.text):
                self.fail("syntax error, unterminated string")
            if self.text.startswith("'''", self.at):
                text += "''"
                self.at += 3
            elif self.text.startswith("''$", self.at):
                text += "$"
                self.at += 3
            elif self.text.startswith("''\\", self.at):
                text += {"n": "\n", "t": "\t"}.get(self.text[self.at + 3], self.text[self.at + 3])
                self.at += 4
            elif self.text.startswith("''", self.at):
                self.at += 2
                break
            elif self.text.startswith("${", self.at):
                parts += [text, self.interpolation()]
                text = ""
            else:
                text += self.text[self.at]
                self.at += 1
        parts.append(text)
        self.advance()
        return self.node("string", unindent(parts), line=line)


def unindent(parts):
    # interpolations count as text: a mark that no source text contains stands in for them
    marks = {}
    flat = ""
    for part in parts:
        if isinstance(part, str):
            flat += part
        else:
            mark = "\0%d\0" % len(marks)
            marks[mark] = part
            flat += mark
    lines = flat.split("\n")
    if lines and not lines[0].strip(" "):
        lines = lines[1:]
    filled = [item for item in lines if item.strip(" ")]
    least = min((len(item) - len(item.lstrip(" ")) for item in filled), default=0)
    lines = [item[least:] if item.strip(" ") else item[least:] for item in lines]
    if lines and not lines[-1].strip(" "):
        lines[-1] = ""
    pieces = re.split("(\0\\d+\0)", "\n".join(lines))
    return [marks.get(piece, piece) for piece in pieces if piece != ""]


class Code:
    """One file's syntax tree, and its evaluation."""

    def __init__(self, path, interpreter):
        self.path, self.interpreter = path, interpreter
        with open(path, encoding="utf-8") as file:
            self.tree = Parser(file.read(), path).file()

    def fail(self, node, message):
        raise NixError("%s\n       at %s:%d" % (message, self.path, node.line))

    def thunk(self, node, scope):
        if node.kind == "value":
            return done(node.parts[0])
        return Thunk(lambda: self.evaluate(node, scope))

    def evaluate(self, node, scope):
        return getattr(self, "eval_" + node.kind)(node, scope, *node.parts)

    def eval_value(self, node, scope, value):
        return value

    def eval_name(self, node, scope, name):
        found = scope.find(name)
        if found is None:
            self.fail(node, "undefined variable '%s'" % name)
        return found.force()

    def eval_path(self, node, scope, text):
        if text.startswith("~"):
            self.fail(node, "paths below the home directory are not supported")
        return Path(os.path.normpath(os.path.join(os.path.dirname(self.path), text)))

    def eval_string(self, node, scope, parts):
        return "".join(
            part if isinstance(part, str) else self.interpolated(part, scope) for part in parts
        )

    def interpolated(self, node, scope):
        try:
            return to_string(self.evaluate(node, scope))
        except NixError as error:
            if "cannot coerce" in str(error) and "\n" not in str(error):
                self.fail(node, str(error))
            raise

    def eval_list(self, node, scope, items):
        return [self.thunk(item, scope) for item in items]

    def eval_if(self, node, scope, condition, yes, no):
        chosen = yes if self.boolean(condition, scope) else no
        return self.evaluate(chosen, scope)

    def boolean(self, node, scope):
        value = self.evaluate(node, scope)
        if not isinstance(value, bool):
            self.fail(node, "value is %s while a Boolean was expected" % type_name(value))
        return value

    def eval_assert(self, node, scope, condition, body):
        if not self.boolean(condition, scope):
            self.fail(node, "assertion failed")
        return self.evaluate(body, scope)

    def eval_with(self, node, scope, subject, body):
        return self.evaluate(body, Scope({}, scope, self.thunk(subject, scope)))

    def eval_let(self, node, scope, bindings, body):
        names = {}
        inner = Scope(names, scope)
        self.bind(names, bindings, inner, scope)
        return self.evaluate(body, inner)

    def eval_set(self, node, scope, recursive, bindings):
        names = {}
        inner = Scope(names, scope) if recursive else scope
        self.bind(names, bindings, inner, scope)
        return names

    def bind(self, names, bindings, inner, outer):
        nested = {}
        for kind, first, second, line in bindings:
            if kind == "inherit":
                source = None if first is None else self.thunk(first, inner)
                for name in second:
                    self.put(names, name, self.inherited(name, source, outer, line), line)
            elif len(first) == 1:
                self.put(names, first[0], self.thunk(second, inner), line)
            else:
                if first[0] in names and first[0] not in nested:
                    self.fail(Node("", (), line), "attribute '%s' already defined" % first[0])
                below = nested.setdefault(first[0], [])
                below.append(("bind", first[1:], second, line))
                names[first[0]] = Thunk(lambda items=below: self.nested(items, inner))

    def nested(self, bindings, scope):
        names = {}
        self.bind(names, bindings, scope, scope)
        return names

    def put(self, names, name, thunk, line):
        if name in names:
            self.fail(Node("", (), line), "attribute '%s' already defined" % name)
        names[name] = thunk

    def inherited(self, name, source, outer, line):
        node = Node("name", (name,), line)
        if source is None:
            return Thunk(lambda: self.eval_name(node, outer, name))
        return Thunk(lambda: self.attribute(node, source.force(), name))

    def attribute(self, node, value, name):
        if not isinstance(value, dict):
            self.fail(node, "value is %s while a set was expected" % type_name(value))
        if name not in value:
            self.fail(node, "attribute '%s' missing" % name)
        return value[name].force()

    def eval_select(self, node, scope, subject, names, default):
        value = self.evaluate(subject, scope)
        for name in names:
            if default is not None and not (isinstance(value, dict) and name in value):
                return self.evaluate(default, scope)
            value = self.attribute(node, value, name)
        return value

    def eval_has(self, node, scope, subject, names):
        value = self.evaluate(subject, scope)
        for name in names:
            if not isinstance(value, dict) or name not in value:
                return False
            value = value[name].force()
        return True

    def eval_lambda(self, node, scope, *_):
        return Lambda(self, node, scope)

    def eval_apply(self, node, scope, function, argument):
        function = self.evaluate(function, scope)
        if not is_function(function):
            self.fail(
                node,
                "attempt to call something which is not a function but %s" % type_name(function),
            )
        return function(self.thunk(argument, scope))

    def eval_not(self, node, scope, operand):
        return not self.boolean(operand, scope)

    def eval_negate(self, node, scope, operand):
        return -expect(self.evaluate(operand, scope), int, "an integer")

    def eval_binary(self, node, scope, operator, left, right):
        if operator == "&&":
            return self.boolean(left, scope) and self.boolean(right, scope)
        if operator == "||":
            return self.boolean(left, scope) or self.boolean(right, scope)
        if operator == "->":
            return not self.boolean(left, scope) or self.boolean(right, scope)
        left, right = self.evaluate(left, scope), self.evaluate(right, scope)
        try:
            return operate(operator, left, right)
        except NixError as error:
            self.fail(node, str(error))


def operate(operator, left, right):
    if operator == "//":
        return {**expect(left, dict, "a set"), **expect(right, dict, "a set")}
    if operator == "++":
        return expect(left, list, "a list") + expect(right, list, "a list")
    if operator == "==":
        return equal(left, right)
    if operator == "!=":
        return not equal(left, right)
    if operator == "+" and not isinstance(left, int):
        joined = to_string(left) + to_string(right)
        return Path(os.path.normpath(joined)) if isinstance(left, Path) else joined
    if operator in ("<", ">", "<=", ">=") and isinstance(left, str) and isinstance(right, str):
        pair = (left, right)
    else:
        pair = (expect(left, int, "an integer"), expect(right, int, "an integer"))
    return {
        "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b,
        "/": lambda a, b: int(a / b), "<": lambda a, b: a < b, ">": lambda a, b: a > b,
        "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b,
    }[operator](*pair)


def curry(count, function):
    """A Python function of `count` thunks as a Nix function."""

    def collect(taken):
        def take(thunk):
            arguments = [*taken, thunk]
            return function(*arguments) if len(arguments) == count else collect(arguments)

        return take

    return collect([])


def compare_versions(left, right):
    """`builtins.compareVersions`: by component, numbers above words, `pre` below all."""

    def components(text):
        return re.findall(r"[0-9]+|[^0-9.-]+", text)

    def rank(item):
        if item == "":
            return (1, 0, "")
        if item == "pre":
            return (0, 0, "")
        return (3, int(item), "") if item.isdigit() else (2, 0, item)

    a, b = components(left), components(right)
    for index in range(max(len(a), len(b))):
        x = rank(a[index] if index < len(a) else "")
        y = rank(b[index] if index < len(b) else "")
        if x != y:
            return -1 if x < y else 1
    return 0


class Interpreter:
    """Evaluates files; each is read once."""

    def __init__(self):
        self.files = {}
        builtins = {
            "throw": curry(1, self.throw),
            "abort": curry(1, self.throw),
            "import": curry(1, lambda path: self.import_file(path.force())),
            "toString": curry(1, lambda value: self.as_text(value.force())),
            "map": curry(2, lambda f, items: [
                Thunk(lambda item=item: call(f.force(), item)) for item in items.force()]),
            "baseNameOf": curry(1, lambda path: os.path.basename(to_string(path.force()))),
            "placeholder": curry(1, lambda output: PLACEHOLDER % output.force()),
            "isNull": curry(1, lambda value: value.force() is None),
        }
        extra = {
            "attrNames": curry(1, lambda value: [done(name) for name in sorted(value.force())]),
            "attrValues": curry(1, lambda value: [v for _, v in sorted(value.force().items())]),
            "hasAttr": curry(2, lambda name, value: name.force() in value.force()),
            "length": curry(1, lambda value: len(value.force())),
            "filter": curry(2, lambda f, items: [
                item for item in items.force() if call(f.force(), item)]),
            "listToAttrs": curry(1, lambda items: {
                item.force()["name"].force(): item.force()["value"] for item in items.force()}),
            "mapAttrs": curry(2, lambda f, attrs: {
                name: Thunk(lambda name=name, item=item: call(f.force(), name, item))
                for name, item in attrs.force().items()}),
            "concatLists": curry(1, lambda items: [
                item for inner in items.force() for item in inner.force()]),
            "concatStringsSep": curry(2, lambda separator, items: separator.force().join(
                to_string(item.force()) for item in items.force())),
            "compareVersions": curry(2, lambda a, b: compare_versions(a.force(), b.force())),
            "removeAttrs": curry(2, lambda attrs, names: {
                name: item for name, item in attrs.force().items()
                if name not in [removed.force() for removed in names.force()]}),
            "isList": curry(1, lambda value: isinstance(value.force(), list)),
            "isAttrs": curry(1, lambda value: isinstance(value.force(), dict)),
            "isString": curry(1, lambda value: isinstance(value.force(), str)),
            "isFunction": curry(1, lambda value: is_function(value.force())),
            "elem": curry(2, lambda item, items: any(
                equal(item.force(), other.force()) for other in items.force())),
        }
        self.globals = {"true": done(True), "false": done(False), "null": done(None)}
        self.globals.update((name, done(value)) for name, value in builtins.items())
        everything = {name: done(value) for name, value in {**builtins, **extra}.items()}
        self.globals["builtins"] = done(everything)

    @staticmethod
    def throw(message):
        raise NixError(to_string(message.force()))

    @staticmethod
    def as_text(value):
        if isinstance(value, bool):
            return "1" if value else ""
        if value is None:
            return ""
        if isinstance(value, int):
            return str(value)
        if isinstance(value, list):
            return " ".join(Interpreter.as_text(item.force()) for item in value)
        return to_string(value)

    def import_file(self, path):
        path = os.path.realpath(to_string(path))
        if os.path.isdir(path):
            path = os.path.join(path, "default.nix")
        if path not in self.files:
            try:
                code = Code(path, self)
            except OSError as error:
                raise NixError("getting status of '%s': %s" % (path, error.strerror)) from None
            self.files[path] = Thunk(lambda: code.evaluate(code.tree, Scope(dict(self.globals))))
        return self.files[path].force()


def deep(value):
    """A plain Python value: every thunk forced. Derivations and functions stay as they are."""
    if isinstance(value, Thunk):
        return deep(value.force())
    if isinstance(value, list):
        return [deep(item) for item in value]
    if isinstance(value, dict) and not is_derivation(value):
        return {name: deep(item) for name, item in value.items()}
    return value


def with_deep_stack(function):
    """Runs a function on a thread whose stack suits lazy evaluation."""
    outcome = []

    def run():
        try:
            outcome.append((True, function()))
        except BaseException as error:  # handed to the caller's thread
            outcome.append((False, error))

    sys.setrecursionlimit(50_000)
    threading.stack_size(256 * 1024 * 1024)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    good, value = outcome[0]
    if not good:
        raise value
    return value
