from dagster._daemon import main

__all__ = ["main"]
