"""Words for texts that follow no template, and for opinions."""

from .chance import Pool

# Free clauses over a wider vocabulary, for texts that follow no template.
NOUN_ANY = Pool(
    """
    printer server door window elevator projector network backup invoice report contract package
    parcel room kitchen toilet garage garden roof wall floor pipe tap sink light heating phone
    website page form link file folder document spreadsheet table query script job process license
    badge scanner alarm sensor machine engine pump valve belt truck van driver courier guest
    tenant neighbour student patient manager colleague supplier visitor child bus train bridge
    road sign tree boat shop store price coupon payment salary budget project deadline plan team
    player match ticket seat concert movie letter box bag bottle cup plate chair bed coat shirt
    laptop tablet mouse cable battery charger screen key lock fence gate lamp oven fridge freezer
    dishwasher fan filter tank hose barrel pallet shelf forklift ladder crane drill saw hammer
    tractor harvest field barn fence stable bicycle tyre brake mirror engine helmet airport runway
    flight luggage passport visa hotel lobby pool towel menu order cake coffee wine stock shipment
    container harbour customs label barcode receipt refund subscription newsletter survey webinar
    course exam lecture library loan copy archive
    """
)

GERUND_ANY = Pool(
    """
    leaking dripping flickering beeping shaking rattling crashing freezing failing buzzing smoking
    jamming restarting blinking squeaking slipping overheating waiting growing shrinking
    complaining losing disconnecting stalling vibrating
    """
)

DONE_ANY = Pool(
    """
    repaired replaced cleaned delivered stolen damaged cancelled moved painted sold closed opened
    checked updated installed removed lost found printed signed sent tested approved rejected
    delayed renamed returned unloaded inspected measured translated archived deleted restored
    encrypted migrated postponed confirmed reported blocked
    """
)

ADJ_ANY = Pool(
    """
    late empty full dirty wet dry cold hot loud quiet slow fast dangerous expensive cheap
    incomplete outdated unsafe unstable crowded dark bright offline unreachable defective ready
    busy dusty rusty frozen flooded overloaded invalid duplicate corrupt visible available
    unavailable suspicious useful
    """
)

WHERE_ANY = Pool(
    """
    on the second floor; in the server room; at the main entrance; in the warehouse;
    near the station; in building {n}; in room {n}; at the {city} office; behind the kitchen;
    in the basement; on the roof; in the parking lot; in the meeting room; next to the lift;
    at gate {n}; in the {city} branch; on platform {n}; in the east wing; in hall {n};
    at the reception; in the laboratory; on page {n}; in the control room; at the border
    """,
    ";",
)

WHEN_ANY = Pool(
    """
    since {day}; last night; this morning; on {day}; yesterday; after the update; last week;
    at {time}; since {date}; for {n} days; during the night; on {date}; two days ago;
    since the move; before the holidays
    """,
    ";",
)

AFTER_ANY = Pool(
    """
    Nobody has come to look at it.; We have a deadline on {day}.; Please send someone.;
    {name} was informed.; {name} will check it on {day}.; The manager knows about it.;
    It happened twice this month.; Restarting did not help.; We lost {n} hours.;
    About {amount} were lost.; Some people complained.; There is a photo of it.;
    {name} asked for a new one.; The costs are {amount}.; It must be solved before {day}.;
    The first attempt failed.; A new one was ordered on {date}.;
    The team is looking for a solution.; The details are in the log.; {n} people were waiting.;
    It is the third time this year.
    """,
    ";",
)

OPINION_NOUN = {
    "thing": """
    box screen handle lid cable button wheel color sound shape size surface packaging app display
    lens motor seat strap zip taste smell delivery support price quality design battery shipping
    manual service update
    """.split(),
    "place": """
    staff food room service view breakfast bed garden pool waiter soup dessert coffee wine table
    music parking bathroom lobby dinner menu reception terrace atmosphere towel heating
    """.split(),
}

OPINION_POS = Pool(
    """
    great good nice excellent perfect lovely wonderful amazing fantastic clean fresh friendly
    quick fast helpful comfortable beautiful solid smooth tasty cheerful superb charming cozy
    bright reliable sturdy clever cheap fair pretty modern elegant pleasant warm spotless
    impressive flawless
    """
)

OPINION_NEG = Pool(
    """
    bad terrible awful poor broken damaged dirty slow late rude cold ugly noisy weak loose bent
    scratched useless expensive faulty cracked horrible boring bitter stale greasy unfriendly
    confusing disgusting missing wrong dented torn smelly blurry unreliable wobbly painful
    disappointing
    """
)
