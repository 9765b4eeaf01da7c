"""`attndistill bench ops`: one loss with its gradients, ours beside its rivals."""

from collections.abc import Callable, Sequence
from functools import partial

from .cases import Case, Entry
from .contenders import CONTENDERS, HALF_LENGTH, contender_run, why_not

# Contenders by what they show. TextBrewer takes no causal mask.
TEXTBOOK = ("dense", "dense-compiled", "textbrewer")
CPU = ("blockwise", "blockwise-uncompiled")
GPU = ("triton", "blockwise")
FLASH = ("triton", "sdpa-flash")
# FlashAttention's own benchmark: 16 k tokens and a model width of 2048, whatever N and D.
TOKENS, WIDTH = 2**14, 2048

Wanted = tuple[Case, tuple[str, ...]]


def entries(
    device: str, *, quick: bool, only: Sequence[str], say: Callable[[str], None]
) -> list[Entry]:
    """The cases and contenders of a run.

    Args:
        device: ``cpu`` or ``cuda``.
        quick: a few small cases instead of all.
        only: measure these contenders alone; empty for all.
        say: receives, once each, the reason why a contender is left out.
    """
    suite = {
        ("cpu", True): _cpu_quick,
        ("cpu", False): _cpu,
        ("cuda", True): _cuda_quick,
        ("cuda", False): _cuda,
    }[device, quick]
    found: list[Entry] = []
    said: set[str] = set()
    for case, names in suite():
        setups = {}
        for name in names:
            if only and name not in only:
                continue
            reason = why_not(case, name)
            if reason is None:
                setups[name] = partial(contender_run, case, name)
            elif reason not in said:
                said.add(reason)
                say(reason)
        products = {name: CONTENDERS[name].products for name in setups if case.kind == "kl"}
        if setups:
            time_only = frozenset(name for name in setups if CONTENDERS[name].time_only)
            found.append(Entry(case=case, setups=setups, products=products, time_only=time_only))
    return found


def _cpu_case(kind: str, length: int, dtype: str = "float32", causal: bool = False) -> Case:
    return Case(kind=kind, batch=1, heads=8, length=length, head_dim=64, dtype=dtype, causal=causal)


def _short(dtype: str) -> Case:
    """Sentences: many, short, with narrow heads."""
    return Case(kind="kl", batch=8, heads=12, length=128, head_dim=32, dtype=dtype)


def _cpu() -> list[Wanted]:
    everyone = (*CPU, "matrix-products", *TEXTBOOK)
    growth = ("blockwise", HALF_LENGTH)
    suite: list[Wanted] = []
    for dtype in ("float32", "bfloat16"):
        suite.append((_short(dtype), everyone))
        suite += [(_cpu_case("kl", length, dtype), everyone) for length in (512, 1024)]
        suite.append((_cpu_case("kl", 2048, dtype), (*everyone, HALF_LENGTH)))
    suite += [
        (_cpu_case("kl", 4096), (*growth, "matrix-products", "dense")),
        (_cpu_case("kl", 8192), (*growth, "matrix-products")),
        (_cpu_case("kl", 2048, causal=True), ("blockwise", "dense")),
    ]
    for kind in ("reverse_kl", "js", "mse", "cosine"):
        rivals = TEXTBOOK if kind == "mse" else ("dense",)
        suite.append((_cpu_case(kind, 1024), ("blockwise", *rivals)))
    for length in (512, 1024, 2048):
        ours = growth if length == 2048 else ("blockwise",)
        suite.append((_cpu_case("score_mse", length), (*ours, *TEXTBOOK)))
        suite.append((_cpu_case("score_mse", length, causal=True), (*ours, "dense")))
    for length in (4096, 8192):
        for causal in (False, True):
            suite.append((_cpu_case("score_mse", length, causal=causal), growth))
    return suite


def _cpu_quick() -> list[Wanted]:
    everyone = (*CPU, "matrix-products", *TEXTBOOK)
    return [
        (_short("float32"), everyone),
        (_cpu_case("kl", 512), everyone),
        (_cpu_case("kl", 1024), everyone),
        (_cpu_case("kl", 512, "bfloat16"), everyone),
        (_cpu_case("score_mse", 512), ("blockwise", "dense", "textbrewer")),
        (_cpu_case("score_mse", 1024), ("blockwise", "dense", "textbrewer")),
    ]


def _gpu_case(
    kind: str, length: int, head_dim: int = 64, causal: bool = False, dtype: str = "bfloat16"
) -> Case:
    return Case(
        kind=kind,
        batch=max(1, TOKENS // length),
        heads=WIDTH // head_dim,
        length=length,
        head_dim=head_dim,
        dtype=dtype,
        causal=causal,
        device="cuda",
    )


def _cuda() -> list[Wanted]:
    everyone = (*GPU, "sdpa-flash", *TEXTBOOK)
    suite: list[Wanted] = [(_gpu_case("kl", length), everyone) for length in (1024, 2048, 4096)]
    suite += [(_gpu_case("kl", length), (*GPU, "sdpa-flash")) for length in (8192, 16384)]
    suite += [(_gpu_case("kl", length), FLASH) for length in (32768, 65536, 131072)]
    suite.append((_gpu_case("kl", 4096, causal=True), (*FLASH, "dense")))
    suite += [(_gpu_case("kl", length, causal=True), FLASH) for length in (16384, 131072)]
    for length in (4096, 16384):
        for causal in (False, True):
            suite.append((_gpu_case("kl", length, head_dim=128, causal=causal), FLASH))
    suite.append((_gpu_case("kl", 2048, dtype="float32"), (*GPU, "dense", "dense-compiled")))
    for kind in ("reverse_kl", "js", "mse", "cosine"):
        suite.append((_gpu_case(kind, 2048), (*GPU, "dense")))
    for length in (2048, 4096):
        suite.append((_gpu_case("score_mse", length), ("blockwise", "dense", "dense-compiled")))
    for length in (8192, 16384):
        suite.append((_gpu_case("score_mse", length), ("blockwise",)))
    return suite


def _cuda_quick() -> list[Wanted]:
    return [
        (_gpu_case("kl", 1024), (*GPU, "sdpa-flash", "dense")),
        (_gpu_case("kl", 4096), (*GPU, "sdpa-flash", "dense")),
        (_gpu_case("kl", 4096, causal=True), FLASH),
        (_gpu_case("kl", 4096, head_dim=128), FLASH),
        (_gpu_case("score_mse", 2048), ("blockwise", "dense")),
    ]
