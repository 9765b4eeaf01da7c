"""Arms: the same student trained with different terms or seeds, compared on the same test rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InputError
from ..measure.costs import Cost
from ..metrics.intervals import Interval
from ..metrics.quality import Quality, difference_over_seeds, mean_over_seeds, quality_of
from ..metrics.scores import Assessment, check_same_rows


@dataclass(frozen=True, kw_only=True)
class ArmRun:
    """One training run to compare, with what its student does on the test rows.

    Attributes:
        name: the arm; runs of one arm differ in their seed only.
        seed: of the run.
        terms: the objective's terms in use.
        training_seconds: wall-clock time of its training.
        assessed: its student on the test rows.
        cost: of its model, where it differs from the report's student.
    """

    name: str
    seed: int
    terms: tuple[str, ...]
    training_seconds: float
    assessed: Assessment
    cost: Cost | None = None


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One compared run as the report holds it (see `ArmRun`)."""

    name: str
    seed: int
    terms: tuple[str, ...]
    training_seconds: float
    quality: Quality
    cost: Cost | None = None


@dataclass(frozen=True, kw_only=True)
class ArmSummary:
    """The deciding metric of an arm, mean over its seeds; the interval resamples seeds and rows.

    It is None where the metric is undefined.
    """

    name: str
    seeds: tuple[int, ...]
    score: Interval | None


@dataclass(frozen=True, kw_only=True)
class ArmDifference:
    """Deciding metric of ``arm`` minus that of ``other``, paired by row and seed.

    Attributes:
        arm: the reference arm.
        other: the arm it is compared with.
        difference: mean over shared seeds; the interval resamples rows and seeds. None where the
            metric is undefined.
        seeds: the shared seeds. With one, the interval covers the choice of rows only.
    """

    arm: str
    other: str
    difference: Interval | None
    seeds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All compared arms; empty where a run is not compared with any other."""

    arms: tuple[Arm, ...] = ()
    summaries: tuple[ArmSummary, ...] = ()
    differences: tuple[ArmDifference, ...] = ()

    @property
    def reference(self) -> str | None:
        """The arm compared with the others; None where there is nothing to compare."""
        return self.differences[0].arm if self.differences else None


def compare_arms(
    runs: Sequence[ArmRun],
    *,
    teacher: Assessment | None = None,
    reference: str | None = None,
) -> Comparison:
    """Summarise each arm and compare the reference arm with every other.

    Args:
        runs: all runs of all arms, assessed on the same rows.
        teacher: its assessment on those rows, for what each arm keeps of it.
        reference: the arm compared with the others; the first run's by default.

    Raises:
        InputError: two runs share name and seed, the rows differ, the reference is not among the
            arms, or it shares no seed with another arm.
    """
    if not runs:
        return Comparison()
    by_arm: dict[str, dict[int, ArmRun]] = {}
    for run in runs:
        check_same_rows(run.assessed, runs[0].assessed)
        if run.seed in by_arm.setdefault(run.name, {}):
            raise InputError(f"two runs of arm {run.name!r} have seed {run.seed}: give one of each")
        by_arm[run.name][run.seed] = run
    reference = runs[0].name if reference is None else reference
    if reference not in by_arm:
        raise InputError(f"the reference arm {reference!r} is not one of {', '.join(by_arm)}")
    return Comparison(
        arms=tuple(_arm(run, teacher) for run in runs),
        summaries=tuple(
            ArmSummary(
                name=name,
                seeds=tuple(by_seed),
                score=mean_over_seeds([run.assessed for run in by_seed.values()]),
            )
            for name, by_seed in by_arm.items()
        ),
        differences=tuple(
            _difference(by_arm[reference], by_arm[name]) for name in by_arm if name != reference
        ),
    )


def _arm(run: ArmRun, teacher: Assessment | None) -> Arm:
    return Arm(
        name=run.name,
        seed=run.seed,
        terms=run.terms,
        training_seconds=run.training_seconds,
        quality=quality_of(run.assessed, teacher=teacher),
        cost=run.cost,
    )


def _difference(a: dict[int, ArmRun], b: dict[int, ArmRun]) -> ArmDifference:
    name_a, name_b = next(iter(a.values())).name, next(iter(b.values())).name
    shared = tuple(sorted(a.keys() & b.keys()))
    if not shared:
        raise InputError(
            f"arms {name_a!r} (seeds {sorted(a)}) and {name_b!r} (seeds {sorted(b)}) share no "
            "seed: a paired comparison needs both trained with the same seeds"
        )
    difference = difference_over_seeds(
        [a[seed].assessed for seed in shared], [b[seed].assessed for seed in shared]
    )
    return ArmDifference(arm=name_a, other=name_b, difference=difference, seeds=shared)
