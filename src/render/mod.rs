//! The report's pictures and its page: plain structs in, text out.
//!
//! [`page`], [`evidence`] and [`told`] hold what a report says, [`names`] what columns and codes are called;
//! [`html`] lays it out with a template that escapes everything it is given; the pictures are SVG,
//! written by `svg` alone. No store, no table, no script: the page is one file that opens offline
//! and asks for nothing.
//!
//! Pictures are written by hand rather than by a plotting crate because they need three things
//! together: a colour scale with fixed ends, the number in every cell, and colours that follow the
//! reader's light or dark setting.

mod answer;
mod axis;
mod bars;
pub mod colour;
mod curve;
pub mod evidence;
mod heads;
mod heatmap;
pub mod html;
pub mod names;
mod numbers;
mod others;
pub mod page;
mod panel;
mod sections;
mod strips;
mod surprisal;
mod svg;
mod tables;
pub mod token;
pub mod told;
mod verdict;

pub use html::report;
