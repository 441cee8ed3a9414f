//! The scale from another wording to another input, where there is none.

use aqlens::run_dir::summary::EvidenceVerdict;

use super::{CLEAR, Effect, judge};

#[test]
fn a_verdict_without_a_scale_says_why_there_is_none() {
    let open = Effect { interval: Some((-0.001, 0.2)), relative: None, ..CLEAR };
    let alone = judge(std::slice::from_ref(&open));
    assert_eq!(alone.verdict, EvidenceVerdict::Undecided);
    assert!(alone.reason.contains("without the control `other_input`"), "{}", alone.reason);
    // The control is there, and another input is as near as another wording.
    let other = Effect { contrast: "other_input", ..open.clone() };
    let both = judge(&[open.clone(), other.clone()]);
    let says = "another input is no further away than another wording, and without a `smallest`";
    assert!(both.reason.contains(says), "{}", both.reason);
    assert!(!both.reason.contains("other_input"), "{}", both.reason);
    // On another layer, or without values, it says nothing of this one.
    for elsewhere in [Effect { layer: 1, ..other.clone() }, Effect { status: "no_pairs", ..other }]
    {
        let reason = judge(&[open.clone(), elsewhere]).reason;
        assert!(reason.contains("without the control `other_input`"), "{reason}");
    }
    // With a scale nothing of it.
    let scaled = judge(&[Effect { relative: CLEAR.relative, ..open }]);
    assert!(!scaled.reason.contains("other_input"), "{}", scaled.reason);
}
