"""Batches for training: documents as token ids, packed into rows.

The documents of a row attend only to themselves.
"""
import torch

import data
from model import BOS, CONFIG, EOS

SHORT = 16.0  # an answer of fewer tokens counts as one of this many


def encode(sp, doc):
    """Token ids of a document; for each the token to predict there (-1: no loss) and its weight."""
    ids, want, weight = [], [], []
    space = sp.piece_to_id("\u2581")
    for prompt, answer in doc["seg"]:
        p, whole = len(sp.encode(prompt)) if prompt else 0, sp.encode(prompt + answer)
        seg = [BOS] + whole + [EOS]
        w = [-1] * p + seg[p + 1 :] + [-1]
        if len(whole) > p + 1 and whole[-1] == space:
            w[-3] = EOS  # Llama 2 writes "answer </s>"; let the answer end without the space
        n = sum(x >= 0 for x in w)
        ids += seg
        want += w
        # a one-word answer decides as much as a sentence
        weight += [max(1.0, SHORT / n) if prompt else 1.0] * len(seg)
    return ids, want, weight


def drill(vocab):
    """Random chunks of tokens that come back in any order: the shortest lesson in copying."""
    pick, n, length = data.R.randint, data.R.randint(1, 6), data.R.randint(40, 100)
    chunks = [[pick(3, vocab - 1) for _ in range(pick(2, 6))] for _ in range(n)]
    ids, want, i = [BOS], [-1], 0
    while len(ids) < length:
        c = chunks[i] if i < n else data.R.choice(chunks)
        ids += c
        want += (c[1:] if i >= n else [-1] * (len(c) - 1)) + [-1]
        i += 1
    return ids, want, [1.0] * len(ids)


def batches(sp, seed, drills, tokens):
    """Endless packed batches: rows of 256 tokens, and rows of 512 for longer documents."""
    data.R.seed(seed)
    short, long_ = [], []
    while True:
        while (
            sum(len(d[0]) for d in short) < tokens * 2.5
            and sum(len(d[0]) for d in long_) < tokens * 0.97
        ):
            d = drill(CONFIG["vocab"]) if data.maybe(drills) else encode(sp, data.document())
            if len(d[0]) <= 512:
                (short if len(d[0]) <= 256 else long_).append(d)
        T, pool = (512, long_) if sum(len(d[0]) for d in long_) >= tokens * 0.97 else (256, short)
        rows, used = [[] for _ in range(tokens // T)], [0] * (tokens // T)
        order = (
            sorted(range(len(pool)), key=lambda i: -len(pool[i][0]))
            if T == 512
            else list(range(len(pool)))
        )
        taken = set()
        for i in order:  # first fit; long rows are topped up with short documents
            for r in range(len(rows)):
                if used[r] + len(pool[i][0]) <= T:
                    rows[r].append(pool[i])
                    used[r] += len(pool[i][0])
                    taken.add(i)
                    break
            if T == 256 and sum(used) > tokens * 0.99:
                break
        pool[:] = [d for i, d in enumerate(pool) if i not in taken]
        if T == 512:
            keep = []
            for d in short:
                r = next((r for r in range(len(rows)) if used[r] + len(d[0]) <= T), None)
                if r is None:
                    keep.append(d)
                else:
                    rows[r].append(d)
                    used[r] += len(d[0])
            short[:] = keep
        ids, want, doc = (torch.full((len(rows), T), v, dtype=torch.long) for v in (0, -1, -1))
        weight = torch.zeros(len(rows), T)
        for r, ds in enumerate(rows):
            at = 0
            for n, (i, w, s) in enumerate(ds):
                place = slice(at, at + len(i))
                ids[r, place] = torch.tensor(i)
                want[r, place] = torch.tensor(w)
                doc[r, place] = n
                weight[r, place] = torch.tensor(s)
                at += len(i)
        allowed = (doc[:, :, None] == doc[:, None, :]) & torch.ones(T, T, dtype=torch.bool).tril()
        bias = torch.zeros(allowed.shape).masked_fill_(~allowed, -1e9)[:, None].bfloat16()
        want = want.view(-1)
        pick = (want >= 0).nonzero().squeeze(1)
        yield ids, pick, want[pick], weight.view(-1)[pick], bias, sum(used)
