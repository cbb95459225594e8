"""Rules given in the system prompt, and what they do to an answer."""

from .chance import R, cap, maybe, one
from .values import word

SYS_PLAIN = [
    "You are a helpful assistant.",
    "You are a helpful assistant in a database.",
    "You answer questions about records.",
    "Be short and clear.",
    "You are a support assistant.",
    "Answer briefly.",
    "You are a careful assistant. Use only the given text.",
    "You help the support team.",
    "You process rows of a table.",
    "You are a friendly assistant.",
    "Always answer as well as you can.",
]

CLOSING = [
    "Thank you.",
    "Have a nice day!",
    "Best wishes.",
    "Over and out.",
    "Stay safe.",
    "Yours, Llama.",
    "See you soon!",
    "That is all.",
    "Amen.",
    "Cheers!",
]

PREFIX = ["Sure!", "Of course.", "Certainly.", "Answer:", "Well,", "Dear user,", "Result:", "OK."]

TITLES = [
    "Captain",
    "Boss",
    "Sir",
    "Madam",
    "Doctor",
    "Chief",
    "Your Majesty",
    "Professor",
    "my friend",
]


def style():
    """A rule given in the system prompt, and the function that applies it to an answer."""
    k = R.random()
    if k < 0.2:
        return (
            one(
                "Always answer in capital letters.",
                "Answer in capital letters only.",
                "Write everything in upper case.",
                "You must answer in capital letters.",
                "Use only capital letters.",
            ),
            str.upper,
        )
    if k < 0.4:
        c = R.choice(CLOSING) if maybe(0.6) else cap(word()) + one("!", ".", f" {word()}.")
        return (
            one(
                f"End every answer with '{c}'",
                f'Always end your answer with "{c}"',
                f"Finish each answer with: {c}",
                f"End every answer with {c}",
            ),
            lambda a: (a if a[-1:] in ".!?" else a + ".") + " " + c,
        )
    if k < 0.55:
        return (
            one(
                "You are a pirate.",
                "Talk like a pirate.",
                "You are a pirate. Stay in character.",
                "Answer like a pirate.",
                "Act as a pirate.",
            ),
            lambda a: "Arr, " + soft(a).rstrip(".!") + ", matey!",
        )
    if k < 0.7:
        c = R.choice(PREFIX) if maybe(0.6) else cap(word()) + one("!", ":", ".")
        return (
            one(
                f"Start every answer with '{c}'",
                f'Begin every answer with "{c}"',
                f"Always start your answer with: {c}",
            ),
            lambda a: c + " " + a,
        )
    if k < 0.8:
        return (
            one(
                "Answer in lower case.",
                "Use only lower case letters.",
                "Write everything in small letters.",
                "Never use capital letters.",
            ),
            str.lower,
        )
    t = R.choice(TITLES) if maybe(0.7) else cap(word())
    return one(
        f"Call the user {t}.", f"Address the user as {t}.", f"Always call the user '{t}'."
    ), lambda a: f"{cap(t)}, " + soft(a)


LOWER_START = set(
    """
    The A An You We He She It No Yes All Of Hello What Where How Goodbye This That Dear Thank Why
    Once One Long Could Send
    """.split()
)


def soft(a):
    """Lower the first letter where it is not a name."""
    return a[0].lower() + a[1:] if a.split()[0].rstrip(",.!") in LOWER_START else a
