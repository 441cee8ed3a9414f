//! Random numbers that are addressed, not consumed.
//!
//! Draw number 17 of a test is made from (seed, purpose, 17) alone: which thread makes it, and what
//! was drawn before, does not show. Keys are mixed by `SplitMix64` (Steele, Lea and Flood 2014) into
//! the state of a `xoshiro256++` (Blackman and Vigna 2019).

/// The random numbers of one draw.
#[derive(Debug, Clone)]
pub struct Stream {
    state: [u64; 4],
}

impl Stream {
    /// The numbers of draw `draw` made for `purpose`.
    pub fn new(seed: u64, purpose: &str, draw: u64) -> Self {
        let mut key = seed;
        key = split_mix(&mut key) ^ fnv_1a(purpose);
        key = split_mix(&mut key) ^ draw;
        Self { state: std::array::from_fn(|_| split_mix(&mut key)) }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let bits = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        bits
    }

    /// A whole number from 0 to `bound` - 1, each as likely as the others (Lemire 2019). `bound` is
    /// at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        let mut product = u128::from(self.bits()) * u128::from(bound);
        if (product as u64) < bound {
            let uneven = bound.wrapping_neg() % bound;
            while (product as u64) < uneven {
                product = u128::from(self.bits()) * u128::from(bound);
            }
        }
        (product >> 64) as usize
    }

    /// Brings `items` into a random order, each order as likely as the others.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `count` of the places 0..`n`, ascending, each choice as likely as the others; all of them
    /// when there are no more.
    pub fn sample(&mut self, n: usize, count: usize) -> Vec<usize> {
        let mut wanted = count.min(n);
        let mut chosen = Vec::with_capacity(wanted);
        for place in 0..n {
            if self.below(n - place) < wanted {
                chosen.push(place);
                wanted -= 1;
            }
        }
        chosen
    }

    /// A draw from the standard normal distribution, for simulations.
    #[cfg(test)]
    pub(crate) fn normal(&mut self) -> f64 {
        let unit = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let (radius, angle) = (unit(self.bits()), unit(self.bits()));
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn fnv_1a(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generators_give_their_published_numbers() {
        let mut key = 1_477_776_061_723_855_037;
        assert_eq!(split_mix(&mut key), 1_985_237_415_132_408_290);
        assert_eq!(split_mix(&mut key), 2_979_275_885_539_914_483);
        let mut stream = Stream { state: [1, 2, 3, 4] };
        let bits: [u64; 4] = std::array::from_fn(|_| stream.bits());
        assert_eq!(bits, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    /// The same keys in another program (Python) gave these numbers.
    #[test]
    fn a_draw_is_known_by_seed_purpose_and_number() {
        let mut stream = Stream::new(37, "bootstrap", 5);
        assert_eq!(stream.bits(), 4_639_962_701_265_482_307);
        assert_eq!(stream.bits(), 10_592_468_592_468_093_244);
        let first = |seed, purpose, draw| Stream::new(seed, purpose, draw).bits();
        assert_ne!(first(37, "bootstrap", 6), first(37, "bootstrap", 5));
        assert_ne!(first(38, "bootstrap", 5), first(37, "bootstrap", 5));
        assert_ne!(first(37, "sign-flip", 5), first(37, "bootstrap", 5));
    }

    #[test]
    fn all_orders_of_three_are_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for draw in 0..6000 {
            let mut items = [0, 1, 2];
            Stream::new(1, "orders", draw).shuffle(&mut items);
            *counts.entry(items).or_insert(0_u32) += 1;
        }
        let squares: f64 = counts.values().map(|&n| (f64::from(n) - 1000.0).powi(2) / 1000.0).sum();
        // Chi-squared with 5 degrees of freedom is above 20.5 once in a thousand times.
        assert!(counts.len() == 6 && squares < 20.5, "{counts:?}");
    }

    #[test]
    fn a_sample_is_ascending_and_takes_every_place_equally_often() {
        let mut counts = [0_u32; 5];
        for draw in 0..5000 {
            let chosen = Stream::new(2, "sample", draw).sample(5, 2);
            assert!(chosen.len() == 2 && chosen[0] < chosen[1]);
            for place in chosen {
                counts[place] += 1;
            }
        }
        assert!(counts.iter().all(|&n| n.abs_diff(2000) < 150), "{counts:?}");
        assert_eq!(Stream::new(2, "sample", 0).sample(3, 9), [0, 1, 2]);
    }
}
