"""One field at a time: its text, and what the text tells about cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from sandbox.disclosure import intervals
from sandbox.disclosure.cells import ALL, between, ratio, total
from sandbox.disclosure.counted import CONFUSION, Counted
from sandbox.disclosure.fields import Constraint, ReleasedField, Term
from sandbox.disclosure.grid import count_behind, nearest, rate_behind, steps_text
from sandbox.disclosure.outline import RATES, Slot
from sandbox.disclosure.rules import DisclosureRules
from sandbox.disclosure.suppression import RATE_CELLS, Key, Withheld, rate_end_step, rate_step, score_end_step
from sandbox.outcome.results import CriterionResult, Estimate, Results

_FINE = 10_000
Chooser = Callable[[DisclosureRules, int], Fraction | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A field's text with its grid, or the refusal; and what either tells."""

    value: str | None = None
    grid: str | None = None
    constraints: tuple[Constraint, ...] = ()
    refusal: Withheld | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """All that is needed to write the fields of one evaluation."""

    results: Results
    counted: Counted
    estimates: Mapping[Key, Estimate]
    decisions: Mapping[Key, Withheld | None]
    rules: DisclosureRules

    def tell(self, slot: Slot) -> Told:
        """Write one field."""
        if slot.family == "verdict":
            return self._verdict()
        if slot.family == "criterion":
            return self.tell_criterion(next(c for c in self.results.acceptance if c.name == slot.name))
        name = f"failures/{slot.name}" if slot.family == "failure_count" else slot.name
        key = Key(name, slot.group, slot.point)
        refusal = self.decisions[key]
        if refusal is not None:
            return _withhold(refusal)
        if slot.kind == "count":
            return self._count(key)
        if slot.family == "auroc":
            return self._score(key) if slot.part == "value" else self._score_end(key, slot)
        return self._rate(key) if slot.part == "value" else self._rate_end(key, slot)

    def _count(self, key: Key) -> Told:
        counted, base = self.counted, self.rules.count_base
        code = key.name.removeprefix("failures/")
        cell = counted.codes[code] if code != key.name else counted.truth[key.group][key.name]
        steps = nearest(Fraction(counted.values[cell]), Fraction(base))
        constraints = (between(total([cell]), *count_behind(steps, base)), *self._floors([cell]))
        return Told(value=str(steps * base), grid=str(base), constraints=constraints)

    def _parts(self, key: Key) -> tuple[tuple[Term, ...], tuple[Term, ...], list[str]]:
        """Numerator and denominator of a rate, and the cells whose size the rules looked at."""
        if key.name == "failure_rate":
            truth, failing = self.counted.truth[key.group], self.counted.failing[key.group]
            return total([failing]), total([truth["positives"], truth["negatives"]]), [failing]
        assert key.point is not None
        table = self.counted.confusion[key.point][key.group]
        cells = [table[kind] for kind in RATE_CELLS[key.name]]
        return total(cells[:1]), total(cells), cells

    def _choice(
        self, denominator: Sequence[Term], choose: Chooser, span: int
    ) -> tuple[Fraction | None, tuple[Constraint, ...]]:
        """Grid of a rate or of its ends, and what its choice tells of the denominator."""
        step = choose(self.rules, self.counted.value(tuple(denominator)))
        grids = [Fraction(grid) for grid in self.rules.rate_grids]
        place = len(grids) if step is None else grids.index(step)
        least = 0 if step is None else -(-span // step)
        most = None if place == 0 else -(-span // grids[place - 1]) - 1
        return step, (between(denominator, least, most),)

    def _rate(self, key: Key) -> Told:
        numerator, denominator, cells = self._parts(key)
        step, constraints = self._choice(denominator, rate_step, self.rules.count_base)
        assert step is not None
        value = Fraction(self.counted.value(numerator), self.counted.value(denominator))
        steps = nearest(value, step)
        constraints += tuple(ratio(numerator, denominator, *rate_behind(steps, step)))
        return Told(
            value=steps_text(steps, step),
            grid=_grid_text(step),
            constraints=(*constraints, *self._floors(cells)),
        )

    def _rate_end(self, key: Key, slot: Slot) -> Told:
        numerator, denominator, _ = self._parts(key)
        found = self.estimates.get(key)
        hits, base = self.counted.value(numerator), self.counted.value(denominator)
        step, constraints = self._choice(denominator, rate_step, self.rules.count_base)
        end_step, more = self._choice(denominator, rate_end_step, self.rules.interval_base)
        if found is None or found.n != base or end_step is None or step is None:
            return _withhold(_UNAUDITED)
        cone = intervals.rate_cone(found, hits, value_step=step, step=end_step)
        if cone is None:
            return _withhold(_UNAUDITED)
        return _end(found, slot, end_step, (*constraints, *more, *_cone(numerator, denominator, cone)))

    def _score(self, key: Key) -> Told:
        value = self.estimates[key].value
        assert value is not None
        step = Fraction(self.rules.score_grid)
        steps = nearest(Fraction(value), step)
        least = (self.rules.minimum_positives, self.rules.minimum_negatives)
        constraints = [
            between(self.counted.analysed(key.group, kind), minimum, None)
            for kind, minimum in zip(("positives", "negatives"), least, strict=True)
        ]
        constraints += self._roc_points(key)
        return Told(value=steps_text(steps, step), grid=_grid_text(step), constraints=tuple(constraints))

    def _room(self, key: Key) -> tuple[intervals.AurocRoom, list[tuple[Fraction, Fraction]]]:
        """What an AUROC leaves open, and the true points of its curve."""
        rates = []
        for table in self.counted.confusion.values():
            tp, fn, fp, tn = (self.counted.values[table[key.group][kind]] for kind in CONFUSION)
            rates.append((Fraction(tp, tp + fn), Fraction(tn, tn + fp)))
        points = [(float(u), float(v)) for u, v in rates]
        step = Fraction(self.rules.score_grid)
        return intervals.auroc_room(self.estimates[key], points, step, self._score_step(key)), rates

    def _score_step(self, key: Key) -> Fraction | None:
        numbers = (self.counted.analysed(key.group, kind) for kind in ("positives", "negatives"))
        return score_end_step(self.rules, min(self.counted.value(terms) for terms in numbers))

    def _roc_points(self, key: Key) -> list[Constraint]:
        """What AUROC tells of the points of the ROC curve: they may all move by so much and keep it possible."""
        room, rates = self._room(key)
        tables = [table[key.group] for table in self.counted.confusion.values()]
        slack = Fraction(int(room.slack * _FINE), _FINE)
        found: list[Constraint] = []
        for table, pair in zip(tables, rates, strict=True):
            for names, rate in zip((("tp", "fn"), ("tn", "fp")), pair, strict=True):
                cells = [table[name] for name in names]
                floor = _rounded(rate - slack, up=True) if rate > slack else None
                ceiling = _rounded(rate + slack, up=False) if rate + slack < 1 else None
                # The true rate itself stays inside where the slack is smaller than the rounding.
                floor = None if floor is None else min(floor, rate)
                found += ratio(total(cells[:1]), total(cells), floor, None)
                if ceiling is not None:
                    found += _at_most(total(cells[:1]), total(cells), max(ceiling, rate))
        return found

    def _score_end(self, key: Key, slot: Slot) -> Told:
        found = self.estimates[key]
        sizes = {kind: self.counted.analysed(key.group, kind) for kind in ("positives", "negatives")}
        numbers = {kind: self.counted.value(terms) for kind, terms in sizes.items()}
        step, factors = self._score_step(key), self._room(key)[0].sizes
        if step is None or factors is None:
            return _withhold(_UNAUDITED)
        constraints = []
        for kind, terms in sizes.items():
            n = numbers[kind]
            least = -int(-n * factors[0] // 1)
            constraints.append(between(terms, min(least, n), max(int(n * factors[1]), n)))
        constraints += self._score_grid_choice(sizes, numbers, step)
        return _end(found, slot, step, tuple(constraints))

    def _score_grid_choice(
        self, sizes: Mapping[str, tuple[Term, ...]], numbers: Mapping[str, int], step: Fraction
    ) -> list[Constraint]:
        """What the choice of the ends' grid tells: the smaller of the two numbers lies in a range."""
        least = min(numbers.values())
        low = least
        while low > 1 and score_end_step(self.rules, low - 1) == step:
            low -= 1
        found = [between(terms, low, None) for terms in sizes.values()]
        high = least
        while high < 10_000_000 and score_end_step(self.rules, high + 1) == step and high < 4 * least + 1_000:
            high += 1
        smaller = min(numbers, key=lambda kind: numbers[kind])
        found.append(between(sizes[smaller], None, high))
        return found

    def _floors(self, cells: Iterable[str]) -> list[Constraint]:
        """A number that leaves tells that its cells reached the minimum, or are empty where that may be told."""
        least = self.rules.minimum_cell
        floors = []
        for cell in cells:
            empty = self.counted.values[cell] == 0
            floors.append(between(total([cell]), None if empty else least, 0 if empty else None))
        return floors

    def _verdict(self) -> Told:
        return overall(self.results.verdict, [self.tell_criterion(each) for each in self.results.acceptance])

    def tell_criterion(self, criterion: CriterionResult) -> Told:
        """Write the verdict of one criterion, and the counts that it implies."""
        if not self.counted.truth:
            return Told(value=criterion.verdict)
        group = self._group_of(criterion)
        refusal = self.decisions[Key("auroc" if criterion.metric == "auroc" else "patients", group)]
        if refusal is not None and refusal.rule in ("patients", "positives_negatives"):
            return _withhold(refusal)
        if criterion.estimate.status != "ok":
            return _withhold(_UNAUDITED)
        if criterion.metric in (*RATES, "failure_rate"):
            return self._rate_criterion(criterion, Key(criterion.metric, group, criterion.operating_point))
        if criterion.operating_point is not None:
            return _withhold(_UNAUDITED)
        return Told(value=criterion.verdict)

    def _rate_criterion(self, criterion: CriterionResult, key: Key) -> Told:
        numerator, denominator, _ = self._parts(key)
        found = criterion.estimate
        bound, direction, limit = criterion.bound, criterion.direction, criterion.limit

        def same(rate: intervals.Floats, low: intervals.Floats, high: intervals.Floats) -> intervals.Bools:
            sign = 1.0 if direction == "at_least" else -1.0
            near, far = (rate, rate) if bound == "value" else (low, high) if sign > 0 else (high, low)
            met, missed = sign * near >= sign * limit, sign * far < sign * limit
            return (
                met
                if criterion.verdict == "met"
                else missed
                if criterion.verdict == "not_met"
                else ~(met | missed)
            )

        cone = intervals.consistent_cone(found, self.counted.value(numerator), same)
        if cone is None:
            return _withhold(_UNAUDITED)
        return Told(value=criterion.verdict, constraints=_cone(numerator, denominator, cone))

    def _group_of(self, criterion: CriterionResult) -> str:
        if criterion.stratum is None:
            return ALL
        names = {f"{group.attribute} = {group.level}": group.name for group in self.counted.groups}
        return names.get(criterion.stratum, ALL)


def overall(verdict: str | None, criteria: Sequence[Told]) -> Told:
    """The overall verdict, which is taken to tell each criterion's."""
    refusal = next((part.refusal for part in criteria if part.refusal), None)
    constraints = tuple(found for part in criteria for found in part.constraints)
    return Told(value=None if refusal else verdict, constraints=constraints, refusal=refusal)


def protected(counted: Counted, fields: Iterable[ReleasedField]) -> tuple[str, ...]:
    """Cells that the audit protects: all but those that a released 0 % or 100 % tells on purpose."""
    told = {
        found.terms[0].cell
        for field in fields
        if field.value is not None
        for found in field.constraints
        if len(found.terms) == 1 and found.high == 0
    }
    names = [cell for part in counted.truth.values() for cell in part.values()]
    names += [cell for table in counted.confusion.values() for own in table.values() for cell in own.values()]
    names += [*counted.failing.values(), *counted.codes.values()] if _tells_failures(counted, fields) else []
    return tuple(cell for cell in dict.fromkeys(names) if cell not in told)


def _tells_failures(counted: Counted, fields: Iterable[ReleasedField]) -> bool:
    watched = {*counted.failing.values(), *counted.codes.values()}
    numbers = (field for field in fields if field.kind != "verdict")
    return any(
        term.cell in watched for field in numbers for found in field.constraints for term in found.terms
    )


_UNAUDITED = Withheld(
    rule="interval", sentence="The audit cannot follow how this number was made, or on so few cases."
)


def _withhold(refusal: Withheld) -> Told:
    """A withheld number tells that the cells in its way are small; a reader may guess which they are."""
    small = tuple(between(total([cell]), None, limit) for cell, limit in refusal.at_most)
    return Told(refusal=refusal, constraints=small)


def _cone(
    numerator: Sequence[Term], denominator: Sequence[Term], cone: intervals.Cone
) -> tuple[Constraint, ...]:
    return (
        between(denominator, cone.least, cone.most),
        *ratio(numerator, denominator, cone.low, None),
        *_at_most(numerator, denominator, cone.high),
    )


def _at_most(
    numerator: Sequence[Term], denominator: Sequence[Term], limit: Fraction
) -> tuple[Constraint, ...]:
    """``numerator / denominator <= limit``."""
    strict = next(iter(ratio(numerator, denominator, None, limit)))
    return (between(strict.terms, None, 0),)


def _rounded(value: Fraction, *, up: bool) -> Fraction:
    scaled = value * _FINE
    return Fraction(
        -(-scaled.numerator // scaled.denominator) if up else scaled.numerator // scaled.denominator, _FINE
    )


def _end(found: Estimate, slot: Slot, step: Fraction, constraints: tuple[Constraint, ...]) -> Told:
    assert found.low is not None
    assert found.high is not None
    low, high = intervals.outward(found.low, found.high, step)
    return Told(
        value=steps_text(low if slot.part == "low" else high, step),
        grid=_grid_text(step),
        constraints=constraints,
    )


def _grid_text(step: Fraction) -> str:
    return steps_text(1, step)
