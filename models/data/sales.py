"""Records of a shop: orders and rows of a catalogue."""
import json

from .chance import R, a_, cap, join, maybe, one
from .values import amount, city, date, email, full, mixed, order_id, product, word
from .words import COLOR, MATERIAL, NUMBER, PAYMENT, STATUS


def order():
    n, p, name, town, total, day, pay, st, oid = (
        R.randint(1, 30),
        product(),
        full(),
        city(),
        amount(),
        date(),
        PAYMENT.get(),
        STATUS.get(),
        order_id(),
    )
    mail = email(name)
    has = {k: maybe(0.5) for k in ("pay", "st", "oid", "day", "mail")}
    count = (
        f"{n} x {p}"
        if maybe(0.5)
        else f"{NUMBER[n] if n < 13 and maybe(.4) else n} of the {p}"
        if n > 1
        else a_(p)
    )
    if maybe(0.5):
        body = [f"{name} from {town} ordered {count} for {total}."]
        if has["oid"]:
            body.append(one(f"The order number is {oid}.", f"Order {oid}."))
        if has["day"]:
            body.append(one(f"Delivery is planned for {day}.", f"It will be delivered on {day}."))
        if has["pay"]:
            body.append(one(f"Payment by {pay}.", f"The customer pays by {pay}."))
        if has["st"]:
            body.append(f"The status is {st}.")
        if has["mail"]:
            body.append(f"Contact: {mail}.")
        text = " ".join(mixed(body))
    else:
        rows = [
            ("order_id" if maybe(0.5) else "id", oid if has["oid"] else None),
            ("customer", name),
            ("city", town),
            ("item", p),
            ("quantity", n),
            ("total", total),
            ("delivery", day if has["day"] else None),
            ("payment", pay if has["pay"] else None),
            ("status", st if has["st"] else None),
            ("email", mail if has["mail"] else None),
        ]
        rows = [r for r in rows if r[1] is not None]
        if maybe(0.4):
            R.shuffle(rows)
        count = f"{n} x {p}"
        text = (
            json.dumps(dict(rows))
            if maybe(0.4)
            else one("\n", "; ", ", ", " | ").join(f"{k}: {v}" for k, v in rows)
        )
    f = {
        "customer": name,
        "city": town,
        "product": p,
        "quantity": n,
        "total": total,
        "order_id": oid if has["oid"] else None,
        "status": st if has["st"] else None,
        "payment": pay if has["pay"] else None,
        "date": day if has["day"] else None,
        "email": mail if has["mail"] else None,
    }
    summary = f"{name} from {town} ordered {n} x {p} for {total}" + (
        f"; the order is {st}." if has["st"] else "."
    )
    qa = [
        (
            ["Who ordered?", "Who is the customer?", "What is the name of the customer?"],
            name,
            f"The customer is {name}.",
        ),
        (
            ["Where does the order go?", "Which city is it?", "Where is the customer from?"],
            town,
            f"The customer is from {town}.",
        ),
        (
            ["What was ordered?", "Which product was ordered?", "What did the customer buy?"],
            p,
            f"The customer ordered {n} x {p}.",
        ),
        (
            ["How many were ordered?", "What is the quantity?", "How many items?"],
            str(n),
            f"The quantity is {n}.",
        ),
        (
            ["What is the total?", "How much does it cost?", "What is the price?"],
            total,
            f"The total is {total}.",
        ),
    ]
    for key, qs, s in (
        ("status", ["What is the status?", "What is the status of the order?"], "The order is {}."),
        (
            "payment",
            ["How does the customer pay?", "What is the payment method?"],
            "The customer pays by {}.",
        ),
        ("date", ["When will it be delivered?", "When is the delivery?"], "The delivery is on {}."),
        (
            "order_id",
            ["What is the order number?", "Which order is it?"],
            "The order number is {}.",
        ),
    ):
        if f[key] or maybe(0.15):
            qa.append(
                (
                    qs,
                    f[key] or "not given",
                    s.format(f[key]) if f[key] else "The text does not say.",
                )
            )
    yn = [
        (f"Is the customer from {town}?", True),
        (f"Is the customer from {city()}?", False),
        (f"Did {name.split()[0]} order {a_(p)}?", True),
        (f"Did the customer order {a_(product())}?", False),
        ("Is an order number given?", has["oid"]),
    ]
    if has["st"]:
        yn += [(f"Is the order {st}?", True), (f"Is the order {STATUS.get(st)}?", False)]
    return dict(
        kind="order",
        text=text,
        fields=f,
        summary=summary,
        short=f"{name} ordered {n} x {p}.",
        title=f"{n} x {p} for {name}",
        qa=qa,
        yn=yn,
        keywords=[p, town],
        reply=(
            f"Dear {name.split()[0]}, thank you for your order of {n} x {p}. We will send it to"
            f" {town} soon."
        ),
        facts=[name, town, p, str(n), total],
    )


