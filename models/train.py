#!/usr/bin/python3
"""Train the tokenizer and the model on text made on the fly by data/ (CPU, bfloat16).

    train.py tokenizer --out run                    SentencePiece BPE with Llama 2's settings
    train.py model     --out run --steps 4000       writes run/model.pt, log in run/log.txt

A model continues from run/last.pt where that exists.
"""
import argparse
import math
import os
import random
import time

import sentencepiece
import torch
import torch.nn as nn

import data
from batches import batches
from model import CONFIG, Llama


def train_tokenizer(out, docs=60000, seed=7):
    """Llama 2's SentencePiece settings on our own text, plus every printable ASCII character."""
    data.R.seed(seed)
    with open(f"{out}/text.txt", "w") as f:
        for i in range(docs):
            d = data.raw() if i % 10 < 3 else data.chat()
            for prompt, answer in d["seg"]:
                f.writelines(
                    line.strip(" ") + "\n" for line in (prompt + answer).split("\n") if line.strip()
                )
            if i % 20 == 0:
                # rare characters, and made-up words in all cases so that pieces stay general
                f.write("".join(chr(random.Random(i).randrange(33, 127)) for _ in range(12)) + "\n")
                w = data.word()
                f.write(f"{w} {data.cap(w)} {w.upper()}\n")
    sentencepiece.SentencePieceTrainer.train(
        input=f"{out}/text.txt",
        model_prefix=f"{out}/tokenizer",
        model_type="bpe",
        vocab_size=CONFIG["vocab"],
        character_coverage=0.99999,
        byte_fallback=True,
        split_digits=True,
        add_dummy_prefix=True,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        normalization_rule_name="identity",
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=2,
        max_sentence_length=20000,
        required_chars="".join(map(chr, range(33, 127))),
    )


def train_model(out, steps, stop, lr, seed, drills, tokens, warmup=150):
    torch.set_num_threads(2)
    torch.manual_seed(seed)
    sp = sentencepiece.SentencePieceProcessor(model_file=f"{out}/tokenizer.model")
    model = Llama()
    decay = [p for p in model.parameters() if p.dim() == 2]
    opt = torch.optim.AdamW(
        [
            {"params": decay, "weight_decay": 0.05},
            {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
        ],
        lr=lr,
        betas=(0.9, 0.98),
        eps=1e-9,
    )
    step, seen, answers = 0, 0, 0
    if os.path.exists(f"{out}/last.pt"):
        s = torch.load(f"{out}/last.pt")
        model.load_state_dict(s["model"])
        opt.load_state_dict(s["opt"])
        step, seen, answers, seed = s["step"], s["seen"], s["answers"], seed + s["step"]
    log, start, mean = open(f"{out}/log.txt", "a"), time.time(), None
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", file=log, flush=True)
    source = batches(sp, seed, drills, tokens)
    first_seen = seen
    while step < stop:
        rate = lr * min(
            (step + 1) / warmup, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, step / steps)))
        )
        for g in opt.param_groups:
            g["lr"] = rate
        ids, pick, want, weight, bias, n = next(source)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model.loss(ids, pick, want, weight, bias)
        loss.backward()
        grad = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        opt.zero_grad()
        step, seen, answers = step + 1, seen + n, answers + len(want)
        mean = loss.item() if mean is None else 0.97 * mean + 0.03 * loss.item()
        if step % 20 == 0:
            print(
                (
                    f"step {step} loss {mean:.4f} grad {grad:.2f} lr {rate:.2e} tokens"
                    f" {seen:,} answer tokens {answers:,} tok/s"
                    f" {(seen - first_seen) / (time.time() - start):.0f}"
                ),
                file=log,
                flush=True,
            )
        if step % 250 == 0 or step >= stop:
            torch.save(
                {
                    "model": model.state_dict(),
                    "opt": opt.state_dict(),
                    "step": step,
                    "seen": seen,
                    "answers": answers,
                },
                f"{out}/last.tmp",
            )
            os.replace(f"{out}/last.tmp", f"{out}/last.pt")
            torch.save(model.state_dict(), f"{out}/model.pt")


def main():
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("what", choices=["tokenizer", "model"])
    ap.add_argument("--out", default="run")
    ap.add_argument("--steps", type=int, default=4000, help="length of the learning rate schedule")
    ap.add_argument("--stop", type=int, help="stop at this step, to go on with other options")
    ap.add_argument("--lr", type=float, default=2e-3)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument(
        "--drills", type=float, default=0.1, help="share of documents that are copying drills"
    )
    ap.add_argument("--tokens", type=int, default=8192, help="tokens in a batch")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    if a.what == "tokenizer":
        train_tokenizer(a.out)
    else:
        train_model(a.out, a.steps, a.stop or a.steps, a.lr, a.seed, a.drills, a.tokens)


if __name__ == "__main__":
    main()
