"""SQL without the values in it: what two runs of the same statement have in common. Pure.

The text is read by tokens, as the standard and the dialects of PostgreSQL, MySQL and SQLite
spell them; it is not parsed. Where a text cannot be told from a value it is left out.
"""

from __future__ import annotations

import re

__all__ = ["shortened", "without_values"]

_LONGEST_TEXT = 100_000
_LONGEST_RESULT = 600
_ELLIPSIS = "…"
_SHORT = 20

_TOKENS = re.compile(
    r"""
      (?P<comment>--[^\n]*|\#(?![->])[^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<space>\s+)
    | (?P<string>[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)
        | (?:[nNbBxX]|[uU]&)?'(?:[^']|'')*(?:'|\Z)
        | \$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z))
    | (?P<quoted>"(?:[^"]|"")*(?:"|\Z))
    | (?P<name>`(?:[^`]|``)*(?:`|\Z)|\[[A-Za-z_][\w\ $]*\]|[^\W\d][\w$]*)
    | (?P<marker>%\([^)]*\)s|%s|\$\d+|\?\d*|(?<!:):[A-Za-z_]\w*|@[A-Za-z_]\w*)
    | (?P<number>0[xX][0-9A-Fa-f]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<operator>::|[-+*/<>=~!@%^&|#])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
# In MySQL a mark that is escaped by a backslash does not end a string.
_MYSQL_STRING = re.compile(
    r"""(?P<mark>['"])(?:(?!(?P=mark))[^\\]|\\.|(?P=mark){2})*(?:(?P=mark)|\Z)""", re.DOTALL
)
_PLAIN_NAME = re.compile(r'"[^\W\d][\w$ .-]*"\Z')
_MYSQL = frozenset({"mysql", "mariadb"})

# What a value follows; a name in quotation marks may, too, but then a dot follows it.
_BEFORE_VALUES = frozenset(
    {"AND", "BETWEEN", "ELSE", "GLOB", "ILIKE", "IS", "LIKE", "LIMIT", "MATCH", "NOT", "OFFSET",
     "REGEXP", "THEN"}
)  # fmt: skip
_LISTS = frozenset({"IN", "VALUES"})

# A list of values is one value, and so are rows of them.
_LIST = re.compile(r"\(\?(?:, ?\?)+\)")
_ROWS = re.compile(r"(?<=\(\?\))(?:, ?\(\?\))+")


def without_values(statement: str, dialect: str = "") -> str:
    """Return the statement with ``?`` for each value, on one line.

    Literals and markers of parameters are values; a list of them, and rows of lists, count as
    one, so that statements that differ in their number are the same. Comments are left out.
    `dialect` is SQLAlchemy's name for it: in MySQL what stands in quotation marks is a value,
    elsewhere it is a name unless it stands where a value does. What is longer than 600
    characters ends with an ellipsis.
    """
    text = "".join(_tokens(statement[:_LONGEST_TEXT], is_mysql=dialect in _MYSQL)).strip()
    text = _ROWS.sub("", _LIST.sub("(?)", text))
    if len(statement) > _LONGEST_TEXT:
        text = text.rstrip(" ,(?") + _ELLIPSIS
    return text if len(text) <= _LONGEST_RESULT else text[:_LONGEST_RESULT] + _ELLIPSIS


def _tokens(text: str, *, is_mysql: bool) -> list[str]:
    tokens: list[str] = []
    is_value_next = False
    depths: list[bool] = []  # of open brackets, whether each holds a list of values
    is_list_next = False
    place = 0
    while place < len(text):
        piece = _mysql_string(text, place) if is_mysql else None
        kind = "string"
        if piece is None:
            found = _TOKENS.match(text, place)
            assert found is not None  # noqa: S101  the last branch takes any character
            piece, kind = found[0], found.lastgroup or "string"
            kind = "string" if kind == "tag" else kind
        place += len(piece)
        if kind in {"comment", "space"}:
            if tokens and tokens[-1] != " ":
                tokens.append(" ")
            continue
        if kind == "quoted":
            is_of_name = text[place : place + 1] == "." or tokens[-1:] == ["."]
            is_value = is_value_next or (bool(depths) and depths[-1])
            is_name = _PLAIN_NAME.match(piece) and (is_of_name or not is_value)
            kind = "name" if is_name else "string"
        tokens.append("?" if kind in {"string", "marker", "number"} else piece)
        word = piece.upper() if kind == "name" else ""
        if piece == "(":
            depths.append(is_list_next)
        elif piece == ")" and depths:
            # Behind the rows of an INSERT come further rows.
            is_list_next = depths.pop()
            continue
        is_value_next = kind == "operator" or word in _BEFORE_VALUES
        is_list_next = word in _LISTS or (is_list_next and piece == ",")
    return tokens


def _mysql_string(text: str, place: int) -> str | None:
    if text[place] not in "'\"":
        return None
    found = _MYSQL_STRING.match(text, place)
    return found[0] if found else None


def shortened(statement: str) -> str:
    """Return the statement with an ellipsis for a long list of what it selects, for a line."""
    found = re.match(r"(SELECT (?:DISTINCT )?)", statement, re.IGNORECASE)
    if found is None:
        return statement
    depth = 0
    for word in re.finditer(r"[()]|\bFROM\b", statement, re.IGNORECASE):
        if word[0] in "()":
            depth += 1 if word[0] == "(" else -1
        elif depth == 0:
            is_long = word.start() - found.end() > _SHORT
            return f"{found[0]}… {statement[word.start() :]}" if is_long else statement
    return statement
