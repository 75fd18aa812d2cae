r"""The language of questions: what people type in Kibana (KQL), and the common forms of Lucene.

`field:value`, `field:"phrase"`, `field >= 5`, `field:(a or b)`, `field:[1 TO 5]`, `field:*`, `_exists_:field`, free
words, "phrases", `*` and `?`, `and or not` and `&& || !`, leading `+` and `-`, parentheses, `\` before a sign. What
stands side by side must all match. Fields go by their names or short ones (`search.names`), times as in
`search.times`. Nothing here does I/O or takes more than time in proportion to the text.
"""

from typing import Final

from shipper.errors import QueryError
from shipper.search import _kql_scan as scan
from shipper.search import _kql_values as values
from shipper.search.expression import Everything, Expression, Present
from shipper.search.kql_write import write
from shipper.search.normal import all_of, any_of, negated

__all__ = ["MAX_CLAUSES", "MAX_DEPTH", "MAX_TEXT", "parse", "write"]

MAX_TEXT: Final = 2000
MAX_DEPTH: Final = 20
MAX_CLAUSES: Final = 64

_EXISTS: Final = "_exists_"
_BRACKETS: Final = {"[": True, "{": False, "]": True, "}": False}


def parse(text: str, now: int) -> Expression:
    """Return what a question asks; `now` (ns since 1970) is what relative times count from.

    QueryError says what is wrong, at which character, and what to write instead.
    """
    if len(text) > MAX_TEXT:
        raise QueryError(f"the question is longer than {MAX_TEXT} characters", MAX_TEXT)
    for at, char in enumerate(text):
        if char == "\0" or "\ud800" <= char <= "\udfff":
            raise QueryError("there is a character in it that no text has", at)
    parser = _Parser(text, now)
    found = parser.whole()
    if found is None and text.strip():
        raise QueryError("there is no word in it; a word is made of letters and digits", 0)
    return Everything() if found is None else found


