"""Zero-shot detectors and classifiers of the least size, with random weights and made-up words."""

import torch
from transformers import (
    BertConfig,
    BertTokenizer,
    CLIPConfig,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2Processor,
    SwinConfig,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

SIDE = 64
LETTERS = "abcdefghijklmnopqrstuvwxyz."
TOKENS = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
START, END = len(TOKENS) - 2, len(TOKENS) - 1
TEXT = {
    "vocab_size": len(TOKENS),
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 24,
    "bos_token_id": START,
    "eos_token_id": END,
    "pad_token_id": END,
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 16,
}
# Grounding DINO knows its special tokens by the numbers that they have in BERT's vocabulary.
SPECIAL = {
    0: "[PAD]",
    100: "[UNK]",
    101: "[CLS]",
    102: "[SEP]",
    103: "[MASK]",
    1012: ".",
    1029: "?",
}
WORDS = ("a", "the", "dog", "cat", "red", "cup", "st", "bernard")


def letters_tokenizer():
    """A tokenizer of CLIP's kind that spells."""
    vocab = {token: number for number, token in enumerate(TOKENS)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=24)


def words_tokenizer():
    """A tokenizer of BERT's kind that knows a few words."""
    tokens = [SPECIAL.get(number, f"[unused{number}]") for number in range(1030)]
    return BertTokenizer(vocab={token: n for n, token in enumerate([*tokens, *WORDS])})


def grounding_dino():
    """A Grounding DINO with its processor."""
    backbone = SwinConfig(
        image_size=SIDE,
        embed_dim=8,
        depths=[1, 1, 1],
        num_heads=[1, 1, 2],
        window_size=4,
        out_features=["stage1", "stage2", "stage3"],
    )
    text = BertConfig(
        vocab_size=1030 + len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    layers = {"encoder_layers": 1, "decoder_layers": 2}  # one alone cannot be built
    heads = {f"{part}_attention_heads": 2 for part in ("encoder", "decoder")}
    widths = {f"{part}_ffn_dim": 16 for part in ("encoder", "decoder")}
    config = GroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        d_model=32,
        num_queries=8,
        fusion_droppath=0.0,
        **layers,
        **heads,
        **widths,
    )
    pictures = GroundingDinoImageProcessorPil(size={"shortest_edge": SIDE, "longest_edge": 96})
    processor = GroundingDinoProcessor(pictures, words_tokenizer())
    return drawn(GroundingDinoForObjectDetection, config), processor


def owlv2():
    """An OWLv2 with its processor."""
    config = Owlv2Config(text_config=TEXT, vision_config=VISION, projection_dim=16)
    pictures = Owlv2ImageProcessorPil(size={"height": SIDE, "width": SIDE})
    model = drawn(Owlv2ForObjectDetection, config)
    with torch.no_grad():  # as drawn, they give boxes without area and sure answers
        for head in (model.box_head, model.class_head):
            for weight in head.parameters():
                weight.mul_(0.1)
    return model, Owlv2Processor(pictures, letters_tokenizer())


def clip_model():
    """A CLIP with its processor."""
    config = CLIPConfig(
        text_config={**TEXT, "projection_dim": 16},
        vision_config={**VISION, "projection_dim": 16},
        projection_dim=16,
    )
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    return drawn(CLIPModel, config), CLIPProcessor(pictures, letters_tokenizer())


def drawn(kind, config):
    """Draw weights from a fixed seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(config).eval()
