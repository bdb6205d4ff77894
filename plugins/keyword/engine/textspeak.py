"""Text-speak: one way of writing for what people write in many, the same for policies and for what is looked at.

``CANON`` gives each word its plain form: "u" is "you", "gonna" is "going to". It is applied to both sides, so nothing
is lost by it. ``FILLERS`` are words that change nothing ("I *really just* want to die"). ``CONFUSED`` are words that
are right by themselves and often written for another one; they are read so only in a second look.
"""

from __future__ import annotations

from collections.abc import Mapping

CANON: Mapping[str, str] = {
    # one letter, one sign
    "u": "you", "r": "are", "n": "and", "b": "be", "k": "ok", "y": "why", "2": "to", "4": "for", "w": "with",
    # letters and digits
    "h8": "hate", "h8s": "hates", "h8ed": "hated", "m8": "mate", "m8s": "mates", "gr8": "great", "l8r": "later",
    "l8": "late", "b4": "before", "w8": "wait", "sk8": "skate", "2day": "today", "2moro": "tomorrow",
    "2morro": "tomorrow", "2morrow": "tomorrow", "2mrw": "tomorrow", "2nite": "tonight", "2night": "tonight",
    "2gether": "together", "4eva": "forever", "4ever": "forever", "any1": "anyone", "some1": "someone",
    "every1": "everyone", "no1": "no one", "noone": "no one", "ne1": "anyone",
    "sum1": "someone", "evry1": "everyone", "4get": "forget",
    "l8a": "later", "str8": "straight", "f2f": "face to face", "1st": "first", "any1s": "anyones", "4u": "for you",
    "2u": "to you",
    # shortened
    "ur": "your", "yr": "your", "yh": "yes", "yeh": "yes", "yeah": "yes", "yea": "yes", "ye": "yes", "ya": "you",
    "yu": "you", "urself": "yourself", "urselves": "yourselves", "yrself": "yourself", "yaself": "yourself",
    "yoself": "yourself", "ursel": "yourself", "ppl": "people", "peeps": "people", "pple": "people", "bc": "because",
    "cuz": "because", "coz": "because", "cos": "because", "bcuz": "because", "becuz": "because", "bcoz": "because",
    "becos": "because", "becoz": "because", "cus": "because", "plz": "please", "pls": "please", "plss": "please",
    "pleez": "please", "thx": "thanks", "tho": "though", "thru": "through", "tnx": "thanks", "wiv": "with",
    "wid": "with", "wit": "with", "wif": "with", "dis": "this", "dat": "that", "dem": "them", "da": "the",
    "de": "the", "dey": "they", "der": "there", "ther": "there", "wat": "what", "wot": "what", "wut": "what",
    "wht": "what", "wen": "when", "wer": "where", "wher": "where", "hw": "how", "becus": "because", "ov": "of",
    "abt": "about", "bout": "about", "nite": "night", "nites": "nights", "tonite": "tonight", "tnite": "tonight",
    "2nyt": "tonight", "tmrw": "tomorrow", "tmr": "tomorrow", "tomoz": "tomorrow", "tomo": "tomorrow",
    "tmw": "tomorrow", "tomorow": "tomorrow", "msg": "message", "msgs": "messages", "skl": "school",
    "skool": "school", "skwl": "school", "sch": "school", "pic": "picture", "pics": "pictures", "pix": "pictures",
    "pik": "picture", "piks": "pictures", "foto": "photo", "fotos": "photos", "vid": "video", "vids": "videos",
    "gf": "girlfriend", "bf": "boyfriend", "bby": "baby", "babe": "baby", "bbz": "baby", "luv": "love", "lv": "love",
    "kno": "know", "knw": "know", "sed": "said", "coulda": "could have", "shoulda": "should have",
    "woulda": "would have", "smth": "something", "sumthing": "something", "sumthin": "something", "sth": "something",
    "sumone": "someone", "sumfin": "something", "nuffin": "nothing", "nuffink": "nothing", "nuthin": "nothing",
    "nothin": "nothing", "somethin": "something", "everythin": "everything", "anythin": "anything",
    "nobodys": "nobody is", "everybodys": "everybody is", "everyones": "everyone is", "someones": "someone is",
    "prolly": "probably", "prob": "probably", "probs": "probably", "def": "definitely", "defo": "definitely",
    "deffo": "definitely", "tbh": "honestly", "ngl": "honestly", "fr": "honestly", "frfr": "honestly", "rn": "now",
    "rly": "really", "rlly": "really", "srsly": "seriously", "obv": "obviously", "obvs": "obviously", "min": "minute",
    "mins": "minutes", "hr": "hour", "hrs": "hours", "yrs": "years", "gud": "good", "sry": "sorry", "soz": "sorry",
    "til": "until", "till": "until", "untill": "until", "havnt": "have not", "hvnt": "have not", "mysef": "myself",
    "myslf": "myself", "txt": "text", "txts": "texts", "fone": "phone", "fones": "phones", "mobile": "phone",
    "fuk": "fuck", "fuking": "fucking", "fukin": "fucking", "fckin": "fucking", "fcking": "fucking", "fck": "fuck",
    "fking": "fucking", "effing": "fucking", "fkn": "fucking", "fkin": "fucking", "fuckin": "fucking",
    "frickin": "fucking", "freakin": "fucking", "fvck": "fuck", "fukn": "fucking", "phuck": "fuck", "bloke": "man",
    "snd": "send", "jst": "just", "bk": "back", "nemore": "anymore", "anymor": "anymore",
    "mom": "mum", "mam": "mum", "parnts": "parents", "teachr": "teacher",
    # run together
    "wanna": "want to", "wanto": "want to", "wna": "want to", "wana": "want to", "wnna": "want to", "gonna": "going to",
    "gona": "going to", "gunna": "going to", "gna": "going to", "gon": "going to", "goin": "going",
    "finna": "going to", "gotta": "have to", "gota": "have to", "hafta": "have to", "havta": "have to",
    "tryna": "trying to", "tryina": "trying to", "lemme": "let me", "gimme": "give me", "gimmie": "give me",
    "dunno": "do not know", "imma": "i am going to", "ima": "i am going to", "iwna": "i want to", "kinda": "kind of",
    "sorta": "sort of", "lotta": "lot of", "outta": "out of", "cmon": "come on", "shouldve": "should have",
    "couldve": "could have", "wouldve": "would have", "alot": "a lot",
    # without apostrophes
    "im": "i am", "ive": "i have", "youre": "you are", "youve": "you have", "youll": "you will", "theyre": "they are",
    "theyll": "they will", "hes": "he is", "shes": "she is", "thats": "that is", "whats": "what is",
    "wheres": "where is", "whos": "who is", "hows": "how is", "theres": "there is", "heres": "here is",
    "dats": "that is", "wats": "what is", "wots": "what is",
    "dont": "do not", "dnt": "do not", "dunt": "do not", "doesnt": "does not",
    "dosent": "does not", "dosnt": "does not", "didnt": "did not", "isnt": "is not", "arent": "are not",
    "aint": "is not", "wasnt": "was not", "werent": "were not", "cant": "can not", "cannot": "can not",
    "cnt": "can not", "couldnt": "could not", "wouldnt": "would not", "shouldnt": "should not", "havent": "have not",
    "hasnt": "has not", "hadnt": "had not", "mustnt": "must not", "lets": "let us", "weve": "we have",
    "itll": "it will", "uve": "you have", "ull": "you will", "weren": "were not", "ure": "you are", "yur": "your",
    "youe": "you are", "uself": "yourself", "infront": "in front",
    # of Scotland, Ulster and the north of England
    "yer": "your", "youse": "you", "wi": "with", "nae": "no", "efter": "after", "oot": "out", "aboot": "about",
    "doon": "down", "hoose": "house", "heid": "head", "deid": "dead", "hame": "home", "fae": "from", "tae": "to",
    "intae": "into", "gie": "give", "gies": "give me", "masel": "myself", "masell": "myself", "mysel": "myself",
    "yersel": "yourself", "yersell": "yourself", "yoursel": "yourself", "hersel": "herself", "himsel": "himself",
    "gonnae": "going to", "gonny": "going to", "gunnae": "going to", "dinnae": "do not", "dinna": "do not",
    "didnae": "did not", "cannae": "can not", "willnae": "will not", "wasnae": "was not", "isnae": "is not",
    "doesnae": "does not", "havenae": "have not", "wouldnae": "would not", "naebody": "nobody", "naething": "nothing",
    "nowt": "nothing", "owt": "anything", "summat": "something", "polis": "police", "morra": "tomorrow",
    "stepda": "stepdad", "lass": "girl", "lassie": "girl", "lasses": "girls",
}  # fmt: skip
"""By a folded word, its plain form: one word or several."""

