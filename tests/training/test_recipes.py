"""The committed recipes; numbers of the MOSE one against those of the original's config.

Source: sam2/configs/sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml @ 2b90b9f.
"""

import pytest

from sam2_hf.data.config import Augmentation
from sam2_hf.training.config_io import RECIPES, read_config


@pytest.fixture(scope="module")
def mose():
    return read_config("mose-finetune-base-plus")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_can_be_read(path):
    assert read_config(path.stem).data


@pytest.mark.parametrize(
    "path", sorted(RECIPES.glob("sam2-hiera-micro-*.yaml")), ids=lambda path: path.stem
)
def test_the_bundled_model_never_learns_from_what_it_is_validated_on(path):
    config = read_config(str(path))

    for source in config.data:
        places = [source.path, *source.options.get("annotated", [])]
        assert not any("val" in place for place in places)
        if source.kind == "davis":
            clips = {name for one in config.validation.sources for name in one.only}
            assert {"blackswan", "kite-surf"} | clips <= set(source.exclude)
    validated = {source.label for source in config.validation.sources}
    assert {"bsds", "coco"} <= validated <= {"bsds", "coco", "davis", "hard davis"}


def test_the_run_is_the_original_one(mose):
    assert (mose.model, mose.image_size) == ("facebook/sam2.1-hiera-base-plus", 1024)
    assert (mose.epochs, mose.precision, mose.seed) == (40, "bf16", 123)
    assert (mose.drop_path, mose.workers, mose.logging.every) == (0.1, 10, 10)
    assert (mose.ema_decay, mose.frozen, mose.lora) == (None, (), None)


def test_weights_move_as_in_the_original(mose):
    optimizer = mose.optimizer
    assert (optimizer.learning_rate, optimizer.vision_learning_rate) == (5.0e-6, 3.0e-6)
    assert (optimizer.layer_decay, optimizer.weight_decay, optimizer.clip_norm) == (0.9, 0.1, 0.1)
    assert (optimizer.schedule, optimizer.final_share) == ("cosine", 0.1)
    assert (optimizer.warmup_steps, optimizer.betas) == (0, (0.9, 0.999))


def test_clips_are_taken_as_in_the_original(mose):
    (source,) = mose.data
    assert source.batch_size == 8  # train_batch_size 1 on gpus_per_node 8
    assert (source.num_frames, source.max_objects, source.repeat) == (8, 3, 2)
    assert (source.frame_step, source.reverse) == ((1, 1), 0.0)
    assert source.augment == Augmentation(
        horizontal_flip=0.5,
        degrees=25,
        shear=20,
        brightness=0.1,
        contrast=0.03,
        saturation=0.03,
        grayscale=0.05,
        frame_brightness=0.1,
        frame_contrast=0.05,
        frame_saturation=0.05,
    )


def test_clips_are_prompted_as_in_the_original(mose):
    prompts = mose.prompts
    assert 1 - prompts.first_mask == 0.5  # prob_to_use_pt_input_for_train
    assert prompts.first_box == 0.5  # prob_to_use_box_input_for_train
    assert prompts.clicks_from_truth == 0.1  # prob_to_sample_from_gt_for_train
    assert prompts.corrections == 7  # num_correction_pt_per_frame
    assert (prompts.max_corrected_frames, prompts.max_prompted_frames) == (2, 2)
    assert prompts.random_counts
    assert prompts.corrected_frames_are_prompted  # add_all_frames_to_correct_as_cond


def test_losses_are_weighed_as_in_the_original(mose):
    losses = mose.losses
    assert (losses.focal, losses.dice, losses.iou, losses.object_score) == (20, 1, 1, 1)
    assert losses.supervise_all_iou
    assert losses.iou_l1
    assert (losses.object_score_gamma, losses.object_score_alpha) == (0.0, -1.0)
    assert (losses.focal_gamma, losses.focal_alpha) == (2, 0.25)
    assert losses.loss_size is None
