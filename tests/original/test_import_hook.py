"""`import sam2` where there is no such package."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import sam2_hf.original
from sam2_hf.errors import PackageConflictError
from sam2_hf.original.import_hook import MODULES
from tests.hidden_original import hidden_original, is_of_sam2

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _without_the_original():
    with hidden_original():
        yield


@pytest.fixture
def installed():
    sam2_hf.original.install()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", MODULES)
def test_the_originals_modules_are_ours(name):
    found = importlib.import_module(f"sam2.{name}")

    assert found is importlib.import_module(f"sam2_hf.original.{name}")
    assert found.__name__ == found.__spec__.name == f"sam2_hf.original.{name}"


@pytest.mark.usefixtures("installed")
def test_names_are_imported_as_the_originals_users_do_it():
    from sam2.build_sam import build_sam2
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    assert build_sam2 is importlib.import_module("sam2_hf.original.build_sam").build_sam2
    assert SAM2ImagePredictor.__module__ == "sam2_hf.original.sam2_image_predictor"


@pytest.mark.usefixtures("installed")
def test_a_setting_can_be_left_in_a_module():
    import sam2.utils.misc

    sam2.utils.misc.get_sdp_backends = None
    del sam2.utils.misc.get_sdp_backends


@pytest.mark.usefixtures("installed")
def test_a_module_that_is_not_there_is_an_error_that_lists_those_that_are():
    with pytest.raises(ModuleNotFoundError, match=r"sam2\.modeling.*sam2\.build_sam"):
        importlib.import_module("sam2.modeling.sam2_base")


def test_installing_twice_is_installing_once():
    finders = list(sys.meta_path)

    sam2_hf.original.install()
    sam2_hf.original.install()
    assert len(sys.meta_path) == len(finders) + 1
    sam2_hf.original.uninstall()
    sam2_hf.original.uninstall()

    assert sys.meta_path == finders


def test_uninstalling_takes_the_names_away():
    sam2_hf.original.install()
    importlib.import_module("sam2.build_sam")

    sam2_hf.original.uninstall()

    assert not any(map(is_of_sam2, sys.modules))
    with pytest.raises(ModuleNotFoundError, match="No module named 'sam2'"):
        importlib.import_module("sam2")


def test_the_real_package_is_never_shadowed(tmp_path, monkeypatch):
    (tmp_path / "sam2").mkdir()
    (tmp_path / "sam2" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(PackageConflictError, match=str(tmp_path)):
        sam2_hf.original.install()
    assert importlib.import_module("sam2").__file__ == str(tmp_path / "sam2" / "__init__.py")
    with pytest.raises(PackageConflictError, match=str(tmp_path)):
        sam2_hf.original.install()


def test_a_folder_that_only_has_the_name_is_in_nobodys_way(tmp_path, monkeypatch):
    """A clone of the repository lies in a folder `sam2`, which Python takes for a package."""
    (tmp_path / "sam2" / "notebooks").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)

    sam2_hf.original.install()

    assert importlib.import_module("sam2") is sam2_hf.original


def test_installing_imports_nothing():
    code = "import sys, sam2_hf.original as o; o.install(); print('torch' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)

    assert done.stdout.strip() == "False", done.stderr
