//! The fuzzer of tests/fuzz would see every kind of failure, and cases are the same wherever they are made.

use crate::support::{file, python};

#[test]
fn the_fuzzer_tells_all_ways_to_end_apart() {
    let output = python().arg(file("tests/fuzz/fuzz.py")).arg("--self-test").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("ways to end were told apart"), "{said}");
}
