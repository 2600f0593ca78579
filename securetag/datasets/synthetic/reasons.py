"""Why a synthetic function is vulnerable or safe, in a sentence or two, from what running it showed.

A sentence names the input and its effect, and what the author of the guard got right or wrong. Nothing in
it is known from the mode alone: the input was tried, and the effect was seen.
"""

from __future__ import annotations

import re
from typing import Literal

from securetag.datasets.synthetic.child import Outcome
from securetag.datasets.synthetic.payloads import list_payloads
from securetag.datasets.synthetic.sinks import Sink
from securetag.records import Label

MAX_INPUT_CHARS, MAX_EFFECT_CHARS = 48, 72

Tongue = Literal["en", "es"]

_HARM: dict[str, dict[str, str]] = {
    "en": {
        "CWE-22": "a path outside the folder",
        "CWE-78": "another command",
        "CWE-79": "other markup",
        "CWE-89": "another statement",
        "CWE-94": "other code",
        "CWE-601": "an address of another site",
        "CWE-918": "a request to another host",
    },
    "es": {
        "CWE-22": "una ruta fuera de la carpeta",
        "CWE-78": "otra orden",
        "CWE-79": "otro marcado",
        "CWE-89": "otra sentencia",
        "CWE-94": "otro código",
        "CWE-601": "una dirección de otro sitio",
        "CWE-918": "una petición a otro servidor",
    },
}

#: What is wrong with the control, by mode.
_MISTAKE: dict[str, dict[str, str]] = {
    "en": {
        "weak": "The control of line {guard} accepts it.",
        "sound": "The control of line {guard} isn't one for what line {sink} does.",
        "combined": "Neither control before line {sink} stops it.",
        "inverted": "Line {guard} refuses the harmless texts and lets the others pass.",
        "dead": "What line {guard} finds out has no effect on line {sink}.",
        "after": "Line {guard} comes too late: line {sink} has run by then.",
        "wrong-variable": "Line {guard} looks at another value than line {sink} uses.",
        "partial": "Line {guard} leaves short texts alone.",
        "extended": "The control of line {guard} accepts it, for all that it limits the length.",
        "flow": "By line {guard}, what line {sink} gets is the value of line {source}.",
    },
    "es": {
        "weak": "El control de la línea {guard} lo acepta.",
        "sound": "El control de la línea {guard} no sirve para lo que hace la {sink}.",
        "combined": "Ninguno de los controles antes de la línea {sink} lo detiene.",
        "inverted": "La línea {guard} rechaza los textos inofensivos y deja pasar los demás.",
        "dead": "Lo que averigua la línea {guard} no tiene efecto en la {sink}.",
        "after": "La línea {guard} llega tarde: la {sink} ya se ha ejecutado.",
        "wrong-variable": "La línea {guard} mira otro valor que el que usa la {sink}.",
        "partial": "La línea {guard} no toca los textos cortos.",
        "extended": "El control de la línea {guard} lo acepta, aunque limite la longitud.",
        "flow": "Por la línea {guard}, lo que recibe la {sink} es el valor de la {source}.",
    },
}

#: What keeps a function safe, by mode, where the attack doesn't reach the sink and where it does, changed.
_REFUSED: dict[str, dict[str, str]] = {
    "en": {
        "sound": "Line {guard} stops {attack} before line {sink}.",
        "combined": "The controls up to line {guard} stop {attack} before line {sink}.",
        "extended": "Line {guard}, which limits the length too, stops {attack} before line {sink}.",
        "flow": "{attack} takes another way than to line {sink}: line {guard} decides that.",
        "": "{attack} does not get from line {source} to line {sink}.",
    },
    "es": {
        "sound": "La línea {guard} detiene {attack} antes de la {sink}.",
        "combined": "Los controles hasta la línea {guard} detienen {attack} antes de la {sink}.",
        "extended": "La línea {guard}, que también limita la longitud, detiene {attack} antes de la {sink}.",
        "flow": "{attack} no va a la línea {sink}: lo decide la línea {guard}.",
        "": "{attack} no llega de la línea {source} a la {sink}.",
    },
}
_CHANGED: dict[str, dict[str, str]] = {
    "en": {
        "sound": "After line {guard}, {attack} reaches line {sink} as {effect}, which is no {harm}.",
        "combined": "After line {guard} and another control, {attack} is {effect} at line {sink}: no {harm}.",
        "flow": "By line {guard}, line {sink} gets {effect}, whatever {attack} is in line {source}.",
        "": "{attack} reaches line {sink} as {effect}, which is no {harm}.",
    },
    "es": {
        "sound": "Tras la línea {guard}, {attack} llega a la {sink} como {effect}, que no es {harm}.",
        "combined": "Tras la línea {guard} y otro control, {attack} es {effect} en la {sink}: no es {harm}.",
        "flow": "Por la línea {guard}, la {sink} recibe {effect}, sea lo que sea {attack} en la {source}.",
        "": "{attack} llega a la línea {sink} como {effect}, que no es {harm}.",
    },
}
_PROVEN = {
    "en": "{attack} from line {source} reaches line {sink} as {effect}: {harm}. ",
    "es": "{attack} de la línea {source} llega a la {sink} como {effect}: {harm}. ",
}
_TRIED = {
    "en": " None of {inputs} inputs tried did harm.",
    "es": " Ninguna de las {inputs} entradas probadas hizo daño.",
}


def explain(sink: Sink, mode: str, label: Label, outcome: Outcome, tongue: Tongue) -> str:
    """Return the reason for a label, with places `{source}`, `{guard}` and `{sink}` for line numbers."""
    harm = _HARM[tongue][sink.cwe]
    if label == "true_positive":
        text = _PROVEN[tongue] + _MISTAKE[tongue].get(mode, _MISTAKE[tongue]["weak"])
        return _fill(text, outcome.witness or "", outcome.effect, harm, outcome.tried)
    sentences = (_REFUSED if outcome.effect is None else _CHANGED)[tongue]
    if tongue == "en":
        # There is no article after "no".
        harm = re.sub("^(another|other|an|a) ", "", harm)
    text = sentences.get(mode, sentences[""]) + _TRIED[tongue]
    return _fill(text, list_payloads(sink)[0], outcome.effect, harm, outcome.tried)


def _fill(text: str, attack: str, effect: str | None, harm: str, inputs: int) -> str:
    values = {
        "{attack}": f"`{_shown(attack, MAX_INPUT_CHARS)}`",
        "{effect}": f"`{_shown(effect or '', MAX_EFFECT_CHARS)}`",
        "{harm}": harm,
        "{inputs}": f"{inputs:,}",
    }
    # The line numbers are filled in by `str.format`, which reads the input's braces too.
    doubled = {place: value.replace("{", "{{").replace("}", "}}") for place, value in values.items()}
    return re.sub("|".join(values), lambda match: doubled[match.group()], text)


def _shown(text: str, limit: int) -> str:
    """The text in one line, controls escaped, cut in the middle where it is long."""
    shown = repr(text)[1:-1].replace("`", "'")
    if len(shown) <= limit:
        return shown
    half = (limit - 1) // 2
    return f"{shown[:half]}…{shown[-half:]}"
