"""`sam2-hf doctor`: what is installed, what this machine can do, and what to install."""

import argparse
import importlib
import os
import platform
from dataclasses import asdict, dataclass
from importlib import metadata

from packaging.requirements import Requirement

from sam2_hf import __version__
from sam2_hf.cli.console import one_line, say
from sam2_hf.cli.report import CommandReport

DISTRIBUTION = "sam2-hf"
PURPOSES = {
    "video": "video files",
    "export": "ONNX export, exported models",
    "engine": "labeling with several workers",
    "train": "training",
}
# What is used where it is installed, and in no extra.
OTHERS = {
    "triton": "faster attention on NVIDIA GPUs",
    "openvino": "exported models on Intel hardware",
    "argcomplete": "completion in a shell",
}
TRIED = ("torch", "transformers")  # installed is not enough: a library of theirs may be missing


@dataclass(frozen=True, slots=True)
class Package:
    """A package that is or should be installed.

    Attributes:
        name: Its name.
        version: Its version; None if it is missing.
        problem: Why it cannot be used; empty if it can.
    """

    name: str
    version: str | None
    problem: str


def run(arguments: argparse.Namespace) -> int:
    """Print what is installed, what this machine can do, and what to install."""
    report: CommandReport = arguments.report
    required, extras, others = required_packages(), extra_packages(), other_packages()
    _tell_packages(required, extras, others)
    broken = [package for package in required if package.problem]
    facts = {}
    if not any(package.name in TRIED for package in broken):
        # Imports torch, which was tried just now.
        facts = importlib.import_module("sam2_hf.cli.installation.machine").describe_machine()
    report.add(
        "this installation",
        [],
        python=platform.python_version(),
        packages=[asdict(package) for package in required],
        extras={name: [asdict(one) for one in packages] for name, packages in extras.items()},
        others=[asdict(package) for package in others],
        **facts,
    )
    for package in broken:
        report.fail(f"{package.name}: {package.problem}")
    if not broken:
        say("\nAll required packages are installed.")
    return report.code


def required_packages() -> list[Package]:
    """Check the packages that must be installed."""
    needs = [need for need in _requirements() if _extra_of(need) is None]
    packages = [check_package(need) for need in needs or map(Requirement, TRIED)]
    for place, package in enumerate(packages):
        if package.name in TRIED and not package.problem:
            problem = _import_problem(package.name)
            packages[place] = Package(package.name, package.version, problem)
    return packages


def extra_packages() -> dict[str, list[Package]]:
    """Check the packages of each extra."""
    needs = [need for need in _requirements() if _extra_of(need) in PURPOSES]
    return {
        extra: [check_package(need) for need in needs if _extra_of(need) == extra]
        for extra in PURPOSES
    }


def other_packages() -> list[Package]:
    """Check the packages that are used where they are installed."""
    return [check_package(Requirement(name)) for name in OTHERS]


def check_package(need: Requirement) -> Package:
    """Look for a package, and compare its version.

    Args:
        need: Its name and versions.
    """
    try:
        version = metadata.version(need.name)
    except metadata.PackageNotFoundError:
        return Package(need.name, None, f"not installed: pip install '{need.name}{need.specifier}'")
    if need.specifier.contains(version, prereleases=True):
        return Package(need.name, version, "")
    problem = f"{version} is installed, {need.specifier} is needed: "
    return Package(need.name, version, f"{problem}pip install '{need.name}{need.specifier}'")


def _requirements() -> list[Requirement]:
    """Read what the installed package requires; nothing if its source runs uninstalled."""
    try:
        return [Requirement(text) for text in metadata.requires(DISTRIBUTION) or ()]
    except metadata.PackageNotFoundError:
        return []


def _extra_of(need: Requirement) -> str | None:
    """Return the extra of a requirement; None if it is always required."""
    marker = str(need.marker or "")
    return marker.rpartition("extra ==")[2].strip(" \"')") if "extra ==" in marker else None


def _import_problem(name: str) -> str:
    try:
        importlib.import_module(name)
    except Exception as error:  # a missing library of the system raises OSError, and so on
        return f"it is installed, but importing it fails: {one_line(error)}"
    return ""


def _tell_packages(
    required: list[Package], extras: dict[str, list[Package]], others: list[Package]
) -> None:
    system = f"{platform.system()} {platform.machine()}"
    say(f"sam2-hf {__version__}, Python {platform.python_version()}, {system}")
    say("\nrequired")
    for package in required:
        say(f"  {package.name:18} {package.problem or package.version}")
    say("\noptional")
    for extra, packages in extras.items():
        missing = [package.name for package in packages if package.problem]
        state = "installed"
        if missing:
            state = f"{', '.join(missing)} missing: pip install '{DISTRIBUTION}[{extra}]'"
        say(f"  {PURPOSES[extra]:34} {state}")
    for package in others:
        say(f"  {OTHERS[package.name]:34} {package.problem or f'{package.name} {package.version}'}")
    variables = [name for name in sorted(os.environ) if name.startswith(("HF_", "CUDA_VISIBLE"))]
    if shown := [f"{name}={os.environ[name]}" for name in variables if "TOKEN" not in name]:
        say(f"\nset in the environment\n  {', '.join(shown)}")
