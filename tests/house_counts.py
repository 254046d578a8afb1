"""Counts that the house rules speak of: calls of a frame, files of a folder, cycles, twin names.

    python -m tests.house_counts

Prints them all. The functions that measure are for tests as well; those that only read source load
neither torch nor the package.
"""

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType

import numpy as np

import sam2_hf

ROOT = Path(__file__).parents[1]
PROGRAMS = ("convert_checkpoints", "evaluation", "examples", "spaces")
MAX_FILES = 25  # of a folder
MAX_CALLS, MAX_FILES_ENTERED = 600, 30  # of a tracked frame, memory full
IMPORT_ROOTS = ("src", "spaces")  # folders whose names are no part of a module's name
MODEL = "sam2-hiera-micro"
TRACKED = 12  # the frame that is measured, counted from 1
SIDE = 64

Function = ast.FunctionDef | ast.AsyncFunctionDef


# Files and what is defined in them


def files_in(*folders: str) -> list[Path]:
    """List our Python files; tests/golden is data that came with scripts of its own."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if "golden" not in path.parts]


def definitions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Walk functions and classes, also nested ones, with their dotted names."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            yield f"{prefix}{child.name}", child
            yield from definitions(child, f"{prefix}{child.name}.")
        else:
            yield from definitions(child, prefix)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def files_per_folder() -> dict[str, int]:
    """Count the Python files that lie in each folder itself, not in folders below."""
    folders = (str(path.parent.relative_to(ROOT)) for path in files_in("src", *PROGRAMS))
    return dict(sorted(Counter(folders).items()))


def crowded_folders() -> dict[str, int]:
    """Folders with more files than a reader keeps apart."""
    counts = files_per_folder()
    return {name: count for name, count in counts.items() if count > MAX_FILES}


def files_without_tests() -> list[str]:
    """Files of src/ that have neither tests/.../test_NAME.py nor a test_NAME_*.py there."""
    package = ROOT / "src" / "sam2_hf"
    files = [path for path in files_in("src") if path.stem != "__init__"]
    return [str(path.relative_to(ROOT)) for path in files if not _tests_of(path, package)]


def _tests_of(path: Path, package: Path) -> list[Path]:
    folder = ROOT / "tests" / path.relative_to(package).parent
    return [*folder.glob(f"test_{path.stem}.py"), *folder.glob(f"test_{path.stem}_*.py")]


# Modules that import each other


def module_name(path: Path) -> str:
    """The name that a file is imported by, e.g. `sam2_hf.model.rope` or `sam2_space.page`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] in IMPORT_ROOTS else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for path in files_in("src", *PROGRAMS)}


def imported_names(
    node: ast.AST, *, with_types: bool
) -> Iterator[tuple[ast.Import | ast.ImportFrom, ast.alias]]:
    """Walk imports, also inside functions; those under `TYPE_CHECKING` if asked for."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield from ((child, alias) for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for part in [*(child.body if with_types else []), *child.orelse]:
                yield from imported_names(ast.Module([part], []), with_types=with_types)
        else:
            yield from imported_names(child, with_types=with_types)


def source_of(module: str, node: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    """The whole dotted name that an import means, e.g. `sam2_hf.model.rope.RotaryTable`."""
    if isinstance(node, ast.Import):
        return alias.name
    package = module.split(".")
    if modules()[module].stem != "__init__":
        package.pop()
    above = package[: len(package) - node.level + 1] if node.level else []
    return ".".join([*above, *([node.module] if node.module else []), alias.name])


def import_graph(*, with_types: bool) -> dict[str, set[str]]:
    """Tell which of our modules each one imports.

    Args:
        with_types: Whether what only type checkers import counts too.
    """
    graph: dict[str, set[str]] = {}
    for module, path in modules().items():
        names = [
            source_of(module, *found)
            for found in imported_names(parsed(path), with_types=with_types)
        ]
        known = (next((n for n in _prefixes(name) if n in modules()), None) for name in names)
        graph[module] = {name for name in known if name not in (None, module)}
    return graph


def _prefixes(name: str) -> Iterator[str]:
    """A dotted name, and what is left of it without its end: a name, or the module it is in."""
    yield name
    yield name.rpartition(".")[0]


def cycles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Find the groups of nodes that reach each other (strongly connected components)."""
    reached = {node: _reachable(graph, node) for node in graph}
    groups = {
        tuple(sorted(other for other in reached[node] if node in reached[other]))
        for node in graph
        if node in reached[node]
    }
    return sorted(map(list, groups))


