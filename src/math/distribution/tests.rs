use proptest::prelude::*;

use super::*;

/// Equal but for the rounding of a sum.
fn near(value: f64, expected: f64) {
    assert!((value - expected).abs() <= 2e-15 * expected.abs().max(1.0), "{value} != {expected}");
}

const NOTHING: Divergences =
    Divergences { jsd_bits: 0.0, kl_ab: 0.0, kl_ba: 0.0, total_variation: 0.0, hellinger: 0.0 };

/// All five numbers, to the last bit.
fn bits(d: Divergences) -> [u64; 5] {
    [d.jsd_bits, d.kl_ab, d.kl_ba, d.total_variation, d.hellinger].map(f64::to_bits)
}

fn masses(masses: &[f64]) -> Distribution {
    Distribution::from_masses(masses).unwrap()
}

fn logits(logits: &[f32]) -> Distribution {
    Distribution::from_logits(logits).unwrap()
}

/// scipy 1.17: `jensenshannon(p, q) ** 2`, `entropy(p, q)`; `measures.md` section 5.
#[test]
fn the_golden_distributions_have_their_golden_distances() {
    let (p, q) = (masses(&[0.5, 0.5, 0.0]), masses(&[0.5, 0.25, 0.25]));
    let both = Divergences::between(&p, &q);
    near(both.jsd_bits, 0.155_639_062_229_566);
    near(both.jsd_bits * LN_2, 0.107_880_777_169_417_82);
    near((both.jsd_bits * LN_2).sqrt(), 0.328_452_092_654_953);
    near(both.kl_ab, 0.346_573_590_279_972_64);
    assert_eq!(both.kl_ba.to_bits(), f64::INFINITY.to_bits());
    near(both.total_variation, 0.25);
    assert!((both.hellinger - 0.382_683_43).abs() < 5e-9);
    near(p.entropy_bits(), 1.0);
    near(q.entropy_bits(), 1.5);
    let terms = jsd_contributions(&p, &q);
    assert_eq!(terms[0].to_bits(), 0.0_f64.to_bits());
    assert!((terms[1] - 0.030_639_06).abs() < 5e-9);
    near(terms[2], 0.125);
}

/// `tuned_lens.stats.distance.js_divergence` gave the same, in nats.
#[test]
fn the_golden_logits_have_their_golden_divergence() {
    let both =
        Divergences::between(&logits(&[2.0, 1.0, 0.0, -1.0]), &logits(&[0.0, 1.0, 2.0, -1.0]));
    near(both.jsd_bits * LN_2, 0.239_650_743_776_074_7);
    near(both.jsd_bits, 0.345_742_939_591_094_6);
}

#[test]
fn logits_far_apart_neither_overflow_nor_make_a_nan() {
    let (a, b) = (logits(&[1000.0, 0.0, -1000.0]), logits(&[999.0, 1.0, -1000.0]));
    let both = Divergences::between(&a, &b);
    assert_eq!(bits(both), bits(NOTHING));
    assert_eq!(a.entropy().to_bits(), 0);
    assert_eq!(a.logs()[2].to_bits(), (-2000.0_f64).to_bits());
}

/// Support = (sink, task, template, four input tokens, tail); scipy 1.17, `jensenshannon(base=2)²`.
#[test]
fn leaving_out_the_sink_shows_what_it_hides() {
    let p = [0.62, 0.05, 0.08, 0.02, 0.05, 0.03, 0.05, 0.10];
    let q = [0.60, 0.06, 0.08, 0.06, 0.02, 0.03, 0.05, 0.10];
    let between =
        |from: usize, to: usize| Divergences::between(&masses(&p[from..to]), &masses(&q[from..to]));
    let close = |value: f64, expected: f64| assert!((value - expected).abs() < 5e-11, "{value}");
    close(between(0, 8).jsd_bits, 0.012_786_252_5);
    close(between(1, 8).jsd_bits, 0.032_048_713_3);
    close(between(3, 7).jsd_bits, 0.078_988_347_8);
    near(1.0 - between(0, 8).total_variation, 0.95);
}

