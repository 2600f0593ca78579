"""Say in words what the base metrics of a CVSS vector mean, in English and Spanish.

Meanings: https://www.first.org/cvss/v2/guide, https://www.first.org/cvss/v3-1/specification-document and
https://www.first.org/cvss/v4-0/specification-document. The sentences are ours.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from securetag.extractors.readers.advisories.cvss_score import compute_score, get_cvss_version

_Lang = Literal["en", "es"]

#: Versions of CVSS → metric and value → words. Metrics that are written alike in all versions are below "".
_WORDS: dict[_Lang, dict[str, dict[str, str]]] = {
    "en": {
        "": {
            "AV:N": "the attack comes over a network",
            "AV:A": "the attack comes from an adjacent network",
            "AV:L": "the attacker needs local access, or a user who opens something",
            "AV:P": "the attacker has to touch the device",
            "AC:L": "nothing beyond the attacker's control has to be right",
            "AC:H": "conditions beyond the attacker's control have to be right",
            "PR:N": "no privileges are needed",
            "PR:L": "privileges of an ordinary user are needed",
            "PR:H": "privileges of an administrator are needed",
            "UI:N": "no other person has to act",
            "C:N": "confidentiality is not affected",
            "I:N": "integrity is not affected",
            "A:N": "availability is not affected",
        },
        "2": {
            "AV:L": "the attacker needs local access",
            "AC:M": "some conditions beyond the attacker's control have to be right",
            "Au:N": "no authentication is needed",
            "Au:S": "the attacker has to authenticate once",
            "Au:M": "the attacker has to authenticate twice or more",
            "C:P": "some confidentiality is lost",
            "C:C": "all confidentiality is lost",
            "I:P": "some integrity is lost",
            "I:C": "all integrity is lost",
            "A:P": "availability is reduced",
            "A:C": "availability is lost entirely",
        },
        "3": {
            "UI:R": "another person has to act",
            "S:U": "only what the vulnerable component may access is affected",
            "S:C": "more than what the vulnerable component may access is affected",
            "C:L": "some confidentiality is lost",
            "C:H": "all confidentiality is lost",
            "I:L": "some integrity is lost",
            "I:H": "all integrity is lost",
            "A:L": "availability is reduced",
            "A:H": "availability is lost entirely",
        },
        "4": {
            "AC:L": "no defense has to be overcome",
            "AC:H": "a defense has to be overcome",
            "AT:N": "the attack works on any deployment",
            "AT:P": "the attack depends on how or when the system runs",
            "UI:P": "another person takes part by ordinary use",
            "UI:A": "another person has to do something out of the ordinary",
            "VC:N": "confidentiality of the vulnerable system is not affected",
            "VC:L": "some confidentiality of the vulnerable system is lost",
            "VC:H": "all confidentiality of the vulnerable system is lost",
            "VI:N": "integrity of the vulnerable system is not affected",
            "VI:L": "some integrity of the vulnerable system is lost",
            "VI:H": "all integrity of the vulnerable system is lost",
            "VA:N": "availability of the vulnerable system is not affected",
            "VA:L": "availability of the vulnerable system is reduced",
            "VA:H": "availability of the vulnerable system is lost entirely",
            "SC:N": "confidentiality of other systems is not affected",
            "SC:L": "some confidentiality of other systems is lost",
            "SC:H": "all confidentiality of other systems is lost",
            "SI:N": "integrity of other systems is not affected",
            "SI:L": "some integrity of other systems is lost",
            "SI:H": "all integrity of other systems is lost",
            "SA:N": "availability of other systems is not affected",
            "SA:L": "availability of other systems is reduced",
            "SA:H": "availability of other systems is lost entirely",
        },
    },
    "es": {
        "": {
            "AV:N": "el ataque llega por una red",
            "AV:A": "el ataque llega desde una red adyacente",
            "AV:L": "el atacante necesita acceso local, o un usuario que abra algo",
            "AV:P": "el atacante tiene que tocar el dispositivo",
            "AC:L": "no hace falta nada que el atacante no controle",
            "AC:H": "tienen que darse condiciones que el atacante no controla",
            "PR:N": "no se necesitan privilegios",
            "PR:L": "se necesitan privilegios de un usuario normal",
            "PR:H": "se necesitan privilegios de administrador",
            "UI:N": "no tiene que actuar ninguna otra persona",
            "C:N": "la confidencialidad no se ve afectada",
            "I:N": "la integridad no se ve afectada",
            "A:N": "la disponibilidad no se ve afectada",
        },
        "2": {
            "AV:L": "el atacante necesita acceso local",
            "AC:M": "tienen que darse algunas condiciones que el atacante no controla",
            "Au:N": "no se necesita autenticación",
            "Au:S": "el atacante tiene que autenticarse una vez",
            "Au:M": "el atacante tiene que autenticarse dos veces o más",
            "C:P": "se pierde parte de la confidencialidad",
            "C:C": "se pierde toda la confidencialidad",
            "I:P": "se pierde parte de la integridad",
            "I:C": "se pierde toda la integridad",
            "A:P": "la disponibilidad se reduce",
            "A:C": "la disponibilidad se pierde por completo",
        },
        "3": {
            "UI:R": "tiene que actuar otra persona",
            "S:U": "solo se ve afectado aquello a lo que accede el componente vulnerable",
            "S:C": "se ve afectado más de aquello a lo que accede el componente vulnerable",
            "C:L": "se pierde parte de la confidencialidad",
            "C:H": "se pierde toda la confidencialidad",
            "I:L": "se pierde parte de la integridad",
            "I:H": "se pierde toda la integridad",
            "A:L": "la disponibilidad se reduce",
            "A:H": "la disponibilidad se pierde por completo",
        },
        "4": {
            "AC:L": "no hay que superar ninguna defensa",
            "AC:H": "hay que superar una defensa",
            "AT:N": "el ataque funciona en cualquier despliegue",
            "AT:P": "el ataque depende de cómo o cuándo funcione el sistema",
            "UI:P": "otra persona participa con un uso normal",
            "UI:A": "otra persona tiene que hacer algo fuera de lo normal",
            "VC:N": "la confidencialidad del sistema vulnerable no se ve afectada",
            "VC:L": "se pierde parte de la confidencialidad del sistema vulnerable",
            "VC:H": "se pierde toda la confidencialidad del sistema vulnerable",
            "VI:N": "la integridad del sistema vulnerable no se ve afectada",
            "VI:L": "se pierde parte de la integridad del sistema vulnerable",
            "VI:H": "se pierde toda la integridad del sistema vulnerable",
            "VA:N": "la disponibilidad del sistema vulnerable no se ve afectada",
            "VA:L": "la disponibilidad del sistema vulnerable se reduce",
            "VA:H": "la disponibilidad del sistema vulnerable se pierde por completo",
            "SC:N": "la confidencialidad de otros sistemas no se ve afectada",
            "SC:L": "se pierde parte de la confidencialidad de otros sistemas",
            "SC:H": "se pierde toda la confidencialidad de otros sistemas",
            "SI:N": "la integridad de otros sistemas no se ve afectada",
            "SI:L": "se pierde parte de la integridad de otros sistemas",
            "SI:H": "se pierde toda la integridad de otros sistemas",
            "SA:N": "la disponibilidad de otros sistemas no se ve afectada",
            "SA:L": "la disponibilidad de otros sistemas se reduce",
            "SA:H": "la disponibilidad de otros sistemas se pierde por completo",
        },
    },
}


@lru_cache(maxsize=4096)
def describe_vector(vector: str | None, lang: str) -> tuple[str, ...]:
    """Return `AV:N: the attack comes over a network` for each base metric, in the vector's order.

    Empty without a valid vector, and for languages other than English and Spanish.
    """
    if not vector or compute_score(vector) is None or lang not in _WORDS:
        return ()
    words = _WORDS["es" if lang == "es" else "en"]
    of_version = words[get_cvss_version(vector)[0]]
    metrics = [part for part in vector.strip("() ").split("/") if not part.startswith("CVSS:")]
    sentences = [(metric, of_version.get(metric) or words[""].get(metric)) for metric in metrics]
    return tuple(f"{metric}: {meaning}" for metric, meaning in sentences if meaning)
