#!/usr/bin/python3
"""Write the training text of the model: stories, few-shot records and Llama 2 chats.

    generate_data.py train --docs 250000 --seed 1 > train.jsonl
    generate_data.py eval  --docs 600    --seed 2 > eval.jsonl     (held-out words)

Every line is {"task": .., "seg": [[prompt, answer], ..], "want": {..}}. A segment is encoded as
BOS + prompt + answer + EOS and the loss is taken on the answer only; a chat has one segment per
turn. All text comes from the word lists and templates in data/, nothing from anywhere else.
"""
import argparse
import json
import sys

import data


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("split", choices=["train", "eval"])
    parser.add_argument("--docs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    data.use_held_out(options.split == "eval")
    data.R.seed(options.seed)
    make = data.eval_item if options.split == "eval" else data.document
    for _ in range(options.docs):
        sys.stdout.write(json.dumps(make()) + "\n")


if __name__ == "__main__":
    main()
