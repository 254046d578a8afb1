"""`sam2-hf doctor`."""

import importlib
import json
import types
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from sam2_hf.cli import main
from sam2_hf.cli.installation import doctor, machine


@pytest.fixture
def quick(monkeypatch):
    """A machine that is not measured."""
    monkeypatch.setattr(machine, "describe_machine", lambda: {"devices": ["cpu: fast"]})


@pytest.mark.usefixtures("quick")
def test_a_sound_installation_is_done(capsys):
    assert main(["doctor"]) == 0

    told = capsys.readouterr().out
    assert "torch" in told
    assert "video files" in told
    assert "All required packages are installed." in told


@pytest.mark.usefixtures("quick")
def test_the_json_is_all_on_stdout(capsys):
    assert main(["doctor", "--json"]) == 0

    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["devices"] == ["cpu: fast"]
    assert {package["name"] for package in result["packages"]} >= {"torch", "transformers"}
    assert set(result["extras"]) == set(doctor.PURPOSES)


def test_a_package_that_is_missing_or_old_says_what_to_install():
    missing = doctor.check_package(Requirement("no-such-package>=2"))
    old = doctor.check_package(Requirement("torch>=900"))

    assert missing.version is None
    assert missing.problem == "not installed: pip install 'no-such-package>=2'"
    assert f"{metadata.version('torch')} is installed, >=900 is needed" in old.problem
    assert doctor.check_package(Requirement("torch>=2")).problem == ""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("libcudart.so.12: cannot open\nshared object file"), "libcudart.so.12: cannot"),
        (ImportError(), "ImportError"),
        (ImportError("\n"), "ImportError"),
    ],
)
def test_a_torch_that_cannot_be_imported_is_the_finding(monkeypatch, capsys, error, reason):
    def broken(name):
        if name == "torch":
            raise error
        return importlib.import_module(name)

    monkeypatch.setattr(doctor, "importlib", types.SimpleNamespace(import_module=broken))

    assert main(["doctor"]) == 2

    assert f"torch: it is installed, but importing it fails: {reason}" in capsys.readouterr().err


def test_source_that_is_not_installed_needs_torch_and_transformers(monkeypatch):
    def unknown(_):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "requires", unknown)

    assert {package.name for package in doctor.required_packages()} == {"torch", "transformers"}


def test_an_extra_that_is_not_complete_says_so(monkeypatch, capsys, quick):
    needs = ["av>=900 ; extra == 'video'", 'onnx>=1 ; extra == "export"', "numpy>=1"]
    monkeypatch.setattr(metadata, "requires", lambda _: needs)

    assert main(["doctor"]) == 0

    assert "av missing: pip install 'sam2-hf[video]'" in capsys.readouterr().out
