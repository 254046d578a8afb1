"""A model for tests of the session: it answers in microseconds, and its answers can be foretold.

An object is a disc. Where a person puts it on frame f, it is one pixel further right on each later
frame and further left on each earlier one; at column 50 it begins again on the left. The frames are
`fake_clip`, where frame f is gray level f, so one pixel of the frame is one model pixel. What the
model has read shows in its answers: the predicted IoU counts spatial memories, in hundredths, and
the object score counts object pointers.
"""

from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from sam2_hf.model.outputs import FrameFeatures, ObjectMasks
from sam2_hf.model.prompt_encoder import NO_OBJECT
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession

SIDE = 64  # pixels of frames and of the model's input
RADIUS = 10.0  # pixels; a negative click takes one off
COLUMNS = 50  # after so many frames everything is where it was
ROUND = 0.25  # part of the earlier logits that an answer to a correction keeps
GRAY_MEAN, GRAY_DEVIATION = 0.485, 0.229  # of red, in the preprocessing of all SAM 2 models


def fake_clip(num_frames):
    """A video whose frame f is gray level f."""
    levels = np.arange(num_frames, dtype=np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (num_frames, SIDE, SIDE, 3)).copy()


def picture(frame):
    """Frame f of such a video, for a stream."""
    return np.full((SIDE, SIDE, 3), frame % 256, dtype=np.uint8)


def fake_session_on(num_frames=8, model=None, **options):
    """A session of a fake model on a fake clip; None frames make a live stream."""
    video = None if num_frames is None else fake_clip(num_frames)
    return Sam2VideoInferenceSession.open(video, model or FakeModel(), **options)


class FakeModel:
    """See above.

    Args:
        gone_on: Frames where nothing is in view.
    """

    def __init__(self, gone_on=()):
        self.config = SimpleNamespace(
            num_maskmem=7,
            max_object_pointers_in_encoder=16,
            max_cond_frame_num=-1,
            multimask_output_in_sam=True,
            multimask_output_for_tracking=True,
            multimask_min_pt_num=0,
            multimask_max_pt_num=1,
        )
        self.num_maskmem = self.config.num_maskmem
        self.image_size = SIDE
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self.training = False
        self.vision_encoder = nn.Identity()
        self.mask_decoder = SimpleNamespace(
            narrows=True, conv_s0=nn.Identity(), conv_s1=nn.Identity()
        )
        self.gone_on = gone_on
        self.encoded = []  # the frames that were encoded, in order
        self.remembered = []  # (frame, number of objects) of each call of the memory encoder

    def encode_image(self, pixel_values) -> FrameFeatures:
        level = pixel_values[:, :1].mean((2, 3), keepdim=True) * GRAY_DEVIATION + GRAY_MEAN
        frame_b111 = (level * 255).round()
        self.encoded.append(int(frame_b111[0]))
        return FrameFeatures(frame_b111, frame_b111, frame_b111)

    def condition_on_memory(self, features, recollection) -> Tensor:
        """Channels: x, y and radius of the disc, and how much was read to know them."""
        if recollection is None:
            return torch.zeros(1, 5, 1, 1)
        ages = torch.tensor(recollection.ages)
        newest_prompt = int((ages == ages.max()).nonzero().max())
        x_b111, rest_b211 = recollection.spatial[newest_prompt].float().split((1, 2), dim=1)
        x_b111 = (x_b111 + features.embedding_bchw) % COLUMNS
        pointers = 0 if recollection.pointers_bpd is None else recollection.pointers_bpd.shape[1]
        read = torch.tensor([float(len(ages)), float(pointers)])[None, :, None, None]
        return torch.cat((x_b111, rest_b211, read.expand(len(x_b111), -1, -1, -1)), dim=1)

    def decode_masks(
        self,
        features,
        embedding_bdhw,
        prompts,
        *,
        multimask_output,
        dynamic_multimask_via_stability=None,
    ) -> ObjectMasks:
        disc_b3, read_b2 = embedding_bdhw[:, :, 0, 0].split((3, 2), dim=1)
        if prompts.points_bpt2 is not None:
            disc_b3 = pointed_at(prompts.points_bpt2[:, 0], prompts.labels_bpt[:, 0])
            read_b2 = read_b2.expand(len(disc_b3), -1)
        logits_b1hw = disc_logits(disc_b3)
        if prompts.masks_bphw is not None:
            logits_b1hw = logits_b1hw + ROUND * prompts.masks_bphw
        score_b1 = 1 + read_b2[:, 1:]
        if int(features.embedding_bchw[0]) in self.gone_on:
            logits_b1hw, score_b1 = torch.full_like(logits_b1hw, NO_OBJECT), -score_b1
        iou_b1 = read_b2[:, :1] / 100
        pointer_bd = torch.cat((disc_b3, score_b1), dim=1)
        many = 3 if multimask_output else 1
        candidates_bmhw = logits_b1hw.expand(-1, many, -1, -1)
        return ObjectMasks(
            candidates_bmhw, iou_b1.expand(-1, many), logits_b1hw, iou_b1, pointer_bd, score_b1
        )

    def use_mask_as_output(self, features, mask_b1hw) -> ObjectMasks:
        full_b1hw = mask_b1hw.float() * 20 - 10
        low_b1hw = full_b1hw[:, :, 2::4, 2::4]
        ones_b1 = torch.ones(len(full_b1hw), 1)
        pointer_bd = torch.cat((disc_of(full_b1hw), 10 * ones_b1), dim=1)
        return ObjectMasks(
            low_b1hw, ones_b1, low_b1hw, ones_b1, pointer_bd, 10 * ones_b1, full_b1hw
        )

    def encode_memory(self, features, logits_b1hw, score_b1, *, binarize) -> Tensor:
        """Where the disc would be on frame 0, and its radius: `(b, 3, 1, 1)`."""
        disc_b3 = disc_of(logits_b1hw)
        self.remembered.append((int(features.embedding_bchw[0]), len(disc_b3)))
        at_start_b3 = disc_b3 - torch.tensor([1.0, 0.0, 0.0]) * features.embedding_bchw[:, 0, 0]
        return at_start_b3[..., None, None]


