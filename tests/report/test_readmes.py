"""READMEs: numbers, tables and claims in a template come from the rows, and what does not follow is named."""

import re

import pytest

from contrastbench import readmes
from contrastbench.verdicts.cells import join
from contrastbench.verdicts.claims import Greater
from contrastbench.verdicts.judging import judge

SPEED = """loss,batch,contender,milliseconds
hcl,64,ours,2.0
hcl,64,"formula, plain",5.0
hcl,256,ours,10.0
bcl,256,ours,
"""


GAIN = Greater(
    "gain", "DCL beats SimCLR.", "Table 1", ("main/paper",), "test_top1_percent", ("Alpha",), matters=1.0,
    method="DCL", over="SimCLR",
)  # fmt: skip


@pytest.fixture
def table(synthetic):
    """SimCLR at 80 and DCL at 82.5 on two data sets, each seed with its own luck; HCL in two variants."""
    cells = [synthetic.cell(method, dataset) for dataset in ("Alpha", "Beta") for method in ("SimCLR", "DCL")]
    rows = [row for cell in cells for row in synthetic.rows(cell, 82.5 if cell.method == "DCL" else 80.0, 1.0)]
    (joined,) = join("toy", {"main": synthetic.table()}, {"main": cells}, [], rows)
    return joined


@pytest.fixture
def rendered(tmp_path, table):
    def render(text):
        (tmp_path / "toy").mkdir(exist_ok=True)
        (tmp_path / "toy" / "speed.csv").write_text(SPEED)
        template = tmp_path / "README.md.jinja"
        template.write_text(text)
        claims = {"toy": judge([GAIN], [table])}
        return readmes.render(template, [table], claims, "toy", tmp_path).removeprefix(
            readmes.NOTE.format(name="README.md.jinja")
        )

    return render


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('{{ mean("main", "Alpha", "DCL") }} of {{ n("main", "Alpha", "DCL", digits=0) }}', "82.5 of 5"),
        ('{{ gain("main/paper", "Alpha", "DCL", "SimCLR", digits=2) }}', "+2.50 [1.12, 3.88]"),
        ('{{ gain("main", "Alpha", "DCL", "SimCLR", sign=False, interval=False) }}', "2.5"),
        ('{{ pooled("toy/main", "DCL", "SimCLR", interval=False) }}', "+2.5"),
        ('{{ claim("gain") }}, {{ claim("gain", digits=2) }}', "+2.5 [1.1, 3.9], +2.50 [1.12, 3.88]"),
        ('{{ differing("main", "Alpha", digits=0) }} of {{ compared("main", "Alpha", digits=0) }}', "1 of 1"),
        ('{{ first("main", "Alpha", "SimCLR", "1") }}', "80.5"),
        ('{{ read("speed.csv", "milliseconds", "loss=hcl; batch=256", digits=0) }} ms', "10 ms"),
        (
            '{{ times("speed.csv", "milliseconds", "loss=hcl; batch=64", "contender=formula, plain", '
            '"contender=ours") }} times',
            "2.5 times",
        ),
        ('{{ least("speed.csv", "milliseconds", "contender=ours") }}', "2.0"),
        ('{% for line in lines("speed.csv") if line.batch == "256" %}{{ line.loss }} {% endfor %}', "hcl bcl "),
    ],
)
def test_a_number_in_a_sentence_comes_from_the_rows(rendered, text, written):
    assert rendered(text) == written


def test_a_table_stands_where_it_is_named(rendered):
    text = rendered('Before\n\n{{ table("main/long") }}\n\nafter\n')
    assert text.startswith("Before\n\n| method |") and text.endswith("\n\nafter\n")
    assert "| SimCLR | Alpha | – | 80.00 ± 1.00 (5) |" in text and "here" not in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{{ table("toy/other") }}', "not one table is named 'toy/other'; possible: toy/main/paper"),
        ('{{ mean("main", "Alpha", "MoCo") }}', "no measured cell Alpha | MoCo in toy/main/paper"),
        ('{{ best("main", "Alpha", "DCL") }}', "'best' is undefined"),
        ('{{ n("main", "Alpha", "SimCLR", interval=True) }}', "5.0 has no interval; say interval=False"),
        (
            '{{ seed("main", "Alpha", "SimCLR", "7") }}',
            "no seed '7' of Alpha | SimCLR in main; there are 0, 1, 2, 3, 4",
        ),
        ('{{ claim("loss") }}', "no claim with rows has the id 'loss'; possible: gain"),
        ('{{ mean("main" }}', "unexpected '}', expected ')'"),
        ('{{ read("slow.csv", "milliseconds", "loss=hcl") }}', "there is no file"),
        ('{{ read("speed.csv", "milliseconds", "loss=hcl") }}', "3 lines of the file have milliseconds where loss=hcl"),
        ('{{ read("speed.csv", "milliseconds", "loss=bcl") }}', "the file has no milliseconds where loss=bcl"),
        ('{{ read("speed.csv", "seconds", "loss=hcl") }}', "the file has no column seconds; it has loss, batch"),
    ],
)
def test_what_a_template_names_and_there_is_not_is_said(rendered, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        rendered(text)


def test_a_readme_that_does_not_follow_from_its_template_is_named(tmp_path, table):
    template = tmp_path / "README.md.jinja"
    template.write_text('# Toy\n\nDCL has {{ mean("main", "Alpha", "DCL") }}.\n')
    made, readme = readmes.render(template, [table], {}, "toy", tmp_path), tmp_path / "README.md"
    readme.write_text(made)
    assert readmes.check(readme, made) == []
    readme.write_text(made.replace("82.5", "83.5"))
    assert readmes.check(readme, made) == [
        f"{readme}: not 'DCL has 83.5.'",
        f"{readme}: the rows and the template give 'DCL has 82.5.'",
    ]
