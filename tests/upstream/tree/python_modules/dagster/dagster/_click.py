"""Command lines in the manner of click, which upstream uses: same texts, same exit codes."""

import os
import sys


class UsageError(Exception):
    pass


class Command:
    """A command with options, or a group with commands.

    `options` maps a parameter's name to its spellings; a spelling that ends in `=` takes a value.
    A parameter named in `repeated` collects a list. `callback` gets the parameters as keywords.
    """

    def __init__(self, callback=None, options=None, commands=None, version=None, help="", repeated=()):
        self.callback = callback
        self.commands = commands or {}
        self.version = version
        self.help = help
        self.repeated = repeated
        self.spellings = {}
        self.rows = []
        for name, spellings in (options or {}).items():
            for spelling in spellings:
                self.spellings[spelling.rstrip("=")] = (name, spelling.endswith("="))
            self.rows.append(", ".join(item.replace("=", " TEXT") for item in spellings))
        if version:
            self.rows.append("--version")
        self.rows.append("--help")

    def main(self, arguments=None, path=None):
        arguments = sys.argv[1:] if arguments is None else arguments
        path = path or os.path.basename(sys.argv[0])
        try:
            sys.exit(self.run(list(arguments), path))
        except UsageError as error:
            print("Error: %s" % error, file=sys.stderr)
            sys.exit(2)

    def fail(self, path, text):
        usage = "[OPTIONS] COMMAND [ARGS]..." if self.commands else "[OPTIONS]"
        print("Usage: %s %s" % (path, usage), file=sys.stderr)
        print("Try '%s --help' for help.\n" % path, file=sys.stderr)
        raise UsageError(text)

    def run(self, arguments, path):
        values = {name: [] if name in self.repeated else None for name, _ in self.spellings.values()}
        while arguments:
            word = arguments.pop(0)
            if word == "--help":
                return self.print_help(path)
            if word == "--version" and self.version:
                print("%s, version %s" % (path, self.version))
                return 0
            if not word.startswith("-"):
                if word not in self.commands:
                    kind = "No such command '%s'." if self.commands else "Got unexpected extra argument (%s)"
                    self.fail(path, kind % word)
                return self.commands[word].run(arguments, path + " " + word)
            spelling, separator, value = word.partition("=")
            if spelling not in self.spellings:
                self.fail(path, "No such option: " + spelling)
            name, takes_value = self.spellings[spelling]
            if not takes_value:
                values[name] = True
                continue
            if not separator:
                if not arguments:
                    self.fail(path, "Option '%s' requires an argument." % spelling)
                value = arguments.pop(0)
            if name in self.repeated:
                values[name].append(value)
            else:
                values[name] = value
        if self.callback is None:
            self.print_help(path)
            return 0 if path.count(" ") == 0 else 2
        return self.callback(**values)

    def print_help(self, path):
        print("Usage: %s %s\n" % (path, "[OPTIONS] COMMAND [ARGS]..." if self.commands else "[OPTIONS]"))
        print("  %s\n\nOptions:" % self.help)
        for row in self.rows:
            print("  " + row)
        if self.commands:
            print("\nCommands:")
            width = max(map(len, self.commands))
            for name, command in sorted(self.commands.items()):
                print("  %s  %s" % (name.ljust(width), command.help))
        return 0
