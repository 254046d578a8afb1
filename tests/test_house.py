"""The house rules that ruff does not know: lengths of files, functions and signatures, docs."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.house_counts import (
    PROGRAMS,
    ROOT,
    Function,
    crowded_folders,
    cycles,
    definitions,
    files_in,
    files_without_tests,
    import_graph,
    repeated_class_names,
    session_counts,
    single_subclass_bases,
)

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 50  # without the docstring
MAX_PARAMETERS = 7  # without self, *args and **kwargs
MIN_DOCUMENTED = 1.0  # part of the public names that have a docstring; only ever goes up
VAGUE_NAMES = {"utils", "util", "misc", "helper", "helpers", "manager", "common"}
# Names that the original gave, and that its users import. Only ever shrinks.
VAGUE_FILES = {"src/sam2_hf/original/utils/misc.py"}

# What one tracked frame of the bundled model costs, memory full. Only ever goes down, and aims at
# 600 calls in 30 files.
MOST_CALLS, MOST_FILES = 600, 37

# Concrete classes with one subclass: kinds of errors, pairs that transformers has too, and the
# session, whose subclass adds transformers' names. Only ever shrinks.
SINGLE_SUBCLASSES = {
    "sam2_hf.errors.DataError",
    "sam2_hf.errors.ImageError",
    "sam2_hf.errors.SessionError",
    "sam2_hf.model.configs.configuration_sam2.Sam2MaskDecoderConfig",
    "sam2_hf.model.pretrained.Sam2VideoPreTrainedModel",
    "sam2_hf.processing.processing_sam2.Sam2Processor",
    "sam2_hf.video.session.VideoSession",
}

# Files that the tests of their users test: types, tables, readers, and parts of one whole.
TESTED_ELSEWHERE = {
    "src/sam2_hf/cli/__main__.py",  # tests/engine/test_set_run.py
    "src/sam2_hf/cli/photo_outputs.py",  # test_save_options.py
    "src/sam2_hf/cli/search_options.py",  # test_arguments.py, test_everything_video.py
    "src/sam2_hf/cli/tracking/track_outputs.py",  # test_track.py
    "src/sam2_hf/cli/tracking/video_job.py",  # test_track_run_resume.py, test_everything_video.py
    "src/sam2_hf/data/dataset.py",  # those of each kind
    "src/sam2_hf/json_input.py",  # tests/bad_input
    "src/sam2_hf/model/configs/configuration_backbones.py",  # tests/families
    "src/sam2_hf/model/configs/configuration_base.py",  # test_configuration_sam2.py, tests/families
    "src/sam2_hf/model/configs/configuration_checks.py",  # test_configuration_sam2.py
    "src/sam2_hf/model/configs/configuration_rules.py",  # test_configuration_sam2.py
    "src/sam2_hf/model/kernels/gpu_attention_kernel.py",  # test_gpu_attention.py
    "src/sam2_hf/model/mask_upscaling.py",  # test_mask_decoder.py
    "src/sam2_hf/model/promptable_model.py",  # test_modeling_sam2.py
    "src/sam2_hf/number_reading.py",  # tests/bad_input
    "src/sam2_hf/original/utils/misc.py",  # test_import_hook.py
    "src/sam2_hf/pipelines/abstract_pipeline.py",
    "src/sam2_hf/pipelines/bundled_auto_classes.py",  # test_registry.py
    "src/sam2_hf/pipelines/transformers_pipeline.py",  # test_registry.py
    "src/sam2_hf/results/frame_masks.py",  # test_picture_masks.py
    "src/sam2_hf/results/pictures.py",  # test_photo_files.py
    "src/sam2_hf/training/synthetic/drawing.py",  # test_scene.py, test_clips.py
    "src/sam2_hf/training/synthetic/motion.py",
    "src/sam2_hf/training/synthetic/shapes.py",
    "src/sam2_hf/training/synthetic/textures.py",
    "src/sam2_hf/training/training_output.py",
    "src/sam2_hf/version.py",
    "src/sam2_hf/video/compat/transformers_outputs.py",  # test_transformers_session.py
}

# Signatures that transformers, or the original implementation, gave these names, and of a kernel,
# which takes pointers and sizes one by one. Only ever shrinks.
LONG_SIGNATURES = {
    "src/sam2_hf/model/mask_decoder.py:MaskDecoder.forward",
    "src/sam2_hf/model/modeling_sam2.py:Sam2Model.forward",
    "src/sam2_hf/model/kernels/gpu_attention_kernel.py:attend_part",
    "src/sam2_hf/original/automatic_mask_generator.py:SAM2AutomaticMaskGenerator.__init__",
    "src/sam2_hf/original/sam2_video_predictor.py:SAM2VideoPredictor.add_new_points_or_box",
    "src/sam2_hf/processing/image_processing_sam2.py:Sam2ImageProcessor.filter_masks",
    "src/sam2_hf/processing/image_processing_sam2.py:Sam2ImageProcessor.post_process_masks",
    "src/sam2_hf/processing/processing_sam2.py:Sam2Processor.__call__",
    "src/sam2_hf/video/compat/processing_sam2_video.py:Sam2VideoProcessor.add_inputs_to_inference_session",
    "src/sam2_hf/video/compat/processing_sam2_video.py:Sam2VideoProcessor.init_video_session",
    "src/sam2_hf/video/compat/processing_sam2_video.py:"
    "Sam2VideoProcessor.process_new_points_or_boxes_for_video_frame",
    "src/sam2_hf/video/compat/transformers_session.py:Sam2VideoInferenceSession.__init__",
}


def named_definitions(*folders: str) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    for path in files_in(*folders):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name, node in definitions(tree):
            yield f"{path.relative_to(ROOT)}:{name}", node


def count_lines(function: Function) -> int:
    """Count from `def` to the last line, without the docstring."""
    first = function.body[0]
    documented = ast.get_docstring(function) is not None
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - docstring


def count_parameters(function: Function) -> int:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return sum(argument.arg not in {"self", "cls"} for argument in named)


def long_signatures() -> set[str]:
    return {
        name
        for name, node in named_definitions("src", *PROGRAMS)
        if isinstance(node, Function) and count_parameters(node) > MAX_PARAMETERS
    }


def called_names(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {
        node.func.id
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def public_names() -> Iterator[tuple[str, bool]]:
    """Every module, class, function and method without an underscore, and if it has a docstring."""
    for path in files_in("src", *PROGRAMS):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield str(path.relative_to(ROOT)), ast.get_docstring(tree) is not None
        yield from public_members(tree, str(path.relative_to(ROOT)))


def public_members(node: ast.Module | ast.ClassDef, owner: str) -> Iterator[tuple[str, bool]]:
    for child in node.body:
        if isinstance(child, Function | ast.ClassDef) and not child.name.startswith("_"):
            yield f"{owner}:{child.name}", ast.get_docstring(child) is not None
            if isinstance(child, ast.ClassDef):
                yield from public_members(child, f"{owner}:{child.name}")


def test_there_is_something_to_check():
    assert len(files_in("src")) > 10


def test_no_file_is_longer_than_a_reader_can_hold():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in files_in("src", *PROGRAMS)
    }

    too_long = {name: length for name, length in lengths.items() if length > MAX_FILE_LINES}
    assert not too_long


def test_no_function_is_longer_than_a_screen():
    lengths = {
        name: count_lines(node)
        for name, node in named_definitions("src", "tests", *PROGRAMS)
        if isinstance(node, Function)
    }

    too_long = {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES}
    assert not too_long


def test_no_function_takes_too_many_parameters():
    assert long_signatures() - LONG_SIGNATURES == set()


def test_every_exception_from_the_number_of_parameters_is_still_needed():
    assert LONG_SIGNATURES - long_signatures() == set()


def test_code_neither_asserts_nor_prints():
    for path in files_in("src", *PROGRAMS):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))

        assert not any(isinstance(node, ast.Assert) for node in nodes), path
        assert "print" not in called_names(path), path


def test_every_file_is_named_after_one_idea():
    vague = [path for path in files_in("src", *PROGRAMS) if path.stem in VAGUE_NAMES]

    assert {str(path.relative_to(ROOT)) for path in vague} == VAGUE_FILES


def test_public_names_are_documented():
    documented = dict(public_names())

    undocumented = [name for name, has_docstring in documented.items() if not has_docstring]
    assert 1 - len(undocumented) / len(documented) >= MIN_DOCUMENTED, undocumented


def test_no_folder_is_crowded():
    assert not crowded_folders()


def test_imports_run_in_no_circle_not_even_for_types():
    assert not cycles(import_graph(with_types=True))


def test_a_class_name_means_one_thing():
    assert not repeated_class_names()


def test_no_concrete_class_is_there_for_one_subclass():
    assert set(single_subclass_bases()) == SINGLE_SUBCLASSES


def test_every_file_has_tests_of_its_own_or_says_where_they_are():
    assert set(files_without_tests()) == TESTED_ELSEWHERE


def test_a_tracked_frame_takes_few_calls_in_few_files():
    counts = session_counts()["tracked frame"]

    assert counts.calls <= MOST_CALLS
    assert counts.files <= MOST_FILES
