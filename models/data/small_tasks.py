"""Tasks that need no record: spam, topics, moods, polite words, copying."""
import json

from .chance import R, a_, cap, maybe, one, pairs
from .phrases import FACT_LINE, HAM, MEH_LINE, NEG_LINE, POS_LINE, SPAM, TOPICS
from .tasks import classify, labels_text, prompt_for
from .values import city, clock, digits, email, fill, first, order_id, product, word
from .words import NEG_ADJ, POS_ADJ


# small tasks without a record
def spam_task():
    bad = maybe(0.5)
    t = fill((SPAM if bad else HAM).get())
    i, a = one(
        ("Is this spam?", "Yes." if bad else "No."),
        ("Is the following message spam? Answer yes or no.", "Yes." if bad else "No."),
        ("Classify as spam or ham:", "spam" if bad else "ham"),
        ("Classify this message as spam or not spam.", "spam" if bad else "not spam"),
        ("Label: spam, ham", "spam" if bad else "ham"),
    )
    return "classify", prompt_for(i, t, "ticket") if maybe(0.6) else f"{i} {t}", a


def topic_task():
    topic = R.choice(list(TOPICS))
    lines = TOPICS[topic]
    t = " ".join(fill(x) for x in R.sample(lines, R.choice([1, 1, 2])))
    labels = [topic] + R.sample([x for x in TOPICS if x != topic], R.randint(1, 4))
    R.shuffle(labels)
    if maybe(0.15):
        return (
            "classify",
            prompt_for(
                one("What is the topic?", "Which topic is this about?", "Topic:"), t, "text"
            ),
            topic,
        )
    return (
        "classify",
        prompt_for(
            one(
                "What is the topic of this text: {}?",
                "Classify the topic as {}.",
                "Choose a topic: {}.",
                "Topic ({}):",
                "Which label fits best: {}?",
                "Classify: {}",
            ).format(labels_text(labels)),
            t,
            "text",
        ),
        topic,
    )


EXCLAIMED = "day movie book song idea trip lunch game service party".split()

JUDGED = "movie book concert lesson flight weather food staff service delivery support".split()


def mood_task():
    """One-line opinions without a product."""
    m = one("positive", "negative", "neutral")
    adj = {"positive": POS_ADJ, "negative": NEG_ADJ}.get(m)
    t = one(
        {"positive": POS_LINE, "negative": NEG_LINE, "neutral": MEH_LINE}[m].get(),
        *(
            [
                f"What {a_(adj.get())} {one(*EXCLAIMED)}!",
                f"The {one(*JUDGED, word())} was {adj.get()}.",
            ]
            if adj
            else [
                fill(FACT_LINE.get()),
                (
                    f"The {one('movie', 'book', 'concert', 'lesson', 'flight', word())} starts at"
                    f" {clock()}."
                ),
            ]
        ),
    )
    r = dict(kind="review", sentiment=m)
    i, a = classify(r, one("text", "message", "sentence", "comment"))
    return "classify", prompt_for(i, t, "review"), a


POLITE = pairs(
    """
    Send me the {thing} now. | Could you please send me the {thing}?
    Give me the {thing}. | Could you please give me the {thing}?
    Where is my {thing}? | Could you please tell me where my {thing} is?
    Your {thing} is garbage. | I am afraid that I am not happy with the {thing}.
    Fix the {thing}. | Could you please fix the {thing}?
    Hurry up with the {thing}! | I would be glad to receive the {thing} soon.
    I do not want the {thing}. | Thank you, but I do not need the {thing}.
    Call me about the {thing}! | Could you please call me about the {thing}?
    You forgot the {thing}. | I think that the {thing} is missing.
    The {thing} is wrong! | I think that there is a mistake with the {thing}.
    Stop sending me {thing} mails. | Could you please stop sending me mails about the {thing}?
    """
)


def polite_task():
    a, b = R.choice(POLITE)
    thing = one(
        product(), "report", "invoice", "contract", "answer", "list", "key", "money", "file"
    )
    return (
        "rewrite",
        one(
            "Rewrite this politely: ",
            "Make this polite: ",
            "Say it politely: ",
            "Rewrite the sentence in a friendly way: ",
            "Rewrite politely:\n",
        )
        + a.format(thing=thing),
        b.format(thing=thing),
    )


def copy_task():
    """Plain copying, in several disguises; the base of every extraction."""
    k = R.randint(2, 8)
    words = [
        one(
            lambda: word(),
            lambda: cap(word()),
            lambda: order_id(),
            lambda: email(),
            lambda: first(),
            lambda: product(),
            lambda: city(),
        )()
        for _ in range(k)
    ]
    t = one(" ", ", ", " ").join(words)
    return (
        "copy",
        *one(
            lambda: (
                one("Repeat: ", "Repeat after me: ", "Say: ", "Copy this text: ", "Write exactly: ")
                + t,
                t,
            ),
            lambda: (f"What is the first item of this list: {', '.join(words)}?", words[0]),
            lambda: (f"What is the last item of this list: {', '.join(words)}?", words[-1]),
            lambda: (f"Write these items as a JSON array: {', '.join(words)}", json.dumps(words)),
            lambda: (
                "Which email address is in this text? "
                + one("Please write to", "My address is", "Ask")
                + f" {(e := email())} "
                + one("today", "for " + words[0], "or call")
                + ".",
                e,
            ),
            lambda: (
                f"Which number is in this text? {cap(words[0])} "
                + one("has number", "needs", "is at")
                + f" {(d := digits(R.randint(2, 6)))} "
                + one("", "in " + city()),
                d,
            ),
        )(),
    )
