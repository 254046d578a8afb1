from sam2_hf.training.training_card import training_card
from tests.training.small_runs import config_of, settings, validated


def card(world, score=0.5, **changes):
    return training_card(config_of(settings(world, **changes)), score, 40)


def test_the_card_says_how_the_model_came_about(world):
    text = card(world, push="me/mine", model="facebook/sam2.1-hiera-tiny")

    assert "base_model: facebook/sam2.1-hiera-tiny" in text
    assert "# mine" in text
    assert "trained for 40 step(s)" in text
    assert "Validation score: 0.5000" in text
    assert 'Sam2VideoModel.from_pretrained("me/mine")' in text
    assert "warmup_steps: 2" in text
    assert "box_noise" not in text  # has its default


def test_folders_of_the_machine_stay_private(world):
    text = card(world, validation=validated(world))

    assert str(world) not in text
    assert "base_model" not in text
    assert "path: pairs" in text


def test_a_model_without_validation_has_no_score(world):
    assert "score" not in card(world, score=None)


def test_weights_from_scratch_have_no_base(world):
    text = card(world, model="facebook/sam2.1-hiera-tiny", from_scratch=True)

    assert "base_model" not in text
    assert "The architecture of `facebook/sam2.1-hiera-tiny`, initialized randomly" in text


def test_adapters_are_loaded_into_their_base(world):
    text = card(world, lora={"rank": 2}, push="me/mine", model="facebook/sam2.1-hiera-tiny")

    assert 'from_pretrained("facebook/sam2.1-hiera-tiny")' in text
    assert 'load_adapter("me/mine")' in text
