"""Libraries: objects of one session are found by another, and by no other model."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sam2_hf.errors import FrameError, PromptError, SessionError, UnknownObjectError
from sam2_hf.video.session import VideoSession
from sam2_hf.video.storage.object_library import KIND, KnownReference, ObjectLibrary
from tests.drawn_video import drawn_video_model, noise_clip, own_video_model

CLIP, OTHER = noise_clip(6), noise_clip(4, seed=8)
MASK = np.zeros((48, 72), bool)
MASK[10:30, 20:50] = True


@pytest.fixture(scope="module")
def taught():
    """A session of two objects: one prompted by a mask, one known from a reference."""
    session = VideoSession.open(CLIP, drawn_video_model())
    session.mask(0, 1, MASK)
    session.reference(OTHER[0], MASK, 2)
    list(session.propagate(limit=4))
    return session


@pytest.fixture
def library(taught):
    made = ObjectLibrary()
    made.add("dog", taught, 1, frames=[0, 2])
    made.add("ein Rad: groß", taught, 2)
    return made


def tracked(session, **arguments):
    return [result.logits_bhw for result in session.propagate(**arguments)]


def assert_equal(one, other):
    assert len(one) == len(other)
    assert all(map(torch.equal, one, other))


def test_a_loaded_library_is_tracked_with_equal_bits(library, tmp_path):
    loaded = ObjectLibrary.load(library.save(tmp_path / "known.safetensors"))
    assert loaded.names == library.names == ("dog", "ein Rad: groß")

    found = []
    for known in (library, loaded):
        session = VideoSession.open(OTHER, drawn_video_model())
        session.recall(known["dog"], 5)
        session.recall(known["ein Rad: groß"], 7)
        found.append(tracked(session))

    assert_equal(*found)


def test_an_object_is_recalled_as_its_pictures_would_be_referred_to(taught, library):
    recalled, referred = (VideoSession.open(OTHER, drawn_video_model()) for _ in range(2))
    recalled.recall(library["ein Rad: groß"], 1)
    referred.reference(OTHER[0], MASK, 1)

    assert_equal(tracked(recalled), tracked(referred))


def test_a_session_with_recalled_objects_is_saved_and_undone(library, tmp_path):
    session = VideoSession.open(OTHER, drawn_video_model())
    session.recall(library["dog"], 1)
    list(session.propagate(limit=2))
    session.save(tmp_path)
    loaded = VideoSession.load(tmp_path, OTHER, drawn_video_model())

    assert_equal(tracked(loaded, start=2), tracked(session, start=2))
    assert session.undo()
    assert not session.object_ids


def test_it_keeps_memories_of_the_frames_that_are_asked_for(taught, library):
    assert [memory.frame for memory in library["dog"].memories] == [0, 2]
    assert [memory.frame for memory in taught.learned(1).memories] == [0]
    library.add("dog", taught, 1, frames=[3])
    assert len(library["dog"].memories) == 3
    del library["dog"]
    assert list(library) == ["ein Rad: groß"]


def test_an_object_is_learned_from_a_prompt_as_if_it_had_been_applied():
    asked, tracking = (VideoSession.open(CLIP, drawn_video_model()) for _ in range(2))
    for session in (asked, tracking):
        session.mask(2, 1, MASK)
        session.click(0, 1, (30, 20))
        session.click(0, 2, (30, 20))
    list(tracking.propagate(limit=1))

    for frames in (None, [2], [0, 2]):
        memories = [session.learned(1, frames).memories for session in (asked, tracking)]
        assert [memory.frame for memory in memories[0]] == (frames or [0, 2])
        for one, other in zip(*memories, strict=True):
            assert torch.equal(one.spatial_bx, other.spatial_bx)
            assert torch.equal(one.pointer_bd, other.pointer_bd)


@pytest.mark.parametrize("compat", ["sam2_hf", "official"])
def test_learning_leaves_a_run_and_its_deferred_prompts_as_they_are(compat):
    found = []
    for learns in (False, True):
        session = VideoSession.open(CLIP, drawn_video_model(), compat=compat)
        session.mask(0, 1, MASK)
        list(session.propagate())
        masks = []
        for result in session.propagate():
            masks.append(result.logits_bhw)
            if result.frame == 2:
                session.click(4, 1, (60, 40))
                session.click(5, 2, (10, 10))
                if learns:
                    assert len(session.learned(1).memories) == (1 if compat == "official" else 2)
                    ObjectLibrary().add("cup", session, 1, frames=[0, 4])
        found.append((masks, session.learned(1).memories))

    (masks, memories), (others, other_memories) = found
    assert all(map(torch.equal, masks, others))
    assert [m.frame for m in memories] == [m.frame for m in other_memories]


def test_memories_are_stored_as_the_session_stores_them(library):
    session = VideoSession.open(OTHER, drawn_video_model(), memory_dtype=torch.float32)

    session.recall(library["dog"], 1)

    stored = session._tracker.objects[1].bank.references
    assert {memory.spatial_bx.dtype for memory in stored} == {torch.float32}


def other_model():
    model = own_video_model()
    with torch.no_grad():
        model.no_memory_embedding.add_(1)
    return model


def test_another_model_is_refused(library):
    session = VideoSession.open(OTHER, other_model())

    with pytest.raises(SessionError, match="another model"):
        session.recall(library["dog"], 1)

    assert not session.object_ids
    session.mask(0, 1, MASK)
    with pytest.raises(SessionError, match="library for each model"):
        library.add("cat", session, 1)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((9,), UnknownObjectError, "no object 9"),
        ((1, [0, 5]), FrameError, r"frames \[0, 5\].*0-3"),
        ((1, []), FrameError, "no memory"),
        ((1, ["a"]), FrameError, "frame is 'a'"),
    ],
)
def test_what_a_session_does_not_remember_is_not_learned(taught, arguments, error, words):
    with pytest.raises(error, match=words):
        taught.learned(*arguments)


def test_a_name_that_is_not_there_is_listed_against_those_that_are(library):
    for ask in (library.__getitem__, library.__delitem__):
        with pytest.raises(SessionError, match=r"no object 'cat'. Objects: dog"):
            ask("cat")


def changed(path, change):
    """Write a library again with changed tensors and facts, and no digest, as in older files."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()[KIND])
    about.pop("digest")
    tensors = load_file(path)
    change(tensors, about)
    save_file(tensors, path, {KIND: json.dumps(about)})


