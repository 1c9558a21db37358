"""What flox reads before it does anything: its `FLOX_*` variables, and whether it may count its users.

Every `FLOX_*` variable is a key of flox's configuration, so one that holds a table in there (a `[publish]`
in flox.toml) cannot be a variable. Without a configuration that can be read, flox falls back to its
defaults for what comes first: the notice of its metrics, once.
"""

import os

from .messages import Failure, say

TABLES = {"FLOX_PUBLISH": "PublishConfig", "FLOX_FEATURES": "Features"}
NOTICE = """\
Flox collects basic usage metrics in order to improve the user experience.

Flox includes a record of the subcommand invoked along with a unique token.
It does not collect any personal information.

The collection of metrics can be disabled in the following ways:

  environment: FLOX_DISABLE_METRICS=true
    user-wide: flox config --set disable_metrics true
  system-wide: update /etc/flox.toml as described in flox-config(1)

This is a one-time notice.

"""


class Settings:
    def __init__(self, state):
        self.state = state

    @staticmethod
    def collision():
        """The error of a variable that should be a table; nothing where all is well."""
        for name, wanted in TABLES.items():
            text = os.environ.get(name)
            if text is None:
                continue
            if text.lower() in ("true", "false"):
                found = "boolean `%s`" % text.lower()
            elif text.lstrip("-").isdigit():
                found = "integer `%s`" % text
            else:
                found = 'string "%s"' % text
            return "Could not parse config: invalid type: %s, expected struct %s" % (found, wanted)
        return None

    def notice(self):
        """The notice of the metrics, where it was not given before."""
        path = os.path.join(self.state, "metrics-uuid")
        is_off = os.environ.get("FLOX_DISABLE_METRICS", "").lower() == "true"
        if os.path.exists(path) or (is_off and not self.collision()):
            return
        say(NOTICE)
        with open(path, "w", encoding="utf-8") as file:
            file.write("00000000-0000-4000-8000-000000000000")

    def check(self):
        error = self.collision()
        if error:
            raise Failure(error)
