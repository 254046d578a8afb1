"""The counts of the house, on small trees where they are known."""

import pytest

from tests import house_counts
from tests.house_counts import (
    count_calls,
    crowded_folders,
    cycles,
    files_per_folder,
    files_without_tests,
    import_graph,
    repeated_class_names,
    session_counts,
    single_subclass_bases,
)

CACHES = ("parsed", "modules", "classes", "_meanings", "bases")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A function that writes files of another tree, which is then the one that is looked at."""

    def forget():
        for name in CACHES:
            getattr(house_counts, name).cache_clear()

    def write(**files):
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.setattr(house_counts, "ROOT", tmp_path)
        forget()

    yield write
    monkeypatch.undo()
    forget()


def test_files_are_counted_in_the_folder_they_lie_in(tree):
    files = {f"src__sam2_hf__video__m{number}": "" for number in range(26)}
    tree(**files, src__sam2_hf__a="", evaluation__b="")

    counts = {"evaluation": 1, "src/sam2_hf": 1, "src/sam2_hf/video": 26}
    assert files_per_folder() == counts
    assert crowded_folders() == {"src/sam2_hf/video": 26}


def test_nodes_that_reach_each_other_are_a_cycle():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set()}

    assert cycles(graph) == [["a", "b", "c"]]


def test_imports_are_followed_in_every_way_they_are_written(tree):
    tree(
        src__sam2_hf__a="from . import b\nfrom .video import c\n",
        src__sam2_hf__b="import sam2_hf.video.c\n",
        src__sam2_hf__video__c="def f():\n    from sam2_hf.a import X\n",
        spaces__sam2_space__page="from sam2_hf.a import X\n",
    )

    assert import_graph(with_types=False) == {
        "sam2_hf.a": {"sam2_hf.b", "sam2_hf.video.c"},
        "sam2_hf.b": {"sam2_hf.video.c"},
        "sam2_hf.video.c": {"sam2_hf.a"},
        "sam2_space.page": {"sam2_hf.a"},
    }


def test_what_only_type_checkers_import_is_told_apart(tree):
    tree(
        src__sam2_hf__a="if TYPE_CHECKING:\n    from .b import B\nelse:\n    from .c import C\n",
        src__sam2_hf__b="from .a import A\n",
        src__sam2_hf__c="",
    )

    assert cycles(import_graph(with_types=False)) == []
    assert import_graph(with_types=False)["sam2_hf.a"] == {"sam2_hf.c"}
    assert cycles(import_graph(with_types=True)) == [["sam2_hf.a", "sam2_hf.b"]]


def test_a_concrete_base_of_one_class_is_found_by_what_its_name_means(tree):
    tree(
        src__sam2_hf__a="class Base: pass\nclass Twice: pass\nclass One(Twice): pass\n",
        src__sam2_hf__b="from .a import Base as Renamed, Twice\n"
        "class Child(Renamed): pass\nclass Other(Twice[int]): pass\n",
        src__sam2_hf__c="from .b import Twice as Again\nclass Base: pass\nclass Third(Again): pass",
    )

    assert single_subclass_bases() == {"sam2_hf.a.Base": "sam2_hf.b.Child"}


def test_an_abstract_base_may_have_one_subclass(tree):
    unfinished = "    @abstractmethod\n    def f(self): ...\n"
    tree(
        src__sam2_hf__a=f"class A(ABC):\n{unfinished}class B(A): pass\nclass C(B):\n"
        "    def f(self): pass\nclass P(Protocol): pass\nclass Q(P): pass\nclass D(C): pass\n"
    )

    assert single_subclass_bases() == {"sam2_hf.a.C": "sam2_hf.a.D"}


def test_public_names_of_two_classes_are_listed_with_their_places(tree):
    tree(src__sam2_hf__a="class Part: pass\nclass _Own: pass", evaluation__b="class Part: pass\n")

    assert repeated_class_names() == {"Part": ["sam2_hf.a.Part", "evaluation.b.Part"]}


def test_a_file_has_tests_if_one_of_its_name_lies_in_the_same_folder(tree):
    tree(
        src__sam2_hf__video__a="",
        src__sam2_hf__video__b="",
        src__sam2_hf__c="",
        tests__video__test_a="",
        tests__test_b="",
        tests__test_c_more="",
    )

    assert files_without_tests() == ["src/sam2_hf/video/b.py"]


def test_calls_of_the_package_are_counted_alone(tmp_path, monkeypatch):
    """`f` enters another file twice, by way of a function that is not ours."""
    for folder, name, text in (
        ("ours", "a", "def f(g, h): return [one for one in (g(h), g(h))]"),
        ("ours", "b", "def h(): return 1"),
        ("other", "c", "def g(h): return h()"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{name}.py").write_text(text)
    names = {}
    for path in sorted(tmp_path.rglob("*.py")):
        exec(compile(path.read_text(), str(path), "exec"), names)
    monkeypatch.setattr(house_counts.sam2_hf, "__file__", str(tmp_path / "ours" / "__init__.py"))

    counts = count_calls(lambda: names["f"](names["g"], names["h"]))

    listed = 1  # until Python 3.12 a list comprehension is a function
    assert counts.files == 2
    assert counts.changes == 2
    assert counts.calls in {3, 3 + listed}
    assert counts.depth == 2


def test_a_failure_while_calls_are_counted_leaves_no_profiler():
    with pytest.raises(ZeroDivisionError):
        count_calls(lambda: 1 / 0)

    assert house_counts.sys.getprofile() is None


@pytest.fixture(scope="module")
def counts(one_thread):
    return session_counts()


def test_a_click_decodes_nothing_and_a_tracked_frame_does_the_most(counts):
    assert list(counts) == ["click", "preview", "tracked frame"]
    assert all(one.calls >= one.functions >= one.files > 1 for one in counts.values())
    assert counts["click"].calls < counts["preview"].calls < counts["tracked frame"].calls


def test_every_count_has_a_line(counts, monkeypatch, capsys):
    monkeypatch.setattr(house_counts, "session_counts", lambda *, fast: counts)

    house_counts.main()

    told = capsys.readouterr().out
    assert f"{counts['tracked frame'].calls} calls" in told
    assert "src/sam2_hf/video" in told
    for title in ("cycles at run time", "with TYPE_CHECKING", "one subclass", "test file"):
        assert title in told
