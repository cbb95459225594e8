"""Records of customer support: tickets."""
import json
import re

from .chance import R, a_, cap, maybe, one
from .phrases import (
    CHATTER,
    IT_BROKEN,
    I_ACCOUNT,
    I_BILLING,
    I_OTHER,
    I_SHIPPING,
    RELAXED,
    REQUESTS,
    URGENT,
)
from .values import city, clause, date, email, fill, full, mixed, order_id, product, the
from .words import DAMAGE, FUNCTION, GERUND, PART


def ticket():
    p, name, town, oid, day = product(), full(), city(), order_id(), date()
    mail, cat = email(name), R.choice(
        ["technical"] * 3 + ["billing", "billing", "shipping", "shipping", "account", "other"]
    )
    has = {
        k: maybe(q)
        for k, q in dict(name=0.85, town=0.5, oid=0.5, day=0.4, mail=0.3, request=0.75).items()
    }
    product_known = True
    if cat == "technical":
        vp = (
            IT_BROKEN.get()
            if maybe(0.55)
            else one(
                lambda: f"does not {R.choice(FUNCTION)}",
                lambda: f"has {a_(R.choice(DAMAGE))} {R.choice(PART)}",
                lambda: f"cannot {R.choice(FUNCTION)}",
                lambda: f"stopped {R.choice(GERUND)}",
                lambda: f"came with {a_(R.choice(DAMAGE))} {R.choice(PART)}",
            )()
        )
        mine = f"{one('my', 'the')} {p} {vp}"
        third = f"the {p} {vp}"
        title = cap(f"{p} {vp}")
    else:
        t = {"billing": I_BILLING, "shipping": I_SHIPPING, "account": I_ACCOUNT, "other": I_OTHER}[
            cat
        ].get()
        product_known = "{it}" in t
        vp = fill(t, it=the(p))
        mine = "I " + re.sub(
            r"^is ",
            "am ",
            re.sub(
                r"^(want|need|see|suggest|wait)s ", r"\1 ", vp.replace("still waits", "still wait")
            ),
        )
        third = None
        title = cap(vp)
    who = name if has["name"] else "the customer"
    request = R.choice(list(REQUESTS)) if has["request"] else None
    priority = one("high", "low", "normal", "normal")
    # the message itself
    opening = (
        [one("Hello,", "Hi,", "Good morning,", "Dear support,", "Hello team,", "Dear all,")]
        if maybe(0.4)
        else []
    )
    body = []
    bought = one("bought", "ordered", "got", "purchased")
    if has["day"] or (has["town"] and maybe(0.6)) or maybe(0.3):
        if product_known:
            body.append(
                f"I {bought} {a_(p)}"
                + (f" on {day}" if has["day"] else "")
                + (f" in {town}" if has["town"] and maybe(0.4) else "")
                + "."
            )
    if has["day"] and not (product_known and body):
        has["day"] = False
    joined = " ".join(body)
    body.append(
        cap(one("", "", "Unfortunately ", "Sadly ", "Now ", "I am sorry to say that ") + mine)
        + one(".", ".", "!", ".")
    )
    if request:
        body.append(R.choice(REQUESTS[request]) + one(".", ".", "!"))
    if priority == "high":
        body.append(URGENT.get())
    if priority == "low":
        body.append(RELAXED.get())
    if has["oid"]:
        body.append(
            one(
                f"My order number is {oid}.",
                f"The order number is {oid}.",
                f"Order {oid}.",
                f"It is order {oid}.",
            )
        )
    if has["mail"]:
        body.append(
            one(f"You can reach me at {mail}.", f"My email is {mail}.", f"Write to {mail}.")
        )
    if has["town"] and town not in joined:
        body.append(one(f"I live in {town}.", f"I am writing from {town}.", f"I am in {town}."))
    for _ in range(R.choice([0, 0, 1, 1, 2])):
        body.append(CHATTER.get() if maybe(0.6) else cap(clause()[0]) + ".")
    if maybe(0.6):
        body = mixed(body, 1 + (body[0].startswith("I " + bought)))
    fields = {
        "product": p if product_known else None,
        "order_id": oid if has["oid"] else None,
        "city": town if has["town"] else None,
        "date": day if has["day"] else None,
        "email": mail if has["mail"] else None,
        "customer": name if has["name"] else None,
        "request": request,
    }
    style = R.random()
    if style < 0.62:
        sign = (
            [
                one(
                    f"Regards, {name}",
                    f"Thanks, {name}",
                    f"Best wishes, {name}",
                    f"{name}",
                    f"- {name}",
                )
            ]
            if has["name"]
            else []
        )
        if has["name"] and maybe(0.4):
            body.insert(0, f"My name is {name}.")
            sign = []
        text = (
            (one(" ", "\n") if opening else "").join(opening + [""])
            + " ".join(body)
            + (one(" ", "\n") + sign[0] if sign else "")
        )
        if maybe(0.12):
            text = f"Subject: {title}\n\n{text}"
    elif style < 0.70:  # in the third person
        body = (
            [
                f"{cap(who)}"
                + (f" from {town}" if has["town"] else "")
                + (
                    f" {bought} {a_(p)}" + (f" on {day}." if has["day"] else ".")
                    if product_known and (has["day"] or maybe(0.4))
                    else one(
                        " wrote to us.", " called us.", " contacted support.", " has a problem."
                    )
                )
            ]
            if maybe(0.6) or has["day"] or has["town"]
            else []
        )
        named = bool(body)
        does = cap(f"{one('the customer', 'the customer', 'the user') if named else who} {vp}.")
        body.append(
            cap(f"{one('', 'it seems that ', 'the customer says that ')}{third}.")
            if third
            else does
        )
        if not named and third and has["name"]:
            body[-1] = f"{name} {one('says', 'reports', 'writes')} that {third}."
        if request:
            body.append(
                one("The customer", "The customer", "The user")
                + " "
                + one("asks for", "wants", "would like")
                + f" {request}."
            )
        if has["oid"]:
            body.append(f"The order number is {oid}.")
        if has["mail"]:
            body.append(f"{one('The email is', 'Contact:', 'Email:')} {mail}.")
        if priority == "high":
            body.append(one("It is urgent.", "The customer needs it today.", "The case is urgent."))
        if priority == "low":
            body.append(one("It is not urgent.", "There is no hurry.", "It can wait."))
        text = " ".join(body)
    elif style < 0.78:  # told by an agent
        parts = [
            f"{cap(who)}"
            + (f" from {town}" if has["town"] else "")
            + one(" writes: ", " called and said: ", " says: ", ": ")
            + '"'
            + " ".join(body)
            + '"'
        ]
        text = parts[0]
    elif style < 0.89:  # a row as lines
        rows = [
            ("customer", fields["customer"]),
            ("city", fields["city"]),
            ("product", fields["product"]),
            ("message", " ".join(body)),
        ]
        rows = [(k, v) for k, v in rows if v]
        text = one("\n", "\n", "; ").join(f"{k}: {v}" for k, v in rows)
    else:  # a row as JSON
        rows = {
            "id": R.randint(1, 9999),
            "customer": fields["customer"],
            "city": fields["city"],
            "body": " ".join(body),
        }
        text = json.dumps({k: v for k, v in rows.items() if v})
    person = who + (f" from {town}" if has["town"] else "")
    wish = f" and asks for {request}" if request else ""
    summary = cap(f"{person} says that {third}{wish}." if third else f"{person} {vp}{wish}.")
    qa = [
        (
            [f"What is the problem with the {p}?", "What is the problem?", "What is wrong?"],
            title if third else cap(f"the customer {vp}"),
            summary,
        )
    ]
    if product_known:
        qa.append(
            (
                [
                    "Which product is it about?",
                    "What product does the customer mention?",
                    "What is the product?",
                    "Which item is this about?",
                ],
                p,
                f"It is about the {p}.",
            )
        )
    for key, qs, s in (
        (
            "city",
            [
                "Where is the customer from?",
                "Which city is mentioned?",
                "Where does the customer live?",
            ],
            "The customer is from {}.",
        ),
        (
            "customer",
            ["Who wrote this?", "What is the name of the customer?", "Who is the customer?"],
            "The customer is {}.",
        ),
        (
            "order_id",
            ["What is the order number?", "Which order is it?", "What is the order id?"],
            "The order number is {}.",
        ),
        (
            "email",
            [
                "What is the email address?",
                "How can we reach the customer?",
                "Which email is given?",
            ],
            "The email address is {}.",
        ),
        (
            "date",
            [
                "When did the customer buy it?",
                "When was it bought?",
                "What is the date of the order?",
            ],
            "It was on {}.",
        ),
        (
            "request",
            [
                "What does the customer want?",
                "What does the customer ask for?",
                "What is requested?",
            ],
            "The customer asks for {}.",
        ),
    ):
        v = fields[key]
        if v or maybe(0.25):
            qa.append((qs, v or "not given", s.format(v) if v else "The text does not say."))
    other = R.choice([r for r in REQUESTS if r != request])
    yn = [(f"Does the customer ask for {request}?", True)] * 2 if request else []
    yn += [
        (f"Does the customer {one('ask for', 'want')} {other}?", False),
        (one("Is it urgent?", "Is this urgent?"), priority == "high"),
        (one("Is an order number given?", "Does the text contain an order number?"), has["oid"]),
        (
            one("Is there an email address?", "Does the customer give an email address?"),
            has["mail"],
        ),
        (f"Is this about {a_(p)}?", product_known),
        (f"Is this about {a_(product())}?", False),
        (one("Is this about a payment?", "Is this a billing problem?"), cat == "billing"),
        (one("Is the product broken?", "Is it a technical problem?"), cat == "technical"),
        (one("Is this about a delivery?", "Is it a shipping problem?"), cat == "shipping"),
    ]
    if has["town"]:
        yn += [(f"Is the customer from {town}?", True), (f"Is the customer from {city()}?", False)]
    dear = "Dear " + (name.split()[0] if has["name"] else "customer") + ", "
    sorry = (
        f"we are sorry that your {p} {vp}."
        if third
        else (
            one("thank you for your message.")
            if cat == "other"
            else "we are sorry for the trouble"
            + (f" with the {p}." if product_known else " with your account.")
        )
    )
    promise = {
        "a refund": "We will refund your money soon.",
        "a replacement": "We will send you a replacement soon.",
        "a repair": "We will repair it soon.",
        "a call": "We will call you today.",
        "help": "We will help you soon.",
        "a discount": "We will give you a discount.",
        "an answer": "We will answer you soon.",
        None: "We will look into it.",
    }[request]
    return dict(
        kind="ticket",
        text=text,
        fields=fields,
        summary=summary,
        short=(cap(third) if third else cap(f"{who} {vp}")) + ".",
        title=title,
        qa=qa,
        yn=yn,
        category=cat,
        priority=priority,
        reply=dear + sorry + " " + promise,
        keywords=[
            x
            for x in (
                p if product_known else None,
                fields["city"],
                (request or "").replace("a ", "").replace("an ", ""),
            )
            if x
        ]
        or [cat],
        facts=[
            x
            for x in (
                name if has["name"] else None,
                town if has["town"] else None,
                p if product_known else None,
                request,
            )
            if x
        ],
    )
