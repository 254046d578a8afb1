import dataclasses

import pytest
import torch

from sam2_hf.model import outputs


def test_a_segmentation_is_read_by_name_key_and_position():
    answer = outputs.Sam2ImageSegmentationOutput(
        iou_scores=torch.ones(1), pred_masks=torch.zeros(1)
    )

    assert answer.iou_scores is answer["iou_scores"] is answer[0]
    assert answer.to_tuple() == (answer.iou_scores, answer.pred_masks)
    assert list(answer) == ["iou_scores", "pred_masks"]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("Sam2HieraDetModelOutput", []),
        ("Sam2ImageSegmentationOutput", ["loss"]),
        ("Sam2VisionEncoderOutput", []),
    ],
)
def test_fields_stand_in_the_order_of_transformers(name, more):
    peers = pytest.importorskip("transformers.models.sam2.modeling_sam2")

    ours, theirs = (dataclasses.fields(getattr(module, name)) for module in (outputs, peers))

    assert [field.name for field in ours] == [*(field.name for field in theirs), *more]


@pytest.mark.parametrize("record", [outputs.PromptEmbeddings, outputs.DecodedTokens])
def test_records_cannot_be_changed_and_are_equal_only_to_themselves(record):
    fields = [torch.zeros(2) for _ in dataclasses.fields(record)]
    one, other = record(*fields), record(*fields)

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(one, dataclasses.fields(record)[0].name, torch.ones(2))

    assert one == one
    assert one != other
