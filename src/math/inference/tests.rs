use proptest::prelude::*;

use super::*;

fn near(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-13, "{value} != {expected}");
}

fn sign_flips(differences: &[f64]) -> Result<PermutationTest, Undefined> {
    SignFlips::new(differences.len(), 99, 1, "flips").test(differences)
}

const DIFFERENCES: [f64; 8] = [0.09, 0.02, -0.05, 0.19, 0.09, 0.04, -0.01, 0.12];

/// `scipy.stats.permutation_test((x,), mean, permutation_type='samples', alternative='greater')`.
#[test]
fn counting_all_flips_equals_scipy() {
    let test = sign_flips(&DIFFERENCES).unwrap();
    assert!(test.is_exact() && test.draws().len() == 256);
    near(test.p(), 0.035_156_25);
    assert_eq!(test.count(), 256);
    near(test.draws()[0], test.observed());
    // All of one sign: nothing does as well but the identity.
    near(sign_flips(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap().p(), 1.0 / 32.0);
    // Upper tail only.
    near(sign_flips(&[-1.0, -2.0, -3.0]).unwrap().p(), 1.0);
}

#[test]
fn drawn_flips_count_the_identity_once_more() {
    let many: Vec<f64> = (0..100).map(|i| 1.0 + f64::from(i)).collect();
    let test = sign_flips(&many).unwrap();
    assert!(!test.is_exact() && test.draws().len() == 99);
    near(test.p(), 1.0 / 100.0);
    let draws = test.draws();
    let variance = draws.iter().map(|x| x * x).sum::<f64>() / 99.0;
    assert!((0.6..1.5).contains(&variance), "by flips alone it varies by 1, not {variance}");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(pool.install(|| sign_flips(&many)), Ok(test));
}

#[test]
fn nothing_to_flip_is_no_test() {
    assert_eq!(sign_flips(&[]), Err(Undefined::TooFew));
    assert_eq!(sign_flips(&[0.0, 0.0]), Err(Undefined::Constant));
}

#[test]
fn exchanges_that_change_nothing_count_although_they_round_otherwise() {
    let third = 0.1 + 0.2;
    let test = PermutationTest::new(third, vec![third, 0.3, 0.0, 0.0], true);
    assert!(0.3 < third);
    near(test.p(), 0.5);
}

#[test]
fn the_largest_of_all_statistics_sets_the_corrected_p() {
    let test = |observed: f64, draws: [f64; 4]| PermutationTest::new(observed, draws.into(), false);
    let (a, b) = (test(3.0, [1.0, 2.0, 0.0, 4.0]), test(2.5, [0.0, 3.0, 1.0, 1.0]));
    near(a.p(), 2.0 / 5.0);
    near(b.p(), 2.0 / 5.0);
    // Largest: 1, 3, 1, 4.
    assert_eq!(max_t(&[&a, &b]), [3.0 / 5.0, 3.0 / 5.0]);
    assert_eq!(max_t(&[&b]), [b.p()]);
    assert!(max_t(&[]).is_empty());
}

#[test]
fn a_standardised_test_keeps_its_p_and_forgets_its_scale() {
    let draws: Vec<f64> = (0..50).map(|i| f64::from(i * i % 37)).collect();
    let test = PermutationTest::new(30.0, draws.clone(), false);
    let larger = draws.iter().map(|x| 7.0 + 1e3 * x).collect();
    let larger = PermutationTest::new(7.0 + 30e3, larger, false);
    let (a, b) = (test.clone().standardised().unwrap(), larger.standardised().unwrap());
    near(a.p(), test.p());
    near(a.observed(), b.observed());
    let flat = PermutationTest::new(0.3, vec![0.3, 0.1 + 0.2], true);
    assert_eq!(flat.standardised(), Err(Undefined::Constant));
}

/// `scipy.stats.false_discovery_control(p)`.
#[test]
fn false_discovery_equals_scipy() {
    let p = [0.01, 0.04, 0.03, 0.005, 0.55, 0.04, 0.9, 0.001];
    for (q, expected) in false_discovery(&p).into_iter().zip([
        0.026_666_666_666_666_665,
        0.053_333_333_333_333_33,
        0.053_333_333_333_333_33,
        0.02,
        0.628_571_428_571_428_6,
        0.053_333_333_333_333_33,
        0.9,
        0.008,
    ]) {
        near(q, expected);
    }
    assert!(false_discovery(&[]).is_empty());
}

proptest! {
    #[test]
    fn corrections_never_make_p_smaller(
        table in prop::collection::vec(prop::collection::vec(-9_i8..9, 12), 1..6),
    ) {
        let of = |row: &Vec<i8>| {
            let row: Vec<f64> = row.iter().copied().map(f64::from).collect();
            PermutationTest::new(row[0], row, true)
        };
        let tests: Vec<PermutationTest> = table.iter().map(of).collect();
        let p: Vec<f64> = tests.iter().map(PermutationTest::p).collect();
        let corrected = max_t(&tests.iter().collect::<Vec<_>>());
        prop_assert!(p.iter().zip(&corrected).all(|(p, corrected)| corrected >= p));
        let q = false_discovery(&p);
        prop_assert!(p.iter().zip(&q).all(|(p, q)| q >= p && *q <= 1.0));
        // A smaller p never has a larger q.
        for (p_a, q_a) in p.iter().zip(&q) {
            for (p_b, q_b) in p.iter().zip(&q) {
                prop_assert!(p_a > p_b || q_a <= q_b);
            }
        }
    }
}
