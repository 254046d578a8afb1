import pytest
import torch

from sam2_hf.model.memory_tokens import MemoryInputs
from sam2_hf.video.static_memory import MemorySlots, ShapeBucket
from tests.drawn_video import (
    HIDDEN,
    MEMORY,
    drawn_video_model,
    own_video_model,
    pixel_values,
    recollection,
)

ROOM = ShapeBucket(objects=2, slots=7, pointers=16)


def slots(room=ROOM, dtype=torch.float32):
    return MemorySlots(drawn_video_model(), room, dtype)


@torch.no_grad()
def looked_back(memories):
    model = drawn_video_model()
    return model.condition_on_memory(model.encode_image(pixel_values()), memories)


def test_objects_see_what_they_see_alone_though_they_remember_differently():
    short = recollection(1, ages=(7,), pointers=1, seed=3)
    longer = recollection(1, ages=(7, 3, 2, 1), pointers=4, seed=4)
    together = looked_back(slots().fill([short, longer]))
    for row, one in enumerate((short, longer)):
        torch.testing.assert_close(together[[row]], looked_back(one), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=0.1)


def test_room_without_an_object_spoils_nothing():
    one = recollection(1)
    found = looked_back(slots(ShapeBucket(4, 7, 16)).fill([one]))
    torch.testing.assert_close(found[:1], looked_back(one), rtol=1e-5, atol=1e-5)
    assert found.isfinite().all()


def test_full_memories_need_no_bias():
    full = recollection(1, ages=(7, 6, 5, 4, 3, 2, 1), pointers=16)
    fixed = slots(ShapeBucket(1, 7, 16)).fill([full])
    assert fixed.slot_bias_bs is None
    assert fixed.pointer_bias_bp is None
    torch.testing.assert_close(looked_back(fixed), looked_back(full), rtol=1e-5, atol=1e-5)


def test_a_memory_is_copied_once_and_forgotten_when_it_is_not_looked_at():
    first, second, third = (recollection(1, ages=(7,), seed=seed).spatial[0] for seed in (1, 2, 3))
    pointers = {"pointers_bpd": torch.zeros(1, 1, HIDDEN), "times_bp": torch.ones(1, 1)}
    kept = slots(ShapeBucket(1, 2, 4))
    kept.fill([MemoryInputs((first, second), (7, 1), **pointers)])
    written = kept._spatial_bsnc._version
    fixed = kept.fill([MemoryInputs((first, second), (7, 2), **pointers)])
    assert kept._spatial_bsnc._version == written
    assert fixed.ages_bs.tolist() == [[7, 2]]
    fixed = kept.fill([MemoryInputs((first, third), (7, 1), **pointers)])
    cells = fixed.spatial_bsnc[0]
    assert torch.equal(cells[0], first[0].flatten(1).T)
    assert torch.equal(cells[1], third[0].flatten(1).T)
    assert kept._spatial_bsnc._version == written + 1


def test_tensors_stay_where_they_are():
    kept = slots()
    places = {kept.fill([recollection(1, seed=seed)]).spatial_bsnc.data_ptr() for seed in range(3)}
    assert len(places) == 1


def test_an_object_that_takes_the_row_of_another_sees_its_own_memories():
    kept = slots()
    kept.fill([recollection(1, seed=1), recollection(1, seed=2)])
    newcomer = recollection(1, ages=(7, 1), pointers=2, seed=3)
    torch.testing.assert_close(
        looked_back(kept.fill([newcomer]))[:1], looked_back(newcomer), rtol=1e-5, atol=1e-5
    )


def test_an_object_without_pointers_looks_at_none():
    bare = MemoryInputs(recollection(1, ages=(7,)).spatial, (7,))
    torch.testing.assert_close(
        looked_back(slots().fill([bare]))[:1], looked_back(bare), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("objects", "ages", "pointers", "room"),
    [
        (1, (7,), 1, ShapeBucket(1, 7, 16)),
        (3, (7, 1), 16, ShapeBucket(4, 7, 16)),
        (17, (7,), 17, ShapeBucket(32, 7, 20)),
        (1, (7,) * 9, 1, ShapeBucket(1, 11, 16)),
    ],
)
def test_there_are_few_kinds_of_room(objects, ages, pointers, room):
    wanted = [recollection(1, ages=ages, pointers=pointers)] * objects
    assert ShapeBucket.for_all(wanted, slots=7, pointers=16) == room


def test_half_precision_memories_are_stored_as_they_come():
    stored = recollection(1).spatial[0].bfloat16()
    one = MemoryInputs((stored,), (7,), torch.zeros(1, 1, HIDDEN), torch.ones(1, 1))
    fixed = slots(dtype=torch.bfloat16).fill([one])
    assert fixed.spatial_bsnc.dtype == torch.bfloat16
    assert fixed.spatial_bsnc.shape[-1] == MEMORY
    assert torch.equal(fixed.spatial_bsnc[0, 0], stored[0].flatten(1).T)


def test_what_an_object_no_longer_looks_at_is_let_go():
    kept, one = slots(), recollection(1)
    kept.fill([one, recollection(1, seed=5)])
    assert sum(memory is not None for row in kept._held for memory in row) == 2 * len(one.spatial)
    kept.fill([MemoryInputs(one.spatial[:1], (7,), one.pointers_bpd, one.times_bp)])
    assert sum(memory is not None for row in kept._held for memory in row) == 1


def test_tensors_fit_a_room_and_a_model_of_the_same_type():
    kept = slots()
    assert kept.fits(drawn_video_model(), ROOM)
    assert not kept.fits(drawn_video_model(), ShapeBucket(4, 7, 16))
    assert not kept.fits(own_video_model().to(torch.bfloat16), ROOM)
