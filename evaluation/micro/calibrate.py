r"""Calibration of predicted IoU: the head that scores masks is fitted again, all else stays.

    python -m evaluation.micro.calibrate --model FOLDER --out CALIBRATED \
        --photos bsds=pairs:PATH/bsds500/train --photos coco=coco:PATH/instances_train.json

Every object of every photo, and of its mirror image, is clicked once at its innermost point and
boxed once; the IoU of each candidate mask with the object is what the head should have predicted.
Every fifth photo is held back: the fit that predicts best there is kept. Photos that the model is
measured on must not be among them.

Suffixes: n = prompts, p = objects of a photo, m = candidate masks, c = channels of a token, h, w =
rows and columns.
"""

import argparse
import copy
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from evaluation.exit_status import exit_status
from evaluation.images.photos import PhotoSet, all_photos, open_photo_sets
from sam2_hf import Sam2Model, Sam2VideoModel, pipeline
from sam2_hf.data.clip import Clip
from sam2_hf.errors import DataError
from sam2_hf.geometry import to_model_pixels
from sam2_hf.masks import masks_to_boxes
from sam2_hf.model.outputs import PromptEmbeddings
from sam2_hf.model.two_way_transformer import NO_BIAS
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor
from sam2_hf.training.checkpointing import write_model
from sam2_hf.training.click_sampling import innermost_clicks
from sam2_hf.upsampled_masks import masks_at_size

MIN_AREA = 0.01  # of the photo, as in the measurement
AT_ONCE = 32  # prompts per batch
CLICK, BOX = (1,), (2, 3)  # labels of the prompt encoder
HELD_BACK = 5  # every fifth photo
STEPS, BATCH, CHECK_EVERY = 1000, 512, 50
LEARNING_RATE, WEIGHT_DECAY = 1e-4, 0.1


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPrompts:
    """Prompts with what the head sees and what it should have predicted.

    Attributes:
        tokens_nc: The decoder's IoU token of each prompt.
        iou_nm: IoU of each candidate mask with the object, the single mask first; 0-1.
        photo_n: Number of the photo.
    """

    tokens_nc: Tensor
    iou_nm: Tensor
    photo_n: Tensor

    def where(self, mask_n: Tensor) -> "ScoredPrompts":
        """Select some."""
        return ScoredPrompts(self.tokens_nc[mask_n], self.iou_nm[mask_n], self.photo_n[mask_n])


