"""Makes a Llama of half a million random weights with a tokenizer of one token a byte: nothing is downloaded.

Its answers are nonsense in printable ASCII; the way to them (prefill, paged cache, batching) is a real
model's. The files are written without torch or transformers: importing them takes longer than all the rest.
"""

from __future__ import annotations

import json
import string
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

REVISION = "0" * 40
LAYERS, WIDTH, MLP_WIDTH, CONTEXT_TOKENS = 3, 128, 256, 2048
END = "<|end|>"
READABLE = string.ascii_letters + string.digits + string.punctuation
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def build_tokenizer() -> Tokenizer:
    vocabulary = {symbol: token for token, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END])
    return tokenizer


def build_weights(tokenizer: Tokenizer) -> dict[str, NDArray[np.float32]]:
    """Return the named weights of a Llama; greedy decoding takes readable tokens only, and never the end."""
    random = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> NDArray[np.float32]:
        return random.normal(0, 0.1, (rows, columns)).astype(np.float32)

    vocabulary = tokenizer.get_vocab_size()
    head = np.zeros((vocabulary, WIDTH), np.float32)
    head[[tokenizer.token_to_id(character) for character in READABLE]] = matrix(len(READABLE), WIDTH)
    norm = np.ones(WIDTH, np.float32)
    weights = {"model.embed_tokens.weight": matrix(vocabulary, WIDTH), "lm_head.weight": head}
    weights["model.norm.weight"] = norm
    for number in range(LAYERS):
        layer = f"model.layers.{number}"
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            weights[f"{layer}.self_attn.{part}.weight"] = matrix(WIDTH, WIDTH)
        for part in ("gate_proj", "up_proj"):
            weights[f"{layer}.mlp.{part}.weight"] = matrix(MLP_WIDTH, WIDTH)
        weights[f"{layer}.mlp.down_proj.weight"] = matrix(WIDTH, MLP_WIDTH)
        for part in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{layer}.{part}.weight"] = norm
    return weights


def describe_model(tokenizer: Tokenizer) -> dict[str, object]:
    end = tokenizer.token_to_id(END)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": WIDTH,
        "intermediate_size": MLP_WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT_TOKENS,
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
    }


def describe_tokenizer() -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": END,
        "model_max_length": CONTEXT_TOKENS,
        "chat_template": CHAT_TEMPLATE,
    }


def make_model(hub: Path, name: str) -> Path:
    """Put the model `owner/name` into the Hugging Face cache `hub` as a download would; return its folder."""
    cached = hub / f"models--{name.replace('/', '--')}"
    folder = cached / "snapshots" / REVISION
    folder.mkdir(parents=True)
    tokenizer = build_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(describe_tokenizer()))
    (folder / "config.json").write_text(json.dumps(describe_model(tokenizer)))
    save_file(build_weights(tokenizer), folder / "model.safetensors", metadata={"format": "pt"})
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(REVISION)
    return folder
