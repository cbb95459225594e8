"""Tasks over a record: instruction and answer."""
import json
import re

from .chance import R, cap, join, maybe, one
from .phrases import CATEGORY_NAMES

NOUN = {
    "ticket": [
        "ticket",
        "message",
        "text",
        "support ticket",
        "email",
        "record",
        "request",
        "complaint",
    ],
    "review": ["review", "text", "message", "comment", "feedback", "product review"],
    "incident": ["incident", "report", "text", "incident report", "record", "log"],
    "order": ["order", "record", "row", "text"],
    "meeting": ["meeting", "notes", "text", "meeting notes", "record"],
    "text": ["text", "passage", "paragraph", "record"],
    "item": ["product", "row", "record", "item"],
    "free": ["text", "message", "report", "ticket", "record", "note", "issue", "email"],
}


def summarize(r, n):
    if maybe(0.22):
        return (
            one(
                "Write a title for this {n}.",
                "Give this {n} a title.",
                "Write a subject line for this {n}.",
                "Title:",
            ).format(n=n),
            r["title"],
        )
    if maybe(0.15):
        return one(
            "List the keywords of this {n}.",
            "Give me keywords for this {n}.",
            "Tag this {n} with keywords.",
            "Keywords:",
        ).format(n=n), ", ".join(r["keywords"])
    if r["kind"] == "item" and maybe(0.6):
        return (
            one(
                "Write a product description.",
                "Describe this {n}.",
                "Write a sentence about this {n}.",
                "Describe the {n} for our shop.",
                "Write a short product text.",
            ).format(n=n),
            r["summary"],
        )
    return (
        one(
            "Describe this row in a sentence.",
            "Summarize the inserted {n}.",
            "Summarize the following {n} in one sentence.",
            "Summarize:",
            "Summarize this {n}.",
            "TL;DR",
            "Summarise this {n} in one sentence.",
            "Give a one-sentence summary of the {n}.",
            "Please summarize the {n}.",
            "Sum up the {n} in a sentence.",
            "What is this {n} about?",
            "Write a short summary of this {n}.",
            "Can you summarize this {n}?",
            "Summary of the {n}, please.",
            "Make a summary.",
            "Summarize",
            "Describe this {n} in one sentence.",
            "Shorten this {n} to one sentence.",
            "Summarize this {n} for the manager.",
            "Summarize the {n} below.",
            "Summarize the new {n}:",
        ).format(n=n),
        r["summary"],
    )


def labels_text(labels):
    return (
        one(
            ", ".join(labels),
            ", ".join(labels[:-1]) + " or " + labels[-1],
            " / ".join(labels),
            "|".join(labels),
            "[" + ", ".join(labels) + "]",
        )
        if len(labels) > 1
        else labels[0]
    )


