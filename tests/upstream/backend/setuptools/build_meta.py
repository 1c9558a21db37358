"""The PEP 517 hooks of the setuptools double: runs `setup.py`, reads the `setup(...)` call."""

import runpy

import setuptools
import tiny_wheel


def project():
    del setuptools.CALLS[:]
    runpy.run_path("setup.py", run_name="__main__")
    (call,) = setuptools.CALLS
    return {
        "name": call["name"],
        "version": call["version"],
        "summary": call["description"],
        "license": call["license"],
        "description": call.get("long_description", ""),
        "requires_python": call.get("python_requires"),
        "requirements": call.get("install_requires", []),
        "extras": call.get("extras_require", {}),
        "entry_points": call.get("entry_points", {}),
        "packages": call["packages"],
    }


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return tiny_wheel.write_metadata(project(), metadata_directory)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return tiny_wheel.write_wheel(project(), wheel_directory)
