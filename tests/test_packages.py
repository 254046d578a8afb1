"""Both packages as they are published: built, installed apart from the checkout, and used."""

import os
import shutil
import subprocess
import sys
import sysconfig
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
MICRO = "checkpoints/sam2-hiera-micro"
MOST_BYTES_OF_CODE = 2e6
CLICK = """
from PIL import Image
from sam2_hf import pipeline
segment = pipeline("image-segmentation", model="sam2-hiera-micro")
print(segment(Image.new("RGB", (60, 40), "red"), points=[(30, 20)], labels=[1]).best.shape)
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The wheels of the code and of the weights, built from a copy of what is committed."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for path in ("src", MICRO, "pyproject.toml", "README.md", "LICENSE"):
        found = ROOT / path
        if found.is_dir():
            shutil.copytree(found, source / path, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(found, source / path)
    for project in (source, source / MICRO):
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out]
        subprocess.run([*build, project], check=True, capture_output=True, timeout=300)
    code, weights = sorted(out.glob("*.whl"))
    return {"sam2-hf": code, "sam2-hf-micro": weights}


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Python of an environment with what the packages need, and nothing of this checkout."""
    place = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", place], check=True, timeout=300)
    packages = next(place.glob("lib/python*/site-packages"))
    (packages / "needed.pth").write_text(sysconfig.get_paths()["purelib"])
    return place / "bin" / "python"


def test_the_wheel_of_the_code_is_small_and_without_weights(wheels):
    names = ZipFile(wheels["sam2-hf"]).namelist()

    assert wheels["sam2-hf"].stat().st_size < MOST_BYTES_OF_CODE
    assert not [name for name in names if name.endswith((".safetensors", ".pt"))]


@pytest.mark.parametrize(
    ("package", "license_expression"),
    [("sam2-hf", "Apache-2.0"), ("sam2-hf-micro", "LicenseRef-Research-Use")],
)
def test_each_package_has_its_own_license(wheels, package, license_expression):
    archive = ZipFile(wheels[package])
    metadata = next(name for name in archive.namelist() if name.endswith("dist-info/METADATA"))
    headers = HeaderParser().parsestr(archive.read(metadata).decode())

    assert headers["License-Expression"] == license_expression
    assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())


def test_a_click_works_once_both_are_installed_and_says_so_before(wheels, python, tmp_path):
    install(python, wheels["sam2-hf"])
    without = click(python, tmp_path)

    assert without.returncode == 1
    assert "pip install 'sam2-hf[micro]'" in without.stderr.splitlines()[-1]
    install(python, wheels["sam2-hf-micro"])
    assert click(python, tmp_path).stdout.strip() == "(40, 60)"


def install(python, wheel):
    command = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True, capture_output=True, timeout=300)


def click(python, folder):
    """Click on a picture in a process that knows nothing of the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, "-c", CLICK],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
