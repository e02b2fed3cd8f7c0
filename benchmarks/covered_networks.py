"""The networks of the coverage benchmark with an example each: random weights, small where a config says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch

Case = tuple[Any, Any]
IDS = torch.randint(0, 90, (2, 8), generator=torch.Generator().manual_seed(0))
SMALL = {"vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
ENCODER = SMALL | {"num_attention_heads": 4}
VISION = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4} | {
    "image_size": 32,
    "patch_size": 8,
}
LITTLE = re.compile(r"atto|femto|pico|nano|tiny|xxs|xs|_s\b|small|18|26|b0|mini|_t\b|test|050|w18|14|10t|s12|_s")


def torchvision_names() -> list[str]:
    import torchvision

    return [f"torchvision:{name}" for name in torchvision.models.list_models(module=torchvision.models)]


def torchvision_case(name: str) -> Case:
    import torchvision

    plain: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if name.startswith(("fcn", "deeplab", "lraspp")):
        plain = {"weights_backbone": None}
    model = torchvision.models.get_model(name, weights=None, **plain)
    size = 299 if name == "inception_v3" else 224 if "vit" in name else 128
    return model, torch.randn(2, 3, size, size)


def detection_backbone() -> Case:
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    return resnet_fpn_backbone(backbone_name="resnet18", weights=None), torch.randn(2, 3, 128, 128)


def timm_names() -> list[str]:
    """One variant of every architecture file: the smallest of the first few small ones."""
    import timm
    from timm.models._registry import _module_to_models

    chosen = []
    for _, names in sorted(_module_to_models.items()):
        ordered = sorted(names)
        sized = []
        for name in [n for n in ordered if LITTLE.search(n)][:14] or ordered[:3]:
            with torch.device("meta"):
                try:
                    sized.append((sum(p.numel() for p in timm.create_model(name).parameters()), name))
                except NotImplementedError:  # a few cannot be made without memory: the name alone decides
                    sized.append((10**12, name))
        chosen.append(f"timm:{min(sized)[1]}")
    return chosen


def timm_case(name: str) -> Case:
    import timm

    model = timm.create_model(name)
    return model, torch.randn(2, *model.default_cfg["input_size"])


def _text(config: str, model: str, **sizes: Any) -> Callable[[], Case]:
    def make() -> Case:
        import transformers

        settings = SMALL | HEADS | sizes
        return getattr(transformers, model)(getattr(transformers, config)(**settings)), {"input_ids": IDS}

    return make


def _other(config: str, model: str, inputs: Callable[[], dict[str, Any]], **sizes: Any) -> Callable[[], Case]:
    def make() -> Case:
        import transformers

        return getattr(transformers, model)(getattr(transformers, config)(**sizes)), inputs()

    return make


def _ids() -> dict[str, Any]:
    return {"input_ids": IDS}


def _pixels() -> dict[str, Any]:
    return {"pixel_values": torch.randn(2, 3, 32, 32)}


WHISPER = {"vocab_size": 100, "num_mel_bins": 16, "d_model": 64, "encoder_layers": 2, "decoder_layers": 2} | {
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 96,
    "decoder_ffn_dim": 96,
    "max_source_positions": 30,
    "max_target_positions": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
T5 = {"vocab_size": 100, "d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 2, "num_heads": 4}
TEXT_OF_CLIP = ENCODER | {"eos_token_id": 2}
TRANSFORMERS: dict[str, Callable[[], Case]] = {
    "llama": _text("LlamaConfig", "LlamaForCausalLM"),
    "mistral": _text("MistralConfig", "MistralForCausalLM"),
    "qwen2": _text("Qwen2Config", "Qwen2ForCausalLM"),
    "qwen3": _text("Qwen3Config", "Qwen3ForCausalLM", head_dim=16),
    "gemma": _text("GemmaConfig", "GemmaForCausalLM", head_dim=16),
    "phi3": _text("Phi3Config", "Phi3ForCausalLM", pad_token_id=0, eos_token_id=1, bos_token_id=2),
    "opt": _other("OPTConfig", "OPTForCausalLM", _ids, vocab_size=100, hidden_size=64, ffn_dim=96, num_hidden_layers=2,
                  num_attention_heads=4, max_position_embeddings=64, word_embed_proj_dim=64),
    "bloom": _other("BloomConfig", "BloomForCausalLM", _ids, vocab_size=100, hidden_size=64, n_layer=2, n_head=4),
    "gpt2": _other("GPT2Config", "GPT2LMHeadModel", _ids, vocab_size=100, n_embd=64, n_layer=2, n_head=4,
                   n_positions=64, bos_token_id=1, eos_token_id=2),
    "bert": _other("BertConfig", "BertModel", _ids, **ENCODER),
    "vit": _other("ViTConfig", "ViTForImageClassification", _pixels, **VISION),
    "clip": _other("CLIPConfig", "CLIPModel", lambda: _ids() | _pixels(), text_config=TEXT_OF_CLIP,
                   vision_config=VISION, projection_dim=32),
    "t5": _other("T5Config", "T5ForConditionalGeneration", lambda: _ids() | {"decoder_input_ids": IDS}, **T5,
                 decoder_start_token_id=0),
    "t5-gated": _other("T5Config", "T5ForConditionalGeneration", lambda: _ids() | {"decoder_input_ids": IDS}, **T5,
                       decoder_start_token_id=0, feed_forward_proj="gated-gelu"),
    "whisper": _other("WhisperConfig", "WhisperForConditionalGeneration",
                      lambda: {"input_features": torch.randn(2, 16, 60), "decoder_input_ids": IDS}, **WHISPER),
    "mamba": _other("MambaConfig", "MambaForCausalLM", _ids, vocab_size=100, hidden_size=64, num_hidden_layers=2,
                    state_size=8),
    "mamba2": _other("Mamba2Config", "Mamba2ForCausalLM", _ids, vocab_size=100, hidden_size=64, num_hidden_layers=2,
                     state_size=8, num_heads=8, head_dim=16, n_groups=2, chunk_size=8),
}  # fmt: skip


def _unet() -> Case:
    import diffusers

    down, up = ("DownBlock2D", "AttnDownBlock2D"), ("AttnUpBlock2D", "UpBlock2D")
    model = diffusers.UNet2DModel(sample_size=16, layers_per_block=1, block_out_channels=(32, 64), norm_num_groups=8,
                                  down_block_types=down, up_block_types=up)  # fmt: skip
    return model, {"sample": torch.randn(2, 3, 16, 16), "timestep": torch.tensor([3, 5])}


def _conditioned_unet() -> Case:
    import diffusers

    down, up = ("CrossAttnDownBlock2D", "DownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D")
    model = diffusers.UNet2DConditionModel(
        sample_size=16, layers_per_block=1, block_out_channels=(32, 64), norm_num_groups=8, cross_attention_dim=24,
        attention_head_dim=8, down_block_types=down, up_block_types=up,
    )  # fmt: skip
    example = {"sample": torch.randn(2, 4, 16, 16), "timestep": torch.tensor([3, 5])}
    return model, example | {"encoder_hidden_states": torch.randn(2, 5, 24)}


OTHERS: dict[str, Callable[[], Case]] = {
    "torchvision-segmentation:fcn_resnet50": lambda: torchvision_case("fcn_resnet50"),
    "torchvision-segmentation:lraspp_mobilenet_v3_large": lambda: torchvision_case("lraspp_mobilenet_v3_large"),
    "torchvision-detection:resnet18_fpn_backbone": detection_backbone,
    "diffusers:unet2d": _unet,
    "diffusers:unet2d_condition": _conditioned_unet,
}


def names(family: str) -> list[str]:
    """All networks of a family."""
    if family == "torchvision":
        return torchvision_names()
    if family == "timm":
        return timm_names()
    return [f"transformers:{name}" for name in TRANSFORMERS] if family == "transformers" else list(OTHERS)


def case(address: str) -> Case:
    """The network of this address, and an example."""
    if address in OTHERS:
        return OTHERS[address]()
    family, _, name = address.partition(":")
    if family == "transformers":
        return TRANSFORMERS[name]()
    return torchvision_case(name) if family == "torchvision" else timm_case(name)
