"""Stories with one hero, one thing, one problem and one friend."""

from .chance import R, a_, cap, maybe, one
from .values import first
from .words import ANIMAL, COLOR, KIND, STORY_PLACE, STORY_THING

SKILLS = [
    "swim",
    "fly",
    "sing",
    "dance",
    "read",
    "climb",
    "paint",
    "bake a cake",
    "ride a bicycle",
    "count to ten",
]


def story(animal=False, begin=None):
    """Eight to twelve sentences with one hero, one thing, one problem and one friend."""
    she = maybe(0.5)
    he, him, his = ("she", "her", "her") if she else ("he", "him", "his")
    name, pal = first(), first()
    while pal == name:
        pal = first()
    kind, kind2 = KIND.get(), KIND.get()
    hero = animal or one(
        "girl" if she else "boy", ANIMAL.get(), "girl" if she else "boy", "woman" if she else "man"
    )
    friend = (
        ANIMAL.get()
        if animal or maybe(0.5)
        else one("girl", "boy", "farmer", "baker", "teacher", "neighbour")
    )
    place, place2, thing, color = (
        STORY_PLACE.get(),
        STORY_PLACE.get(),
        STORY_THING.get(),
        R.choice(COLOR),
    )
    L = []
    start = begin or one(
        "Once upon a time", "Once upon a time", "Once upon a time", "One day", "Long ago", "Once"
    )
    if start == "One day":
        L.append(f"One day, {a_(kind)} {hero} named {name} went to the {place}.")
    else:
        L.append(
            f"{start}{',' if start != 'Once' else ''} there was {a_(kind)} {hero} named {name}."
            if maybe(0.7)
            else (
                f"{start}{',' if start != 'Once' else ''} {a_(kind)} {hero} named {name} lived in"
                f" {a_(place)}."
            )
        )
    if "lived" not in L[0] and "went" not in L[0]:
        L.append(
            f"{name} lived in {a_(place)}"
            + one(
                ".",
                f" near {a_(place2)}.",
                f" with {his} {one('mother', 'father', 'sister', 'brother', 'grandmother')}.",
            )
        )
    if maybe(0.6):
        L.append(
            one(
                f"{cap(he)} loved to play with {his} {thing}.",
                f"Every morning {he} looked at {his} {color} {thing}.",
                f"{cap(he)} had a {color} {thing} and loved it very much.",
                f"{cap(his)} favorite thing was a {color} {thing}.",
            )
        )
    else:
        L.append(
            f"{one('One morning', 'One day', 'In the afternoon')} {he} found a {color} {thing}."
        )
    plot = R.randint(0, 5)
    if plot == 0:
        L += [
            one(
                f"But one day the {thing} was gone.",
                f"One day {name} could not find the {thing}.",
                f"Then {he} lost the {thing}.",
            ),
            one(f"{name} was very sad.", f"{name} began to cry.", f"{cap(he)} looked everywhere."),
            f"{cap(he)} met {a_(kind2)} {friend} named {pal}.",
            one(f'"Can you help me?" asked {name}.', f'"I lost my {thing}," said {name}.'),
            one(
                f'"Yes, I will help you," said {pal}.',
                f'"Do not worry," said {pal}. "We will find it."',
            ),
            one(
                f"They looked under a big stone and behind a tree.",
                f"They searched the whole {place}.",
                f"Together they walked to the {place2}.",
            ),
            one(
                f"At last they found the {thing} in the {place2}.",
                f"There, under a leaf, was the {thing}.",
                f"Soon {pal} saw the {thing} in the grass.",
            ),
        ]
    elif plot == 1:
        L += [
            f"One day {he} saw {a_(friend)} named {pal}.",
            one(
                f"{pal} was cold and hungry.",
                f"{pal} was stuck in a hole.",
                f"{pal} had nobody to play with.",
                f"{pal} had lost the way home.",
            ),
            one(f'"Please help me," said {pal}.', f'"I am so sad," said {pal}.'),
            one(
                f"{name} shared {his} bread with {pal}.",
                f"{name} took {pal} by the hand.",
                f"{name} gave {pal} the {thing}.",
                f"{name} pulled with all {his} strength.",
            ),
            one(
                f'"Thank you," said {pal}. "You are very kind."',
                f'{pal} smiled and said, "Thank you!"',
            ),
        ]
    elif plot == 2:
        L += [
            one(
                f"One night there was a big storm.",
                f"Suddenly it began to rain.",
                f"Then the wind became very strong.",
            ),
            one(
                f"The wind took the {thing} away.",
                f"The {thing} fell into the water.",
                f"A tree fell on the path.",
            ),
            f"{name} was afraid.",
            f"Then {a_(kind2)} {friend} named {pal} came.",
            one(f'"Come with me," said {pal}.', f'"You can stay in my house," said {pal}.'),
            one(f"They ran to the {place2} and waited.", f"They sat by the fire and told stories."),
            one("In the morning the sun was shining.", "Soon the storm was over."),
            one(f"They found the {thing} again.", f"{name} gave {pal} the {thing} as a present."),
        ]
    elif plot == 3:
        L += [
            f"{cap(he)} wanted to learn how to {(v := one(*SKILLS))}.",
            f'"It is too hard," said {name}.',
            f"{cap(a_(kind2))} {friend} named {pal} heard {him}.",
            f'"Try again," said {pal}. "I will show you."',
            one(
                "They tried every day.",
                "The first time it went wrong.",
                f"{name} tried once, twice and three times.",
            ),
            one(f"After a week {name} could {v}.", f"At last {name} could {v}."),
            f"{name} was so proud.",
        ]
    elif plot == 4:
        L += [
            f"{name} and {pal} the {friend} both wanted the {thing}.",
            f'"It is mine!" said {name}.',
            f'"No, it is mine!" said {pal}.',
            one(
                f"They pulled and pulled until the {thing} broke.",
                "They were angry and did not talk.",
            ),
            f"{name} felt bad.",
            one(
                f'"I am sorry," said {name}. "Let us share."',
                f'"Let us be friends again," said {name}.',
            ),
            one("Together they made it whole again.", f"{pal} smiled and they played together."),
        ]
    else:
        L += [
            f"Behind the {place2} {he} saw a small door.",
            one(
                f"{name} opened it with the {thing}.",
                f"{cap(he)} knocked three times.",
                f"{cap(he)} pushed the door open.",
            ),
            f"Inside sat {a_(kind2)} {friend} named {pal}.",
            f'"I have waited for you," said {pal}.',
            one(
                f"{pal} gave {name} a cup of tea.",
                f"{pal} showed {him} a room full of stars.",
                f"{pal} told {him} a secret.",
            ),
            one(f"They talked until the moon came up.", "They laughed and danced all night."),
        ]
    L.append(
        one(
            f"From that day on, {name} and {pal} were best friends.",
            f"{name} was happy and went home.",
            f"They played together until the sun went down.",
            f"{name} never forgot that day.",
            f"They lived happily ever after.",
            (
                f"{name} learned that it is good to"
                f" {one('share', 'help others', 'try again', 'be kind', 'have friends')}."
            ),
        )
    )
    if maybe(0.3):
        L.append("The end.")
    return " ".join(L)
