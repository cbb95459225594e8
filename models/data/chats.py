"""Chats in Llama 2's format."""
import re

from .chance import R, a_, cap, maybe, one
from .phrases import CATEGORY_NAMES, HAM, SPAM
from .records import record
from .reviews import review
from .small_tasks import copy_task, mood_task, polite_task, spam_task, topic_task
from .stories import story
from .system_prompts import SYS_PLAIN, style
from .talk import talk_small, talk_task
from .tasks import NOUN, careless, labels_text, prompt_for, task_for
from .tickets import ticket
from .values import fill, word
from .words import ANIMAL, FIRST

ONE_WORD = [
    "Answer with one word.",
    "Always answer with one word.",
    "Answer with a single word.",
    "Use only one word.",
    "One word answers only.",
]


def one_word_turn(r=None):
    """A question whose answer is one word."""
    for _ in range(30):
        name, i, a = task_for(r or record()) if r else talk_task()
        a = a.rstrip(".!")
        if name in ("classify", "yesno", "question", "arithmetic", "talk") and re.fullmatch(
            r"[\w#@.$-]+", a
        ):
            return i, a
    return one(("Is this a text?", "Yes"), ("What is 2 plus 2?", "4"))


def chat():
    """A Llama 2 chat: [prompt, answer] for every turn, and its task name."""
    k = R.random()
    turns, sys_, rule, name = [], None, (lambda a: a), "chat"
    if k < 0.36:  # one task, one turn
        name, u, a, rec = single()
        turns = [(u, a)]
        if maybe(0.2):
            sys_ = R.choice(SYS_PLAIN)
        elif maybe(0.1):
            sys_, rule = style()
    elif k < 0.75:  # several questions about one record
        r = record()
        n, i, a = task_for(r)
        turns = (
            [(prompt_for(i, r["text"], r["kind"]), a)]
            if maybe(0.8)
            else [
                (
                    one("Here is", "Look at", "Read")
                    + " "
                    + one("a", "this")
                    + f" {NOUN[r['kind']][0]}: {r['text']}",
                    one("All right. What do you want to know?"),
                )
            ]
        )
        for _ in range(R.choice([1, 2, 3, 4, 5])):
            n, i, a = task_for(r)
            turns.append((i, a))
        if maybe(0.25):
            sys_, rule = style()
        elif maybe(0.15):
            sys_ = R.choice(SYS_PLAIN)
        name = "multi"
    elif k < 0.80:  # one word answers
        r = record() if maybe(0.5) else None
        sys_, name = R.choice(ONE_WORD), "system"
        i, a = one_word_turn(r)
        turns = [(prompt_for(i, r["text"], r["kind"]) if r else i, a)] + [
            one_word_turn(r) for _ in range(R.choice([0, 1, 2]))
        ]
    elif k < 0.86:
        sys_, turns = system_task()
        name = "system"
    elif k < 0.89:  # a persona
        who, firm = cap(word()) if maybe(0.6) else FIRST.get(), cap(word())
        sys_ = one(
            f"You are {who}, an assistant of {firm}.",
            f"Your name is {who} and you work for {firm}.",
            f"You are {who} and work at {firm}.",
        )
        qa = [
            (
                one("Who are you?", "What are you?", "Introduce yourself."),
                f"I am {who}, an assistant of {firm}.",
            ),
            (one("What is your name?", "Do you have a name?"), f"My name is {who}."),
            (one("Where do you work?", "Which company do you work for?"), f"I work for {firm}."),
            (lambda t: (t[1], t[2]))(talk_small()),
        ]
        turns, name = R.sample(qa, R.randint(1, 4)), "system"
    else:  # a rule kept over several turns of talk
        sys_, rule = style()
        name = "system"
        for _ in range(R.choice([1, 2, 2, 3, 4])):
            if maybe(0.25):
                r = record()
                n, i, a = task_for(r)
                turns.append((prompt_for(i, r["text"], r["kind"]), a))
            else:
                _, i, a = talk_small()
                turns.append((i, a))
    if name == "system" and len(turns) == 1 and "[" in turns[0][1][:1]:
        rule = lambda a: a
    seg = []
    for j, (u, a) in enumerate(turns):
        if j == 0 and sys_:
            u = f"<<SYS>>\n{sys_}\n<</SYS>>\n\n{u}"
        is_json = a[:1] in "{["
        seg.append([f"[INST] {u} [/INST]", f" {a if is_json else rule(a)} "])
    return {"task": name, "seg": seg}


def system_task():
    """The task stands in the system prompt, every user message is a record."""
    kind, n = one("summary", "summary", "sentiment", "sentiment", "category", "spam", "reply"), one(
        "message", "record", "text"
    )
    if kind == "summary":
        rule, make = one(
            f"Summarize every {n} in one sentence.",
            f"You summarize each {n} in one sentence.",
            "Reply with a one-sentence summary of the user message.",
            "You are a summarizer. Answer with one sentence.",
            "Summarize.",
        ), lambda: (lambda r: (r["text"], r["summary"]))(record())
    elif kind == "sentiment":
        ls = one(
            "positive, negative or neutral",
            "positive, neutral, negative",
            "negative, neutral or positive",
        )
        rule, make = one(
            f"Classify the sentiment of every {n} as {ls}.",
            f"You label each {n} as {ls}.",
            f"Answer with the sentiment: {ls}.",
            f"Sentiment classifier. Labels: {ls}.",
        ), lambda: (
            lambda r: (
                careless(r["text"]) if maybe(0.2) else r["text"],
                "neutral" if r["sentiment"] == "mixed" else r["sentiment"],
            )
        )(
            review()
        )
    elif kind == "category":
        look = {c: R.choice(v) for c, v in CATEGORY_NAMES.items()}
        ls = labels_text(R.sample(list(look.values()), 5))
        rule, make = one(
            f"Classify every {n} as {ls}.",
            f"You sort messages into {ls}.",
            f"Answer with one label: {ls}.",
            f"Label each ticket with one of: {ls}.",
        ), lambda: (lambda r: (r["text"], look[r["category"]]))(ticket())
    elif kind == "spam":
        rule, make = (
            one(
                "Label every message as spam or ham.", "You are a spam filter. Answer spam or ham."
            ),
            lambda: one(
                lambda: (fill(SPAM.get()), "spam"),
                lambda: (fill(HAM.get()), "ham"),
                lambda: (ticket()["text"], "ham"),
            )(),
        )
    else:
        rule, make = one(
            "Write a polite reply to every message.",
            "You answer customers politely.",
            "You are a support agent. Reply to the customer.",
        ), lambda: (lambda r: (r["text"], r["reply"]))(one(ticket, review)())
    return rule, [make() for _ in range(R.choice([1, 1, 2, 3]))]


def single():
    """One task, one turn: name, prompt, answer, record."""
    k = R.random()
    if k < 0.66:
        r = record()
        n, i, a = task_for(r)
        return (
            n,
            prompt_for(
                i, careless(r["text"]) if n == "classify" and maybe(0.2) else r["text"], r["kind"]
            ),
            a,
            r,
        )
    if k < 0.70:
        hero = ANIMAL.get()
        s = story(hero)
        return (
            "story",
            one(
                f"Tell me a story about {a_(hero)}.",
                f"Write a short story about {a_(hero)}.",
                f"Write a story about {a_(hero)}.",
                f"Can you tell me a story about {a_(hero)}?",
            ),
            s,
            None,
        )
    f = one(
        *[spam_task] * 2,
        *[topic_task] * 3,
        *[mood_task] * 3,
        polite_task,
        *[copy_task] * 7,
        *[talk_task] * 5,
    )
    return (*f(), None)
