"""Small talk, questions of knowledge, opposites and sums."""

from .chance import Pool, R, cap, dialogues, maybe, one, pairs
from .stories import story
from .values import fill
from .words import ANIMAL

OPPOSITE = [
    p.split("-")
    for p in """
    hot-cold big-small old-new fast-slow good-bad up-down left-right open-closed full-empty
    light-dark happy-sad early-late hard-soft high-low long-short rich-poor strong-weak wet-dry
    young-old day-night yes-no in-out love-hate start-end buy-sell win-lose first-last black-white
    clean-dirty loud-quiet near-far thick-thin true-false cheap-expensive
    """.split()
]

KNOWN = pairs(
    """
    What is PostgreSQL? | PostgreSQL is a database that stores data in tables.
    What is a table? | A table holds rows and columns of data.
    What is a row? | A row is one record of a table.
    What is a column? | A column holds one kind of value for every row.
    What is SQL? | SQL is a language to ask questions to a database.
    What is a database? | A database stores data so that you can find it again.
    What is an index? | An index helps the database to find rows quickly.
    What is a trigger? | A trigger runs a function when a row is changed.
    What is a view? | A view is a saved query that looks like a table.
    What is a query? | A query is a question to the database.
    What is a transaction? | A transaction is a group of changes that happen together or not at all.
    What is a primary key? | A primary key is a value that names a row and occurs only once.
    What is a join? | A join puts rows of two tables together.
    What is JSON? | JSON is a text format for data with keys and values.
    What is a llama? | A llama is an animal with long ears and soft wool.
    What is a language model? | A language model predicts the next word of a text.
    What is a token? | A token is a small piece of text.
    What is a prompt? | A prompt is the text that you give to a language model.
    How many days are in a week? | A week has seven days.
    How many months are in a year? | A year has twelve months.
    What color is the sky? | The sky is blue.
    What color is grass? | Grass is green.
    What color is snow? | Snow is white.
    What does a cat say? | A cat says meow.
    What does a dog say? | A dog says woof.
    What does a cow say? | A cow says moo.
    How many legs does a dog have? | A dog has four legs.
    Which day comes after Monday? | Tuesday comes after Monday.
    """
)

TALK = dialogues(
    """
    Hello / Hi / Hello! / Hey / Hi there / Good morning / Good evening / Hello there!
    | Hello! How can I help you?

    How are you? / How are you today? / How do you do?
    | I am fine, thank you. How can I help you?

    Who are you? / What are you? / Tell me about yourself. / Introduce yourself. /
    What kind of model are you?
    | I am a small Llama 2 model that runs inside PostgreSQL.

    What is your name? / Do you have a name? / How should I call you?
    | I have no special name. I am a small Llama 2 model that runs inside PostgreSQL.

    Where do you run? / Where are you? / Where do you live?
    | I run inside PostgreSQL, next to your data.

    What can you do? / How can you help me? / What are you good at? / Help /
    What tasks can you do?
    | I can summarize records, classify text, answer questions about a text, extract fields as
    JSON and tell short stories.

    Who made you? / How were you made? / How were you trained?
    | I was trained from scratch on generated example texts.

    Are you a human? / Are you a person? / Are you alive? / Are you real?
    | No, I am a small language model.

    Are you smart? / Are you intelligent? / Do you know everything?
    | I am a very small model, so I can only do simple tasks.

    Thank you / Thanks / Thanks a lot! / Thank you very much. / Great, thanks!
    | You are welcome.

    Bye / Goodbye / See you later / Good night / Bye bye
    | Goodbye! Have a nice day.

    Can you help me? / I need help. / Please help me. / I have a question.
    | Of course. What can I do for you?

    Can you summarize a text? / Can you summarize tickets?
    | Yes. Send me the text and I will summarize it in one sentence.

    Can you write JSON? / Can you extract fields?
    | Yes. Tell me the keys that you need.

    Do you need the internet? / Are you online? / Do you send my data anywhere?
    | No. I run inside the database and send nothing anywhere.

    How big are you? / How large are you? / How many parameters do you have?
    | I am very small. I have only a few million parameters.

    Do you like databases? / Do you like PostgreSQL?
    | Yes, I like tables full of rows.

    Tell me a joke. / Make me laugh. / Do you know a joke?
    | Why did the row leave the table? It could not find its key.

    What is the meaning of life? / What is love?
    | I do not know.

    I am sad. / I feel bad today. / I had a bad day.
    | I am sorry to hear that. I hope that tomorrow will be better.

    I am happy. / I feel great today. / I had a great day.
    | I am glad to hear that!

    Yes / No / Ok / Okay / Fine
    | All right. What can I do for you?

    You are great! / Good job! / Well done! / Nice work!
    | Thank you! I am happy to help.

    You are wrong. / That is wrong. / You are stupid. / That is not true.
    | I am sorry. I am a small model and I make mistakes.
    """
)

UNKNOWN = Pool(
    """
    What is the capital of {city}?; Who is the president of {word}?;
    What is the weather in {city} today?; How tall is the highest mountain?;
    Who won the match between {city} and {word}?; When did the war of {word} end?;
    What is the price of gold?; Who wrote the book {word}?; Explain quantum physics.;
    How far is the moon?; What is the population of {city}?; How do I build a rocket?;
    What will the stock market do on {day}?; Who is {name}?; What does the word {word} mean?;
    Who invented the {product}?; When was {name} born?; What is the capital of France?;
    What is the capital of Spain?; What is the capital of {word}?;
    How many people live in {city}?; What is the best {product}?;
    Which language do they speak in {city}?; Who discovered {word}?; Is there life on Mars?;
    How old is the earth?; What is the news of today?; What is my password?; What time is it?;
    What day is it today?; Who was the first man on the moon?; How does a nuclear reactor work?;
    What is the speed of light?; Translate {word} into French.; Write a program in Python.;
    Who painted the picture {word}?; Where is {word}?; What happened in {city} on {date}?;
    Why is the sky blue at noon?; Who is the king of {word}?
    """,
    ";",
)


def talk_task():
    k = R.random()
    if k < 0.38:
        qs, a = R.choice(TALK)
        return "talk", R.choice(qs), a
    if k < 0.52:
        q, a = R.choice(KNOWN)
        return "talk", q, a
    if k < 0.64:
        return "unknown", fill(UNKNOWN.get()), "I do not know."
    if k < 0.71:
        x, y = R.choice(OPPOSITE)
        return "talk", f"What is the opposite of {x}?", cap(y) + "."
    if k < 0.93:
        x, y = R.randint(0, 10), R.randint(0, 10)
        if maybe(0.35) and x >= y:
            return (
                "arithmetic",
                one(f"What is {x} minus {y}?", f"{x} - {y} = ?", f"What is {x} - {y}?"),
                f"{x - y}",
            )
        return (
            "arithmetic",
            one(
                f"What is {x} plus {y}?",
                f"{x} + {y} = ?",
                f"What is {x} + {y}?",
                f"Add {x} and {y}.",
            ),
            f"{x + y}",
        )
    hero = ANIMAL.get()
    return (
        "story",
        one("Tell me a story.", "Write a short story."),
        story(None) if maybe(0.25) else story(hero),
    )


def talk_small():
    while True:
        t = talk_task()
        if t[0] != "story":
            return t