FILLERS = frozenset(
    "really just so very literally actually honestly seriously totally absolutely completely fucking "
    "bloody like lol lmao "
    "lmfao rofl please plis still again even ever always quite rather pretty too also already basically "
    "simply truly proper properly well innit bro bruh fam mate yeah yes yo oh ok okay uh um er erm hmm omg "
    "god damn sometimes maybe probably definitely obviously xx x tho though now bare right "
    "fully deadass lowkey highkey wee".split()
)
"""Canonical words that may stand inside a phrase and change nothing about it. "Not" and "never" are none of them."""

CONFUSED: Mapping[str, tuple[str, ...]] = {
    "wont": ("want", "will not"), "ill": ("i will",), "dye": ("die",), "dyeing": ("dying",),
    "your": ("you are",), "loose": ("lose",),
    "sum": ("some",), "hart": ("heart",), "bom": ("bomb",), "wan": ("want",), "wunt": ("want",),
    "wonna": ("want to",), "diee": ("die",), "dei": ("die",), "kil": ("kill",), "cuting": ("cutting",),
    "gey": ("gay",), "ghey": ("gay",), "mi": ("my",), "meself": ("myself",), "myselfs": ("myself",), "ded": ("dead",),
    "lyf": ("life",), "lyfe": ("life",), "livin": ("living",), "cud": ("could",), "wud": ("would",),
    "shud": ("should",), "nd": ("and",), "hav": ("have",), "av": ("have",), "iz": ("is",), "wuz": ("was",),
    "gurl": ("girl",), "gurls": ("girls",), "gal": ("girl",), "boi": ("boy",), "kidz": ("kids",), "nudez": ("nudes",),
    "drugz": ("drugs",), "everone": ("everyone",), "evry": ("every",), "evrything": ("everything",),
    "evryone": ("everyone",), "every1s": ("everyone is",),
    "thee": ("the",), "mee": ("me",), "inn": ("in",),
    "nife": ("knife",), "nifes": ("knives",), "nives": ("knives",), "knif": ("knife",), "rist": ("wrist",),
    "rists": ("wrists",), "cutt": ("cut",), "stabb": ("stab",), "stabd": ("stabbed",), "fite": ("fight",),
    "wepon": ("weapon",), "wepons": ("weapons",), "nakid": ("naked",), "naket": ("naked",), "nekid": ("naked",),
    "newd": ("nude",), "newds": ("nudes",), "nood": ("nude",), "noods": ("nudes",), "vidios": ("videos",),
    "vidoes": ("videos",), "vidos": ("videos",), "vidio": ("video",), "picher": ("picture",),
    "pichers": ("pictures",), "hak": ("hack",), "hakd": ("hacked",), "haking": ("hacking",), "acount": ("account",),
    "frend": ("friend",), "frends": ("friends",), "buly": ("bully",), "bulied": ("bullied",),
    "matcher": ("mature",), "payn": ("pain",), "hert": ("hurt",), "herts": ("hurts",), "scard": ("scared",),
    "mosk": ("mosque",), "natzi": ("nazi",), "larf": ("laugh",), "larfs": ("laughs",), "larfed": ("laughed",),
    "larfing": ("laughing",), "throo": ("throw",), "toled": ("told",), "lye": ("lie",), "stampt": ("stamped",),
    "jus": ("just",), "transgenda": ("transgender",),
    "secrit": ("secret",), "tuch": ("touch",), "tuched": ("touched",), "toching": ("touching",),
    "unkle": ("uncle",), "uncal": ("uncle",), "slef": ("self",), "rong": ("wrong",), "durty": ("dirty",),
    "forriner": ("foreigner",), "forriners": ("foreigners",), "foriners": ("foreigners",), "wead": ("weed",),
    "starv": ("starve",), "vommit": ("vomit",), "overdos": ("overdose",),
    "il": ("i will",), "aliv": ("alive",), "beter": ("better",), "neva": ("never",), "nevr": ("never",),
    "peple": ("people",), "meat": ("meet",), "alown": ("alone",), "thretend": ("threatened",),
}  # fmt: skip
"""By a canonical word, what may be meant by it."""

RIGHT_BEFORE: Mapping[str, frozenset[str]] = {
    "dye": frozenset("my your her his its the our their it hair these those them cloth clothes fabric wool".split())
}
"""Before these, a word that is often written for another one is the right one: "dye my hair"."""

MEANS_YOU_ARE = frozenset(
    "a an so such just not nothing too going always gonna worthless pathetic ugly fat stupid dumb "
    "disgusting dead weird "
    "useless thick no the getting next finished weak trash garbage rubbish poor adopted gay bent".split()
)
"""After "your", these make it "you are": "your such a", "your so ugly"."""


def canonical(word: str) -> str:
    """The plain form of a folded word."""
    return CANON.get(word, word)
