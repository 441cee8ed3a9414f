//! The standard normal distribution.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

/// Probability of a value below `x`, to 1e-15. Hart 1968, algorithm 5666, as given by West 2005.
pub(super) fn normal_cdf(x: f64) -> f64 {
    const ABOVE: [f64; 7] = [
        3.526_249_659_989_11e-2,
        0.700_383_064_443_688,
        6.373_962_203_531_65,
        33.912_866_078_383,
        112.079_291_497_871,
        221.213_596_169_931,
        220.206_867_912_376,
    ];
    const BELOW: [f64; 8] = [
        8.838_834_764_831_84e-2,
        1.755_667_163_182_64,
        16.064_177_579_207,
        86.780_732_202_946_1,
        296.564_248_779_674,
        637.333_633_378_831,
        793.826_512_519_948,
        440.413_735_824_752,
    ];
    let distance = x.abs();
    let height = (-distance * distance / 2.0).exp();
    let tail = if distance < 10.0 * FRAC_1_SQRT_2 {
        height * polynomial(&ABOVE, distance) / polynomial(&BELOW, distance)
    } else {
        let fraction = [4.0, 3.0, 2.0, 1.0].iter().fold(distance + 0.65, |f, k| distance + k / f);
        height / fraction / TAU.sqrt()
    };
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// The value with probability `p` below it, to 1e-15 of itself; infinite at 0 and 1. Wichura 1988, algorithm
/// AS 241 (`PPND16`).
pub(super) fn normal_quantile(p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 {
        return if p <= 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(&CENTRE.0, r) / polynomial(&CENTRE.1, r);
    }
    let r = (-p.min(1.0 - p).ln()).sqrt();
    let (shift, (above, below)) = if r <= 5.0 { (1.6, &MIDDLE) } else { (5.0, &FAR) };
    let value = polynomial(above, r - shift) / polynomial(below, r - shift);
    value.copysign(q)
}

/// Highest power first.
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

type Fraction = ([f64; 8], [f64; 8]);

const CENTRE: Fraction = (
    [
        2.509_080_928_730_122_7e3,
        3.343_057_558_358_813e4,
        6.726_577_092_700_87e4,
        4.592_195_393_154_987e4,
        1.373_169_376_550_946e4,
        1.971_590_950_306_551_3e3,
        1.331_416_678_917_843_8e2,
        3.387_132_872_796_366_5,
    ],
    [
        5.226_495_278_852_855e3,
        2.872_908_573_572_194_3e4,
        3.930_789_580_009_271e4,
        2.121_379_430_158_66e4,
        5.394_196_021_424_751e3,
        6.871_870_074_920_579e2,
        4.231_333_070_160_091e1,
        1.0,
    ],
);

const MIDDLE: Fraction = (
    [
        7.745_450_142_783_414e-4,
        2.272_384_498_926_918_4e-2,
        2.417_807_251_774_506e-1,
        1.270_458_252_452_368_4,
        3.647_848_324_763_204_5,
        5.769_497_221_460_691,
        4.630_337_846_156_546,
        1.423_437_110_749_683_5,
    ],
    [
        1.050_750_071_644_416_9e-9,
        5.475_938_084_995_345e-4,
        1.519_866_656_361_645_7e-2,
        1.481_039_764_274_800_8e-1,
        6.897_673_349_851e-1,
        1.676_384_830_183_803_8,
        2.053_191_626_637_759,
        1.0,
    ],
);

const FAR: Fraction = (
    [
        2.010_334_399_292_288_1e-7,
        2.711_555_568_743_487_6e-5,
        1.242_660_947_388_078_4e-3,
        2.653_218_952_657_612_4e-2,
        2.965_605_718_285_048_7e-1,
        1.784_826_539_917_291_3,
        5.463_784_911_164_114,
        6.657_904_643_501_103,
    ],
    [
        2.044_263_103_389_939_8e-15,
        1.421_511_758_316_446e-7,
        1.846_318_317_510_054_8e-5,
        7.868_691_311_456_133e-4,
        1.487_536_129_085_061_5e-2,
        1.369_298_809_227_358e-1,
        5.998_322_065_558_88e-1,
        1.0,
    ],
);

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.special.ndtr` and `ndtri` gave these numbers.
    #[test]
    fn the_normal_distribution_equals_scipys() {
        let near = |value: f64, expected: f64| {
            assert!((value - expected).abs() < 2e-15 * expected.abs().max(1.0), "{value}");
        };
        near(normal_cdf(0.3), 0.617_911_422_188_952_6);
        near(normal_cdf(-1.5), 0.066_807_201_268_858_07);
        near(normal_cdf(-4.0), 3.167_124_183_311_986e-05);
        near(normal_cdf(-7.5), 3.190_891_672_910_884_4e-14);
        near(normal_cdf(2.25), 0.987_775_527_344_955_3);
        near(normal_quantile(0.501), 0.002_506_630_899_571_766_6);
        near(normal_quantile(0.025), -1.959_963_984_540_054_5);
        near(normal_quantile(0.9), 1.281_551_565_544_600_4);
        near(normal_quantile(1e-05), -4.264_890_793_922_825);
        near(normal_quantile(1e-20), -9.262_340_089_798_409);
    }

    #[test]
    fn quantile_and_probability_undo_each_other() {
        for i in 1..1000 {
            let p = f64::from(i) / 1000.0;
            assert!((normal_cdf(normal_quantile(p)) - p).abs() < 1e-14);
        }
        assert_eq!(normal_quantile(0.0).to_bits(), f64::NEG_INFINITY.to_bits());
        assert_eq!(normal_quantile(1.0).to_bits(), f64::INFINITY.to_bits());
    }
}