def _reachable(graph: Mapping[str, Iterable[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = set(graph[waiting.pop()]) - found
        found |= new
        waiting.extend(new)
    return found


# Classes


@cache
def classes() -> dict[str, ast.ClassDef]:
    """Every class by module and dotted name."""
    return {
        f"{module}.{name}": node
        for module, path in modules().items()
        for name, node in definitions(parsed(path))
        if isinstance(node, ast.ClassDef)
    }


@cache
def _meanings() -> dict[str, dict[str, str]]:
    """By module: what the names that it imports mean."""
    return {
        module: {
            alias.asname or alias.name: source_of(module, node, alias)
            for node, alias in imported_names(parsed(path), with_types=True)
        }
        for module, path in modules().items()
    }


def resolve(module: str, name: str) -> str:
    """Follow a name through imports to the class it means; what is not ours stays as written."""
    first, _, rest = name.partition(".")
    if f"{module}.{name}" in classes():
        return f"{module}.{name}"
    if first not in _meanings().get(module, {}):
        return name
    whole = ".".join(filter(None, (_meanings()[module][first], rest)))
    home, _, own = whole.rpartition(".")
    return whole if whole in classes() or home not in modules() else resolve(home, own)


@cache
def bases() -> dict[str, list[str]]:
    """Bases of every class of ours, by whole names; what is in brackets is left out."""
    module_of = {
        name: max((m for m in modules() if name.startswith(f"{m}.")), key=len) for name in classes()
    }
    return {
        name: [resolve(module_of[name], ast.unparse(_unsubscripted(base))) for base in node.bases]
        for name, node in classes().items()
    }


def _unsubscripted(base: ast.expr) -> ast.expr:
    return base.value if isinstance(base, ast.Subscript) else base


def unfinished_methods(name: str) -> set[str]:
    """Abstract methods that a class has or inherits, and does not define."""
    own = {one.name: one for one in classes()[name].body if isinstance(one, Function)}
    abstract = {
        method
        for method, node in own.items()
        if any("abstractmethod" in ast.unparse(decorator) for decorator in node.decorator_list)
    }
    inherited = set().union(*(unfinished_methods(b) for b in bases()[name] if b in classes()))
    return abstract | (inherited - own.keys())


def is_abstract(name: str) -> bool:
    """Whether nothing is made of a class itself: a protocol, an ABC, or one with work left over."""
    own = {base.rpartition(".")[2] for base in bases()[name]}
    return bool(own & {"ABC", "Protocol"}) or bool(unfinished_methods(name))


def single_subclass_bases() -> dict[str, str]:
    """Concrete classes from which exactly one class is derived, with that class."""
    derived = defaultdict(list)
    for name, parents in bases().items():
        for parent in parents:
            derived[parent].append(name)
    return {
        parent: children[0]
        for parent, children in sorted(derived.items())
        if parent in classes() and len(children) == 1 and not is_abstract(parent)
    }


def repeated_class_names() -> dict[str, list[str]]:
    """Public class names that mean several classes, with where those are."""
    places = defaultdict(list)
    for name in classes():
        own = name.rpartition(".")[2]
        if not own.startswith("_"):
            places[own].append(name)
    return {own: found for own, found in sorted(places.items()) if len(found) > 1}


# Calls


@dataclass(frozen=True, slots=True)
class CallCounts:
    """What runs of our own code during an action, in the thread that runs it.

    Attributes:
        calls: Entries into functions of the package, generators that go on included.
        functions: How many different ones.
        files: How many files they lie in.
        changes: Calls from one of our files into another.
        depth: Of ours that are entered at the same time, at most.
    """

    calls: int
    functions: int
    files: int
    changes: int
    depth: int


def count_calls(action: Callable[[], object]) -> CallCounts:
    """Run an action and count the calls of our functions in it."""
    package = str(Path(sam2_hf.__file__).parent)
    entered: Counter[tuple[str, int, str]] = Counter()
    stack: list[str] = []
    changes = depth = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal changes, depth
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(package):
            return
        if event == "return":
            if stack:
                stack.pop()
            return
        changes += bool(stack) and stack[-1] != code.co_filename
        stack.append(code.co_filename)
        depth = max(depth, len(stack))
        entered[code.co_filename, code.co_firstlineno, code.co_name] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)
    files = {file for file, _, _ in entered}
    return CallCounts(entered.total(), len(entered), len(files), changes, depth)


def session_counts(*, fast: bool = True) -> dict[str, CallCounts]:
    """Count a click, its preview, and a tracked frame once the memory is full; one object.

    The click is the second one on its frame, which is encoded, so a preview decodes and no more.

    Args:
        fast: Whether the model takes its fast paths.
    """
    model = sam2_hf.Sam2VideoModel.from_pretrained(MODEL).eval()
    model.fast = fast
    frames = np.zeros((2 * TRACKED, SIDE, SIDE, 3), np.uint8)
    frames[:, 16:48, 16:48] = 255
    warm = _prompted(frames, model)  # what is made once for a model is made here
    list(warm.propagate(limit=3))
    session = _prompted(frames, model)
    click = count_calls(lambda: session.click(0, 1, (20, 24)))
    preview = count_calls(lambda: session.preview(0))
    results = session.propagate()
    for _ in range(TRACKED - 1):
        next(results)
    tracked = count_calls(lambda: next(results))
    return {"click": click, "preview": preview, "tracked frame": tracked}


def _prompted(
    frames: np.ndarray, model: "sam2_hf.Sam2VideoModel"
) -> "sam2_hf.Sam2VideoInferenceSession":
    session = sam2_hf.Sam2VideoInferenceSession.open(frames, model)
    session.click(0, 1, (32, 32))
    session.preview(0)
    return session


# The report


def report() -> Iterator[str]:
    """All counts, line by line."""
    yield f"calls of our functions, {MODEL}, one object (tracked: frame {TRACKED})"
    yield f"  at most {MAX_CALLS} calls in {MAX_FILES_ENTERED} files for a tracked frame"
    for fast in (True, False):
        for name, counts in session_counts(fast=fast).items():
            yield (
                f"  {name + ('' if fast else ', fast=False'):<28} {counts.calls:>5} calls"
                f"  {counts.functions:>4} functions  {counts.files:>3} files"
                f"  {counts.changes:>4} changes of file  depth {counts.depth}"
            )
    counts_of = files_per_folder()
    yield f"files per folder: {sum(counts_of.values())} in {len(counts_of)} folders"
    for folder, count in counts_of.items():
        mark = f"  over {MAX_FILES}" if count > MAX_FILES else ""
        yield f"  {count:>3} {folder}{mark}"
    for title, with_types in (("at run time", False), ("with TYPE_CHECKING", True)):
        found = cycles(import_graph(with_types=with_types))
        yield from _listed(f"import cycles {title}", [" <-> ".join(group) for group in found])
    singles = [f"{base} <- {only}" for base, only in single_subclass_bases().items()]
    yield from _listed("concrete bases with one subclass", singles)
    repeated = [f"{name}: {', '.join(found)}" for name, found in repeated_class_names().items()]
    yield from _listed("public class names of several classes", repeated)
    yield from _listed("files of src/ without a test file", files_without_tests())


def _listed(title: str, found: list[str]) -> Iterator[str]:
    yield f"{title}: {len(found)}"
    yield from (f"  {one}" for one in found)


def main() -> None:
    for line in report():
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