def main(arguments: Sequence[str] | None = None) -> int:
    """Calibrate a model and print what it changed."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.micro.calibrate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", required=True, help="folder, Hub id or bundled name")
    parser.add_argument("--out", type=Path, required=True, help="folder for the calibrated model")
    parser.add_argument(
        "--photos",
        action="append",
        required=True,
        metavar="NAME=KIND:PATH",
        help="a set of photos with masks; may be given again",
    )
    options = parser.parse_args(arguments)
    return exit_status(lambda: calibrate(options), "nothing is written; run it again")


def calibrate(options: argparse.Namespace) -> None:
    """Fit the head of a model and save the model.

    Raises:
        DataError: There are fewer than two photos with objects.
        CheckpointError: There is no such model.
    """
    sets = open_photo_sets(options.photos, MIN_AREA)
    segment = pipeline("image-segmentation", model=options.model)
    found = collect(segment.model, sets)
    held_n = found.photo_n % HELD_BACK == 0
    learned, held = found.where(~held_n), found.where(held_n)
    if not len(learned.iou_nm) or not len(held.iou_nm):
        raise DataError("two photos with objects are needed at least. Give more of them.")
    head = segment.model.mask_decoder.iou_prediction_head
    before = summary(head, held)
    fitted = fit(head, learned, held)
    model = Sam2VideoModel.from_pretrained(options.model)
    model.mask_decoder.iou_prediction_head.load_state_dict(fitted.state_dict())
    options.out.mkdir(parents=True, exist_ok=True)
    write_model(model, options.out, torch.float32)
    sys.stdout.write(f"held back, before: {before}\nheld back, after:  {summary(fitted, held)}\n")


@torch.no_grad()
def collect(model: Sam2Model, sets: Sequence[PhotoSet]) -> ScoredPrompts:
    """Prompt every object of every photo, and score the candidates against the truth.

    Args:
        model: In eval mode.
        sets: The photos.
    """
    tokens: list[Tensor] = []
    head = model.mask_decoder.iou_prediction_head
    watch = head.register_forward_pre_hook(lambda _, seen: tokens.append(seen[0].flatten(0, -2)))
    scores: list[Tensor] = []
    numbers: list[Tensor] = []
    try:
        for number, (photos, item) in enumerate(tqdm(list(all_photos(sets)), unit="photo")):
            photo = photos.photo(item)
            if photo is None:
                continue
            for mirrored in (False, True):
                for iou_pm in _score(model, photo, mirrored=mirrored):
                    scores.append(iou_pm)
                    numbers.append(torch.full((len(iou_pm),), number))
    finally:
        watch.remove()
    if not scores:
        raise DataError("no photo has an object to prompt. Give others.")
    return ScoredPrompts(torch.cat(tokens), torch.cat(scores), torch.cat(numbers))


def _score(model: Sam2Model, photo: Clip, *, mirrored: bool) -> Iterator[Tensor]:
    """Click and box all objects of a photo; yield the IoU of all candidates, `(p, m)` each."""
    picture_hw3, truth_phw = photo.frames_thw3[0], torch.from_numpy(photo.masks_othw[:, 0])
    if mirrored:
        picture_hw3, truth_phw = np.ascontiguousarray(picture_hw3[:, ::-1]), truth_phw.flip(-1)
    side = model.image_size
    processor = Sam2ImageProcessor(size={"height": side, "width": side})
    pixels = processor(images=picture_hw3, return_tensors="pt")["pixel_values"]
    embeddings = model.get_image_embeddings(pixels)
    size = (truth_phw.shape[1], truth_phw.shape[2])
    for some_phw in truth_phw.split(AT_ONCE):
        clicks_p12 = innermost_clicks(some_phw, None).xy_n2[:, None]
        corners_p22 = masks_to_boxes(some_phw).float().unflatten(-1, (2, 2))
        for places_pt2, labels_t in ((clicks_p12, CLICK), (corners_p22, BOX)):
            points_pt2 = to_model_pixels(places_pt2, size, side)
            labels_pt = torch.tensor(labels_t).expand(len(some_phw), -1)
            logits_pmhw = _candidates(model, embeddings, points_pt2, labels_pt)
            yield _iou_pm(logits_pmhw, some_phw)


def _candidates(
    model: Sam2Model, embeddings: list[Tensor], points_pt2: Tensor, labels_pt: Tensor
) -> Tensor:
    """Decode all candidates of each prompt, the single mask first, `(p, m, 4h, 4w)`."""
    decoder = model.mask_decoder
    prompts = PromptEmbeddings.of(*model.prompt_encoder(points_pt2[None], labels_pt[None]))
    positions = model.get_image_wide_positional_embeddings()
    positions_11nc = positions.flatten(2).transpose(1, 2)[:, None]
    tokens = decoder.decode_tokens(embeddings[-1], positions_11nc, prompts, NO_BIAS)
    return decoder.draw(tokens.image_bpnc, tokens.mask_tokens_bpmc, embeddings)[0]


def _iou_pm(logits_pmhw: Tensor, truth_phw: Tensor) -> Tensor:
    """Compare candidates with the truth at its size."""
    size = (truth_phw.shape[1], truth_phw.shape[2])
    objects, candidates = logits_pmhw.shape[:2]
    guess_nhw = masks_at_size(logits_pmhw.flatten(0, 1), size)
    guess_pmhw = guess_nhw.unflatten(0, (objects, candidates))
    truth_p1hw = truth_phw[:, None]
    shared = (guess_pmhw & truth_p1hw).sum(dim=(-2, -1)).float()
    return shared / (guess_pmhw | truth_p1hw).sum(dim=(-2, -1))


def fit(head: nn.Module, learned: ScoredPrompts, held: ScoredPrompts) -> nn.Module:
    """Fit a copy of a head; of all checks the one that predicts best on `held` is kept.

    Args:
        head: The head as trained; unchanged.
        learned: What it is fitted to.
        held: What it is chosen by.
    """
    random = torch.Generator().manual_seed(0)
    fitted = copy.deepcopy(head).requires_grad_(requires_grad=True)
    optimizer = torch.optim.AdamW(fitted.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    best, least = copy.deepcopy(head), _error(head, held)
    for step in range(1, STEPS + 1):
        rows_n = torch.randint(len(learned.iou_nm), (BATCH,), generator=random)
        optimizer.zero_grad()
        batch = ScoredPrompts(learned.tokens_nc[rows_n], learned.iou_nm[rows_n], rows_n)
        _loss(fitted, batch).backward()
        optimizer.step()
        if step % CHECK_EVERY == 0 and (error := _error(fitted, held)) < least:
            best, least = copy.deepcopy(fitted), error
    return best.requires_grad_(requires_grad=False)


def _loss(head: nn.Module, prompts: ScoredPrompts) -> Tensor:
    predicted_nm: Tensor = head(prompts.tokens_nc).sigmoid()
    return (predicted_nm - prompts.iou_nm).square().mean()


@torch.no_grad()
def _error(head: nn.Module, prompts: ScoredPrompts) -> float:
    return _loss(head, prompts).item()


@torch.no_grad()
def summary(head: nn.Module, prompts: ScoredPrompts) -> str:
    """Describe how well a head predicts and chooses.

    Args:
        head: The head.
        prompts: What it is judged on.
    """
    predicted_n, choice_n = head(prompts.tokens_nc).sigmoid()[:, 1:].max(dim=1)
    true_n = prompts.iou_nm[:, 1:].gather(1, choice_n[:, None])[:, 0]
    best = prompts.iou_nm[:, 1:].amax(dim=1).mean()
    return (
        f"chosen mask {true_n.mean():.3f} IoU (the best of three {best:.3f}), "
        f"predicted {predicted_n.mean():.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
