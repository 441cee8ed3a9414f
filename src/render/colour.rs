//! Colour scales with fixed ends.

/// An sRGB colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

/// matplotlib's `RdYlGn`, the notebook's: its eleven anchors, from `ColorBrewer`.
const RD_YL_GN: [Rgb; 11] = [
    Rgb(0xa5, 0x00, 0x26),
    Rgb(0xd7, 0x30, 0x27),
    Rgb(0xf4, 0x6d, 0x43),
    Rgb(0xfd, 0xae, 0x61),
    Rgb(0xfe, 0xe0, 0x8b),
    Rgb(0xff, 0xff, 0xbf),
    Rgb(0xd9, 0xef, 0x8b),
    Rgb(0xa6, 0xd9, 0x6a),
    Rgb(0x66, 0xbd, 0x63),
    Rgb(0x1a, 0x98, 0x50),
    Rgb(0x00, 0x68, 0x37),
];

/// `cividis`, which readers with any colour vision see alike (Nuñez et al. 2018), in ten anchors.
const CIVIDIS: [Rgb; 10] = [
    Rgb(0x00, 0x22, 0x4e),
    Rgb(0x12, 0x35, 0x70),
    Rgb(0x3b, 0x49, 0x6c),
    Rgb(0x57, 0x5d, 0x6d),
    Rgb(0x70, 0x71, 0x73),
    Rgb(0x8a, 0x86, 0x78),
    Rgb(0xa5, 0x9c, 0x74),
    Rgb(0xc3, 0xb3, 0x69),
    Rgb(0xe1, 0xcc, 0x55),
    Rgb(0xfe, 0xe8, 0x38),
];

/// A colour scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Red, yellow, green: the notebook's.
    RdYlGn,
    /// Dark blue to yellow: safe for readers who cannot distinguish red from green.
    Cividis,
}

impl Scale {
    /// The colour of `value` on a scale from `low` to `high`; values outside get the nearest end.
    pub fn at(self, value: f64, low: f64, high: f64) -> Rgb {
        let anchors: &[Rgb] = match self {
            Self::RdYlGn => &RD_YL_GN,
            Self::Cividis => &CIVIDIS,
        };
        let last = anchors.len() - 1;
        let place = ((value - low) / (high - low)).clamp(0.0, 1.0) * last as f64;
        let below = (place.floor() as usize).min(last - 1);
        anchors[below].mix(anchors[below + 1], place - below as f64)
    }
}

impl Rgb {
    /// The colour `part` of the way from this one to `other`.
    fn mix(self, other: Self, part: f64) -> Self {
        let channel =
            |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8;
        Self(channel(self.0, other.0), channel(self.1, other.1), channel(self.2, other.2))
    }

    /// As CSS writes it.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// The ink that reads best on this colour: black or white, by WCAG contrast.
    pub fn ink(self) -> &'static str {
        let luminance = self.luminance();
        // Contrast with white beats contrast with black below this luminance.
        if (luminance + 0.05) * (luminance + 0.05) < 1.05 * 0.05 { "#ffffff" } else { "#000000" }
    }

    /// Relative luminance, 0..1 (WCAG 2).
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let c = f64::from(channel) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notebooks_scale_has_matplotlibs_ends_and_middle() {
        assert_eq!(Scale::RdYlGn.at(0.5, 0.5, 1.0).hex(), "#a50026");
        assert_eq!(Scale::RdYlGn.at(0.75, 0.5, 1.0).hex(), "#ffffbf");
        assert_eq!(Scale::RdYlGn.at(1.0, 0.5, 1.0).hex(), "#006837");
    }

    #[test]
    fn values_outside_the_scale_take_its_ends() {
        for scale in [Scale::RdYlGn, Scale::Cividis] {
            assert_eq!(scale.at(-1.0, 0.5, 1.0), scale.at(0.5, 0.5, 1.0));
            assert_eq!(scale.at(1.5, 0.5, 1.0), scale.at(1.0, 0.5, 1.0));
        }
    }

    #[test]
    fn ink_has_contrast_of_at_least_four_and_a_half_on_every_colour() {
        for scale in [Scale::RdYlGn, Scale::Cividis] {
            for step in 0..=100 {
                let colour = scale.at(f64::from(step), 0.0, 100.0);
                let ink: f64 = if colour.ink() == "#ffffff" { 1.0 } else { 0.0 };
                let luminance = colour.luminance();
                let contrast = (ink.max(luminance) + 0.05) / (ink.min(luminance) + 0.05);
                assert!(contrast >= 4.5, "{colour:?}: {contrast}");
            }
        }
    }
}
