//! What inputs that nobody saw could make matter.

use aqlens::run_dir::summary::EvidenceVerdict;
use aqlens::stages::summary::{Config, SmallestConfig};

use super::{CLEAR, Effect, config, judge_named};

#[test]
fn a_divergence_is_equivalent_only_where_unseen_inputs_could_not_make_it_matter() {
    // The scale is 0.4 bits, a tenth of which matters: 3/n of the inputs may differ by a bit.
    let small = Effect {
        layer: -1,
        delta: 0.0,
        interval: Some((-0.001, 0.001)),
        relative: Some((0.0, -0.0025, 0.0025)),
        ..CLEAR
    };
    let of = |n_clusters, config: &Config| {
        let effect = Effect { n_inputs: n_clusters, n_clusters, ..small.clone() };
        judge_named(0.5, config, std::slice::from_ref(&effect))
    };
    // (1 - e) 0.001 + e < 0.1 (0.4 (1 - e) - e): e < 0.039 / 1.139, n > 3 / 0.034241.
    let few = of(87, &config("jsd_bits"));
    assert_eq!(few.verdict, EvidenceVerdict::Undecided);
    assert!(few.reason.contains("a share of 0.034 of all inputs"), "{}", few.reason);
    assert!(few.reason.contains("88 independent inputs like these would do"), "{}", few.reason);
    assert_eq!(of(88, &config("jsd_bits")).verdict, EvidenceVerdict::Equivalent);
    let own = Config {
        smallest: Some(SmallestConfig::Own([("jsd_bits".into(), 0.02)].into())),
        ..config("jsd_bits")
    };
    // (1 - e) 0.001 + e < 0.02: e < 0.019 / 0.999, n > 157.7.
    let few = of(157, &own);
    assert_eq!(few.verdict, EvidenceVerdict::Undecided);
    assert!(few.reason.contains("158 independent inputs like these"), "{}", few.reason);
    assert_eq!(of(158, &own).verdict, EvidenceVerdict::Equivalent);
}
