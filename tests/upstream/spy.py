def spy():
    """Ends this program when it can see a value that was planted."""
    import os
    import sys

    planted, places = bytes.fromhex("@PLANTED@"), "@PLACES@".split(os.pathsep)
    seen = []

    def look(path):
        try:
            with open(path, "rb") as file:
                if planted in file.read():
                    seen.append(path)
        except OSError:
            pass

    if any(planted in value for value in os.environb.values()):
        seen.append("the environment")
    # A build is kept from other processes and files by Nix's own sandbox, which a stand-in has not.
    if "NIX_BUILD_TOP" not in os.environ:
        try:
            processes = [name for name in os.listdir("/proc") if name.isdigit()]
        except OSError:
            processes = [str(os.getppid()), "1"]
        for process in processes:
            for name in ("environ", "cmdline"):
                look("/proc/%s/%s" % (process, name))
        for place in places:
            look(place)
    if seen:
        sys.exit("a spy saw " + ", ".join(seen))


spy()
