"""Genre counts of the study that this product grew out of (its Figure 1): data, no code.

77,772 occurrences of 55 genres in a production-music catalogue of 48,411 tracks with one or two
genres each. The study trains on the 29 most frequent and groups the rest as "Others".
"""

from __future__ import annotations

N_TRACKS = 48_411
N_TOP_GENRES = 29
#: Name of the column into which a recipe or a selection folds rare labels; it is not a label of
#: the library.
OTHERS = "Others"

GENRE_COUNTS: dict[str, int] = {
    "Filmscore": 12730,
    "Atmosphere": 9285,
    "Electronica": 6980,
    "Pop": 6479,
    "Ambient, Chill": 4603,
    "Rock": 4469,
    "Classical Music": 3105,
    "World Music": 2914,
    "Hip Hop, Rap": 2433,
    "Country, Folk": 2413,
    "Easy Listening": 1931,
    "Indie, Alternative": 1841,
    "Dance": 1780,
    "Jazz": 1508,
    "Funk, Soul": 1297,
    "House": 889,
    "Orchestral": 750,
    "Kids": 706,
    "Acoustic": 700,
    "Blues": 688,
    "Trailer": 657,
    "Sound Design": 646,
    "Hard, Heavy": 636,
    "Latin": 572,
    "Christmas": 513,
    "R'n'B": 492,
    "60ies": 477,
    "Swing": 458,
    "Drone": 412,
    "Big Band": 403,
    "Techno": 388,
    "80ies": 370,
    "Drum'n'Bass": 352,
    "70ies": 347,
    "Piano": 326,
    "Historical Music": 290,
    "Military": 274,
    "Dubstep": 259,
    "Religious Music": 255,
    "Rock'n'Roll": 246,
    "Song": 235,
    "Pizzicato": 201,
    "Percussion": 200,
    "German Folk": 199,
    "Reggae, Ska": 197,
    "Punk": 173,
    "90ies": 152,
    "Disco": 99,
    "Industrial": 96,
    "20ies": 77,
    "Breakbeat": 69,
    "A Cappella": 68,
    "50ies": 48,
    "30ies": 46,
    "40ies": 38,
}


def study_labels() -> tuple[tuple[str, int], ...]:
    """Return the 30 labels of the study with their occurrences, "Others" last.

    Returns
    -------
    tuple of (name, occurrences).

    Examples
    --------
    >>> labels = study_labels()
    >>> len(labels), labels[0], labels[-1]
    (30, ('Filmscore', 12730), ('Others', 5408))
    """
    ranked = sorted(GENRE_COUNTS.items(), key=lambda item: -item[1])
    top, rest = ranked[:N_TOP_GENRES], ranked[N_TOP_GENRES:]
    return (*top, (OTHERS, sum(count for _, count in rest)))
