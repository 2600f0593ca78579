"""What can be asked about a Record, by its kind: each module yields Drafts.

To add one: a function `(Record, Corpus, limit) -> Iterator[Draft]` in a module here, its entry in
`questions.py`, and its phrasings in both languages.
"""
