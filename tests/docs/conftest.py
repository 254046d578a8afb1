"""A working folder for pages, examples and notebooks."""

import shutil

import pytest

from tests.docs.files import write_files


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """The files, not to be changed."""
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture
def working_folder(files, tmp_path, monkeypatch):
    """A copy of the files as the current folder."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
