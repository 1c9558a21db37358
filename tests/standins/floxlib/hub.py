"""FloxHub's refusals: which of its requests fail, and what flox prints of the answers.

Faults are asked for by request: `REQUEST=STATUS`, or `REQUEST:PKG=STATUS` for one package. The requests are
me (whose token is this), show, create (the package, before it is built), check (was this commit published
before) and record (the build). `REQUEST=offline`: nothing answers. The texts are those of the record
(../transcripts); FloxHub chooses its own where the API lets it.
"""

ANSWERS = {
    "401": "401 Unauthorized: Not authenticated",
    "403": "403 Forbidden: You are not permitted to write to this catalog.",
    "404": "404 Not Found: Catalog not found",
    "500": "500 Internal Server Error: boom",
    "502": "502 Bad Gateway: bad",
    "503": "503 Service Unavailable",
    "offline": "Communication Error: error sending request for url (https://api.flox.dev/)",
}
REQUESTS = ["me", "show", "create", "check", "record"]


class Refused(Exception):
    """An answer that is no success, as flox prints it."""

    def __init__(self, status):
        super().__init__(ANSWERS[status])
        self.status = status


class Hub:
    def __init__(self, faults):
        self.faults = {}
        for fault in faults:
            for item in spelled_out(fault):
                request, _, status = item.partition("=")
                if status:
                    self.faults[request] = status

    def ask(self, request, package=""):
        """Raises `Refused` where that was asked for."""
        status = self.faults.get("%s:%s" % (request, package)) or self.faults.get(request)
        if status:
            raise Refused(status)


def spelled_out(fault):
    """What the short names of faults stand for."""
    name, _, package = fault.partition(":")
    if fault == "offline":
        return [request + "=offline" for request in REQUESTS]
    if fault == "forbidden":
        return ["create=403"]
    if name == "publish":
        return ["record:%s=502" % package]
    if name == "show" and "=" not in fault:
        return ["show:%s=offline" % package]
    return [fault]
