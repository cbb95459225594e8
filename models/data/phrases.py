"""Sentences and clauses with slots: problems, requests, opinions, incidents, decisions, spam."""

from .chance import Pool, pairs, sentences

# problems: "it ..." has the product as subject, "I ..." the customer, in the past or with a modal
# verb, so that it also fits he or she
IT_BROKEN = Pool(
    """
    does not turn on; stopped working; leaks water; makes a loud noise; smells of smoke;
    gets very hot; has a cracked screen; has a broken handle; is missing a screw;
    keeps restarting; freezes every few minutes; does not charge; does not connect to the network;
    shows an error message; shows error 42; has a scratch on the side; arrived broken; fell apart;
    rattles; is stuck; blinks red; loses power; turns off by itself; does not fit; has a hole;
    has a dead battery; crashes after the update; prints blank pages; gives no sound;
    has a bent plug; is too slow; runs backwards; burns the bread; drips oil; lost its color;
    has a torn seam; squeaks; overheats; does not respond; has a loose wire;
    displays the wrong time; will not open; will not close; vibrates too much;
    has a faulty switch; does not heat up; tripped the fuse; deletes files;
    rejects every password; is full of dust; came without a manual
    """,
    ";",
)

I_BILLING = Pool(
    """
    was charged twice for {it}; paid too much for {it}; never got an invoice for {it};
    got the wrong invoice for {it}; was billed after cancelling {it};
    could not pay for {it} by card; did not get the discount on {it};
    was charged {amount} instead of {amount2} for {it}; lost a gift card while buying {it};
    found a strange fee on the bill for {it}; needs a receipt for {it};
    paid for {it} but the payment failed; was charged in the wrong currency for {it};
    still waits for the money back for {it}
    """,
    ";",
)

I_SHIPPING = Pool(
    """
    never received {it}; received {it} two weeks late; got the wrong color of {it};
    got an empty box instead of {it}; waited all day for {it}; was sent {it} twice;
    cannot track the parcel with {it}; got {it} at the wrong address; received {it} in a wet box;
    is still waiting for {it}; gave the wrong address for {it}; missed the delivery of {it};
    received only half of the order with {it}; found the parcel with {it} open
    """,
    ";",
)

I_ACCOUNT = Pool(
    """
    cannot log in to the account; forgot the password; cannot change the email address;
    was locked out of the account; cannot delete the account; did not get the confirmation email;
    cannot reset the password; sees the orders of another customer; wants to change the user name;
    cannot add a phone number; was logged out again and again; lost the security code;
    cannot verify the account; found the account closed
    """,
    ";",
)

I_OTHER = Pool(
    """
    wants to know the opening hours; wants to know if {it} comes in {color};
    would recommend {it} to friends; wants to know how to clean {it};
    wants to buy five more of {it}; suggests a bigger version of {it};
    asked about the size of {it}; asked when {it} will be back in stock; wants a catalogue;
    wants to become a partner; asked about the warranty of {it}; would like to thank the staff
    """,
    ";",
)

CATEGORY_NAMES = {
    "technical": ["technical", "technical", "hardware", "defect", "Technical", "product defect"],
    "billing": ["billing", "billing", "payment", "invoice", "Billing", "payments"],
    "shipping": ["shipping", "shipping", "delivery", "logistics", "Shipping", "delivery"],
    "account": ["account", "account", "login", "access", "Account", "user account"],
    "other": ["other", "other", "general", "question", "Other", "general question"],
}

REQUESTS = {
    "a refund": [
        "I would like a refund",
        "Please refund me",
        "I want my money back",
        "Please give me a refund",
        "I ask for a refund",
    ],
    "a replacement": [
        "Please send me a replacement",
        "I would like a new one",
        "I want a replacement",
        "Can you replace it",
        "Please send a new one",
    ],
    "a repair": [
        "Please repair it",
        "I would like to have it repaired",
        "Can you fix it",
        "I want a repair",
    ],
    "a call": [
        "Please call me back",
        "I would like a call",
        "Can somebody call me",
        "Please give me a call",
    ],
    "help": [
        "Please help me",
        "Can you help me",
        "I need your help",
        "Any help is welcome",
        "What should I do",
    ],
    "a discount": [
        "I would like a discount",
        "Can I get a discount",
        "Please give me a discount",
        "I expect a discount",
    ],
    "an answer": [
        "Please answer soon",
        "I am waiting for your answer",
        "Please write back",
        "Please let me know",
    ],
}

URGENT = Pool(
    """
    This is urgent.; Please hurry, I need it today.; I need this solved right now.;
    This cannot wait.; It is an emergency.; We cannot work until this is fixed.;
    Please act at once.; Everything has stopped because of this.;
    I need an answer within the hour.; The whole office is waiting.; As soon as possible, please.
    """,
    ";",
)

RELAXED = Pool(
    """
    There is no hurry.; Take your time.; It is not urgent.; Whenever you have time.;
    This can wait until next month.; No rush at all.; It is only a small thing.;
    It is not important, but I wanted to tell you.; I can wait.
    """,
    ";",
)

