"""Names, places, products and other plain words."""

from .chance import Pool

FIRST = Pool(
    """
    Ana Ben Carla David Elena Frank Grace Hugo Irene Jack Kira Liam Maria Nina Oscar Paula Quentin
    Rosa Sam Tina Umar Vera Walter Xenia Yusuf Zoe Adam Bella Chloe Dylan Emma Felix Gina Henry
    Isla Jonas Karen Leo Mia Noah Olivia Peter Rita Simon Tara Ursula Victor Wendy Alice Bruno
    Clara Dennis Eva Fred Greta Hannah Ivan Julia Kevin Laura Marco Nora Omar Pedro Rachel Stefan
    Thomas Uma Valerie William Yara Zach Amir Bianca Carlos Diana Erik Fatima George Helen Ian
    Jana Kofi Lucy Martin Nadia Otto Priya Ravi Sofia Theo Violet Wanda Aisha Boris Cora Daniel
    Edith Fiona Gustav Holly Ines Jasper Kate Lars Mina Nils Olga Pavel Ruth Sara Tomas Vikram
    Wesley Anton Betty Cyril Dora Emil Flora Gloria Harold Ida Joel Klara Louis Mona Nico Petra
    Robert Selma Tim Una Vince Willa Aaron Beth Colin Daphne Edgar Faye Gordon Heidi Igor June
    Karl Lena Max Nelly Owen Pam Ron John Jane Mary James Anna Paul Mark Tom Susan Linda Michael
    Lisa
    """
)

LAST = Pool(
    """
    Adams Baker Carter Diaz Evans Fischer Garcia Hansen Ivanov Jensen Keller Lopez Meyer Novak
    Olsen Parker Quinn Rossi Schmidt Turner Ueda Vargas Weber Young Zimmer Abbott Brandt Costa
    Dunn Ellis Ford Greene Hughes Irving Jordan Kim Lambert Moreau Nash Ortiz Perez Reed Silva
    Tanaka Underwood Vogel Walsh Yates Ahmed Bauer Chen Dubois Eriksen Fuchs Gupta Haas Ito Jones
    Khan Lang Moore Nguyen Owens Patel Ramos Sato Torres Vance Wagner Xu Yilmaz Arnold Bishop Cole
    Doyle Emery Frost Graham Holt Jacobs Knight Little Marsh Noble Page Rhodes Stone Todd Wolf
    Berg Clark Davis Fox Grant Hill King Lane Mills North Smith Brown Miller Wilson Taylor Lee
    White Martin
    """
)

CITY = Pool(
    """
    Berlin, Paris, London, Madrid, Rome, Vienna, Oslo, Prague, Lisbon, Dublin, Athens, Warsaw,
    Budapest, Helsinki, Stockholm, Copenhagen, Brussels, Amsterdam, Zurich, Geneva, Hamburg,
    Munich, Cologne, Lyon, Marseille, Milan, Naples, Turin, Seville, Porto, Boston, Chicago,
    Denver, Seattle, Dallas, Houston, Phoenix, Austin, Miami, Atlanta, New York, Los Angeles,
    San Diego, Toronto, Montreal, Vancouver, Mexico City, Lima, Bogota, Santiago, Quito, Havana,
    Tokyo, Osaka, Kyoto, Seoul, Beijing, Shanghai, Mumbai, Delhi, Chennai, Bangkok, Hanoi, Manila,
    Jakarta, Singapore, Sydney, Perth, Melbourne, Auckland, Cairo, Lagos, Nairobi, Accra, Tunis,
    Cape Town, Dubai, Istanbul, Ankara, Leeds, Bristol, Glasgow, York, Bern, Basel, Graz, Linz,
    Bergen, Aarhus, Malmo, Tampere, Riga, Vilnius, Tallinn, Krakow, Brno, Zagreb, Sofia, Salem,
    Portland, Dayton, Tucson, Omaha, Tulsa, Reno
    """,
    ",",
)

PRODUCT = Pool(
    """
    kettle, toaster, blender, desk lamp, laptop, phone, tablet, headset, keyboard, mouse, monitor,
    printer, scanner, router, camera, tripod, speaker, microphone, watch, alarm clock, backpack,
    suitcase, umbrella, jacket, raincoat, pair of boots, sweater, scarf, bicycle, helmet, scooter,
    tent, sleeping bag, flashlight, water bottle, lunch box, coffee machine, teapot, frying pan,
    knife set, cutting board, oven, microwave, fridge, freezer, dishwasher, washing machine,
    dryer, vacuum cleaner, fan, heater, air purifier, humidifier, sofa, armchair, office chair,
    desk, bookshelf, mattress, pillow, blanket, rug, curtain, mirror, vase, candle, picture frame,
    garden hose, lawn mower, shovel, drill, hammer, screwdriver set, ladder, toolbox, paint kit,
    guitar, violin, keyboard stand, drum kit, board game, puzzle, toy train, doll house, football,
    tennis racket, yoga mat, treadmill, rowing machine, skateboard, pair of skis, surfboard,
    telescope, microscope, calculator, notebook, fountain pen, stapler, whiteboard, projector,
    charger, power bank, cable, hard drive, memory card, game console, controller, television,
    radio, remote control, smart bulb, doorbell, thermostat, security camera, baby monitor,
    stroller, car seat, dog bed, cat tree, fish tank, bird cage, hair dryer, electric razor,
    toothbrush, perfume, sunscreen, hand cream, wallet, handbag, belt, pair of gloves, cap,
    swimsuit, bathrobe, towel set
    """,
    ",",
)

