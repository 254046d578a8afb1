"""A stretch in which there is no package `sam2`, whatever other tests have imported."""

import sys
from contextlib import contextmanager
from importlib.machinery import PathFinder

import sam2_hf.original


def is_of_sam2(name):
    return name.partition(".")[0] == "sam2"


def _take_modules():
    return {name: sys.modules.pop(name) for name in list(sys.modules) if is_of_sam2(name)}


@contextmanager
def hidden_original():
    """Hide a checkout that tests compare with; leave nothing installed afterwards."""
    path, modules = list(sys.path), _take_modules()
    sys.path[:] = [one for one in path if PathFinder.find_spec("sam2", [one]) is None]
    try:
        yield
    finally:
        sam2_hf.original.uninstall()
        _take_modules()
        sys.path[:] = path
        sys.modules.update(modules)
