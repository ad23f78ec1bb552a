"""Texts of the demo library: definitions of labels, and labels that occur together.

Stage: demo. This module contains data only.
"""

from __future__ import annotations

#: Genre -> definition, and the moods and instruments that usually occur with it.
GENRES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "Filmscore": ("Written to carry a scene.", ("Tense", "Epic"), ("Strings", "Brass")),
    "Atmosphere": ("Sound as a place; little happens.", ("Dark", "Dreamy"), ("Synthesizer",)),
    "Electronica": (
        "Electronic, made for listening.",
        ("Calm",),
        ("Synthesizer", "Drums"),
    ),
    "Pop": ("A song or its sound, verse and hook.", ("Happy",), ("Voice", "Guitar", "Drums")),
    "Ambient, Chill": (
        "Relaxed, with warm chords.",
        ("Calm", "Dreamy"),
        ("Synthesizer",),
    ),
    "Rock": ("Band with drums and driven guitars.", ("Energetic",), ("Guitar", "Drums")),
    "Classical Music": ("In the style of 1700 to 1900.", ("Calm",), ("Strings", "Piano")),
    "World Music": ("Rooted in a regional tradition.", ("Happy",), ("Percussion", "Guitar")),
    "Hip Hop, Rap": ("Beat and bass for, or with, rap.", ("Energetic",), ("Drums", "Voice")),
    "Country, Folk": ("Acoustic, song-like, rural.", ("Happy",), ("Guitar", "Voice")),
    "Easy Listening": ("Light, harmless, tuneful.", ("Happy", "Calm"), ("Strings", "Piano")),
    "Indie, Alternative": ("Band music off the main road.", ("Dreamy",), ("Guitar", "Drums")),
    "Dance": ("Four to the floor, made to move.", ("Energetic",), ("Synthesizer", "Drums")),
    "Jazz": ("Swing or syncopation, rich chords.", ("Calm",), ("Piano", "Brass", "Drums")),
    "Orchestral": ("An orchestra plays, whatever the style.", ("Epic",), ("Strings", "Brass")),
    "Drone": ("One sound, held and slowly changing.", ("Dark",), ("Synthesizer",)),
    "Techno": ("Straight, mechanical, repetitive.", ("Energetic",), ("Synthesizer", "Drums")),
    "Piano": ("The piano alone or in the lead.", ("Calm", "Sad"), ("Piano",)),
    "Percussion": ("Drums and percussion alone.", ("Energetic", "Tense"), ("Percussion",)),
    "Pizzicato": ("Plucked strings in the lead.", ("Happy",), ("Strings",)),
    "A Cappella": ("Voices alone.", ("Calm",), ("Voice",)),
    "Big Band": ("Brass sections that swing.", ("Happy", "Energetic"), ("Brass", "Drums")),
    "Sound Design": ("Sounds, not music: hits, rises, noise.", ("Tense", "Dark"), ()),
}
MOODS: dict[str, str] = {
    "Calm": "Nothing presses.",
    "Dark": "Heavy, shadowed, uneasy.",
    "Dreamy": "Floating, unreal.",
    "Energetic": "Pushes forward.",
    "Epic": "Large, heroic.",
    "Happy": "Bright, friendly.",
    "Sad": "Mourning or longing.",
    "Tense": "Something is about to happen.",
}
INSTRUMENTS: dict[str, str] = {
    "Brass": "Trumpets, trombones, horns.",
    "Drums": "A drum kit, real or programmed.",
    "Guitar": "Any guitar.",
    "Percussion": "Percussion other than a drum kit.",
    "Piano": "Acoustic or electric piano.",
    "Strings": "Bowed or plucked orchestral strings.",
    "Synthesizer": "Audibly electronic sound.",
    "Voice": "Somebody sings, speaks or hums.",
}
CATEGORIES: dict[str, str] = {
    "Full mix": "The track as released.",
    "Underscore": "Without the lead part.",
    "Sound effect": "Not music.",
}
FACETS: dict[str, dict[str, str]] = {
    "genre": {name: words[0] for name, words in GENRES.items()},
    "mood": MOODS,
    "instrumentation": INSTRUMENTS,
    "category": CATEGORIES,
}
#: Keys for the genres that are used most; the other facets are clicked.
HOTKEYS: dict[str, str] = {
    "Filmscore": "f",
    "Ambient, Chill": "a",
    "Drone": "d",
    "Techno": "t",
    "Piano": "p",
    "Percussion": "c",
    "Orchestral": "o",
    "Rock": "r",
    "Jazz": "j",
    "Pizzicato": "z",
    "A Cappella": "v",
    "Big Band": "b",
}
COMPOSERS = (
    "M. Aldane", "Ruth Okafor", "Jonas Lind", "Ines Ferrer", "T. Walcott", "Aiko Mori",
    "Peter Grau", "Lena Novak", "S. Marchetti", "Ola Bakke", "D. Achebe", "Clara Voss",
)  # fmt: skip
GUIDELINES = (
    "Give the genres that a buyer would look under, two at most where you can.\n\n"
    "Listen to the middle of the track before you decide. Do not judge by the intro alone.\n\n"
    "Mood: what the track does to a scene, not what it is called.",
    "Give the genres that a buyer would look under, two at most where you can.\n\n"
    "New in this version: a track with chords and a slow pulse is Ambient, Chill. Atmosphere "
    "is for tracks without harmony, a place rather than a piece.\n\n"
    "Listen to the middle of the track before you decide. Do not judge by the intro alone.\n\n"
    "Mood: what the track does to a scene, not what it is called.",
)
