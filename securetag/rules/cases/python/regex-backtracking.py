import re

# ruleid: securetag.python.regex-backtracking
words = re.compile(r"^(\w+\s?)*$")
# ruleid: securetag.python.regex-backtracking
quoted = re.compile("([^']+|'[^']*')*$")
# ruleid: securetag.python.regex-backtracking
pair = re.compile(r"^\s*(.*?)\s*=\s*(.*)$")


def short(text):
    # The text is short: reported all the same.
    if len(text) > 20:
        return None
    # ruleid: securetag.python.regex-backtracking
    return re.match("^(a+)+$", text)


def trimmed(text):
    # ruleid: securetag.python.regex-backtracking
    return re.sub(r"\s+$", "", text)


# A fixed character keeps two rounds apart.
# ok: securetag.python.regex-backtracking
domain = re.compile(r"^(?:[a-z]+\.)*[a-z]+$")
# ok: securetag.python.regex-backtracking
letters = re.compile(r"^(a|b)*c[a-z]+$")
# ok: securetag.python.regex-backtracking
leading = re.sub(r"^\s+", "", "text")
# ok: securetag.python.regex-backtracking
spaced = re.compile(r"^\w+(?:\s+\w+)*$")