#[test]
fn too_little_mass_is_not_made_a_whole() {
    let of = Distribution::from_masses;
    assert_eq!(of(&[0.0005, 0.0004]), Err(Undefined::LowMass));
    assert!(of(&[0.0005, 0.0005]).is_ok());
    assert_eq!(of(&[0.0]), Err(Undefined::LowMass));
    assert_eq!(of(&[]), Err(Undefined::TooFew));
    assert_eq!(of(&[0.5, f64::NAN]), Err(Undefined::NotFinite));
    assert_eq!(of(&[0.5, -0.1]), Err(Undefined::NotFinite));
}

#[test]
fn logits_that_are_no_numbers_make_no_distribution() {
    let of = Distribution::from_logits;
    assert_eq!(of(&[]), Err(Undefined::TooFew));
    assert_eq!(of(&[0.0, f32::NAN]), Err(Undefined::NotFinite));
    assert_eq!(of(&[0.0, f32::INFINITY]), Err(Undefined::NotFinite));
    assert_eq!(of(&[f32::NEG_INFINITY]), Err(Undefined::NotFinite));
    // A token that is ruled out is no mistake.
    assert_eq!(of(&[0.0, f32::NEG_INFINITY]).unwrap().probabilities(), [1.0, 0.0]);
}

#[test]
fn distributions_without_a_shared_outcome_are_one_bit_apart() {
    let both = Divergences::between(&masses(&[1.0, 0.0]), &masses(&[0.0, 1.0]));
    let infinite = f64::INFINITY;
    let all = Divergences {
        jsd_bits: 1.0,
        kl_ab: infinite,
        kl_ba: infinite,
        total_variation: 1.0,
        hellinger: 1.0,
    };
    assert_eq!(bits(both), bits(all));
}

/// p = (½ + e, ½ - e) and its mirror: JSD = 2e² + 4e⁴/3 + ... nats.
#[test]
fn a_tiny_divergence_keeps_its_digits() {
    let e = 2.0_f64.powi(-24);
    let both = Divergences::between(&masses(&[0.5 + e, 0.5 - e]), &masses(&[0.5 - e, 0.5 + e]));
    let expected = 2.0 * e * e / LN_2;
    assert!((both.jsd_bits / expected - 1.0).abs() < 1e-7, "{}", both.jsd_bits / expected);
}

/// ½ [p ln(p/m) + q ln(q/m)] in 40 digits (mpmath 1.3): sides that are nearly equal, on either side of
/// where one is three times the other, and far apart; each to a few units in the last place.
#[test]
fn what_an_outcome_adds_has_all_its_digits_however_the_two_compare() {
    let cases = [
        (1.0, 1.0 - 2.0_f64.powi(-30), 1.084_202_172_990_375_4e-19),
        (0.75, 0.5, 0.012_584_695_969_180_546),
        (0.5, 0.1667, 0.043_592_460_777_265_5),
        (0.5, 0.1666, 0.043_627_121_887_231_16),
        (0.3, 0.007_812_5, 0.088_472_782_031_585_97),
        (1e-3, 1e-12, 0.000_346_573_579_764_913_35),
        (1e-20, 3e-40, 3.465_735_902_799_726e-21),
    ];
    let one = |x: f64| Distribution { logs: vec![x.ln()], probabilities: vec![x] };
    for (p, q, expected) in cases {
        let mut there = [0.0];
        let mut back = [0.0];
        jsd_terms(&one(p), &one(q), 0..1, &mut there);
        jsd_terms(&one(q), &one(p), 0..1, &mut back);
        assert_eq!(there[0].to_bits(), back[0].to_bits());
        assert!((there[0] / expected - 1.0).abs() < 2e-15, "{p} {q}: {} {expected}", there[0]);
    }
}

