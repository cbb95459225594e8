"""Training documents and evaluation items."""

from .chance import R, cap, join, maybe, one
from .chats import chat, single
from .phrases import HAM, SPAM, TOPICS
from .records import record
from .reviews import review
from .stories import story
from .talk import KNOWN
from .tasks import NOUN, question
from .texts import company, event, person
from .tickets import ticket
from .values import city, clause, fill, first, mixed


def paragraph():
    k = R.randint(0, 5)
    if k == 0:
        return (
            " ".join(cap(clause()[0]) + "." for _ in range(R.randint(1, 4)))
            if maybe(0.5)
            else record()["text"]
        )
    if k == 1:
        return R.choice([person, company, event])()["text"]
    if k == 2:
        t = R.choice(list(TOPICS.values()))
        lines = t
        return " ".join(fill(x) for x in R.sample(lines, R.randint(2, 4)))
    if k == 3:
        return (
            one("To make ", "If you want to make ")
            + (w := one("tea", "coffee", "soup", "pancakes", "a salad", "bread", "an omelette"))
            + ", you need "
            + join(
                R.sample(
                    [
                        "water",
                        "salt",
                        "flour",
                        "eggs",
                        "milk",
                        "sugar",
                        "butter",
                        "onions",
                        "oil",
                        "honey",
                        "lemons",
                        "cheese",
                    ],
                    3,
                )
            )
            + ". "
            + " ".join(
                [
                    one(
                        "First heat the water.",
                        "First mix everything in a bowl.",
                        "First wash your hands.",
                    ),
                    one(
                        "Then stir it slowly.",
                        "Then wait for ten minutes.",
                        f"Then cook it for {R.randint(2, 40)} minutes.",
                    ),
                    one(
                        "At the end add some salt.",
                        "Serve it warm.",
                        f"Enjoy it with your friends.",
                    ),
                ]
            )
        )
    if k == 4:
        return (
            " ".join(q + " " + a for q, a in R.sample(KNOWN, 2))
            if maybe(0.5)
            else " ".join(a for q, a in R.sample(KNOWN, 3))
        )
    return (
        f"Dear {first()}, "
        + " ".join(
            mixed(
                [
                    one("thank you for your letter.", "how are you?", f"greetings from {city()}."),
                    fill(
                        one(
                            "We arrived in {city} on {day}.",
                            "The weather is lovely.",
                            "I bought a {color} {product}.",
                            "It has been raining for {n} days.",
                        )
                    ),
                    fill(
                        one(
                            "{name} says hello.",
                            "I will be back in {month}.",
                            "The food is great.",
                            "Yesterday we visited a museum.",
                        )
                    ),
                    fill(one("Please write soon.", "See you on {day}.", "I miss you.")),
                ]
            )
        )
        + f" {one('Yours', 'Love', 'Regards')}, {first()}"
    )


def raw():
    k = R.random()
    if k < 0.3:
        return {"task": "raw", "seg": [["", story()]]}
    if k < 0.42:
        return {"task": "raw", "seg": [["", paragraph()]]}
    if k < 0.72:  # an instruction and its answer
        n, u, a, _ = single()
        mark, gap = one(
            ("", "\n"),
            ("", "\n"),
            ("\nAnswer:", " "),
            ("\nOutput:", " "),
            ("\nSummary:", " ") if n == "summarize" else ("\nAnswer:", " "),
        )
        return {"task": "raw_" + n, "seg": [[u + mark, gap + a]]}
    kind = one("review", "review", "ticket", "ticket", "topic", "summary", "qa", "spam")
    shots = R.randint(0, 4)
    lines = []
    look = R.choice([0, 0, 1])
    for _ in range(shots + 1):  # few-shot
        if kind == "review":
            r = review()
            while len(r["text"]) > 260 or r["sentiment"] == "mixed":
                r = review()
            lines.append(
                (
                    "Review",
                    r["text"],
                    "Sentiment",
                    r["sentiment"].capitalize() if look else r["sentiment"],
                )
            )
        elif kind == "ticket":
            r = ticket()
            while len(r["text"]) > 320:
                r = ticket()
            lines.append(
                (
                    "Ticket",
                    r["text"].replace("\n", " "),
                    "Category",
                    r["category"].capitalize() if look else r["category"],
                )
            )
        elif kind == "topic":
            t = R.choice(list(TOPICS))
            lines.append(("Text", fill(R.choice(TOPICS[t])), "Topic", t))
        elif kind == "spam":
            bad = maybe(0.5)
            lines.append(
                ("Message", fill((SPAM if bad else HAM).get()), "Label", "spam" if bad else "ham")
            )
        elif kind == "summary":
            r = record()
            while len(r["text"]) > 400:
                r = record()
            lines.append(
                (
                    cap(NOUN[r["kind"]][0]) if look else "Text",
                    r["text"].replace("\n", " "),
                    "Summary",
                    r["summary"],
                )
            )
        else:
            r = person() if maybe(0.5) else record()
            _, q, a = "", *question(r, "")
            lines.append(
                (
                    "Text",
                    r["text"].replace("\n", " ") + f"\n{'Q' if look else 'Question'}: {q}",
                    "A" if look else "Answer",
                    a,
                )
            )
            if shots > 1:
                shots = 1
            if len(lines) > 1:
                break
    gap = one("\n\n", "\n", "\n\n")
    head = one(
        "",
        "",
        {
            "review": "Classify the sentiment of each review.",
            "ticket": "Classify the tickets.",
            "topic": "Find the topic.",
            "spam": "Find the spam.",
            "summary": "Summarize each text.",
            "qa": "Answer the question.",
        }[kind]
        + gap,
    )
    return {
        "task": "fewshot_" + kind,
        "seg": [["", head + gap.join(f"{a}: {b}\n{c}: {d}" for a, b, c, d in lines)]],
    }


def document():
    return raw() if maybe(0.14) else chat()


def eval_item():
    while True:
        n, u, a, r = single()
        if n in ("story", "copy") and maybe(0.5):
            continue
        item = {"task": n, "seg": [[f"[INST] {u} [/INST]", f" {a} "]], "want": {"answer": a}}
        if n == "summarize" and a == r["summary"]:
            item["task"], item["want"]["facts"] = "summary", r["facts"]
        if n in ("story",):
            continue
        return item
