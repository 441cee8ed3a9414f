//! Dot products, norms and the cosine made of them.

/// Sums that run side by side in one dot product: enough to hide the latency of an addition and to
/// fill vector registers, and a fixed number, so the order of the sum never changes.
const LANES: usize = 16;

/// The same where more than a sum is kept in each lane.
const NARROW: usize = 4;

/// The least norm a vector counts with in [`cosine`], as in `torch.nn.functional.cosine_similarity`.
pub const NORM_FLOOR: f64 = 1e-8;

/// Σ a·b over the common length, in float64 and in a fixed order.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    fold(sums(a, b, |a, b| f64::from(a) * f64::from(b)))
}

/// [`dot`] of float64 numbers, in the same order.
pub fn dot_wide(a: &[f64], b: &[f64]) -> f64 {
    fold(sums(a, b, |a, b| a * b))
}

/// [`dot_wide`] of two tables whose entries lie beside each other: Σ a₀b₀ and Σ a₁b₁.
pub(super) fn dot_pairs(a: &[[f64; 2]], b: &[[f64; 2]]) -> [f64; 2] {
    fold_to(sums(a.as_flattened(), b.as_flattened(), |a, b| a * b))
}

/// Σ (a-b)² over the common length, in the order of [`dot_wide`].
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    fold(sums(a, b, |a, b| (a - b) * (a - b)))
}

/// Σ term(a, b) over the common length, place i in lane i modulo their number.
#[inline]
fn sums<T: Copy>(a: &[T], b: &[T], term: impl Fn(T, T) -> f64) -> [f64; LANES] {
    let n = a.len().min(b.len());
    let (a_blocks, a_rest) = a[..n].as_chunks::<LANES>();
    let (b_blocks, b_rest) = b[..n].as_chunks::<LANES>();
    let mut sums = [0.0_f64; LANES];
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    for (lane, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += term(a, b);
    }
    sums
}

/// The `N` largest of |a·b| over the common length, descending (0 where there are fewer), and the sum
/// of them all.
pub fn largest_products<const N: usize>(a: &[f64], b: &[f64]) -> ([f64; N], f64) {
    // In every lane the largest come first; each product falls as far down as it belongs.
    let (mut largest, mut whole) = ([[0.0_f64; NARROW]; N], [0.0_f64; NARROW]);
    let mut take = |lane: usize, product: f64| {
        let mut part = product.abs();
        whole[lane] += part;
        for kept in &mut largest {
            let before = kept[lane];
            kept[lane] = if part > before { part } else { before };
            part = if part > before { before } else { part };
        }
    };
    let n = a.len().min(b.len());
    let (a_blocks, a_rest) = a[..n].as_chunks::<NARROW>();
    let (b_blocks, b_rest) = b[..n].as_chunks::<NARROW>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..NARROW {
            take(lane, a[lane] * b[lane]);
        }
    }
    for (lane, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        take(lane, a * b);
    }
    let all = largest.as_flattened_mut();
    all.sort_unstable_by(|a, b| b.total_cmp(a));
    let mut found = [0.0; N];
    found.copy_from_slice(&all[..N]);
    (found, whole.into_iter().sum())
}

/// Σ a², in the same order as [`dot`] of `a` with itself.
pub fn squared_norm(a: &[f32]) -> f64 {
    dot(a, a)
}

/// The notebook's cosine, from a dot product and two squared norms: each norm is raised to
/// [`NORM_FLOOR`] by itself. `None` when a vector is zero everywhere (the notebook says 0: a vector
/// without a direction has no similarity). Rounding beyond -1..1 is cut off; a vector with itself
/// gives exactly 1.
pub fn cosine(dot: f64, squared_norm_a: f64, squared_norm_b: f64) -> Option<f64> {
    if squared_norm_a == 0.0 || squared_norm_b == 0.0 {
        return None;
    }
    let floor = NORM_FLOOR * NORM_FLOOR;
    let norms = (squared_norm_a.max(floor) * squared_norm_b.max(floor)).sqrt();
    Some((dot / norms).clamp(-1.0, 1.0))
}

/// Adds the lanes up as a tree.
fn fold(sums: [f64; LANES]) -> f64 {
    fold_to::<1>(sums)[0]
}

/// Adds the lanes up as a tree, until `LEFT` (a power of two) are left.
fn fold_to<const LEFT: usize>(mut sums: [f64; LANES]) -> [f64; LEFT] {
    let mut width = LANES;
    while width > LEFT {
        width /= 2;
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
    }
    std::array::from_fn(|lane| sums[lane])
}

