"""What is scrubbed: shapes of secrets, addresses, names and numbers of persons.

Each pattern replaces its group `value`, or all of its match where it has none, and keeps `before`.
Issued tokens that detect-secrets knows as well are here too where it needs quotes around them.
Runs before a fixed part are bounded or begin at a boundary, so that time grows with the text alone.
"""

from __future__ import annotations

import re

#: Names whose value is a secret, as a part of an identifier or of a key …
_TELLING = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|signing[_-]?key|encryption[_-]?key|(?<![a-z])auth(?:orization)?(?![a-z])|credentials?|pepper|salt|bearer"
    r"|dsn|account[_-]?key|license[_-]?key)"
)
#: … unless they end so: what is told is about the secret.
_ABOUT = (
    r"(?![\w-]{0,40}(?:type|mode|method|scheme|field|header|label|class|ur[il]|path|file(?:name)?|dir|length"
    r"|expir\w+|ttl|policy|regex|pattern|algorithm|hasher|backend|form|page|view|template)[\"']?\]?\s*[:=,])"
)
_NAME = rf"[\w-]{{0,64}}{_TELLING}{_ABOUT}[\w-]{{0,64}}"

PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}(?:PRIVATE KEY|CERTIFICATE)[A-Z ]{0,20}-----"
    r".*?(?:-----END [A-Z0-9 ]+-----|\Z)",
    re.DOTALL,
)
ASSIGNED = re.compile(
    rf"(?i)(?<![\w-])(?P<before>{_NAME}"
    r"(?:[\"']?\]?[ \t]*(?::[ \t]*[\w.\[\]]+[ \t]*=|[:=]{1,3}|!==?|=>)|[\"'],)"
    r"[ \t]*[rbuf]{0,2}(?P<quote>[\"'`]))"
    r"(?P<value>[^\"'`\n]{3,})(?=(?P=quote))"
)
#: Settings, one a line. In code the same form names a variable, which `scrub` tells by its other uses.
ENVIRONMENT = re.compile(
    rf"(?im)^(?P<before>[ \t]*(?:export[ \t]+|set[ \t]+|-[ \t]+)?"
    rf"[A-Z0-9_.-]{{0,64}}{_TELLING}{_ABOUT}[A-Z0-9_-]{{0,64}}"
    r"[ \t]*[=:][ \t]*)(?P<value>[^\s\"'`(){}\[\]<>,;]{6,})(?=[ \t]*$)"
)
ELEMENT = re.compile(rf"(?i)(?P<before><{_NAME}>)(?P<value>[^<>\s]{{3,}})(?=</)")
#: libpq, ODBC and their like, inside a string.
CONNECTION = re.compile(
    r"(?i)(?P<before>[\"'][^\"'\n]{0,300}\b(?:password|pwd|passwd)\s?=\s?)(?P<value>[^\s;&\"',(){}]{3,})(?![\w(])"
)
OPTION = re.compile(rf"(?i)(?P<before>--?{_NAME}(?:=|[ ](?=\S*\d)))(?P<value>[^\s\"'`(){{}}\[\],]{{4,}})")
OPTION_LOGIN = re.compile(
    r"(?P<before>\b(?:curl\b[^\n]{0,300}\s(?:-u|--user)[ =][\"']?[^\s:\"'$]{1,64}:"
    r"|mysql\w*\b[^\n]{0,300}\s-p))"
    r"(?P<value>[^\s\"'$]{4,})"
)
HEADER = re.compile(r"(?i)(?P<before>\b(?:bearer|basic|token|apikey)\s+)(?P<value>[A-Za-z0-9._~+/=-]{12,})")
URL_LOGIN = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]{0,30}://)(?P<value>[^\s/@\"'<>]{1,200})(?=@)")
URL_SECRET = re.compile(
    rf"(?i)(?P<before>[?&][\w-]{{0,64}}(?:{_TELLING}|sig|signature|key)[\w-]{{0,64}}=)(?P<value>[^&\s\"'#]{{6,}})"
)
JWT = re.compile(r"\bey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?")
WEBHOOK = re.compile(
    r"(?P<before>hooks\.slack\.com/services/|discord(?:app)?\.com/api/webhooks/)(?P<value>[\w/-]+)"
)
PREFIXED = re.compile(
    r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ABIA|ACCA)[A-Z0-9]{12,}|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}"
    r"|\bgl(?:pat|oas|dt|rt|ptt|cbt|ft|imt|agent|soat|ffct)-[\w-]{16,}|\bxox[abeoprs]-[\w-]{10,}|\bxapp-[\w-]{20,}"
    r"|\b[srp]k_(?:live|test)_\w{10,}|\bwhsec_\w{16,}|\bsk-[\w-]{20,}|\bAIza[\w-]{30,}|\bya29\.[\w-]{20,}"
    r"|\bGOCSPX-[\w-]{20,}|\bnpm_\w{30,}|\bpypi-[\w-]{20,}|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bhf_\w{20,}"
    r"|\bdop_v1_\w{30,}|\bstk_\w{8,}|\bAGE-SECRET-KEY-1\w{20,}|\bhv[sbr]\.[\w-]{20,}|\bshp(?:at|ss|ca)_\w{20,}"
    r"|(?<!\d)\d{8,10}:AA[\w-]{30,}|\b(?:SK|AC)[0-9a-f]{32}\b|\b[MNO][\w-]{23,27}\.[\w-]{6,7}\.[\w-]{27,}"
)
EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]+@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,}")
IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\w)")
IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
MAC = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:])")
URL_HOST = re.compile(
    r"(?P<before>\b[a-z][a-z0-9+.-]{0,30}://(?:[^\s/@\"'<>]{0,200}@)?)"
    r"(?P<value>[A-Za-z0-9](?:[A-Za-z0-9_-]|\\?\.){0,253})"
)
QUOTED_HOST = re.compile(
    r"(?P<before>[\"'`])(?P<value>(?:[A-Za-z0-9_-]{1,63}\.){1,8}[A-Za-z]{2,})"
    r"(?=(?::\d+)?(?:/[^\"'`\n]*)?[\"'`])"
)
#: Behind a name that says so, unquoted as settings are.
NAMED_HOST = re.compile(
    r"(?i)(?P<before>(?<![a-z])(?:host(?:_?name)?|server|domain|endpoint|upstream|addr(?:ess)?)s?[\"']?\s*[:=]\s*)"
    r"(?P<value>(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,})(?![\w(\[.])"
)
BARE_HOST = re.compile(
    r"(?<![\w.@/\"'){}$-])(?P<value>(?:[a-z0-9-]{1,63}\.){1,8}(?:com|org|net|edu|gov|mil|internal|intranet|corp"
    r"|lan|local|intra|private|io|dev|cloud))(?![\w(\[.]|\s*=|,\d{4}:)"
)
COMMENT = re.compile(r"(?m)(?:#|//|/\*|<!--|^\s*\*|--\s).*$")
#: In a comment a dot isn't an attribute's.
COMMENT_HOST = re.compile(
    r"(?<![\w.@/\"'){}$-])(?P<value>(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,})(?![\w(\[.]|\s*=)"
)
#: Whose repository, or whose profile, at a site that everybody uses.
ACCOUNT = re.compile(
    r"(?P<before>\b(?:(?:api\.)?github|gitlab|raw\.githubusercontent|bitbucket|codeberg)\.(?:com|org)[/:]"
    r"(?:repos/|users/|orgs/)?)(?P<value>[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)"
)
PROFILE = re.compile(
    r"(?P<before>\b(?:twitter|x|instagram|facebook|linkedin)\.com/(?:in/)?)"
    r"(?P<value>(?!(?:intent|share\w*|dialog|search|hashtag|plugins|tr|v\d|i)\b)[A-Za-z0-9][\w.-]*)(?![\w./(-])"
)
HOME = re.compile(r"(?P<before>(?:/home/|/Users/|[A-Za-z]:\\+(?i:users)\\+))(?P<value>[\w.-]+)")
TILDE = re.compile(r"(?P<before>(?<![\w/])~)(?P<value>[a-z][\w.-]+)(?=/)")
LOGIN = re.compile(
    r"(?i)(?P<before>\b(?:user(?:[_-]?name)?|login|owner|author|db[_-]?user|account)[\"']?"
    r"\s*(?::\s*\w+\s*=|[:=])\s*(?P<quote>[\"']))(?P<value>[\w.@ -]{2,})(?=(?P=quote))"
)
LOGIN_SETTING = re.compile(
    r"(?m)^(?P<before>[ \t]*(?:export[ \t]+|-[ \t]+)?[A-Z0-9_]*(?:USER|USERNAME|LOGIN|OWNER)=)"
    r"(?P<value>[\w.@-]{2,})$"
)
ACTING = re.compile(
    r"(?P<before>\b(?:chown|useradd|adduser|usermod|sudo -u|su -)\s+(?:-\S+\s+){0,4})(?P<value>[a-z][\w.-]+)"
)
SSH = re.compile(r"(?P<before>\b(?:ssh|scp|rsync)\s+(?:-\S+\s+){0,8})(?P<value>[\w.-]+)(?=@)")
AUTHOR = re.compile(
    r"(?i)(?P<before>(?:@author|\bauthor:|\bmaintainer:|\btodo\()\s*)"
    r"(?P<value>[a-z][\w.-]+(?-i:(?: [A-Z][\w.-]+)*))"
)
#: Not what git calls a commit.
LONG = re.compile(
    r"(?<![\w/+.=-])(?<!ommit )(?<!ommit: )(?<!ommit/)(?<!vision )(?<!msg )"
    r"[A-Za-z0-9+/_-]{20,}={0,2}(?![\w+/=-])"
)
#: In sentences: "the new password is …", "password: …". What is a plain word stays.
IN_PROSE = (
    re.compile(
        r"(?i)(?P<before>\b(?:pass(?:word|phrase|code|wort)|passwd|pwd|contraseña|clave|secret|credentials?|pin)\b"
        r"[*_`\"']{0,3}(?:[ \t]+(?:for|of|to|del?|para)[ \t]+[\w.@-]{1,40}){0,2}"
        r"(?:[ \t]+(?:is|was|are|es|era|ist|now|to|set to|changed to)|[ \t]*(?:[:=]|->|→))+"
        r"[ \t]+[*_`\"'“]{0,3})"
        r"(?P<value>[^\s`\"'“”<>|]{5,64}?)(?=[.,;:)*_`\"'”]{0,5}(?:[\s|]|$))"
    ),
)
#: In a PDF a token may go on in the next line.
CONTINUED = re.compile(r"(?P<before>REDACTED_SECRET[ \n])(?P<value>[A-Za-z0-9+/_=-]{10,})")
#: 13 to 19 digits in groups: a payment card, if the check digit fits.
CARD = re.compile(
    r"(?<![\w.-])[3-6]\d{3}([ -]?)\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?(?![\w.-]*\w)"
    r"|(?<![\w.-])3[47]\d{2}([ -]?)\d{6}\2\d{5}(?![\w-])"
)
IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
SSN = re.compile(r"(?<![\w.-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
#: International numbers; North American ones in their usual groups; and what says that it is a number.
PHONES = (
    re.compile(r"(?<![\w+./-])\+[1-9]\d{0,2}(?:[ .-]?\(?\d{1,5}\)?){2,6}(?![\w-])"),
    re.compile(r"(?<![\w./-])(?:1[ .-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[.-])[2-9]\d{2}[.-]\d{4}(?![\w-])"),
    re.compile(
        r"(?i)(?P<before>\b(?:tel(?:e(?:phone|fon)|éfono)?|phone|mobile|móvil|fax|whatsapp)\b"
        r"\.?[ \t]*[:=]?[ \t]*)"
        r"(?P<value>\(?\d[\d ()./-]{7,20}\d)"
    ),
)
#: Words inside a name: `unzGetCurrentFileInfo64` is made of them, a random string holds few.
WORDS = re.compile(r"[A-Z]?[a-z]{3,}|[A-Z]{4,}")

#: Names that belong to nobody: reserved, or the machine itself. The metadata address is evidence.
KEPT_HOST = re.compile(r"(?i)(?:^|\.)(?:example|test|invalid|localhost|example\.(?:com|org|net))$")
KEPT_IP = re.compile(
    r"127\.|0\.0\.0\.0$|255\.255\.|192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|169\.254\.169\.254$"
    r"|(?:10|172\.16|192\.168)(?:\.0)+$"
)
#: Users that every machine has, and words for any user.
KEPT_USERS = frozenset(
    (  # noqa: SIM905
        "admin administrator anonymous daemon foo bar guest nobody postgres root test user username www-data "
        "login name email id default system self none null true false"
    ).split()
)
#: Sites that code of every tenant cites. None of them gives its subdomains to customers.
PUBLIC_HOSTS = frozenset(
    (  # noqa: SIM905
        "android.com apache.org apple.com bitbucket.org bootstrapcdn.com chromium.org cloudflare.com "
        "codeberg.org debian.org djangoproject.com docker.com docker.io ecma-international.org "
        "expressjs.com facebook.com fedoraproject.org freedesktop.org github.com githubusercontent.com "
        "gitlab.com gnu.org golang.org google.com googleapis.com gstatic.com hibernate.org iana.org "
        "ietf.org instagram.com java.com jquery.com jsdelivr.net json-schema.org kernel.org linkedin.com "
        "microsoft.com mit.edu mitre.org mongodb.com mozilla.org mysql.com nginx.org nist.gov nodejs.org "
        "openid.net opensource.org openssl.org openstack.org oracle.com owasp.org "
        "palletsprojects.com php.net portswigger.net postgresql.org purl.org python.org "
        "reactjs.org redhat.com rfc-editor.org rubyonrails.org rust-lang.org schema.org "
        "spring.io springframework.org sqlalchemy.org sqlite.org stackoverflow.com sun.com twitter.com "
        "ubuntu.com unpkg.com w3.org w3schools.com wikimedia.org wikipedia.org x.com xml.org xmlsoap.org "
        "yaml.org youtube.com"
    ).split()
)
#: Last labels of names that in quotes are taken for hosts. Countries whose code is a file ending
#: as well (py, rs, sh, md, …) are left out: in code they are files.
HOST_ENDINGS = frozenset(
    (  # noqa: SIM905
        "com org net edu gov mil int info biz io dev app cloud ai internal intranet corp lan local intra "
        "private home eu uk de es fr it nl pt ch at be se no fi dk pl cz ru us ca mx br ar cl pe jp cn kr au"
    ).split()
)
