"""Records with an opinion: reviews of products and places."""
import json

from .chance import R, a_, cap, held_out, is_held_out, join, maybe, one
from .phrases import FACT_LINE, MEH_LINE, NEG_LINE, PLACE_ASPECT, POS_LINE, THING_ASPECT
from .values import amount, city, fill, full, product
from .vocabulary import OPINION_NEG, OPINION_NOUN, OPINION_POS
from .words import NEG_ADJ, PLACE, POS_ADJ

LIKES = ["love", "like", "enjoy", "adore", "really like"]

DISLIKES = ["hate", "do not like", "dislike", "cannot stand", "regret"]


def opinion(good, where):
    """A clause made from a noun and a judgement, possibly negated."""
    n = R.choice(OPINION_NOUN[where])
    v = one("was", "is", "was") if not n.endswith("towels") else "were"
    if maybe(0.12):
        return f"the {n} {v} not {(OPINION_NEG if good else OPINION_POS).get()}"
    if maybe(0.15):
        return f"I {one(*(LIKES if good else DISLIKES))} the {n}"
    return (
        f"the {n} {v} "
        + one("", "", "very ", "really ", "so ")
        + (OPINION_POS if good else OPINION_NEG).get()
    )


def review():
    place = maybe(0.3)
    thing, aspects = (PLACE.get(), PLACE_ASPECT) if place else (product(), THING_ASPECT)
    held = [x for x in aspects if is_held_out(x[0])]
    aspects = held if held_out() and len(held) > 2 else [x for x in aspects if x not in held]
    if maybe(0.6):
        aspects = R.sample(aspects, min(2, len(aspects))) + [
            (
                opinion(True, "place" if place else "thing"),
                opinion(False, "place" if place else "thing"),
            )
            for _ in range(5)
        ]
    mood = one("positive", "negative", "neutral", "positive", "negative")
    town, name, price, stars = city(), full(), amount(), None
    body, reasons, plus, minus = [], [], [], []
    count = R.choice([0, 1, 1, 2, 2, 3])
    if mood == "neutral":
        if maybe(0.5):
            x, y = R.sample(aspects, 2)
            plus, minus = [x[0]], [y[1]]
            body = (
                [
                    cap(x[0])
                    + one(", but ", ", however ", " but ", ". On the other hand, ")
                    + y[1]
                    + "."
                ]
                if maybe(0.7)
                else [cap(y[1]) + ", but " + x[0] + "."]
            )
        else:
            body = [MEH_LINE.get() for _ in range(R.choice([1, 1, 2]))]
            if maybe(0.6):
                body.append(fill(FACT_LINE.get()))
        stars = 3
    else:
        good = mood == "positive"
        reasons = [x[0 if good else 1] for x in R.sample(aspects, count)]
        body = [cap(r) + one(".", ".", "!") for r in reasons]
        adj = POS_ADJ if good else NEG_ADJ
        if not reasons or maybe(0.5):
            body.append(
                one(
                    f"This {thing} is {adj.get()}.",
                    f"{cap(adj.get())} {thing}!",
                    f"What {a_(adj.get())} {thing}!",
                    f"The {thing} is {one('really', 'simply', 'very', 'so')} {adj.get()}.",
                    f"{cap(a_(adj.get()))} {thing}.",
                    (POS_LINE if good else NEG_LINE).get(),
                    f"The {thing} is not {(NEG_ADJ if good else POS_ADJ).get()}.",
                )
            )
        if maybe(0.45):
            body.append((POS_LINE if good else NEG_LINE).get())
        (plus if good else minus).extend(reasons)
        stars = R.choice([4, 5]) if good else R.choice([1, 2])
    if maybe(0.3):
        body.append(fill(FACT_LINE.get(), city=town))
    R.shuffle(body)
    joined = " ".join(body)
    intro = (
        one(
            f"I {one('visited', 'went to', 'stayed at')} the {thing} in {town}.",
            f"We were at this {thing} in {town}.",
        )
        if place
        else one(
            f"I bought this {thing} for {price}.",
            f"I have had this {thing} for {R.randint(2, 11)} months.",
            f"I got the {thing} last week.",
        )
    )
    has_intro = maybe(0.6) or thing not in joined
    if has_intro:
        joined = intro + " " + joined
    fields = {
        "product" if not place else "place": thing,
        "city": town if town in joined else None,
        "price": price if price in joined else None,
    }
    style = R.random()
    if style < 0.12:
        joined = one(f"{name}: {joined}", f"{joined} - {name}")
        fields["reviewer"] = name
    elif style < 0.24:
        joined = one("\n", "; ").join(
            [
                f"product: {thing}" if not place else f"place: {thing}",
                f"stars: {stars}",
                f"review: {joined}",
            ]
        )
        fields["stars"] = stars
    elif style < 0.34:
        joined = json.dumps(
            {"id": R.randint(1, 9999), "product": thing, "rating": stars, "text": joined}
        )
        fields["stars"] = stars
    who = "The reviewer"
    near = f"the {thing}" + (f" in {town}" if fields["city"] and has_intro and place else "")
    if plus and minus:
        summary = f"{who} likes that {plus[0]} but complains that {minus[0]}."
    elif mood == "neutral":
        summary = f"{who} thinks that {near} is average."
    else:
        summary = (
            f"{who} {'likes' if mood == 'positive' else 'does not like'} {near}"
            + (" because " + join(reasons[:2]) if reasons else "")
            + "."
        )
    qa = [
        (
            [f"What does the reviewer think about the {thing}?", "What does the reviewer think?"],
            summary,
            summary,
        ),
        (
            [
                "Which product is reviewed?" if not place else "Which place is reviewed?",
                "What is this review about?",
                "What is being reviewed?",
            ],
            thing,
            f"The review is about the {thing}.",
        ),
    ]
    if minus:
        qa.append(
            (
                ["What does the reviewer complain about?", "What is the complaint?"],
                cap(minus[0]),
                f"The reviewer complains that {minus[0]}.",
            )
        )
    if plus:
        qa.append(
            (
                ["What does the reviewer like?", "What is good about it?"],
                cap(plus[0]),
                f"The reviewer likes that {plus[0]}.",
            )
        )
    if fields["price"]:
        qa.append((["How much did it cost?", "What was the price?"], price, f"It cost {price}."))
    yn = [
        (
            one(
                "Is the review positive?",
                "Is the customer happy?",
                "Does the reviewer like it?",
                "Is this a good review?",
            ),
            mood == "positive",
        ),
        (
            one(
                "Is the review negative?",
                "Is the customer unhappy?",
                "Is this a bad review?",
                "Is this a complaint?",
            ),
            mood == "negative",
        ),
    ]
    if mood != "neutral":
        yn.append((f"Would the reviewer recommend the {thing}?", mood == "positive"))
    reply = {
        "positive": f"Thank you for your kind words. We are happy that you like the {thing}.",
        "negative": f"We are sorry that you are not happy with the {thing}. We will do better.",
        "neutral": f"Thank you for your honest review of the {thing}. We will try to do better.",
    }[mood]
    return dict(
        kind="review",
        text=joined,
        fields=fields,
        summary=summary,
        short=summary,
        title=cap(f"{mood} review of the {thing}"),
        qa=qa,
        yn=yn,
        sentiment="mixed" if plus and minus else mood,
        reply=reply,
        keywords=[thing, mood],
        facts=(
            [thing] + ([] if not reasons else reasons[:1]) if not (plus and minus) else plus + minus
        ),
    )