class _Parser:
    """Reads a text from left to right. None stands for a piece without a word, such as a lone dash."""

    def __init__(self, text: str, now: int) -> None:
        self.text = text
        self.now = now
        self.at = 0
        self.depth = 0
        self.clauses = 0

    def whole(self) -> Expression | None:
        """Read all of it."""
        self._blank(0)
        found = self._alternatives(None) if self.at < len(self.text) else None
        if self.at < len(self.text):
            raise QueryError("this parenthesis closes nothing", self.at)
        return found

    def _alternatives(self, field: values.Asked | None) -> Expression | None:
        start = self.at
        parts = [self._side_by_side(field)]
        while (word := scan.keyword(self.text, self.at)) and word[0] == "or":
            _needed(parts[-1], start)
            start = self._operand(word)
            parts.append(_needed(self._side_by_side(field), start))
        return any_of(part for part in parts if part is not None) if parts != [None] else None

    def _side_by_side(self, field: values.Asked | None) -> Expression | None:
        parts = [self._negation(field)]
        while self.at < len(self.text) and self.text[self.at] != ")":
            word = scan.keyword(self.text, self.at)
            if word is not None and word[0] == "or":
                break
            if word is not None and word[0] == "and":
                self._operand(word)
            parts.append(self._negation(field))
        kept = [part for part in parts if part is not None]
        return all_of(kept) if kept else None

    def _negation(self, field: values.Asked | None) -> Expression | None:
        negative = False
        while word := scan.keyword(self.text, self.at) or scan.sign(self.text, self.at):
            if word[0] in ("and", "or"):
                raise QueryError(f'nothing stands before "{word[0]}"; the word itself is put in "quotes"', self.at)
            negative ^= word[0] != "+"
            self._operand(word)
        start = self.at
        found = self._group(field) if self.text[self.at] == "(" else self._clause(field)
        return negated(_needed(found, start)) if negative else found

    def _group(self, field: values.Asked | None) -> Expression | None:
        start = self.at
        if self.depth == MAX_DEPTH:
            raise QueryError(f"more than {MAX_DEPTH} parentheses in each other", start)
        self._blank(start + 1)
        found = None
        if self.text[self.at : self.at + 1] != ")":
            self._some(start)
            self.depth += 1
            found = self._alternatives(field)
            self.depth -= 1
        if self.text[self.at : self.at + 1] != ")":
            raise QueryError("this parenthesis is not closed", start)
        if self.text[self.at + 1 : self.at + 2] == "^":
            raise QueryError("^ (boost) is not supported, records are in the order of time: leave it out", self.at + 1)
        self._blank(self.at + 1)
        return found if field is None else _needed(found, start)

    def _clause(self, field: values.Asked | None) -> Expression | None:
        if field is not None:
            return self._value(field, ":")
        name = scan.field_name(self.text, self.at)
        if name is not None and (name.operator != "!=" or values.is_field(name)):
            return self._field(name)
        self._count(self.at)
        chunk = self._literal()
        return values.free(chunk)

    def _field(self, name: scan.FieldName) -> Expression | None:
        after = scan.skip_blank(self.text, name.end)
        if name.name in (_EXISTS, "*") and name.operator == ":":
            return self._special(name, after)
        if name.operator == "!=":
            raise QueryError(f'!= is not known: write not {name.name}:…, or put the text in "quotes"', name.start)
        asked = values.field(name)
        if after == len(self.text) or self.text[after] == ")":
            raise QueryError(f"a value is missing behind {name.name}{name.operator}", after)
        self.at = after
        if name.operator == ":" and self.text[after] == "(":
            return self._group(asked)
        return self._value(asked, name.operator)

    def _special(self, name: scan.FieldName, after: int) -> Expression:
        """Read `_exists_:field` or `*:*`."""
        self.at = after
        self._count(after)
        chunk = self._literal()
        if name.name == _EXISTS:
            asked = values.field(scan.FieldName(chunk.text, ":", chunk.start, chunk.end, chunk.wild))
            return Present(asked.field)
        if chunk.pattern != "*":
            raise QueryError("the name of a field has no wildcards; without a name all words are looked at", name.start)
        return Everything()

    def _value(self, field: values.Asked, operator: str) -> Expression:
        self._count(self.at)
        if operator == ":":
            found = scan.comparison(self.text, self.at)
            if found is None and self.text[self.at] in "[{":
                return self._range(field)
            if found is not None:
                operator = found[0]
                self.at = scan.skip_blank(self.text, found[1])
        chunk = self._literal()
        self._whole_time(field, chunk)
        if operator == ":":
            return values.equals(field, chunk, self.now)
        return values.compare(field, operator, chunk, self.now)

    def _range(self, field: values.Asked) -> Expression:
        start = self.at
        opening = _BRACKETS[self.text[start]]
        low = self._bound(field, start, start + 1)
        end = scan.range_to(self.text, self.at)
        if end is None:
            raise _bad_range(start)
        high = self._bound(field, start, end)
        closing = _BRACKETS.get(self.text[self.at : self.at + 1])
        if closing is None:
            raise _bad_range(start)
        self._blank(self.at + 1)
        return values.inside(field, low, high, (opening, closing), self.now)

    def _bound(self, field: values.Asked, start: int, at: int) -> scan.Literal | None:
        """Read a bound of a range; None for `*`."""
        self._blank(at)
        found = scan.literal(self.text, self.at, bound=True)
        if found is None:
            raise _bad_range(start)
        self._whole_time(field, found)
        self._blank(found.end)
        return None if found.pattern == "*" else found

    def _whole_time(self, field: values.Asked, value: scan.Literal) -> None:
        """Refuse a day whose time of day would be taken for a word."""
        if field.kind in ("date", "date_nanos") and not value.quoted and scan.clock_behind(self.text, value.end):
            raise QueryError('a time with a space in it is put in "quotes", as "2026-11-22 14:00"', value.start)

    def _literal(self) -> scan.Literal:
        self._some(self.at)
        found = scan.literal(self.text, self.at)
        if found is None:
            raise QueryError("a word or a value is missing here", self.at)
        self._blank(found.end)
        return found

    def _operand(self, word: tuple[str, int]) -> int:
        """Go to what a keyword or sign stands before, and return where that is."""
        start = self.at
        self._blank(word[1])
        if self.at == len(self.text) or self.text[self.at] == ")":
            raise QueryError(f'nothing stands behind "{word[0]}"; the word itself is put in "quotes"', start)
        return self.at

    def _some(self, start: int) -> None:
        if self.at == len(self.text):
            raise QueryError("the question ends here too early", start)

    def _blank(self, at: int) -> None:
        self.at = scan.skip_blank(self.text, at)

    def _count(self, at: int) -> None:
        self.clauses += 1
        if self.clauses > MAX_CLAUSES:
            raise QueryError(f"more than {MAX_CLAUSES} conditions", at)


def _needed(found: Expression | None, at: int) -> Expression:
    if found is None:
        raise QueryError("there is no word in it; a word is made of letters and digits", at)
    return found


def _bad_range(at: int) -> QueryError:
    return QueryError('a range is written [1 TO 5], without the bound {1 TO 5}; text with a bracket in "quotes"', at)