WHOLE = torch.ones(1, 1, dtype=torch.int32)
DAMAGE = {
    "a tensor is missing": lambda tensors, about: tensors.pop("0/1/pointer"),
    "a number is not finite": lambda tensors, about: tensors["0/0/score"].fill_(torch.nan),
    "a tensor is whole": lambda tensors, about: tensors.update(
        {"0/0/score": torch.ones(1, 1).int()}
    ),
    "no objects": lambda tensors, about: about.pop("objects"),
    "a newer version": lambda tensors, about: about.update(version=2),
    "frames are no list": lambda tensors, about: about["objects"][0].update(frames=3),
    "a tensor is of 8 bits": lambda tensors, about: tensors.update(
        {"0/0/score": torch.ones(1, 1).to(torch.float8_e4m3fn)}
    ),
    "a frame is infinite": lambda tensors, about: about["objects"][0].update(frames=[np.inf, 2]),
    "a frame is a fraction": lambda tensors, about: about["objects"][0].update(frames=[0.5, 2]),
    "frames are a text": lambda tensors, about: about["objects"][0].update(frames="02"),
    "a name is a number": lambda tensors, about: about["objects"][0].update(name=5),
    "a name comes twice": lambda tensors, about: about["objects"][0].update(name="ein Rad: groß"),
    "the model is a number": lambda tensors, about: about.update(model=5),
    "the version is a text": lambda tensors, about: about.update(version="1"),
    "facts are no mapping": lambda tensors, about: about.update(objects=[1]),
}


def test_changed_numbers_are_noticed(library, tmp_path):
    path = library.save(tmp_path / "known.safetensors")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)

    with pytest.raises(SessionError, match="its numbers are not those that were written"):
        ObjectLibrary.load(path)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused(library, tmp_path, damage):
    path = library.save(tmp_path / "known.safetensors")
    changed(path, DAMAGE[damage])

    with pytest.raises(SessionError, match=r"known\.safetensors is not a library"):
        ObjectLibrary.load(path)


@pytest.mark.parametrize("facts", ["[" * 100_000, "[]", "3", '{"version": 1e999}', "{"])
def test_facts_of_another_form_are_refused(tmp_path, facts):
    save_file({"a": torch.ones(1)}, tmp_path / "known.safetensors", {KIND: facts})

    with pytest.raises(SessionError, match=r"known\.safetensors is not a library"):
        ObjectLibrary.load(tmp_path / "known.safetensors")


def test_a_model_without_memory_recalls_nothing(library):
    model = own_video_model()
    model.num_maskmem = 0
    session = VideoSession.open(OTHER, model)

    with pytest.raises(SessionError, match="num_maskmem"):
        session.recall(library["dog"], 1)

    assert not session.object_ids


def test_a_reference_from_a_library_is_checked_when_it_is_made(library):
    with pytest.raises(PromptError, match="object_id is 'zz'"):
        library.reference("dog", "zz")
    with pytest.raises(PromptError, match="not a known object"):
        KnownReference("dog", 1)
    assert library.reference("dog", np.int64(3)).object_id == 3


def test_a_memory_of_another_shape_is_refused_when_it_is_recalled(library, tmp_path):
    path = library.save(tmp_path / "known.safetensors")
    changed(path, lambda tensors, about: tensors.update({"0/0/score": torch.ones(2, 1)}))

    with pytest.raises(SessionError, match="another model"):
        VideoSession.open(OTHER, drawn_video_model()).recall(ObjectLibrary.load(path)["dog"], 1)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "text").write_text("no library")
    save_file({"a": torch.ones(1)}, tmp_path / "weights")

    for name, words in (
        ("text", "not a library"),
        ("weights", "not a library"),
        ("gone", "no library"),
    ):
        with pytest.raises(SessionError, match=words):
            ObjectLibrary.load(tmp_path / name)
