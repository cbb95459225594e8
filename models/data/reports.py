"""Records that report something: free reports, incidents, meetings."""
import json
import re

from .chance import R, cap, join, maybe, one
from .phrases import CHORE, DECISION, FIX, IMPACT, REQUESTS
from .values import city, clause, clock, date, email, fill, first, full, mixed, word
from .vocabulary import AFTER_ANY, NOUN_ANY
from .words import CAUSE, DAY, STATUS, SYSTEM, TEAM


def free():
    """Any report: who says what, where and when. The summary quotes the main clause."""
    c, subject, place, when = clause()
    name, mail, request = full(), email(), R.choice(list(REQUESTS)) if maybe(0.35) else None
    more = [fill(AFTER_ANY.get()) for _ in range(R.choice([0, 1, 1, 2]))] + (
        [cap(clause()[0]) + "."] if maybe(0.3) else []
    )
    R.shuffle(more)
    body = [cap(c) + "."] + more + ([R.choice(REQUESTS[request]) + "."] if request else [])
    style, f = R.random(), {"date": None}
    said = True
    if style < 0.4:
        text, said = " ".join(body), False
    elif style < 0.55:
        text = one(
            f"Hi, this is {name}. ",
            f"My name is {name}. ",
            f"{name} here. ",
            f"Good morning, I am {name}. ",
            f"Hello, this is {name} writing. ",
        ) + " ".join(body)
    elif style < 0.7:
        text = (
            " ".join(body)
            + one("\n", " ")
            + one(f"Regards, {name}", f"- {name}", f"Thanks, {name}", name)
        )
    else:
        rows = [
            ("id", R.randint(1, 9999)),
            (
                one("title", "subject"),
                cap(subject.split(" ", 1)[1]) + one(" problem", "", " broken"),
            ),
            (one("reporter", "author", "user", "name", "created_by"), name),
            (one("description", "body", "note", "message", "details"), " ".join(body)),
            (one("status", "state"), STATUS.get()),
        ]
        rows = [x for i, x in enumerate(rows) if i in (2, 3) or maybe(0.5)]
        text = (
            json.dumps(dict(rows))
            if maybe(0.4)
            else one("\n", "; ", ", ").join(f"{k}: {v}" for k, v in rows)
        )
    f = {
        "name": name if said else None,
        "place": (
            place.split(" ", 1)[1].removeprefix("the ")
            if place.startswith(("in ", "at ", "on "))
            else None
        ),
    }
    wish = f" and asks for {request}" if request else ""
    quoted = re.sub("^our ", "the ", c)
    summary = (
        f"{name} says that {quoted}{wish}."
        if said
        else cap(f"the customer says that {quoted}{wish}.")
        if request
        else cap(c) + "."
    )
    qa = [
        (
            ["What is the problem?", "What happened?", "What is reported?"],
            cap(quoted),
            cap(quoted) + ".",
        ),
        (
            ["What is this about?", "Which thing is mentioned first?"],
            subject,
            f"It is about {subject}.",
        ),
    ]
    if place:
        qa += [
            (
                ["Where is it?", "Where did it happen?", "Where is the problem?"],
                cap(place),
                f"It is {place}.",
            )
        ]
    if when:
        qa += [
            (
                ["When did it happen?", "Since when?", "When was it?"],
                cap(when),
                f"It happened {when}.",
            )
        ]
    if said or maybe(0.2):
        qa += [
            (
                [
                    "Who wrote this?",
                    "What is the name?",
                    "Who reports it?",
                    "What is the customer's name?",
                    "Who is the author?",
                ],
                name if said else "not given",
                f"The name is {name}." if said else "The text does not say.",
            )
        ]
    if request:
        qa += [
            (
                ["What does the customer want?", "What is requested?"],
                request,
                f"The customer asks for {request}.",
            )
        ]
    other = R.choice([x for x in REQUESTS if x != request])
    yn = [
        (f"Is this about {subject}?", True),
        (f"Is this about the {word() if maybe(.5) else NOUN_ANY.get(subject.split()[-1])}?", False),
        (f"Does the customer ask for {other}?", False),
        ("Is a name given?", said),
    ] + ([(f"Does the customer {one('ask for', 'want')} {request}?", True)] if request else [])
    return dict(
        kind="free",
        text=text,
        fields=f,
        summary=summary,
        short=summary,
        title=cap(quoted),
        qa=qa,
        yn=yn,
        keywords=[subject.split(" ", 1)[1]],
        facts=[quoted] + ([name] if said else []) + ([request] if request else []),
    )