def item():
    """A row of a product catalogue."""
    p, color, stuff, price, stock, maker, kilos = (
        product(),
        R.choice(COLOR),
        MATERIAL.get(),
        amount(),
        R.choice([0, 0] + list(range(1, 60))),
        cap(word()),
        R.randint(1, 60),
    )
    has = {k: maybe(0.6) for k in ("color", "stuff", "price", "stock", "maker", "kilos")}
    rows = [(one("name", "product", "item"), p)] + [
        (k, v)
        for k, v, h in (
            ("color", color, "color"),
            ("material", stuff, "stuff"),
            ("price", price, "price"),
            ("stock", stock, "stock"),
            (one("brand", "maker"), maker, "maker"),
            ("weight", f"{kilos} kg", "kilos"),
        )
        if has[h]
    ]
    if maybe(0.3):
        R.shuffle(rows)
    text = (
        json.dumps(dict(rows))
        if maybe(0.4)
        else one("\n", "; ", ", ", " | ").join(f"{k}: {v}" for k, v in rows)
    )
    extra = (
        ([f"is {color}"] if has["color"] else [])
        + ([f"is made of {stuff}"] if has["stuff"] else [])
        + ([f"costs {price}"] if has["price"] else [])
    )
    summary = (
        f"The {p}"
        + (f" from {maker}" if has["maker"] else "")
        + " "
        + (join(extra) if extra else "is in the catalogue")
        + "."
    )
    qa = [(["What is the name of the product?", "Which product is it?"], p, f"It is the {p}.")]
    for k, v, q, l in (
        (
            "color",
            color,
            ["Which color is it?", "What color is it?", "What is the color?"],
            f"It is {color}.",
        ),
        (
            "stuff",
            stuff,
            ["What is it made of?", "Which material is it?"],
            f"It is made of {stuff}.",
        ),
        (
            "price",
            price,
            ["What does it cost?", "What is the price?", "How much is it?"],
            f"It costs {price}.",
        ),
        (
            "maker",
            maker,
            ["Who makes it?", "Which brand is it?", "What is the brand?"],
            f"It is from {maker}.",
        ),
        (
            "stock",
            str(stock),
            ["How many are in stock?", "How many do we have?"],
            f"We have {stock} in stock.",
        ),
        (
            "kilos",
            f"{kilos} kg",
            ["How heavy is it?", "What is the weight?"],
            f"It weighs {kilos} kg.",
        ),
    ):
        if has[k] or maybe(0.12):
            qa.append((q, v if has[k] else "not given", l if has[k] else "The text does not say."))
    yn = [(f"Is it a {R.choice(COLOR)} product?", None)] if has["color"] else []
    yn = (
        [(q, color in q) for q, _ in yn]
        + (
            [(f"Is it made of {stuff}?", True), (f"Is it made of {MATERIAL.get(stuff)}?", False)]
            if has["stuff"]
            else []
        )
        + (
            [("Is it in stock?", stock > 0), ("Is it sold out?", stock == 0)] * 2
            if has["stock"]
            else []
        )
        + [("Is the price given?", has["price"])]
    )
    return dict(
        kind="item",
        text=text,
        fields={
            "product": p,
            "color": color if has["color"] else None,
            "material": stuff if has["stuff"] else None,
            "price": price if has["price"] else None,
            "stock": stock if has["stock"] else None,
        },
        summary=summary,
        short=summary,
        title=cap(p),
        qa=qa,
        yn=yn,
        keywords=[p] + ([stuff] if has["stuff"] else []) + ([color] if has["color"] else []),
        facts=[p]
        + ([color] if has["color"] else [])
        + ([stuff] if has["stuff"] else [])
        + ([price] if has["price"] else []),
    )
