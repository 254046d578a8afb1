"""Who may import whom, floor by floor.

values -> model, processing, results -> frames -> data, video -> writers, open_vocabulary
-> pipelines, training -> programs;
`original` translates names for code that is built on facebookresearch/sam2, and nobody imports it
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
VALUES = {path.stem for path in ROOT.glob("src/sam2_hf/*.py")} - {"__init__", "cli"}
PROGRAMS = {"convert_checkpoints", "evaluation", "examples", "spaces"}
FRAMES = VALUES | {"processing", "frames", "results"}
BASE = FRAMES | {"model", "video"}
ROOMS = {"data", "engine", "everything", "open_vocabulary", "pipelines", "training", "writers"}
ALL = BASE | ROOMS | {"original", "export"}
MAY_IMPORT = {
    **dict.fromkeys(VALUES, VALUES),
    "model": {"hub_code"},
    "processing": VALUES,
    "results": VALUES,
    "frames": VALUES | {"processing"},
    "data": FRAMES,
    **dict.fromkeys(("video", "export"), BASE),
    "everything": BASE,
    "pipelines": BASE | {"everything", "export", "open_vocabulary", "writers"},
    "training": BASE | {"data"},
    **dict.fromkeys(("writers", "open_vocabulary"), BASE),
    "engine": BASE | {"data", "everything", "open_vocabulary", "pipelines", "writers"},
    "original": BASE | {"pipelines"},
    "__init__": ALL,
    **{name: ALL | {"__init__", "cli"} for name in PROGRAMS},  # the demo runs the command line
    "cli": ALL | {"__init__"},
}
BUNDLED = ["sam2_hf", "model", "checkpoints", "bundled_models"]  # one rule for all that loads
MODEL_NEEDS = {"torch", "transformers", "huggingface_hub", "safetensors", *sys.stdlib_module_names}
MODEL_TRIES = {"triton"}  # inside `try`, where the Hub's loading does not ask for it
OPTIONAL = {
    *(
        "accelerate",
        "av",
        "datasets",
        "fiftyone",
        "fsspec",
        "gradio",
        "markdown_it",
        "matplotlib",
        "onnx",
        "onnxruntime",
        "onnxscript",
        "openvino",
    ),
    *("peft", "pyarrow", "ray", "supervision"),
    "gpu_attention_kernel",  # which imports Triton
}
FILES = sorted(p for top in ("src", *PROGRAMS) for p in (ROOT / top).rglob("*.py"))
Import = ast.Import | ast.ImportFrom


def parts_of(path: Path) -> list[str]:
    """Dotted name of a file, e.g. ["sam2_hf", "model", "rope"]."""
    return list(path.relative_to(ROOT).with_suffix("").parts)[path.is_relative_to(ROOT / "src") :]


def layer_of(parts: list[str]) -> str:
    """The name that decides what may be imported; a public name belongs to `__init__`."""
    name = parts[0] if parts[0] in PROGRAMS else (*parts[1:], "__init__")[0]
    return name if name in MAY_IMPORT else "__init__"


def imports_of(node: ast.AST) -> list[tuple[int, str]]:
    """Every import below a node, as its number of leading dots and its dotted name."""
    found = []
    for child in ast.walk(node):
        if isinstance(child, ast.ImportFrom) and child.module in {None, "sam2_hf"}:
            folder = f"{child.module}." if child.module else ""
            found.extend((child.level, f"{folder}{alias.name}") for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            found.append((child.level, child.module))
        elif isinstance(child, ast.Import):
            found.extend((0, alias.name) for alias in child.names)
    return found


def test_a_file_imports_only_from_its_folder_and_the_floors_above():
    for path in FILES:
        own = parts_of(path)
        for dots, name in imports_of(ast.parse(path.read_text(encoding="utf-8"))):
            check_import(own, dots, name)


def check_import(own, dots, name):
    target = [*own[:-1], *name.split(".")] if dots else name.split(".")
    place = f"{'.'.join(own)}: {name}"
    if dots:
        assert (dots, "." in name) == (1, False), f"{place}: write the whole name across folders"
    elif target[0] in {"sam2_hf", *PROGRAMS}:
        assert target[:-1] != own[:-1], f"{place}: write one dot inside a folder"
    if layer_of(own) == "processing" and target[: len(BUNDLED)] == BUNDLED:
        return
    if target[0] in {"sam2_hf", *PROGRAMS}:
        allowed = {layer_of(own), *MAY_IMPORT[layer_of(own)]}
        assert layer_of(target) in allowed, f"{place} must not be imported"


def test_what_processing_imports_of_the_models_imports_only_their_errors():
    tree = ast.parse((ROOT / "src" / Path(*BUNDLED)).with_suffix(".py").read_text(encoding="utf-8"))

    assert [name.split(".")[0] for dots, name in imports_of(tree) if dots] == ["checkpoint_errors"]


def test_every_file_has_its_place_in_the_picture():
    places = {parts[0] if parts[0] in PROGRAMS else parts[1] for parts in map(parts_of, FILES)}

    assert places <= set(MAY_IMPORT)


def test_only_optional_packages_are_imported_inside_functions():
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]

        inside = {name.split(".")[0] for node in functions for _, name in imports_of(node)}

        assert inside <= OPTIONAL, path


def test_the_model_needs_only_torch_and_the_hub():
    model = ROOT / "src/sam2_hf/model"
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in model.rglob("*.py")]

    assert {
        n.split(".")[0] for t in trees for dots, n in imports_of(t) if not dots
    } <= MODEL_NEEDS | MODEL_TRIES | {"sam2_hf"}


def test_files_of_the_model_can_lie_in_one_folder():
    """A model is saved with its code flat, since the Hub's loading resolves one dot alone."""
    model = ROOT / "src/sam2_hf/model"
    names = [path.name for path in model.rglob("*.py") if path.name != "__init__.py"]

    assert len({*names, "hub_code.py", "errors.py"}) == len(names) + 2


def test_nothing_imports_every_name_of_a_module():
    for path in FILES:
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))

        assert not [n for n in nodes if isinstance(n, Import) and n.names[0].name == "*"], path
