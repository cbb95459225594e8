#!/usr/bin/python3
"""Greedy answers on held-out names, products, problems and phrasings; prints a table of scores.

    evaluate.py --run run [--docs 600] [--seed 2] [--show 5] [--seen]
"""
import argparse
import collections
import json
import os

import sentencepiece
import torch

import data
from model import BOS, Llama


def load(run):
    torch.set_num_threads(int(os.environ.get("THREADS", "2")))
    sp = sentencepiece.SentencePieceProcessor(model_file=f"{run}/tokenizer.model")
    model = Llama()
    model.load_state_dict(torch.load(f"{run}/model.pt", map_location="cpu"))
    return sp, model.eval()


def answer(sp, model, prompt, limit=160):
    return sp.decode(model.generate([BOS] + sp.encode(prompt), limit)).strip()


def score(item, got):
    """A list of (measure, value) for one answer."""
    want, task = item["want"]["answer"], item["task"]
    if task == "extract":
        try:
            fields, right = json.loads(got), json.loads(want)
            return (
                [("extract: valid JSON", 1), ("extract: right keys", list(fields) == list(right))]
                + [("extract: field value right", fields.get(k) == v) for k, v in right.items()]
                + [("extract: exact match", fields == right)]
            )
        except (ValueError, AttributeError):
            return [("extract: valid JSON", 0), ("extract: exact match", 0)]
    if task == "summary":
        return [("summary: key fact present", f in got) for f in item["want"]["facts"]] + [
            ("summary: exact match", got == want)
        ]
    name = {
        "classify": "classify (sentiment, category, priority, topic, spam)",
        "yesno": "yes/no",
        "question": "question over a text",
        "summarize": "title or keywords",
        "reply": "polite reply",
    }.get(task, task)
    return [(name + ": exact match", got == want)]


def main():
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("--run", default="run")
    ap.add_argument("--docs", type=int, default=600)
    ap.add_argument("--seed", type=int, default=2)
    ap.add_argument(
        "--show", type=int, default=0, help="print this many wrong answers of every kind"
    )
    ap.add_argument(
        "--seen", action="store_true", help="fresh records made of the words used in training"
    )
    a = ap.parse_args()
    sp, model = load(a.run)
    data.use_held_out(not a.seen)
    data.R.seed(a.seed)
    table, shown = collections.defaultdict(list), collections.Counter()
    for _ in range(a.docs):
        item = data.eval_item()
        got = answer(sp, model, item["seg"][0][0])
        for name, value in score(item, got):
            table[name].append(float(value))
        if got != item["want"]["answer"] and shown[item["task"]] < a.show:
            shown[item["task"]] += 1
            print(
                f"--- {item['task']}\n{item['seg'][0][0]}\nwant: {item['want']['answer']}\ngot: "
                f" {got}"
            )
    print(f"| measure | right | of |\n|---|---:|---:|")
    for name in sorted(table):
        v = table[name]
        print(f"| {name} | {100 * sum(v) / len(v):.1f} % | {len(v)} |")


if __name__ == "__main__":
    main()
