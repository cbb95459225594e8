"""Random values: made-up words, names, products, numbers, dates; and filling them into slots."""
import re

from .chance import R, a_, cap, maybe, one
from .vocabulary import ADJ_ANY, DONE_ANY, GERUND_ANY, NOUN_ANY, WHEN_ANY, WHERE_ANY
from .words import (
    CITY,
    CODA,
    CODE_PRODUCT,
    COLOR,
    DAY,
    FIRST,
    LAST,
    MONTH,
    ONSET,
    PRODUCT,
    TEAM,
    VOWEL,
)


def word(lo=2, hi=3):
    """A made-up word: whatever stands there must be copied, not remembered."""
    return "".join(
        R.choice(ONSET) + R.choice(VOWEL) + (R.choice(CODA) if maybe(0.5) else "")
        for _ in range(R.randint(lo, hi))
    )[:11]


def first():
    return cap(word(1, 3)) if maybe(0.18) else FIRST.get()


def last():
    return cap(word(1, 3)) if maybe(0.3) else LAST.get()


def full():
    return first() + " " + last() if maybe(0.85) else first()


def city():
    return cap(word()) if maybe(0.22) else CITY.get()


def digits(n):
    return "".join(R.choice("0123456789") for _ in range(n))


def letters(n):
    return "".join(R.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(n))


def product():
    p = PRODUCT.get()
    if p.startswith("pair of") or maybe(0.62):
        return p
    return one(
        lambda: f"{cap(word())} {p}",
        lambda: f"{cap(word())} {letters(1)}{digits(1)} {R.choice(CODE_PRODUCT)}",
        lambda: f"{R.choice(COLOR)} {p}",
        lambda: f"{cap(word(1, 2))} {digits(R.randint(2, 4))}",
        lambda: word(),
    )()


def order_id():
    return one(
        lambda: "#" + digits(R.randint(4, 7)),
        lambda: f"{letters(R.randint(1, 3))}-{digits(R.randint(3, 6))}",
        lambda: digits(R.randint(4, 8)),
        lambda: f"ORD-{digits(4)}-{digits(3)}",
        lambda: letters(2) + digits(R.randint(4, 6)),
    )()


def email(name=None):
    n = re.sub(r"[^a-z. ]", "", (name or full()).lower()).split()
    user = one(".".join(n), n[0] + digits(2), n[-1], n[0][0] + n[-1], n[0] + "_" + n[-1], word())
    return (
        f"{user}@"
        + one(word(), "mail", "post", "example", word())
        + "."
        + one("com", "org", "net", "de", "example", "io")
    )


def date():
    return one(
        lambda: f"{R.choice(MONTH)} {R.randint(1, 28)}",
        lambda: f"{R.randint(1, 28)} {R.choice(MONTH)}",
        lambda: f"20{R.randint(10, 29)}-{R.randint(1, 12):02}-{R.randint(1, 28):02}",
        lambda: f"{R.choice(MONTH)} {R.randint(1, 28)}, 20{R.randint(10, 29)}",
        lambda: R.choice(DAY),
    )()


def amount():
    v = one(
        lambda: str(R.randint(2, 999)),
        lambda: f"{R.randint(1, 400)}.{R.choice(['50', '99', '90', '00', digits(2)])}",
        lambda: str(R.randint(1, 90) * 100),
    )()
    return one(f"${v}", f"{v} euros", f"{v} dollars", f"${v}", f"{v} EUR")


def clock():
    return (
        f"{R.randint(0, 23):02}:{R.randint(0, 59):02}"
        if maybe(0.6)
        else f"{R.randint(1, 12)} {one('am', 'pm')}"
    )


def fill(t, **kw):
    """Replace {slot} by a fresh random value, or by the one given."""
    makers = {
        "amount": amount,
        "amount2": amount,
        "city": city,
        "date": date,
        "day": lambda: R.choice(DAY),
        "month": lambda: R.choice(MONTH),
        "n": lambda: str(R.randint(2, 40)),
        "color": lambda: R.choice(COLOR),
        "word": lambda: cap(word()),
        "name": full,
        "product": product,
        "email": email,
        "team": TEAM.get,
        "time": clock,
        "url": lambda: f"www.{word()}.{one('com', 'net', 'biz')}",
    }
    return re.sub(r"\{(\w+)\}", lambda m: str(kw[m[1]]) if m[1] in kw else makers[m[1]](), t)


def the(p):
    return "the " + p


def mixed(sentences, keep_first=1):
    """Keep the opening, shuffle the rest."""
    rest = sentences[keep_first:]
    R.shuffle(rest)
    return sentences[:keep_first] + rest


def clause():
    """A free clause with its subject, place and time."""
    noun, place, when = (
        NOUN_ANY.get(),
        fill(WHERE_ANY.get()) if maybe(0.5) else "",
        fill(WHEN_ANY.get()) if maybe(0.5) else "",
    )
    subject = one(
        f"the {noun}",
        f"the {noun}",
        f"our {noun}",
        f"the {ADJ_ANY.get()} {noun}",
        f"the {word()}",
        f"the {noun} of {full()}",
        f"{a_(noun)}",
        f"the {NOUN_ANY.get()} {noun}",
    )
    verb = one(
        lambda: f"has been {GERUND_ANY.get()}",
        lambda: f"is {ADJ_ANY.get()}",
        lambda: f"was {DONE_ANY.get()}",
        lambda: f"was {DONE_ANY.get()} by {full()}",
        lambda: f"is too {ADJ_ANY.get()}",
        lambda: "does not work",
        lambda: "broke down",
        lambda: "is missing",
        lambda: f"keeps {GERUND_ANY.get()}",
        lambda: f"could not be {DONE_ANY.get()}",
        lambda: f"has to be {DONE_ANY.get()}",
        lambda: f"will be {DONE_ANY.get()}",
        lambda: f"needs a new {NOUN_ANY.get()}",
        lambda: f"fell on the {NOUN_ANY.get()}",
        lambda: f"cannot reach the {NOUN_ANY.get()}",
        lambda: f"hit the {NOUN_ANY.get()}",
        lambda: f"is waiting for the {NOUN_ANY.get()}",
        lambda: f"lost its {NOUN_ANY.get()}",
        lambda: f"is full of {word()}",
        lambda: f"was not {DONE_ANY.get()}",
    )()
    return " ".join(x for x in (subject, place, verb, when) if x), subject, place, when
