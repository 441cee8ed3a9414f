//! The report's pictures and its page: plain structs in, text out.
//!
//! [`page`], [`evidence`], [`told`] and [`causes`] hold what a report says, [`names`] what columns and codes are called;
//! [`comparison`] is the page of runs that are compared, and [`overlay`] its pictures;
//! [`html`] lays the report out with a template that escapes everything it is given; the pictures are SVG,
//! written by `svg` alone. No store, no table, no script: the page is one file that opens offline
//! and asks for nothing.
//!
//! Pictures are written by hand rather than by a plotting crate because they need three things
//! together: a colour scale with fixed ends, the number in every cell, and colours that follow the
//! reader's light or dark setting.

mod answer;
mod axis;
mod bars;
pub mod causes;
mod cells;
pub mod colour;
pub mod comparison;
mod curve;
pub mod evidence;
mod heads;
mod heatmap;
pub mod html;
pub mod names;
mod numbers;
mod others;
pub mod overlay;
pub mod page;
mod panel;
mod sections;
mod strips;
mod surprisal;
mod svg;
mod tables;
mod templates;
pub mod token;
pub mod told;
mod verdict;

pub use html::report;