#[test]
fn the_overlap_at_k_looks_at_the_first_k_only() {
    let (a, b) = ([3, 1, 4, 5], [1, 3, 9, 2]);
    let at = |k| overlap_at(&a, &b, k);
    assert_eq!([at(1), at(2), at(4)], [Some(0.0), Some(1.0), Some(0.5)]);
    assert_eq!((at(0), at(10)), (None, Some(0.5)));
    assert_eq!(overlap_at::<i32>(&[], &[], 5), None);
    assert_eq!(overlap_at(&[1], &[1, 2], 5), Some(0.5));
}

/// Twice as many logits for two distributions over the same outcomes; far apart and nearly equal.
fn two() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    let pair = prop_oneof![
        (-60.0_f32..60.0, -60.0_f32..60.0),
        (-9.0_f32..9.0).prop_map(|x| (x, x + 1e-4)),
    ];
    prop::collection::vec(pair, 1..80).prop_map(|pairs| pairs.into_iter().unzip())
}

proptest! {
    #[test]
    fn jsd_is_symmetric_within_one_bit_and_total_variation((a, b) in two()) {
        let (a, b) = (logits(&a), logits(&b));
        let (there, back) = (Divergences::between(&a, &b), Divergences::between(&b, &a));
        prop_assert_eq!(there.jsd_bits.to_bits(), back.jsd_bits.to_bits());
        prop_assert_eq!(there.kl_ab.to_bits(), back.kl_ba.to_bits());
        prop_assert_eq!(jsd_bits(&a, &b).to_bits(), there.jsd_bits.to_bits());
        prop_assert_eq!(a.kl(&b).to_bits(), there.kl_ab.to_bits());
        prop_assert!((0.0..=1.0).contains(&there.jsd_bits));
        prop_assert!(there.jsd_bits <= there.total_variation + 1e-14);
        // Hellinger² <= TV <= √2 Hellinger, and Pinsker's TV <= √(KL / 2).
        let (tv, hellinger) = (there.total_variation, there.hellinger);
        prop_assert!(hellinger * hellinger <= tv + 1e-14);
        prop_assert!(tv <= 2.0_f64.sqrt() * hellinger + 1e-14);
        prop_assert!(tv <= (there.kl_ab / 2.0).sqrt() + 1e-7);
    }

    #[test]
    fn a_distribution_is_exactly_itself((a, _) in two()) {
        let a = logits(&a);
        let both = Divergences::between(&a, &a);
        prop_assert_eq!(bits(both), bits(NOTHING));
    }

    #[test]
    fn jsd_is_the_mean_divergence_from_the_middle((a, b) in two()) {
        let (a, b) = (logits(&a), logits(&b));
        let middle: Vec<f64> =
            a.probabilities().iter().zip(b.probabilities()).map(|(p, q)| (p + q) / 2.0).collect();
        let middle = masses(&middle);
        let kl = |x: &Distribution| Divergences::between(x, &middle).kl_ab;
        let jsd = Divergences::between(&a, &b).jsd_bits * LN_2;
        prop_assert!((jsd - f64::midpoint(kl(&a), kl(&b))).abs() < 1e-13);
        let terms = jsd_contributions(&a, &b);
        prop_assert!(terms.iter().all(|&term| term >= 0.0));
        prop_assert!((terms.iter().sum::<f64>() - jsd / LN_2).abs() < 1e-13);
    }

    #[test]
    fn the_entropy_of_masses_needs_no_distribution(
        masses in prop::collection::vec(prop_oneof![Just(0.0_f32), 0.0_f32..1.0], 0..200),
    ) {
        let wide: Vec<f64> = masses.iter().map(|mass| f64::from(*mass)).collect();
        let whole = Distribution::from_masses(&wide).map(|found| found.entropy_bits().to_bits());
        prop_assert_eq!(entropy_bits(&masses).map(f64::to_bits), whole);
    }

    #[test]
    fn entropy_lies_between_certainty_and_evenness((a, _) in two()) {
        let distribution = logits(&a);
        prop_assert!(distribution.entropy() >= 0.0);
        prop_assert!(distribution.entropy() <= (a.len() as f64).ln() + 1e-12);
        prop_assert!((distribution.probabilities().iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
