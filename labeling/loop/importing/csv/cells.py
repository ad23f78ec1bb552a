"""Cells of spreadsheets: guards against formulas, and error values."""

from __future__ import annotations

import re

_RISKY = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
#: What spreadsheets show where a formula fails, in the languages of Excel, LibreOffice and
#: Google Sheets.
_SHOWN_FOR_ERRORS = """
    #n/a #ref! #name? #value! #div/0! #null! #num! #getting_data #spill! #calc! #field! #busy!
    #blocked! #connect! #unknown! #python! #external! #timeout! #error! #fmt?
    #nv #bezug! #wert! #zahl! #überlauf! #kalk!
    #nom? #valeur! #nombre! #nul!
    #n/d #¡ref! #¿nombre? #¡valor! #¡div/0! #¡nulo! #¡num! #valor! #nulo! #núm! #nome?
    #rif! #valore! #nullo!
    #n/b #verw! #naam? #waarde! #deel/0! #leeg! #getal!
    #adr! #nazwa? #arg! #dziel/0! #zero! #liczba!
    #saknas! #referens! #namn? #värdefel! #division/0! #skärning! #ogiltigt!
    #i/t #reference! #navn? #værdi! #verdi!
    #puuttuu! #viittaus! #nimi? #arvo! #jako/0! #tyhjä! #luku!
    #není_k_dispozici #odkaz! #název? #hodnota! #dělení_nulou! #číslo!
    #hiányzik #hiv! #név? #érték! #zéróosztó! #nulla! #szám!
    #yok #başv! #ad? #değer! #sayı/0! #sayi/0! #boş! #sayı! #sayi!
    #н/д #ссылка! #имя? #знач! #дел/0! #пусто! #число!
"""
_ERROR_VALUES = frozenset(_SHOWN_FOR_ERRORS.split())
#: LibreOffice numbers some errors; Excel shows hashes where a column is too narrow.
_ERROR_PATTERN = re.compile(r"err:\d{3}|#{3,}")


def is_error_value(text: str) -> bool:
    """Say whether a spreadsheet shows this text because it has no value."""
    if text[:1] not in ("#", "E", "e"):
        return False
    key = text.strip().casefold()
    return key in _ERROR_VALUES or _ERROR_PATTERN.fullmatch(key) is not None


def guarded(text: str) -> str:
    """Return the text with a ' before it if a spreadsheet would run it.

    A text that already looks guarded gets one more ', so that `unguarded` always restores it.
    """
    return f"'{text}" if _RISKY.match(text) else text


def unguarded(cell: str) -> str:
    """Return the text of a guarded cell: exactly one ' is removed."""
    return cell[1:] if cell[:1] == "'" and _GUARDED.match(cell) else cell
