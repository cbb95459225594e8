"""All kinds of records, as often as they shall occur.

A record has: text, kind, fields (what can be asked as JSON), summary, title, qa [(questions, short,
sentence)], yn [(question, truth)], and where it makes sense sentiment, category, priority, reply.
"""

from .chance import R
from .reports import free, incident, meeting
from .reviews import review
from .sales import item, order
from .texts import company, event, note, person
from .tickets import ticket

RECORDS = (
    [free] * 4
    + [item] * 2
    + [note]
    + [ticket] * 6
    + [review] * 4
    + [incident] * 2
    + [order] * 3
    + [meeting] * 2
    + [person] * 2
    + [company, event]
)


def record():
    return R.choice(RECORDS)()