CHATTER = Pool(
    """
    I have been a customer for five years.; My neighbour has the same one.;
    It was a birthday present for my sister.; The box looked fine from outside.;
    I read the manual twice.; My friends told me about your shop.;
    The weather was awful that week.; I live on the third floor.; I usually shop on weekends.;
    My cat likes the box.; I showed it to my brother.; I have two small children.;
    I work from home.; We moved to a new house last month.; It is the second time I write to you.;
    The driver was friendly.; I looked on your website first.;
    I tried it in the kitchen and in the garage.; The color is nice.; I kept the receipt.
    """,
    ";",
)

# aspects: (positive, negative), tied to what is reviewed
THING_ASPECT = pairs(
    """
    the battery lasts all day | the battery dies after an hour
    it works perfectly | it stopped working after a week
    it is easy to use | it is hard to use
    it is very quiet | it is far too loud
    the quality is excellent | the quality is poor
    it looks beautiful | it looks cheap
    it arrived early | it arrived late
    the price is fair | it is much too expensive
    the material feels solid | the material feels flimsy
    it is light | it is too heavy
    the manual is clear | the manual is useless
    customer service was helpful | customer service was rude
    it was well packed | it was badly packed
    it fits perfectly | it does not fit
    the colors are bright | the colors are dull
    it saves me a lot of time | it is a waste of time
    it cleans easily | it is impossible to clean
    it is fast | it is painfully slow
    the sound is clear | the sound is terrible
    it feels comfortable | it hurts after ten minutes
    setup took one minute | setup took three hours
    it is sturdy | it broke on the first day
    it never lets me down | it fails every second time
    the instructions are simple | half of the parts were missing
    my children love it | my children hate it
    the design is clever | the design is stupid
    it smells nice | it smells awful
    it holds its charge | it overheats
    the buttons feel great | the buttons are stuck
    it is worth every cent | it is a waste of money
    """
)

PLACE_ASPECT = pairs(
    """
    the staff was friendly | the staff was rude
    the food was delicious | the food was cold
    the room was clean | the room was dirty
    the service was quick | the service was slow
    the view was wonderful | the view was ugly
    the prices are fair | the prices are too high
    the beds were comfortable | the beds were hard
    the place is quiet | the place is noisy
    the coffee is great | the coffee is bitter
    the location is perfect | the location is bad
    the breakfast was fresh | the breakfast was stale
    the music was lovely | the music was far too loud
    parking was easy | there was no place to park
    the portions are big | the portions are tiny
    the waiter was kind | the waiter ignored us
    everything was ready on time | we waited two hours
    the soup was tasty | the soup was salty
    the rooms are warm | the heating was broken
    the garden is beautiful | the garden is full of rubbish
    they remembered my name | they lost my booking
    """
)

POS_LINE = Pool(
    """
    I love it.; I am very happy with it.; I would buy it again.; Highly recommended!; Five stars.;
    Best purchase of the year.; I am delighted.; Well done!; It made my day.;
    I could not be happier.; What a joy!; I recommend it to everyone.; Thank you so much!;
    Exactly what I wanted.; I am impressed.; It exceeded my expectations.; We will come back.;
    Nothing to complain about.; Not bad at all!; I enjoy it every day.
    """,
    ";",
)

NEG_LINE = Pool(
    """
    I hate it.; I am very disappointed.; Never again.; I want my money back.; One star.;
    Worst purchase of the year.; I am angry.; Do not buy it.; It ruined my day.; I regret it.;
    What a shame.; I cannot recommend it.; Save your money.; Not what I wanted.; I expected more.;
    Stay away!; I am not happy.; It is not good.; We will not come back.; I sent it back.;
    Not worth it.
    """,
    ";",
)

MEH_LINE = Pool(
    """
    It is okay.; It is average.; Nothing special.; It does what it should.; Neither good nor bad.;
    Three stars.; It is fine, I guess.; I have no strong opinion.; It is like any other.;
    It is acceptable.; So so.; I might keep it.; Not great, not terrible.; It is what it is.
    """,
    ";",
)

FACT_LINE = Pool(
    """
    It came on {day}.; It is {color}.; I bought it in {month}.; It has two parts.;
    I use it on weekends.; It stands in the hall.; It weighs {n} kilos.; My brother chose it.;
    It comes in a box.; The shop is in {city}.; I paid {amount}.; I ordered it on {date}.;
    It was {n} days on the road.
    """,
    ";",
)

FIX = Pool(
    """
    the team restarted it; the team added more memory; the team rolled back the update;
    the team replaced the disk; the team renewed the certificate;
    the team fixed the configuration; the team cleaned the logs; the team changed the cable;
    the team blocked the attacker; the team added an index; the team switched to the backup;
    the team called the vendor; the team killed the query; the team installed a patch
    """,
    ";",
)

IMPACT = Pool(
    """
    customers could not pay; nobody could log in; emails were delayed; pages loaded slowly;
    orders were lost; reports were missing; the shop was closed; users saw an error page;
    calls were dropped; {n} users were affected; the staff worked on paper;
    searches returned nothing
    """,
    ";",
)