def classify(r, n):
    kinds = [k for k in ("sentiment", "category", "priority") if r.get(k)]
    kind = R.choice(kinds)
    if kind == "sentiment":
        s = r["sentiment"]
        labels = ["positive", "negative", "neutral"]
        if maybe(0.3) and s in ("positive", "negative"):
            labels = ["positive", "negative"]
        elif maybe(0.2):
            labels.append("mixed")
        if s == "mixed" and "mixed" not in labels:
            s = "neutral"
        look = {l: l for l in labels}
        if maybe(0.2):
            look = {l: l.capitalize() for l in labels}
        elif maybe(0.12):
            look = {
                l: dict(positive="good", negative="bad", neutral="neutral", mixed="mixed")[l]
                for l in labels
            }
        elif maybe(0.08):
            look = {
                l: dict(positive="happy", negative="unhappy", neutral="neutral", mixed="mixed")[l]
                for l in labels
            }
        if maybe(0.5):
            R.shuffle(labels)
        if (
            maybe(0.25)
            and labels[0] == "positive"
            and s != "mixed"
            and look[s] == s
            and len(labels) == 3
        ):
            return (
                one(
                    "What is the sentiment of this {n}?",
                    "Sentiment:",
                    "Classify the sentiment.",
                    "What is the mood of this {n}?",
                    "Sentiment of this {n}?",
                    "Classify the sentiment of this {n}.",
                ).format(n=n),
                s,
            )
        ls = labels_text([look[l] for l in labels])
        return (
            one(
                "Classify the sentiment of this {n} as {l}.",
                "Is this {n} {l}?",
                "What is the sentiment of this {n}: {l}?",
                "Sentiment ({l}):",
                "Is the sentiment {l}?",
                "Classify as {l}:",
                "Label the {n} with one of: {l}.",
                "Choose one label: {l}.",
                "Is the following {n} {l}?",
            ).format(n=n, l=ls),
            look[s],
        )
    if kind == "category":
        look = {c: R.choice(v) for c, v in CATEGORY_NAMES.items()}
        others = [c for c in look if c not in (r["category"], "other")]
        R.shuffle(others)
        labels = [r["category"]] + others[: R.randint(1, 3)]
        if maybe(0.5) and "other" not in labels:
            labels.append("other")
        R.shuffle(labels)
        answer = r["category"]
        if "other" in labels and answer != "other" and maybe(0.12):
            labels.remove(answer)
            answer = "other"
        ls = (
            labels_text([look[l] for l in labels])
            if len(labels) > 1
            else labels_text([look[l] for l in labels] + ["spam"])
        )
        return (
            one(
                "Classify this {n} as {l}.",
                "Which category fits: {l}?",
                "Choose the category of this {n}: {l}.",
                "Category ({l}):",
                "Label the {n} with one of: {l}.",
                "Pick one label for the {n}: {l}.",
                "To which department does this {n} belong: {l}?",
                "Is this {n} about {l}?",
                "Classify into one of these categories: {l}.",
                "Assign one of the following labels: {l}.",
            ).format(n=n, l=ls),
            look[answer],
        )
    p = r["priority"]
    labels = one(
        ["low", "normal", "high"],
        ["low", "normal", "high"],
        ["high", "normal", "low"],
        ["Low", "Normal", "High"],
        ["low", "medium", "high"],
    )
    look = {
        "low": [l for l in labels if l.lower() == "low"][0],
        "high": [l for l in labels if l.lower() == "high"][0],
        "normal": [l for l in labels if l.lower() in ("normal", "medium")][0],
    }
    return (
        one(
            "What is the priority of this {n}: {l}?",
            "How urgent is this {n}: {l}?",
            "Priority ({l}):",
            "Set the priority of the {n} to {l}.",
            "Classify the urgency as {l}.",
            "Is the priority {l}?",
        ).format(n=n, l=labels_text(labels)),
        look[p],
    )


KEYS = {
    "customer": ["customer", "name", "customer_name"],
    "product": ["product", "item", "product_name"],
    "order_id": ["order_id", "order", "order_number"],
    "city": ["city", "city", "place"],
    "email": ["email", "email", "mail"],
    "date": ["date", "date", "day"],
    "quantity": ["quantity", "count"],
    "total": ["total", "amount", "price"],
    "price": ["price", "amount"],
    "reviewer": ["reviewer", "name"],
}


