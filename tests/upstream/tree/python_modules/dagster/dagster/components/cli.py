"""The `dagster-components` command that 1.10.12 to 1.10.18 installed."""

from dagster._click import Command
from dagster.version import __version__


def main():
    Command(version=__version__, help="CLI tools for working with Dagster components.").main()
