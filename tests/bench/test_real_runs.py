import importlib.util
from pathlib import Path

import pytest

RECORD = Path(__file__).parents[2] / "benchmarks" / "real" / "record.py"


@pytest.fixture(scope="module")
def record():
    spec = importlib.util.spec_from_file_location("record", RECORD)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_holds_what_the_committed_rows_say(record):
    stale = f"{record.PAGE.name} is stale: python benchmarks/real/record.py"
    assert record.PAGE.read_text(encoding="utf-8") == record.page(), stale


def test_a_table_has_a_line_for_each_arm_and_says_what_made_it(record):
    common = dict.fromkeys(record.FIELDS, "") | {"device": "cpu", "commit": "abc", "command": "go"}
    rows = [
        {"arm": "teacher", "metric": "perplexity", "value": "19.757", "test_rows": "400"},
        {"arm": "task", "seed": "0", "metric": "perplexity", "value": "2234.6"},
        {
            "arm": "task+logits minus task",
            "seed": "0",
            "metric": "perplexity",
            "value": "-30.35",
            "low": "-36",
            "high": "-25.1",
        },
    ]
    text = record.table("decoder", [common | row for row in rows])
    assert text.startswith("`go` at commit abc, cpu, 400 test rows")
    assert "| teacher |  | 19.76 |  |\n| task | 0 | 2,235 |  |\n" in text
    assert "task + logits minus task, perplexity: −30.35 (−36 to −25.1) (seed 0)." in text
    rows[-1]["seed"] = "0 1"
    assert "(seeds 0, 1)." in record.table("decoder", [common | row for row in rows])
