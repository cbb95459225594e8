"""Short texts about a person, a company, an event, or a topic."""
import re

from .chance import R, a_, cap, maybe, one
from .phrases import TOPICS
from .values import amount, city, clock, date, fill, first, full, mixed, product, word
from .words import ANIMAL, HOBBY, JOB, KIND, NUMBER, PRODUCT, STORY_PLACE


def person():
    she = maybe(0.5)
    he, his = ("She", "Her") if she else ("He", "His")
    name, job, town, year, hob, n, pet, old = (
        full(),
        JOB.get(),
        city(),
        R.randint(1930, 2005),
        HOBBY.get(),
        R.randint(2, 5),
        ANIMAL.get(),
        R.randint(18, 90),
    )
    pet_s, has_town2, born, hobby, pets, aged = (
        pet + "s",
        maybe(0.3),
        maybe(0.5),
        maybe(0.75),
        maybe(0.5),
        maybe(0.4),
    )
    if pet in ("mouse", "goose", "wolf", "sheep", "deer"):
        pet, pet_s = "cat", "cats"
    town2, friend = city(), first()
    body = [
        one(
            f"{name} is {a_(job)} from {town}.",
            f"{name} works as {a_(job)} in {town}.",
            f"{name} lives in {town} and is {a_(job)}.",
        )
    ]
    if born:
        body.append(f"{he} was born in {year}" + (f" in {town2}." if has_town2 else "."))
    if hobby:
        body.append(
            one(
                f"{he} likes {hob}.",
                f"{his} hobby is {hob}.",
                f"In {his.lower() if she else 'his'} free time {he.lower()} enjoys {hob}.",
            )
        )
    if pets:
        body.append(f"{he} has {NUMBER[n]} {pet_s}.")
    if aged:
        body.append(f"{he} is {old} years old.")
    if maybe(0.4):
        body.append(f"{his} best friend is {friend}.")
    text = " ".join(mixed(body))
    summary = f"{name} is {a_(job)} from {town}" + (f" who likes {hob}." if hobby else ".")
    qa = [
        (
            [f"Who is {name.split()[0]}?", f"Who is {name}?"],
            f"{cap(a_(job))} from {town}",
            f"{name} is {a_(job)} from {town}.",
        ),
        (
            [
                f"What is the job of {name.split()[0]}?",
                f"What does {name.split()[0]} do?",
                "What is the job?",
            ],
            job,
            f"{name} is {a_(job)}.",
        ),
        (
            [
                f"Where does {name.split()[0]} live?",
                f"Where is {name.split()[0]} from?",
                "Which city is mentioned first?",
            ],
            town,
            f"{name} is from {town}.",
        ),
    ]
    if hobby:
        qa.append(
            (
                [f"What does {name.split()[0]} like?", f"What is the hobby of {name.split()[0]}?"],
                hob,
                f"{name} likes {hob}.",
            )
        )
    qa.append(
        (
            [f"When was {name.split()[0]} born?", "What is the year of birth?"],
            str(year) if born else "not given",
            f"{name} was born in {year}." if born else "The text does not say.",
        )
    )
    if pets:
        qa.append(
            (
                [f"How many {pet_s} does {name.split()[0]} have?", "How many animals are there?"],
                NUMBER[n],
                f"{name} has {NUMBER[n]} {pet_s}.",
            )
        )
    if friend in text:
        qa.append(
            (
                ["Who is the best friend?", f"Who is the best friend of {name.split()[0]}?"],
                friend,
                f"The best friend is {friend}.",
            )
        )
    yn = [
        (f"Is {name.split()[0]} {a_(job)}?", True),
        (f"Is {name.split()[0]} {a_(JOB.get(job))}?", False),
        (f"Does {name.split()[0]} live in {town}?", True),
        (f"Does {name.split()[0]} live in {city()}?", False),
    ]
    if hobby:
        yn += [
            (f"Does {name.split()[0]} like {hob}?", True),
            (f"Does {name.split()[0]} like {HOBBY.get(hob)}?", False),
        ]
    return dict(
        kind="text",
        text=text,
        fields={
            "name": name,
            "job": job,
            "city": town,
            "hobby": hob if hobby else None,
            "age": old if aged else None,
            "born": year if born else None,
        },
        summary=summary,
        short=summary,
        title=name,
        qa=qa,
        yn=yn,
        keywords=[job, town],
        facts=[name, job, town],
    )


