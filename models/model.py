"""The model: Llama 2 in PyTorch.

RMSNorm, interleaved RoPE, grouped-query attention, SwiGLU, no biases; the embedding is also the
classifier.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

CONFIG = dict(
    dim=256,
    layers=6,
    heads=8,
    kv_heads=4,
    ffn=768,
    vocab=4096,
    context=512,
    eps=1e-5,
    theta=10000.0,
)
BOS, EOS = 1, 2


class Attention(torch.autograd.Function):
    """softmax(q k' + bias) v, keeping only the probabilities for the way back."""

    @staticmethod
    def forward(ctx, q, k, v, bias):
        p = torch.softmax(torch.matmul(q, k.transpose(-1, -2)).add_(bias), -1)
        ctx.save_for_backward(q, k, v, p)
        return torch.matmul(p, v)

    @staticmethod
    def backward(ctx, grad):
        q, k, v, p = ctx.saved_tensors
        grad = grad.contiguous()
        dv = torch.matmul(p.transpose(-1, -2), grad)
        ds = torch._softmax_backward_data(torch.matmul(grad, v.transpose(-1, -2)), p, -1, p.dtype)
        dk = torch.matmul(ds.transpose(-1, -2), q)
        return torch.matmul(ds, k), dk, dv, None


class SwiGLU(torch.autograd.Function):
    """silu(g) * u with few passes over memory."""

    @staticmethod
    def forward(ctx, g, u):
        s = torch.sigmoid(g)
        ctx.save_for_backward(g, u, s)
        return (g * s).mul_(u)

    @staticmethod
    def backward(ctx, grad):
        g, u, s = ctx.saved_tensors
        gs = g * s
        slope = (1 - s).mul_(gs).add_(s)
        return slope.mul_(u).mul_(grad), gs.mul_(grad)


def norm(x, w, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * w


def rope(x, cos, sin):
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, kv = c["dim"], c["dim"] // c["heads"] * c["kv_heads"]
        self.attn_norm, self.ffn_norm = nn.Parameter(torch.ones(d)), nn.Parameter(torch.ones(d))
        for name, i, o in (
            ("attn_q", d, d),
            ("attn_k", d, kv),
            ("attn_v", d, kv),
            ("attn_output", d, d),
            ("ffn_gate", d, c["ffn"]),
            ("ffn_up", d, c["ffn"]),
            ("ffn_down", c["ffn"], d),
        ):
            setattr(self, name, nn.Linear(i, o, bias=False))
        self.c = c

    def forward(self, x, cos, sin, bias, past=None):
        c, (B, T, D) = self.c, x.shape
        hd, low = D // c["heads"], torch.bfloat16 if torch.is_autocast_cpu_enabled() else x.dtype
        h = norm(x, self.attn_norm, c["eps"]).to(low)
        q = rope(self.attn_q(h).view(B, T, -1, hd), cos, sin) * hd**-0.5
        k = rope(self.attn_k(h).view(B, T, -1, hd), cos, sin)
        v = self.attn_v(h).view(B, T, -1, hd)
        if past is not None:  # generation: keep keys and values
            if "k" in past:
                k, v = torch.cat((past["k"], k), 1), torch.cat((past["v"], v), 1)
            past["k"], past["v"] = k, v
        group = c["heads"] // c["kv_heads"]
        q, k, v = (
            t.transpose(1, 2).contiguous().to(low)
            for t in (q, k.repeat_interleave(group, 2), v.repeat_interleave(group, 2))
        )
        x = x + self.attn_output(
            Attention.apply(q, k, v, bias.to(low)).transpose(1, 2).reshape(B, T, D)
        )
        h = norm(x, self.ffn_norm, c["eps"]).to(low)
        return x + self.ffn_down(SwiGLU.apply(self.ffn_gate(h), self.ffn_up(h)))


class Llama(nn.Module):
    def __init__(self, c=CONFIG):
        super().__init__()
        self.c = c
        self.embed = nn.Embedding(c["vocab"], c["dim"])
        self.blocks = nn.ModuleList(Block(c) for _ in range(c["layers"]))
        self.norm = nn.Parameter(torch.ones(c["dim"]))
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(
                    p,
                    0,
                    0.02
                    / (math.sqrt(2 * c["layers"]) if "output" in name or "down" in name else 1),
                )
        hd = c["dim"] // c["heads"]
        angle = (
            torch.arange(c["context"])[:, None] * c["theta"] ** (-torch.arange(0, hd, 2) / hd)[None]
        )
        self.cos, self.sin = angle.cos()[None, :, None], angle.sin()[None, :, None]

    def hidden(self, ids, bias, past=None, start=0):
        cos, sin = (
            self.cos[:, start : start + ids.shape[1]],
            self.sin[:, start : start + ids.shape[1]],
        )
        if torch.is_autocast_cpu_enabled():
            cos, sin = cos.bfloat16(), sin.bfloat16()
        x = self.embed(ids)
        for i, b in enumerate(self.blocks):
            x = b(x, cos, sin, bias, past[i] if past else None)
        return norm(x, self.norm, self.c["eps"])

    def loss(self, ids, pick, want, weight, bias):
        """Weighted mean loss over the picked positions; only these reach the classifier."""
        x = self.hidden(ids, bias).reshape(-1, self.c["dim"])[pick]
        return (
            F.cross_entropy(F.linear(x, self.embed.weight).float(), want, reduction="none") * weight
        ).sum() / weight.sum()

    @torch.no_grad()
    def generate(self, ids, limit=160):
        """Greedy continuation of token ids, without the end token."""
        past, out, n = [{} for _ in self.blocks], [], len(ids)
        x, start = torch.tensor([ids]), 0
        while len(out) < limit and start + x.shape[1] <= self.c["context"]:
            T = x.shape[1]
            h = self.hidden(
                x, torch.full((T, T), -1e9).triu(1) if T > 1 else torch.zeros(1, 1), past, start
            )
            start += T
            t = int((h[0, -1] @ self.embed.weight.T).argmax())
            if t == EOS:
                break
            out.append(t)
            x = torch.tensor([[t]])
        return out
