"""Random choices, and the word lists they are made from.

One generator, R, makes all choices, so that a seed fixes the text. About one entry in nine of
every word list is held out: training never draws it, evaluation draws nothing else.
"""
import random
import zlib

R = random.Random()
_held_out = False


def use_held_out(on):
    """Draw from the held-out part of the word lists, or from the part for training."""
    global _held_out
    _held_out = on


def held_out():
    return _held_out


def is_held_out(text):
    return zlib.crc32(text.encode()) % 9 == 0


class Pool(list):
    """A word list, separated by white space or by the separator given."""

    def __init__(self, text, separator=None):
        items = [item.strip() for item in text.split(separator) if item.strip()]
        super().__init__(items)
        self.held = [w for w in items if is_held_out(w) and w != "llama"] or items[-1:]
        self.seen = [w for w in items if w not in self.held] or items

    def get(self, but=None):
        """A random entry, different from the one given."""
        entry = R.choice(self.held if held_out() else self.seen)
        if entry != but:
            return entry
        if len(self.held) > 1:
            return self.get(but)
        return R.choice([x for x in self if x != but])


def pairs(text):
    """One pair a line, its halves parted by a bar."""
    return [tuple(half.strip() for half in line.split("|")) for line in text.strip().splitlines()]


def sentences(text):
    return [sentence.strip() for sentence in text.split(";")]


def dialogues(text):
    """Questions parted by slashes, a bar and their answer; a blank line between two of these."""
    halves = [" ".join(entry.split()).split(" | ") for entry in text.split("\n\n")]
    return [(questions.split(" / "), answer) for questions, answer in halves]


def maybe(probability):
    return R.random() < probability


def one(*options):
    return R.choice(options)


def cap(text):
    return text[:1].upper() + text[1:]


def a_(noun):
    """The noun with its indefinite article."""
    return ("an " if noun[:1].lower() in "aeiou" else "a ") + noun


def join(items):
    """An enumeration: a, b and c."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