def extract(r, n):
    f = dict(r["fields"])
    for k in ("sentiment", "category", "priority"):
        if r.get(k) and maybe(0.4):
            f[k] = "neutral" if r[k] == "mixed" else r[k]
    if maybe(0.1):
        f["summary"] = r["summary"]
    keys = [k for k in f if f[k] is not None]
    missing = [k for k in f if f[k] is None]
    R.shuffle(keys)
    keys = keys[: R.choice([1, 2, 2, 3, 3, 4])]
    if missing and (maybe(0.3) or not keys):
        keys.append(R.choice(missing))
    R.shuffle(keys)
    names = [R.choice(KEYS.get(k, [k])) if maybe(0.4) else k for k in keys]
    if len(set(names)) < len(names):
        names = keys
    out = json.dumps({m: f[k] for m, k in zip(names, keys)})
    ks = one(", ".join(names), join(names), ", ".join(names))
    return (
        one(
            "Extract {k} as JSON.",
            "Extract the fields {k} as JSON.",
            "Return {k} as JSON.",
            "Extract {k} from the {n} as JSON.",
            "Give me a JSON object with the keys {k}.",
            "JSON with {k}:",
            "Get {k} from this {n} in JSON format.",
            "Extract as JSON: {k}",
            "Convert the {n} to JSON with the keys {k}.",
            "Find {k}. Answer in JSON.",
        ).format(k=ks, n=n),
        out,
    )


def yesno(r, n):
    want = maybe(0.5)
    q = [x for x in r["yn"] if bool(x[1]) == want] or r["yn"]
    q, truth = R.choice(q)
    return q + one("", "", "", " Answer yes or no.", " (yes/no)"), "Yes." if truth else "No."


def question(r, n):
    qs, short, long = R.choice(r["qa"])
    if maybe(0.15):
        return R.choice(qs) + one(" Answer in a full sentence.", " Answer with a sentence."), long
    return R.choice(qs), "The text does not say." if short == "not given" else str(short)


def reply(r, n):
    return (
        one(
            "Write a polite reply to this {n}.",
            "Reply to the customer.",
            "Answer the customer politely.",
            "Write a short answer to the customer.",
            "Reply:",
            "Draft a reply to this {n}.",
            "Write a friendly response to this {n}.",
        ).format(n=n),
        r["reply"],
    )


def careless(t):
    """Text as people type it in a hurry."""
    k = R.random()
    if k < 0.4:
        t = t.lower()
    if k < 0.25 or k > 0.9:
        t = re.sub(r"[.!]", "", t)
    if 0.4 < k < 0.5:
        t = t.upper()
    if 0.5 < k < 0.65:
        t = t.replace(".", "!!!" if maybe(0.3) else "!")
    if k > 0.65:
        t = re.sub(
            r"\b[a-z]{4,}\b",
            lambda m: (
                m[0]
                if maybe(0.93)
                else (lambda j: m[0][:j] + m[0][j + 1] + m[0][j] + m[0][j + 2 :])(
                    R.randint(0, len(m[0]) - 2)
                )
            ),
            t,
        )
    return t


TASKS = {
    "summarize": summarize,
    "extract": extract,
    "yesno": yesno,
    "question": question,
    "classify": classify,
    "reply": reply,
}


def task_for(r):
    """A random task that fits the record: (name, instruction, answer)."""
    n = R.choice(NOUN[r["kind"]])
    names = ["summarize"] * 5 + ["extract"] * 4 + ["yesno"] * 8 + ["question"] * 5
    if r.get("sentiment") or r.get("category"):
        names += ["classify"] * (8 if r.get("sentiment") else 5)
    if r.get("reply"):
        names += ["reply"] * 2
    name = R.choice(names)
    i, a = TASKS[name](r, n)
    return name, i, a


def prompt_for(i, text, kind):
    """Instruction and record in one of many arrangements."""
    tag = cap(R.choice(NOUN[kind]))
    return one(
        lambda: f"{i}\n\n{text}",
        lambda: f"{i}\n{text}",
        lambda: f"{i} {text}",
        lambda: f"{i.rstrip('.:?')}: {text}" if not i.endswith("?") else f"{i} {text}",
        lambda: f"{text}\n\n{i}",
        lambda: f"{text}\n{i}",
        lambda: f"{i}\n\n{tag}: {text}",
        lambda: f"{tag}: {text}\n{i}",
        lambda: f'{i}\n\n"{text}"',
        lambda: f"{i} {tag}: {text}",
        lambda: f"{i}\n{tag}:\n{text}",
        lambda: f"{i}\n\n{text}",
    )()
