#!/usr/bin/python3
"""Write the trained model as a GGUF file: architecture llama, SentencePiece vocabulary.

    export_gguf.py --run run --out MODEL.f16.gguf [--type f16|f32]
"""
import argparse
import struct

import numpy as np
import sentencepiece
import torch

from model import BOS, CONFIG, EOS

NAME = "tinychat-6m"
DESCRIPTION = "A small Llama 2 chat model trained from scratch on generated text"
TENSORS = ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate"]
TENSORS += ["ffn_up", "ffn_down"]
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
PACK = {U32: "I", I32: "i", F32: "f", BOOL: "?"}
ALIGN = 32
# Llama 2's chat format: the system prompt goes inside the first user message, every turn has its
# own BOS and EOS.
TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}"
    "{% set system = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}"
    "{% set turns = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
    "{% for turn in turns %}{% if turn['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + (system if loop.first else '') + turn['content'].strip() + "
    "' [/INST]' }}"
    "{% elif turn['role'] == 'assistant' %}"
    "{{ ' ' + turn['content'].strip() + ' ' + eos_token }}"
    "{% endif %}{% endfor %}"
)


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def kv(key, kind, value, of=None):
    """One metadata entry; of is the element type of an array."""
    raw = text(key) + struct.pack("<I", kind)
    if kind == ARRAY:
        raw += struct.pack("<IQ", of, len(value))
        return raw + (
            b"".join(map(text, value))
            if of == STRING
            else np.asarray(value, {F32: "<f4", I32: "<i4"}[of]).tobytes()
        )
    return raw + (text(value) if kind == STRING else struct.pack("<" + PACK[kind], value))


def vocabulary(path):
    sp = sentencepiece.SentencePieceProcessor(model_file=path)
    n = sp.get_piece_size()
    kind = [
        2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 1
        for i in range(n)
    ]
    return [
        kv("tokenizer.ggml.model", STRING, "llama"),
        kv("tokenizer.ggml.tokens", ARRAY, [sp.id_to_piece(i) for i in range(n)], STRING),
        kv("tokenizer.ggml.scores", ARRAY, [sp.get_score(i) for i in range(n)], F32),
        kv("tokenizer.ggml.token_type", ARRAY, kind, I32),
        kv("tokenizer.ggml.bos_token_id", U32, BOS),
        kv("tokenizer.ggml.eos_token_id", U32, EOS),
        kv("tokenizer.ggml.unknown_token_id", U32, 0),
        kv("tokenizer.ggml.add_bos_token", BOOL, True),
        kv("tokenizer.ggml.add_eos_token", BOOL, False),
        kv("tokenizer.ggml.add_space_prefix", BOOL, True),
        kv("tokenizer.chat_template", STRING, TEMPLATE),
    ]


def tensors_of(weights, layers):
    """Names in the file and weights; no output.weight: the embedding is the classifier too."""
    tensors = [("token_embd.weight", weights["embed.weight"])]
    for layer in range(layers):
        for name in TENSORS:
            key = f"blocks.{layer}.{name}"
            key = key if key in weights else key + ".weight"
            tensors.append((f"blk.{layer}.{name}.weight", weights[key]))
    tensors.append(("output_norm.weight", weights["norm"]))
    return tensors


def metadata(c, file_type):
    return [
        kv("general.architecture", STRING, "llama"),
        kv("general.name", STRING, NAME),
        kv("general.description", STRING, DESCRIPTION),
        kv("general.file_type", U32, {"f32": 0, "f16": 1}[file_type]),
        kv("general.alignment", U32, ALIGN),
        kv("llama.vocab_size", U32, c["vocab"]),
        kv("llama.context_length", U32, c["context"]),
        kv("llama.embedding_length", U32, c["dim"]),
        kv("llama.block_count", U32, c["layers"]),
        kv("llama.feed_forward_length", U32, c["ffn"]),
        kv("llama.rope.dimension_count", U32, c["dim"] // c["heads"]),
        kv("llama.rope.freq_base", F32, c["theta"]),
        kv("llama.attention.head_count", U32, c["heads"]),
        kv("llama.attention.head_count_kv", U32, c["kv_heads"]),
        kv("llama.attention.layer_norm_rms_epsilon", F32, c["eps"]),
    ]


def main():
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("--run", default="run")
    ap.add_argument("--out", required=True)
    ap.add_argument("--type", choices=["f16", "f32"], default="f16")
    a = ap.parse_args()

    tensors = tensors_of(torch.load(f"{a.run}/model.pt", map_location="cpu"), CONFIG["layers"])
    meta = metadata(CONFIG, a.type) + vocabulary(f"{a.run}/tokenizer.model")
    header = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(meta)) + b"".join(meta)
    body, offset = [], 0
    for name, t in tensors:
        half = a.type == "f16" and t.dim() == 2
        data = t.float().numpy().astype("<f2" if half else "<f4").tobytes()
        header += text(name) + struct.pack("<I", t.dim())
        header += struct.pack(f"<{t.dim()}Q", *reversed(t.shape))
        header += struct.pack("<IQ", 1 if half else 0, offset)
        data += b"\0" * (-len(data) % ALIGN)
        offset += len(data)
        body.append(data)
    header += b"\0" * (-len(header) % ALIGN)
    with open(a.out, "wb") as f:
        f.write(header + b"".join(body))
    print(f"{a.out}: {len(tensors)} tensors, {len(header) + offset:,} bytes")


if __name__ == "__main__":
    main()