def company():
    c, boss, town, year, p, n = (
        cap(word()) + one("", "", " Ltd", " Inc", " Labs"),
        full(),
        city(),
        R.randint(1890, 2020),
        PRODUCT.get(),
        R.randint(3, 900),
    )
    ps = re.sub(r"^pair of ", "", p)
    ps = ps if ps.endswith("s") else ps + ("es" if ps.endswith(("ch", "sh", "x")) else "s")
    body = [
        one(
            f"{c} is a company in {town}.",
            f"{c} is a small firm from {town}.",
            f"The company {c} is based in {town}.",
        ),
        one(f"It was founded in {year} by {boss}.", f"{boss} founded it in {year}."),
        one(f"It makes {ps}.", f"The company sells {ps}.", f"Its best product is the {p}."),
        one(f"It has {n} employees.", f"{n} people work there.", f"The staff counts {n} people."),
    ]
    text = " ".join(mixed(body))
    making = (
        f"makes {ps}"
        if f"makes {ps}" in text
        else f"sells {ps}"
        if f"sells {ps}" in text
        else f"is known for the {p}"
    )
    summary = f"{c} from {town} {making} and was founded in {year} by {boss}."
    qa = [
        (
            [f"Who founded {c}?", "Who founded the company?", "Who is the founder?"],
            boss,
            f"{boss} founded {c}.",
        ),
        (
            [f"Where is {c}?", "Where is the company based?", "Which city is it?"],
            town,
            f"{c} is in {town}.",
        ),
        (
            ["When was it founded?", f"When was {c} founded?"],
            str(year),
            f"It was founded in {year}.",
        ),
        (
            ["How many people work there?", "How many employees does it have?"],
            str(n),
            f"{n} people work there.",
        ),
        (["What is the name of the company?", "Which company is it?"], c, f"The company is {c}."),
    ]
    yn = [
        (f"Is {c} in {town}?", True),
        (f"Is {c} in {city()}?", False),
        (f"Was it founded by {boss}?", True),
        (f"Was it founded by {full()}?", False),
        (f"Was it founded in {year}?", True),
        (f"Was it founded in {R.randint(1890, 2020)}?", None),
    ]
    yn = [(q, str(year) in q if v is None else v) for q, v in yn]
    return dict(
        kind="text",
        text=text,
        fields={"company": c, "city": town, "founder": boss, "year": year, "employees": n},
        summary=summary,
        short=f"{c} is a company in {town}.",
        title=c,
        qa=qa,
        yn=yn,
        keywords=[c, town],
        facts=[c, town, str(year), boss],
    )


def event():
    what, town, day, price, n, at = (
        one(
            f"{cap(word())} {one('Festival', 'Fair', 'Concert', 'Market', 'Conference', 'Cup')}",
            one("spring", "summer", "book", "food", "music", "wine", "film", "winter")
            + " "
            + one("festival", "fair", "market", "show"),
        ),
        city(),
        date(),
        amount(),
        R.randint(20, 9000),
        clock(),
    )
    boss = full()
    body = [
        one(
            f"The {what} takes place in {town} on {day}.",
            f"On {day} the {what} opens in {town}.",
            f"{town} invites you to the {what} on {day}.",
        ),
        one(f"Tickets cost {price}.", f"The entry is {price}.", f"A ticket costs {price}."),
    ]
    if maybe(0.6):
        body.append(one(f"About {n} visitors are expected.", f"{n} guests are coming."))
    if maybe(0.6):
        body.append(one(f"It starts at {at}.", f"Doors open at {at}."))
    if maybe(0.5):
        body.append(one(f"{boss} is the organizer.", f"It is organized by {boss}."))
    text = " ".join(mixed(body))
    summary = f"The {what} is in {town} on {day} and costs {price}."
    qa = [
        (
            ["Where is it?", "Where does it take place?", "In which city is the event?"],
            town,
            f"It is in {town}.",
        ),
        (
            ["When is it?", "On which day is it?", "When does it take place?"],
            day,
            f"It is on {day}.",
        ),
        (
            ["How much is a ticket?", "What does a ticket cost?", "What is the price?"],
            price,
            f"A ticket costs {price}.",
        ),
        (["What takes place?", "What is the event?"], what, f"It is the {what}."),
    ]
    qa.append(
        (
            ["Who is the organizer?", "Who organizes it?"],
            boss if boss in text else "not given",
            f"{boss} is the organizer." if boss in text else "The text does not say.",
        )
    )
    if str(n) in text:
        qa.append(
            (
                ["How many visitors are expected?", "How many people are coming?"],
                str(n),
                f"{n} people are coming.",
            )
        )
    if at in text:
        qa.append(
            (["When does it start?", "At what time does it start?"], at, f"It starts at {at}.")
        )
    yn = [
        (f"Is it in {town}?", True),
        (f"Is it in {city()}?", False),
        (f"Is the event on {day}?", True),
        ("Is the price given?", True),
        ("Is it free?", False),
    ]
    return dict(
        kind="text",
        text=text,
        fields={
            "event": what,
            "city": town,
            "date": day,
            "price": price,
            "organizer": boss if boss in text else None,
        },
        summary=summary,
        short=summary,
        title=what,
        qa=qa,
        yn=yn,
        keywords=[what, town],
        facts=[what, town, day],
    )


DEEDS = [
    "visited",
    "found",
    "bought",
    "saw",
    "moved to",
    "sold",
    "painted",
    "lost",
    "opened",
    "closed",
    "repaired",
    "asked about",
    "waits for",
    "needs",
    "works for",
    "talked about",
]


def note():
    """Any text: the summary is its first sentence."""
    topic = R.choice(list(TOPICS))
    lines = R.sample(TOPICS[topic], R.choice([2, 3]))
    x, y = (
        one(
            full,
            city,
            lambda: f"the {cap(word())}",
            lambda: f"the {product()}",
            lambda: f"the {R.choice(KIND)} {ANIMAL.get()}",
        )(),
        one(city, full, lambda: f"the {product()}", lambda: f"the {STORY_PLACE.get()}")(),
    )
    free = (
        f"{cap(x)} {one(*DEEDS)} {y}"
        + one("", " on " + date(), " in " + city(), " with " + first())
        + "."
    )
    body = [fill(t) for t in lines]
    if maybe(0.6):
        body[0] = free
    return dict(
        kind="text",
        text=" ".join(body),
        fields={"topic": topic},
        summary=body[0],
        short=body[0],
        title=body[0].rstrip("."),
        qa=[(["What happened?", "What is said first?"], body[0], body[0])],
        yn=[
            (f"Is this about {topic}?", body[0] != free and True or len(body) > 1),
            (f"Is this about {R.choice([t for t in TOPICS if t != topic])}?", False),
        ],
        keywords=[topic],
        facts=[body[0]],
    )