CODE_PRODUCT = [
    "kettle",
    "lamp",
    "phone",
    "drill",
    "camera",
    "router",
    "speaker",
    "mixer",
    "watch",
    "printer",
    "tent",
    "bike",
    "heater",
    "sensor",
]

JOB = Pool(
    """
    teacher, baker, nurse, pilot, farmer, painter, plumber, carpenter, gardener, lawyer, engineer,
    chemist, librarian, journalist, cook, waiter, tailor, mechanic, electrician, photographer,
    musician, dancer, actor, writer, poet, sailor, fisherman, firefighter, police officer, judge,
    architect, dentist, vet, florist, barber, butcher, driver, accountant, programmer, designer,
    translator, historian, biologist, potter, clockmaker
    """,
    ",",
)

HOBBY = Pool(
    """
    chess, hiking, swimming, baking bread, playing the piano, painting, old films, gardening,
    cycling, fishing, reading, dancing, pottery, singing, photography, sailing, running, knitting,
    bird watching, collecting stamps, cooking, astronomy, table tennis, skiing, woodwork,
    card games
    """,
    ",",
)

ANIMAL = Pool(
    """
    fox rabbit bear owl cat dog mouse frog turtle squirrel hedgehog duck horse goat sheep lion
    elephant monkey penguin crow sparrow wolf deer beaver otter snail bee llama camel parrot goose
    pig cow hen tiger panda koala seal whale dolphin crab
    """
)

MONTH = """
    January February March April May June July August September October November December
    """.split()

DAY = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

NUMBER = "zero one two three four five six seven eight nine ten eleven twelve".split()

COLOR = "red blue green yellow black white brown orange purple grey pink silver golden".split()

FUNCTION = """
    open close start work print charge connect respond heat cool spin ring turn move stop cut fit
    ring sound light boot load save play record reset sync update switch lock unlock fold roll
    """.split()

GERUND = """
    working charging ringing printing heating cooling spinning playing responding loading saving
    moving turning recording cutting syncing
    """.split()

DAMAGE = """
    broken cracked loose bent missing dirty torn scratched wrong rusty burnt dented wet crooked
    melted stuck faulty sharp wobbly
    """.split()

PART = """
    button screen handle wheel lid cable lens plug hinge cover door strap zip key leg motor filter
    seal bulb antenna switch corner cord blade
    """.split()

PLACE = Pool(
    """
    hotel, restaurant, cafe, bakery, museum, hostel, campsite, cinema, gym, hair salon,
    guest house, pizzeria, bar, theatre, zoo, spa, bistro, diner, pub, library
    """,
    ",",
)

POS_ADJ = Pool(
    """
    great excellent wonderful amazing fantastic superb lovely brilliant perfect awesome
    outstanding delightful pleasant impressive marvelous terrific good nice beautiful fabulous
    splendid
    """
)

NEG_ADJ = Pool(
    """
    terrible awful horrible bad poor disappointing useless dreadful annoying broken cheap faulty
    lousy miserable unacceptable pathetic worthless unpleasant frustrating mediocre rubbish
    """
)

SYSTEM = Pool(
    """
    web server, mail server, payment gateway, database cluster, login service, search index,
    file storage, backup system, ticket system, video service, print server, message queue,
    load balancer, cache server, booking system, phone system, billing service, image server,
    warehouse scanner, chat service, report server, api gateway
    """,
    ",",
)

CAUSE = Pool(
    """
    a full disk, a power failure, a wrong configuration, an expired certificate, a broken cable,
    a memory leak, a failed update, a slow query, a hacker attack, a network outage, a deadlock,
    a missing index, a bad deployment, overheating, a human mistake, a flood, a lost password,
    too many users, a broken fan, a bug in the driver
    """,
    ",",
)

TEAM = Pool(
    """
    marketing, sales, design, support, finance, legal, research, product, security, data,
    warehouse, training, hiring, mobile, platform, quality, website, events
    """,
    ",",
)

STATUS = Pool(
    """
    open, closed, pending, shipped, delivered, paid, cancelled, returned, in progress, waiting,
    new, packed
    """,
    ",",
)

PAYMENT = Pool(
    """
    credit card, cash, bank transfer, invoice, gift card, voucher, cheque
    """,
    ",",
)

ONSET = """
    b br c ch d dr f fl g gl gr h j k kl l m n p pl pr qu r s sh sk st t th tr v w y z bl cr sl sp
    sw
    """.split()

VOWEL = "a e i o u a e i o u ai ea oo io ee ou".split()

CODA = [
    "",
    "",
    "",
    "n",
    "r",
    "l",
    "s",
    "x",
    "k",
    "m",
    "nd",
    "rt",
    "st",
    "ck",
    "t",
    "ng",
    "p",
    "ph",
    "sk",
    "lm",
]

MATERIAL = Pool(
    """
    steel, wood, plastic, glass, leather, cotton, wool, copper, paper, stone, bamboo, rubber,
    silk, iron, ceramic, silver
    """,
    ",",
)

STORY_PLACE = Pool(
    """
    forest, village, garden, old house, small town, farm, castle, valley, mountain, lake, island,
    meadow, library, harbour, bakery, barn, river, cave, tower, market, school, beach, hill,
    tree house
    """,
    ",",
)

STORY_THING = Pool(
    """
    key, ball, map, lamp, hat, ring, book, kite, boat, bell, shell, stone, flute, basket, coin,
    scarf, box, feather, drum, letter, clock, apple, cake, blanket, mirror, seed, star, umbrella,
    wagon, pot of honey
    """,
    ",",
)

KIND = Pool(
    """
    little young old small brave kind clever shy curious friendly lazy happy lonely tiny gentle
    hungry sleepy funny quiet proud
    """
)