/// L2 norm of a vector, its squares summed in order in float64.
pub fn norm(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    /// How far two orders of the same sum may lie apart.
    fn tolerance(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a).abs() * f64::from(b).abs()).sum::<f64>() * 1e-14
    }

    fn vectors() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        let vector = || prop::collection::vec(-1e4_f32..1e4, 0..200);
        (vector(), vector())
    }

    proptest! {
        #[test]
        fn dot_is_the_naive_sum_in_another_order((a, b) in vectors()) {
            prop_assert!((dot(&a, &b) - naive(&a, &b)).abs() <= tolerance(&a, &b));
        }

        #[test]
        fn wide_numbers_give_the_same_sum((a, b) in vectors()) {
            let wide = |x: &[f32]| x.iter().copied().map(f64::from).collect::<Vec<_>>();
            prop_assert_eq!(dot(&a, &b).to_bits(), dot_wide(&wide(&a), &wide(&b)).to_bits());
        }

        #[test]
        fn entries_beside_each_other_are_summed_by_themselves((a, b) in vectors()) {
            let n = a.len().min(b.len());
            let pairs = |x: &[f32], y: &[f32]| -> Vec<[f64; 2]> {
                let both = x[..n].iter().zip(&y[..n]);
                both.map(|(x, y)| [f64::from(*x), f64::from(*y)]).collect()
            };
            let [ab, ba] = dot_pairs(&pairs(&a, &b), &pairs(&b, &a));
            prop_assert!((ab - naive(&a, &b)).abs() <= tolerance(&a, &b));
            prop_assert!((ba - naive(&a, &b)).abs() <= tolerance(&a, &b));
            let [aa, bb] = dot_pairs(&pairs(&a, &b), &pairs(&a, &b));
            prop_assert!((aa - squared_norm(&a[..n])).abs() <= tolerance(&a[..n], &a[..n]));
            prop_assert!((bb - squared_norm(&b[..n])).abs() <= tolerance(&b[..n], &b[..n]));
        }

        #[test]
        fn a_squared_distance_is_that_of_the_difference((a, b) in vectors()) {
            let wide = |x: &[f32]| x.iter().copied().map(f64::from).collect::<Vec<_>>();
            let (a, b) = (wide(&a), wide(&b));
            let apart: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
            let expected = dot_wide(&apart, &apart);
            prop_assert_eq!(squared_distance(&a, &b).to_bits(), expected.to_bits());
        }

        #[test]
        fn the_largest_products_are_those_of_a_sorted_list((a, b) in vectors()) {
            let wide = |x: &[f32]| x.iter().copied().map(f64::from).collect::<Vec<_>>();
            let (a, b) = (wide(&a), wide(&b));
            let mut all: Vec<f64> = a.iter().zip(&b).map(|(a, b)| (a * b).abs()).collect();
            all.sort_by(|a, b| b.total_cmp(a));
            let sum: f64 = all.iter().sum();
            all.resize(3, 0.0);
            let (largest, whole) = largest_products::<3>(&a, &b);
            prop_assert_eq!(largest.to_vec(), all);
            prop_assert!((whole - sum).abs() <= 1e-14 * sum);
        }

        #[test]
        fn dot_does_not_care_which_side_is_which((a, b) in vectors()) {
            prop_assert_eq!(dot(&a, &b).to_bits(), dot(&b, &a).to_bits());
        }

        #[test]
        fn cosine_stays_in_range_and_ignores_scale((a, b) in vectors(), scale in 0.5_f32..8.0) {
            let n = a.len().min(b.len());
            let (a, b) = (&a[..n], &b[..n]);
            let scaled: Vec<f32> = a.iter().map(|&x| x * scale).collect();
            let value = cosine(dot(a, b), squared_norm(a), squared_norm(b));
            let again = cosine(dot(&scaled, b), squared_norm(&scaled), squared_norm(b));
            if let (Some(value), Some(again)) = (value, again) {
                prop_assert!((-1.0..=1.0).contains(&value));
                prop_assert!((value - again).abs() < 1e-5);
            }
        }

        #[test]
        fn a_vector_is_exactly_like_itself(a in prop::collection::vec(1.0_f32..1e4, 1..200)) {
            prop_assert_eq!(cosine(dot(&a, &a), squared_norm(&a), squared_norm(&a)), Some(1.0));
        }
    }

    #[test]
    fn a_zero_vector_has_no_cosine() {
        assert_eq!(cosine(0.0, 0.0, 4.0), None);
        assert_eq!(cosine(0.0, 4.0, 0.0), None);
    }

    #[test]
    fn each_norm_is_raised_to_the_floor_by_itself() {
        // ‖a‖ = 1e-9 counts as 1e-8, ‖b‖ = 2 counts as 2: torch gives 2e-9 / (1e-8 · 2).
        let value = cosine(2e-9, 1e-18, 4.0).unwrap();
        assert!((value - 0.1).abs() < 1e-12, "{value}");
    }

    #[test]
    fn large_activations_do_not_overflow() {
        let a = vec![f32::MAX; 40];
        assert_eq!(cosine(dot(&a, &a), squared_norm(&a), squared_norm(&a)), Some(1.0));
    }
}
