"""What flox asks git, with the commands that flox uses."""

import os
import subprocess


class GitFailed(Exception):
    """A git command that failed, in flox's words."""

    def __init__(self, done):
        super().__init__("Git failed with: [exit code %d]\n  stdout: %s\n  stderr: %s" % (
            done.returncode, done.stdout.strip(), done.stderr.strip()))
        denied = ("DENIED", "Authentication failed", "Permission denied")
        self.is_access_denied = any(word in done.stderr for word in denied)


class Repository:
    def __init__(self, directory):
        self.directory = directory
        done = self.run("rev-parse", "--show-toplevel", check=False)
        self.root = done.stdout.strip() if done.returncode == 0 else None

    def run(self, *arguments, check=True):
        done = subprocess.run(
            ["git", "-C", self.directory, *arguments], check=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
            errors="surrogateescape",
        )
        if check and done.returncode != 0:
            raise GitFailed(done)
        return done

    def lines(self, *arguments):
        return [item for item in self.run(*arguments).stdout.split("\0") if item]

    def is_tracked(self, path):
        return self.run("ls-files", "--error-unmatch", "--", path, check=False).returncode == 0

    def tracked(self):
        return self.lines("-C", self.root, "ls-files", "-z")

    def untracked(self, path):
        return self.lines("-C", self.root, "ls-files", "-z", "--others", "--exclude-standard", "--", path)

    def is_dirty(self):
        return bool(self.run("status", "--porcelain", "--untracked-files=no").stdout)

    def head(self):
        return self.run("rev-parse", "HEAD").stdout.strip()

    def branch(self):
        done = self.run("symbolic-ref", "--short", "--quiet", "HEAD", check=False)
        return done.stdout.strip() or None

    def upstream(self):
        """The branch of a remote that this one follows, as `origin/main`; a local one has no slash."""
        done = self.run("rev-parse", "--abbrev-ref", "--symbolic-full-name", "@{u}", check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def remotes(self):
        return self.run("remote").stdout.split()

    def remote_url(self, remote):
        return self.run("remote", "get-url", remote).stdout.strip()

    def ask_remote(self, remote, branch):
        self.run("ls-remote", remote, branch)

    def is_on_remote(self, remote):
        """Whether the remote has HEAD."""
        tip = "--negotiation-tip=" + self.head()
        # git before 2.40 names ancestors as well; flox brings a newer one along
        return self.head() in self.run("fetch", "--negotiate-only", tip, remote).stdout.split()

    def export_tracked(self, target):
        """The tree as flox's Nix sees it: tracked files as they are in the working tree."""
        for name in self.tracked():
            source, copy = os.path.join(self.root, name), os.path.join(target, name)
            if os.path.islink(source):
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                os.symlink(os.readlink(source), copy)
            elif os.path.isfile(source):
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                with open(source, "rb") as file, open(copy, "wb") as to:
                    to.write(file.read())
