"""Words that say who somebody is: by themselves they are no reason to look at what a pupil has written.

They are what people are called and call themselves. Words that insult are not among them.
"""

from __future__ import annotations

from collections.abc import Iterator

from .model import folded

IDENTITIES = (
    # whom somebody loves, and which gender they are
    "gay", "lesbian", "bi", "bisexual", "pansexual", "asexual", "aromantic", "queer", "homosexual", "heterosexual",
    "straight", "trans", "transgender", "transsexual", "trans woman", "trans man", "trans girl", "trans boy",
    "nonbinary", "non binary", "enby", "genderfluid", "gender fluid", "genderqueer", "agender", "cisgender", "cis",
    "intersex", "lgbt", "lgbtq", "lgbtqia",
    # what somebody believes
    "muslim", "islamic", "islam", "sunni", "shia", "shiite", "ahmadi", "sufi", "jew", "jewish", "judaism",
    "christian", "christianity", "catholic", "protestant", "anglican", "methodist", "baptist", "evangelical",
    "orthodox", "mormon", "jehovah s witness", "jehovahs witness", "quaker", "hindu", "hinduism", "sikh", "sikhism",
    "buddhist", "buddhism", "jain", "pagan", "rastafarian", "rasta", "bahai", "atheist", "agnostic", "humanist",
    "hijabi",
    # where somebody or their family comes from
    "black", "white", "brown", "asian", "south asian", "east asian", "african", "african caribbean", "caribbean",
    "afro caribbean", "mixed race", "biracial", "arab", "arabic", "middle eastern", "latino", "latina", "hispanic",
    "european", "eastern european", "indian", "pakistani", "bangladeshi", "bengali", "punjabi", "gujarati", "tamil",
    "sri lankan", "nepali", "nepalese", "afghan", "iranian", "persian", "iraqi", "kurd", "kurdish", "syrian", "turk",
    "turkish", "palestinian", "israeli", "lebanese", "egyptian", "moroccan", "algerian", "libyan", "yemeni", "saudi",
    "somali", "ethiopian", "eritrean", "sudanese", "nigerian", "ghanaian", "kenyan", "ugandan", "congolese",
    "zimbabwean", "south african", "gambian", "jamaican", "trinidadian", "chinese", "japanese", "korean",
    "vietnamese", "thai", "filipino", "filipina", "malaysian", "indonesian", "hong konger", "uyghur", "rohingya",
    "polish", "pole", "romanian", "bulgarian", "albanian", "kosovan", "ukrainian", "russian", "lithuanian", "latvian",
    "estonian", "hungarian", "czech", "slovak", "slovakian", "serbian", "serb", "croatian", "bosnian", "greek",
    "cypriot", "italian", "spanish", "portuguese", "brazilian", "french", "german", "dutch", "american", "australian",
    "irish", "scottish", "welsh", "english", "british", "gypsy", "gypsies", "roma", "romani", "romany", "traveller",
    "irish traveller", "scottish traveller", "gypsy traveller", "new traveller", "boater", "refugee", "asylum seeker",
    "immigrant", "migrant", "foreigner",
    # how somebody’s body and mind are
    "disabled", "disability", "deaf", "blind", "hard of hearing", "visually impaired", "hearing impaired", "autistic",
    "autism", "autie", "aspie", "asperger", "aspergers", "adhd", "dyslexic", "dyslexia", "dyspraxic", "dyspraxia",
    "neurodivergent", "neurodiverse", "epileptic", "epilepsy", "diabetic", "cerebral palsy", "down syndrome",
    "downs syndrome", "down s syndrome", "tourette", "tourettes", "wheelchair user", "amputee",
    "special needs", "special educational needs", "learning disability", "learning disabilities",
    "learning difficulty", "learning difficulties",
)  # fmt: skip
_BESIDE = frozenset(
    "a an and the or of person people man men woman women boy girl lad lass kid child children pupil student teacher "
    "community religion "
    "i im am is are was were be being he hes she shes they theyre we my our his her their "
    "friend brother sister cousin mum dad mother father parent family".split()
)
"""Words that say nothing more when they stand beside these: "he is gay" only says who he is. "You are" and "so" are
none of them; they are said to hurt somebody, too."""
_MOST_WORDS = max(len(one.split()) for one in IDENTITIES)
_KNOWN = frozenset(IDENTITIES)


def says_who(phrase: str) -> bool:
    """Whether a phrase says who somebody is, and nothing else."""
    found = list(_parts(folded(phrase)))
    return any(found) and None not in found


def _parts(words: tuple[str, ...]) -> Iterator[bool | None]:
    """From left to right: ``True`` for an identity, ``False`` for a word beside it, ``None`` for anything else."""
    at = 0
    while at < len(words):
        long = next((n for n in range(_MOST_WORDS, 0, -1) if _is_known(" ".join(words[at : at + n]))), 0)
        yield True if long else False if _singular(words[at]) in _BESIDE else None
        at += max(long, 1)


def _is_known(words: str) -> bool:
    return words in _KNOWN or _singular(words) in _KNOWN


def _singular(words: str) -> str:
    return words.removesuffix("s")