def pointed_at(points_bt2, labels_bt) -> Tensor:
    """Read clicks: the disc lies around the middle of positive clicks and corners of the box."""
    inside_bt1 = (labels_bt > 0)[..., None].float()
    middle_b2 = (points_bt2 * inside_bt1).sum(1) / inside_bt1.sum(1).clamp(min=1)
    radius_b1 = RADIUS - (labels_bt == 0).sum(1, keepdim=True)
    return torch.cat((middle_b2, radius_b1), dim=1)


def disc_logits(disc_b3) -> Tensor:
    """Draw discs at a quarter of the input size: `(b, 1, 16, 16)`, logits in pixels."""
    center = torch.arange(SIDE // 4) * 4 + 2.0
    x_b11, y_b11, radius_b11 = disc_b3[:, :, None, None].unbind(1)
    distance_bhw = ((center[None, :] - x_b11) ** 2 + (center[:, None] - y_b11) ** 2).sqrt()
    return (radius_b11 - distance_bhw)[:, None]


def disc_of(logits_b1hw) -> Tensor:
    """Measure discs: center and radius, pixels; an empty mask lies in the corner."""
    inside_bhw = (logits_b1hw[:, 0] > 0).float()
    scale = SIDE / inside_bhw.shape[-1]
    center = (torch.arange(inside_bhw.shape[-1]) + 0.5) * scale
    area_b = inside_bhw.sum((1, 2)).clamp(min=1)
    x_b = (inside_bhw * center[None, :]).sum((1, 2)) / area_b
    y_b = (inside_bhw * center[:, None]).sum((1, 2)) / area_b
    radius_b = (inside_bhw.sum((1, 2)) * scale**2 / torch.pi).sqrt()
    return torch.stack((x_b, y_b, radius_b), dim=1)


def center_of(mask_hw) -> tuple[float, float]:
    """Where a mask lies, `(x, y)`, rounded to pixels."""
    rows, columns = np.nonzero(mask_hw)
    return round(columns.mean() + 0.5), round(rows.mean() + 0.5)
