"""A hundred live tails beside a full load, the server on one core."""

from pathlib import Path

import pytest

from tests.bench.tails import measure_tails


@pytest.mark.alone
def test_a_hundred_tails_that_together_match_everything_skip_nothing(run_dir: Path) -> None:
    followed = measure_tails(run_dir, seconds=4)
    assert (followed.shown, followed.skipped) == (followed.written, 0), followed
    assert followed.delay_p99_ms < 10_000, followed
