"""GitHub's workflow expressions, as far as the workflows here use them: `${{ a.b == 'c' && !d || e }}`."""

import re

TOKENS = re.compile(r"\s*(?:('(?:[^']|'')*')|(\d+)|(&&|\|\||==|!=|!|\(|\))|([A-Za-z_][\w-]*(?:\.[\w-]+)*))")


def tokens(text):
    place, found = 0, []
    text = text.strip()
    while place < len(text):
        match = TOKENS.match(text, place)
        if not match:
            raise ValueError("cannot read the expression %r at %r" % (text, text[place:]))
        found.append(match.groups())
        place = match.end()
    return found


class Expression:
    """Reads and evaluates at once. A name that is not there is empty, as on GitHub."""

    def __init__(self, text, context):
        self.left, self.context = tokens(text), context

    def operator(self, *names):
        if self.left and self.left[0][2] in names:
            return self.left.pop(0)[2]
        return None

    def value(self):
        found = self.either()
        if self.left:
            raise ValueError("expected the end of an expression, found %r" % (self.left,))
        return found

    def either(self):
        found = self.both()
        while self.operator("||"):
            other = self.both()
            found = found or other
        return found

    def both(self):
        found = self.compared()
        while self.operator("&&"):
            other = self.compared()
            found = other if found else found
        return found

    def compared(self):
        found = self.one()
        while operator := self.operator("==", "!="):
            found = (found == self.one()) == (operator == "==")
        return found

    def one(self):
        if self.operator("!"):
            return not self.one()
        if self.operator("("):
            found = self.either()
            self.operator(")")
            return found
        string, number, _, name = self.left.pop(0)
        if string is not None:
            return string[1:-1].replace("''", "'")
        if number is not None:
            return int(number)
        if self.operator("("):
            self.operator(")")
            return self.context["functions"][name]
        found = self.context
        for part in name.split("."):
            found = found.get(part, "") if isinstance(found, dict) else ""
        return found


def evaluate(text, context):
    """The value of a condition, with or without `${{ }}`."""
    text = re.sub(r"^\$\{\{(.*)\}\}$", r"\1", str(text).strip(), flags=re.S)
    return Expression(text, context).value()


def expand(text, context):
    """A text with its expressions replaced by their values."""
    def shown(match):
        value = Expression(match.group(1), context).value()
        return str(value).lower() if isinstance(value, bool) else str(value)

    return re.sub(r"\$\{\{(.*?)\}\}", shown, str(text), flags=re.S)
