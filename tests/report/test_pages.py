import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from attndistill.measure.energy import Energy, EnergySource
from attndistill.metrics.intervals import Interval
from attndistill.report import RunReport, page, print_report
from attndistill.report.attention_figures import fidelity_plot
from attndistill.report.claims import student_claims
from attndistill.report.formatting import (
    NBSP,
    byte_size,
    duration,
    factor,
    milliseconds,
    nats,
    short_count,
    short_path,
    signed_points,
)
from attndistill.report.headlines import headlines
from attndistill.report.page import render_html
from attndistill.report.tables import cost_rows
from attndistill.report.training_figure import training_curves

EVIL = "<script>alert('1')</script>\x07$\\frac{$"


class Page(HTMLParser):
    """The tags, ids, and references of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.ids, self.references = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "data", "action"):
                self.references.append(value)


@pytest.fixture
def evil(report, changed):
    sample = replace(report.sample, tokens=(EVIL, *report.sample.tokens[1:]))
    split = replace(report.data.splits["test"], origin=EVIL)
    arms = tuple(replace(arm, name=EVIL) for arm in report.comparison.arms)
    summaries = tuple(replace(summary, name=EVIL) for summary in report.comparison.summaries)
    return changed(
        task=EVIL,
        sample=sample,
        notes=(EVIL,),
        recipe={"data": EVIL},
        data=replace(report.data, labels=(EVIL,), splits={EVIL: split}),
        teacher=replace(report.teacher, name=EVIL, architecture=EVIL),
        student=replace(report.student, name=EVIL),
        training=replace(report.training, history=({"step": 1, EVIL: 2.0},)),
        comparison=replace(report.comparison, arms=arms, summaries=summaries),
    )


def test_untrusted_text_is_never_markup(evil):
    html = render_html(evil)
    assert "script" not in Page(html).tags
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 15
    assert "\x07" not in html


def test_the_page_loads_nothing(report):
    html = render_html(report)
    assert not re.search(r"https?://|url\((?!#)|@import|<link|<script", html)
    page = Page(html)
    assert page.references
    assert all(reference.startswith(("#", "data:image/png;")) for reference in page.references)
    assert "default-src 'none'" in html


def test_ids_are_unique_and_every_reference_in_the_page_has_one(report):
    page = Page(render_html(report))
    assert len(set(page.ids)) == len(page.ids)
    inner = {reference[1:] for reference in page.references if reference.startswith("#")}
    assert inner <= set(page.ids)


def test_the_page_answers_in_order(report):
    html = render_html(report)
    places = [
        html.index(text)
        for text in (
            "accuracy kept",
            "less computation",
            "The interval includes 0",
            "Does each part earn its place?",
            "How closely the attention",
            "Attention on one sentence",
            "<h2>Costs",
            "<h2>Training",
            "<h2>Data",
            "<h2>Recipe",
        )
    ]
    assert places == sorted(places)
    assert html.count("<svg") == 4 + 2 * 2
    assert "25.0\xa0%" in html


def test_a_page_drawn_again_is_the_same_and_no_id_is_given_twice(report):
    html = render_html(report)
    assert render_html(report) == html
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) > 20
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)


def test_a_page_of_little_has_no_empty_sections(report, changed):
    bare = changed(
        fidelity=(),
        sample=None,
        notes=(),
        comparison=type(report.comparison)(),
        teacher=replace(report.teacher, cost=None),
        training=replace(report.training, history=(), first_step={}),
    )
    html = render_html(bare)
    assert "<svg" not in html
    assert "Costs" not in html
    assert "earn its place" not in html
    assert "Before you rely" not in html


def test_remote_code_is_told_at_the_top(changed):
    assert "trust_remote_code" in render_html(changed(trust_remote_code=True, notes=()))


def test_the_terminal_shows_names_as_they_are(evil, changed):
    shown = io.StringIO()
    console = Console(file=shown, width=200)
    print_report(evil, changed(notes=("[red]not markup[/red]",)), console=console)
    text = shown.getvalue()
    assert "<script>alert('1')</script>" in text
    assert "[red]not markup[/red]" in text
    assert "Side by side" in text
    assert "estimated at 65" in text


def test_a_difference_is_claimed_only_where_its_interval_excludes_zero(report, changed):
    def claim(low, high):
        interval = Interval((low + high) / 2, low, high)
        quality = replace(report.student.quality, difference=interval)
        return student_claims(changed(student=replace(report.student, quality=quality)))[0]

    assert "no difference in accuracy is claimed on 37 test rows" in claim(-0.03, 0.01)
    assert claim(-0.03, -0.01).startswith("The student is worse in accuracy")
    assert claim(0.01, 0.03).startswith("The student is better in accuracy")


def test_a_student_that_costs_more_is_not_called_a_gain(report, changed):
    swapped = changed(
        teacher=replace(report.teacher, cost=report.student.cost),
        student=replace(report.student, cost=report.teacher.cost),
    )
    labels = [headline.label for headline in headlines(swapped)]
    assert labels[1:3] == ["more computation", "more parameters"]
    assert headlines(swapped)[1].figure == headlines(report)[1].figure == "1.99×"


def test_figures_that_were_not_measured_are_said(report, changed):
    reasons = {"FLOPs": "no <formula>", "latency at batch 4": "memory", "energy": "no meter"}
    without = {"flops": None, "latency": (), "energy": None, "missing": reasons}
    bare = changed(
        teacher=replace(report.teacher, cost=replace(report.teacher.cost, **without)),
        student=replace(report.student, cost=replace(report.student.cost, **without)),
    )
    assert [headline.label for headline in headlines(bare)][1:] == ["fewer parameters"]
    html = render_html(bare)
    assert "Not measured for the student: FLOPs (no &lt;formula&gt;)." in html
    assert "FLOPs per example" not in html
    cost = replace(report.student.cost, flops=None)
    half = replace(report, student=replace(report.student, cost=cost))
    row = next(row for row in cost_rows(half) if row.label == "FLOPs per example")
    assert (row.student, row.gain) == ("not measured", "")
    assert row.teacher == short_count(report.teacher.cost.flops.total)
    shown = io.StringIO()
    print_report(bare, console=Console(file=shown, width=200))
    assert "Not measured for the teacher: energy (no meter)." in " ".join(shown.getvalue().split())
    assert "Peak memory is weights plus live tensors at the largest batch." in html
    assert RunReport.from_json(bare.to_json()).student.cost == bare.student.cost


def test_a_report_from_before_a_field_is_read(report):
    plain = json.loads(report.to_json())
    for model in ("teacher", "student"):
        del plain[model]["cost"]["missing"]
    assert RunReport.from_json(json.dumps(plain)).to_json() == report.to_json()


def test_energy_is_labelled_on_the_page(report, changed):
    assert "less energy (estimated)" in [headline.label for headline in headlines(report)]
    measured = Energy(
        joules=2.0, source=EnergySource.MEASURED, method="RAPL package-0", watts=None, batch_size=4
    )
    costs = [replace(model.cost, energy=measured) for model in (report.teacher, report.student)]
    shown = changed(
        teacher=replace(report.teacher, cost=costs[0]),
        student=replace(report.student, cost=costs[1]),
    )
    html = render_html(shown)
    assert "less energy (measured)" in html
    assert "2\xa0J (measured, RAPL package-0)" in html
    assert "estimated" not in html


def test_curves_are_the_terms_and_metrics_only():
    history = (
        {"step": 5, "loss": 2.0, "loss_task": 1.0, "epoch": 0.5, "grad_norm": 3.0},
        {"step": 9, "eval_loss_task": 0.5, "eval_runtime": 4.0, "eval_accuracy": float("nan")},
        {"step": 9, "train_runtime": 9.0, "train_loss": 1.0, "total_flos": 1e9},
    )
    assert training_curves(history) == {
        "loss": {"training": [(5, 2.0)]},
        "loss_task": {"training": [(5, 1.0)], "validation": [(9, 0.5)]},
    }


def test_figures_as_people_read_them():
    assert short_count(22_700_000) == f"22.7{NBSP}M"
    assert short_count(999_600) == f"1000{NBSP}k"
    assert short_count(12) == "12"
    assert byte_size(90_900_000) == f"90.9{NBSP}MB"
    assert milliseconds(8.4249) == f"8.42{NBSP}ms"
    assert milliseconds(12_340) == f"12.3{NBSP}s"
    assert duration(3700) == f"1{NBSP}h 1{NBSP}min"
    assert duration(59.9996) == f"60{NBSP}s"
    assert [nats(kl) for kl in (0.0, 4e-6, 0.25)] == ["0.0000", "<0.0001", "0.2500"]
    assert factor(1.984) == "1.98×"
    assert factor(1234.5) == "1,234×"
    differences = (-0.0123, 0.004, 0.0, -0.0001)
    assert [signed_points(d) for d in differences] == ["−1.2", "+0.4", "0.0", "0.0"]
    assert short_path("/a/b/minilm/model") == "…/minilm/model"
    assert short_path("runs/demo/student") == "runs/demo/student"


@pytest.mark.filterwarnings("error")
def test_many_layers_of_several_groups_are_named_whole(report):
    groups = ("encoder self-attention", "decoder self-attention", "decoder cross-attention")
    layers = [replace(report.fidelity[0], group=group) for group in groups for _ in range(6)]
    text = fidelity_plot(replace(report, fidelity=tuple(layers)))
    for word in ("encoder", "cross-attention"):
        assert word in text
    first = report.fidelity[0]
    assert text.count(f"{first.student_layer} ← {first.teacher_layer}") >= 18


def test_the_page_takes_its_numbers_from_where_they_are_set(changed, report, monkeypatch):
    monkeypatch.setattr(page, "RESAMPLES", 1234)
    device = replace(report.environment.device, cores=1, threads=3)
    html = render_html(changed(environment=replace(report.environment, device=device)))
    assert "1 core, 3 threads · intervals" in html
    assert "1,234 resamples" in html
