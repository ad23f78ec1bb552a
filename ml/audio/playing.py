"""Rules by which browsers can play a file as it is, found by trying.

audiotag sends the file itself to the annotation page, so a format that libsndfile reads may
still be mute there. Firefox and Safari play some of what Chromium refuses; the rules are those
of Chromium, which most people use.

Source: every combination of `tests/e2e/test_playable_formats.py`, played in Chromium.
"""

from __future__ import annotations

from ml.audio.formats.tags import FileBytes, id3_size, skip_leading
from ml.audio.sniffing import Sniffed

#: Bytes of ID3v2 tags in front of the sound that Chromium skips; any number in an MP3.
_MOST_TAGS = {"FLAC": 1_000_000, "WAV": 1_000_000, "OGG": 60_000}
#: Bytes of zeros and other tags in front of an MP3 that it skips; none elsewhere.
_MOST_PADDING = 900_000


def unplayable_reason(
    data: FileBytes, sniffed: Sniffed, subtype: str, plays_short: bool = False
) -> str | None:
    """Say why browsers cannot play a file, or not all of it.

    Parameters
    ----------
    data : the whole file, or a memory map of it.
    sniffed : its container.
    subtype : its coding, as libsndfile names it.
    plays_short : its structure ends early for browsers, see `ml.audio.layout.Layout`.

    Returns
    -------
    str, the reason; None if they can play it.

    Examples
    --------
    >>> unplayable_reason(b"FORM", Sniffed("AIFF"), "PCM_16")
    'AIFF'
    """
    if sniffed.container == "AIFF":
        return "AIFF"
    if subtype == "DOUBLE":
        return "WAV with 64-bit float numbers"
    if subtype in ("MPEG_LAYER_I", "MPEG_LAYER_II"):
        return "MPEG Layer " + subtype.rsplit("_", 1)[1]
    if plays_short:
        return f"{sniffed.container} of which browsers play only the first part"
    return None if _is_found(data, sniffed) else "tags or padding in front of the sound"


def _is_found(data: FileBytes, sniffed: Sniffed) -> bool:
    """Return whether Chromium finds the sound behind what is in front of it."""
    tags = 0
    while size := id3_size(data, tags):
        tags += size
    if sniffed.container != "MP3":
        return tags == sniffed.offset <= _MOST_TAGS.get(sniffed.container, 0)
    is_clean = sniffed.offset in (tags, skip_leading(data))
    return is_clean and sniffed.offset - tags <= _MOST_PADDING
