"""Three hundred mutants of small real files: each becomes a result, or a failure that rightly blames the file, and nothing stays behind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from reframer_pipeline_tests.faults import fates, mutants, seeds
from reframer_pipeline_tests.faults.trees import Tree
from reframer_pipeline_tests.support import media_dir

BLOCKS, EACH = 12, 25

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return seeds.made(tmp_path_factory.mktemp("seeds"))


def judged(files: list[Path], numbers: range, folder: Path) -> Counter[str]:
    """How many ended by which code; fails at all that went wrong, by name."""
    ended: Counter[str] = Counter()
    wrong = []
    scratch = folder / "scratch"
    scratch.mkdir()
    for number in numbers:
        file = files[number % len(files)]
        data, changed = mutants.mutant(file.read_bytes(), number)
        (folder / "mutant").write_bytes(data)
        fate = fates.fate_of(folder / "mutant", scratch)
        ended[fate.code] += 1
        if fate.wrong:
            wrong.append(f"{file.name}:{number} ({changed}): {fate.wrong}\n{fate.says}")
    assert not wrong, "\n".join(wrong)
    return ended


def test_the_files_themselves_are_computed(files: list[Path], tmp_path: Path) -> None:
    for file in files:
        fate = fates.fate_of(file, tmp_path)
        assert (fate.code, fate.wrong) == ("completed", ""), (file.name, fate)
        assert fate.frames == (20 if file.name == "ordered.mp4" else 12), file.name


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_mutant_is_a_result_or_blames_the_file(files: list[Path], tmp_path: Path, block: int) -> None:
    ended = judged(files, range(block * EACH, (block + 1) * EACH), tmp_path)
    assert len(ended) > 2  # else they were all turned away at the door


def test_a_mutant_of_a_shared_file_is_one_too(tmp_path: Path) -> None:
    assert judged(seeds.shared(media_dir()), range(EACH), tmp_path)


def test_a_mutant_is_made_again_by_its_name(files: list[Path]) -> None:
    for number, file in enumerate(files):
        data = file.read_bytes()
        first, again, other = (mutants.mutant(data, one) for one in (number, number, number + 1000))
        assert first == again and first[0] != data and first[0] != other[0]


def test_every_change_comes_about(files: list[Path]) -> None:
    """A change that a file has no place for is passed over; none is for all files."""
    wanted = {"size of", "called", "swap names", "times more", "no ", "before", "deep", "junk", "bits of", "bits", "bytes of", "cut at",
              "stsz+", "stco+", "stts+", "stsc+", "ctts+", "elst+", "all samples at", "mdhd+12", "mvhd+12", "matrix", "x", "in 64 bits",
              "hdlr of", "strh+24", "avih+", "idx1+", "idx1 of noise", "chunks called", "bits of avcC", "bits of esds"}  # fmt: skip
    said = "\n".join(mutants.mutant(files[number % len(files)].read_bytes(), number)[1] for number in range(1500))
    assert [one for one in sorted(wanted) if one not in said] == []


def test_a_file_is_taken_apart_as_it_is_built(files: list[Path]) -> None:
    for file in files:
        tree = Tree(file.read_bytes())
        wanted = {b"hdrl", b"strh", b"movi", b"00dc"} if tree.avi else {b"moov", b"stbl", b"stsd", b"mdat"}
        assert wanted <= {part.kind for part in tree.parts}, file.name
        assert max(part.end for part in tree.parts) == len(tree.data) and all(part.end <= len(tree.data) for part in tree.parts)