DECISION = Pool(
    """
    move the launch to {month}; hire two new people; cut the budget; change the logo;
    open an office in {city}; stop the old project; raise the price to {amount};
    start a newsletter; test the new design; buy new laptops; meet every {day};
    switch to a new supplier; cancel the conference; extend the trial to {n} days;
    delay the release by {n} weeks; paint the office {color}; rename the product to {word};
    sign the contract with {word}
    """,
    ";",
)

CHORE = Pool(
    """
    write the report; call the supplier; prepare the slides; book a room; update the website;
    check the numbers; send the invitations; order lunch; draft the contract; fix the printer;
    talk to the customer; collect feedback; clean the data; review the code; make a plan;
    find a venue; test the backup; train the new staff
    """,
    ";",
)

SPAM = Pool(
    """
    Congratulations, you have won {amount}! Click {url} to claim your prize.;
    Make {amount} a day from home! Visit {url} now.; Cheap pills without prescription at {url}.;
    You have been selected for a free {product}. Reply with your bank details.;
    Your account will be closed! Confirm your password at {url}.;
    Hot offer: {product} for free, only today at {url}!!!;
    Dear friend, I am a prince and need your help to move {amount}.;
    Win a trip to {city}! Send a message to {email} now!;
    Lose {n} kilos in {n} days, guaranteed! {url};
    Limited offer!!! Buy one {product} and get {n} free at {url}.;
    Urgent: send {amount} to unlock your inheritance.;
    Double your money in a week, ask {email} how.
    """,
    ";",
)

HAM = Pool(
    """
    Hi {name}, can we move the meeting to {day}?; Your {product} was shipped to {city} today.;
    Please find the report for {month} attached.; Lunch on {day} at noon?;
    {name} asked me to send you the notes from the {team} meeting.;
    The {product} you ordered is ready for pickup.; I will be in {city} until {day}.;
    Thanks for the photos, {name}!; Could you review my text before {day}?;
    The invoice for {amount} was paid on {date}.; Happy birthday, {name}! See you on {day}.;
    The train to {city} leaves at {time}.
    """,
    ";",
)

TOPICS = {
    "sports": sentences(
        """
        The team won the match {n} to 1.; {name} scored the last goal.;
        The runner broke the record in {city}.; The coach praised the players.;
        The tennis final is on {day}.; The fans filled the stadium.;
        {name} won a gold medal in swimming.
        """
    ),
    "weather": sentences(
        """
        It will rain in {city} on {day}.; Strong wind and snow are expected.;
        The sun will shine all day.; A storm is moving towards {city}.;
        Temperatures drop below zero tonight.; Fog covers the valley this morning.
        """
    ),
    "politics": sentences(
        """
        The parliament voted for a new law.; The mayor of {city} was elected again.;
        {name} lost the election.; The government raised the taxes.;
        The minister resigned on {day}.; The president met the ambassador.
        """
    ),
    "food": sentences(
        """
        Boil the pasta and add some salt.; The chef bakes fresh bread every day.;
        The soup needs onions and garlic.; A good cake needs butter, eggs and sugar.;
        {name} cooked a curry with rice.; The recipe takes {n} minutes in the oven.
        """
    ),
    "music": sentences(
        """
        The band plays a concert in {city}.; {name} plays the violin in an orchestra.;
        The new album has {n} songs.; The singer lost her voice.; The choir sang an old song.;
        The guitar solo was the best part.
        """
    ),
    "travel": sentences(
        """
        We flew to {city} for a week.; The train ride took {n} hours.;
        The hotel is close to the beach.; {name} packed a suitcase for the journey.;
        Tourists love the old harbour.; The airport was full of travellers.
        """
    ),
    "science": sentences(
        """
        Researchers found a new kind of star.; The experiment proved the theory.;
        The telescope sends pictures of a planet.; {name} studies cells under a microscope.;
        Scientists measured the gravity of a black hole.; The lab tested a new molecule.
        """
    ),
    "finance": sentences(
        """
        The shares of the bank fell.; Interest rates rose again.;
        The company made a profit of {amount}.; Investors bought bonds.;
        The stock market closed higher on {day}.; {name} took a loan from the bank.
        """
    ),
    "health": sentences(
        """
        The doctor told {name} to rest.; The hospital has {n} new beds.;
        Drink water when you have a fever.; The nurse gave the patient a pill.;
        Vaccines protect children.; A long walk is good for the heart.
        """
    ),
    "technology": sentences(
        """
        The new phone has a faster chip.; The update fixes a bug in the app.;
        {name} wrote a program for robots.; The website was down for {n} hours.;
        The software runs on every computer.; The startup builds electric cars.
        """
    ),
    "education": sentences(
        """
        The pupils wrote an exam.; {name} teaches maths at a school in {city}.;
        The university has {n} new courses.; Students can borrow books for free.;
        The lesson starts on {day}.; The teacher praised the homework.
        """
    ),
}
