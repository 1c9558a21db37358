"""The FloxHub login: what flox makes of a token, and what it says of one that is no good.

A token that begins with `flox_` is opaque: FloxHub is asked whose it is. Any other is a JSON Web Token,
whose claims flox reads (nobody checks the signature here, nor in flox). Only the environment holds one:
there is no `flox auth login`.
"""

import base64
import json
import time

from .messages import Failure, say
from .hub import Refused

URL = "https://hub.flox.dev/"
HANDLE = "rehearsal"
UNKNOWN = "UNKNOWN"

REMINDER = "! You are not logged in to FloxHub. Run 'flox auth login' to log in."
ADVICE = """

To %s you can either
* login to FloxHub with 'flox auth login',
* set the 'floxhub_token' field to '<your token>' in your config
* set the '$FLOX_FLOXHUB_TOKEN=<your_token>' environment variable.
"""


class Login:
    """Nobody's, where `handle` is missing and the token is not opaque."""

    def __init__(self, token, hub):
        self.hub, self.handle, self.is_expired, self.is_invalid = hub, None, False, False
        self.is_opaque = bool(token) and token.startswith("flox_")
        if not token or self.is_opaque:
            return
        try:
            claims = decode(token.split(".")[1])
            decode(token.split(".")[0])
            self.handle, expires = claims["https://flox.dev/handle"], claims["exp"]
            self.is_expired = expires < time.time()
        except (IndexError, KeyError, TypeError, ValueError):
            self.is_invalid = True

    def is_missing(self):
        return self.handle is None and not self.is_opaque

    def greet(self, is_auth_command):
        """What flox says of the login before any command does its work."""
        if self.is_invalid:
            say("✘ ERROR: Your FloxHub token is invalid: InvalidToken\nYou may need to log in again.\n")
        elif (self.is_missing() or self.is_expired) and not is_auth_command:
            say(REMINDER)

    def status(self):
        """`flox auth status`. It does not look at when a token ends."""
        handle = self.handle
        if self.is_opaque:
            try:
                self.hub.ask("me")
            except Refused as refused:
                if refused.status == "401":
                    say("! Your FloxHub token is expired or has been revoked.")
                else:
                    say("! Found a FloxHub token but could not reach FloxHub to verify it.")
                return 1
            handle = HANDLE
        if handle is None:
            say("! You are not currently logged in to FloxHub.")
            return 1
        say("You are logged in as %s on %s" % (handle, URL))
        say("Credential read from the FLOX_FLOXHUB_TOKEN environment variable.")
        return 0

    def require(self):
        """Whose catalog is published to by default; refuses where there is no login."""
        if self.is_opaque:
            try:
                self.hub.ask("me")
            except Refused as refused:
                if refused.status == "401":
                    say("! Your FloxHub token could not be verified and may be expired or revoked.")
                return UNKNOWN
            return HANDLE
        if self.is_expired:
            raise Failure("Your FloxHub token has expired." + ADVICE % "re-authenticate")
        if self.handle is None:
            raise Failure("You are not logged in to FloxHub." + ADVICE % "login")
        return self.handle


def decode(part):
    """A part of a JSON Web Token."""
    data = base64.b64decode(part + "=" * (-len(part) % 4), altchars="-_", validate=True)
    return json.loads(data)