def incident():
    s, cause, fix, imp, day, town = (
        SYSTEM.get(),
        CAUSE.get(),
        FIX.get(),
        fill(IMPACT.get()),
        date(),
        city(),
    )
    at, n, unit, sev = (
        clock(),
        R.randint(2, 59),
        one("minutes", "hours"),
        one("low", "medium", "high", "critical"),
    )
    dur = f"{n} {unit}"
    has_town, has_sev, fixed, has_imp = maybe(0.4), maybe(0.4), maybe(0.75), maybe(0.7)
    body = [
        one(
            f"On {day} at {at} the {s} went down.",
            f"The {s} failed on {day} at {at}.",
            f"The {s} was not available on {day} from {at}.",
        ),
        one(f"The cause was {cause}.", f"It was caused by {cause}.", f"The reason was {cause}."),
        one(f"The outage lasted {dur}.", f"It took {dur}.", f"It was down for {dur}."),
    ]
    if has_imp:
        body.append(cap(imp) + ".")
    if has_town:
        body.append(
            one(f"It happened in the data center in {town}.", f"The servers are in {town}.")
        )
    if has_sev:
        body.append(f"Severity: {sev}.")
    end = (
        cap(fix) + "."
        if fixed
        else one("The problem is not solved yet.", "The team is still working on it.")
    )
    if maybe(0.25):
        body.append(
            one(
                "No data was lost.",
                "We will write a report.",
                "The manager was informed.",
                "Monitoring sent an alert.",
            )
        )
    text = " ".join(mixed(body) + [end])
    f = {
        "system": s,
        "date": day,
        "time": at,
        "cause": cause,
        "duration": dur,
        "city": town if has_town else None,
        "severity": sev if has_sev else None,
    }
    if maybe(0.2):
        text = one("\n", "; ").join([f"system: {s}", f"date: {day}", f"report: {text}"])
    summary = f"The {s} was down for {dur} on {day} because of {cause}" + (
        f", and {fix}." if fixed else " and is not fixed yet."
    )
    qa = [
        (
            ["Which system was affected?", "What failed?", "What went down?"],
            s,
            f"The {s} was affected.",
        ),
        (
            ["What was the cause?", "Why did it fail?", "What caused the outage?"],
            cause,
            f"The cause was {cause}.",
        ),
        (
            ["How long did it last?", "How long was the outage?", "How long was it down?"],
            dur,
            f"It lasted {dur}.",
        ),
        (["When did it happen?", "On which day did it happen?"], day, f"It happened on {day}."),
        (["At what time did it start?", "What time was it?"], at, f"It started at {at}."),
    ]
    if has_town or maybe(0.2):
        qa.append(
            (
                ["Where did it happen?", "Where are the servers?"],
                town if has_town else "not given",
                f"It happened in {town}." if has_town else "The text does not say.",
            )
        )
    if fixed:
        qa.append((["How was it fixed?", "What did the team do?"], cap(fix), cap(fix) + "."))
    yn = [
        (one("Is the problem solved?", "Was it fixed?", "Is it fixed?"), fixed),
        (f"Was it caused by {cause}?", True),
        (f"Was it caused by {CAUSE.get() if maybe(.5) else 'an earthquake'}?", None),
        (f"Was the {s} affected?", True),
        (f"Was the {SYSTEM.get(s)} affected?", False),
    ]
    yn = [(q, (cause in q) if v is None else v) for q, v in yn]
    return dict(
        kind="incident",
        text=text,
        fields=f,
        summary=summary,
        short=f"The {s} failed because of {cause}.",
        title=f"{cap(s)} down for {dur}",
        qa=qa,
        yn=yn,
        priority=None,
        keywords=[s, cause.replace("a ", "", 1).replace("an ", "", 1)],
        facts=[s, dur, cause],
    )


def meeting():
    team, owner, other, dec, job, due, day = (
        TEAM.get(),
        first(),
        first(),
        fill(DECISION.get()),
        CHORE.get(),
        one(R.choice(DAY), date()),
        date(),
    )
    third = first()
    while other == owner or third in (owner, other):
        other, third = first(), first()
    people = R.sample([owner, other, third], 3)
    body = [
        one(
            f"Meeting of the {team} team on {day}.",
            f"The {team} team met on {day}.",
            f"Notes of the {team} meeting, {day}.",
        ),
        one(
            f"Present: {join(people)}.", f"{join(people)} took part.", f"Attendees: {join(people)}."
        ),
        one(f"We decided to {dec}.", f"Decision: {dec}.", f"The team agreed to {dec}."),
        one(
            f"{owner} will {job} by {due}.",
            f"{owner} has to {job} until {due}.",
            f"To do: {owner} will {job} by {due}.",
        ),
    ]
    if maybe(0.4):
        body.insert(
            R.randint(1, 3),
            one(
                "The coffee was cold.",
                "The room was too small.",
                f"{other} came late.",
                f"{third} showed some pictures.",
                "We started ten minutes late.",
                f"{other} told us about the trip to {city()}.",
            ),
        )
    text = one(" ", " ", "\n").join(body)
    summary = f"The {team} team decided to {dec}, and {owner} will {job} by {due}."
    f = {"team": team, "date": day, "decision": dec, "owner": owner, "task": job, "due": due}
    qa = [
        (
            ["What was decided?", "What did the team decide?", "What is the decision?"],
            cap(dec),
            f"The team decided to {dec}.",
        ),
        ([f"Who will {job}?", f"Who has to {job}?"], owner, f"{owner} will {job}."),
        (
            [f"What will {owner} do?", f"What is the task of {owner}?"],
            cap(job),
            f"{owner} will {job}.",
        ),
        (["Which team met?", "Which team is it?"], team, f"The {team} team met."),
        (["When was the meeting?", "When did the team meet?"], day, f"The meeting was on {day}."),
        (
            [f"When is the task due?", f"Until when must {owner} {job}?"],
            due,
            f"It is due by {due}.",
        ),
        (["Who was present?", "Who took part?"], join(people), f"{join(people)} took part."),
    ]
    yn = [
        (f"Did the team decide to {dec}?", True),
        (f"Did the team decide to {fill(DECISION.get())}?", False),
        (f"Was {other} at the meeting?", True),
        (f"Was {first()} at the meeting?", None),
        (f"Does {owner} have a task?", True),
        (f"Will {other} {job}?", False),
    ]
    yn = [(q, any(x in q.split() for x in people) if v is None else v) for q, v in yn]
    return dict(
        kind="meeting",
        text=text,
        fields=f,
        summary=summary,
        short=f"The {team} team decided to {dec}.",
        title=f"{cap(team)} meeting: {dec}",
        qa=qa,
        yn=yn,
        keywords=[team, owner],
        facts=[team, owner, dec, job],
    )
