"""The calibration itself, on made-up programs: half an hour is too long for every change, this is not."""

import self_test


def test_programs_that_err_are_seen_and_an_honest_one_passes():
    assert self_test.main() == 0
