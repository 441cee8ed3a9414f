//! How far two numbers may lie apart before they count as changed.

use serde::Serialize;

use super::CompareError;
use crate::table::schema::ALL;

/// What is allowed of two numbers a and b: `absolute + relative * max(|a|, |b|)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tolerance {
    /// As a share of the larger one; of vectors, of the longer one's length (L2).
    pub relative: f64,
    /// In the column's unit.
    pub absolute: f64,
}

/// The tolerances of all columns of floats. Everything else is compared exactly.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tolerances {
    /// That of all columns that are not named.
    #[serde(flatten)]
    pub default: Tolerance,
    /// Those that are named, the last of a column counts.
    pub columns: Vec<ColumnTolerance>,
}

/// The tolerance of one column, in all tables or in one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnTolerance {
    /// The table; `None` for all that have the column.
    pub table: Option<String>,
    /// The column.
    pub column: String,
    /// Its tolerance.
    #[serde(flatten)]
    pub tolerance: Tolerance,
}

impl Default for Tolerance {
    /// Above what other threads, batches and processors do to float32 (docs/compare.md has the figures).
    fn default() -> Self {
        Self { relative: 1e-4, absolute: 1e-5 }
    }
}

impl Tolerance {
    /// How large a difference of these numbers may be.
    pub fn allows(self, a: f64, b: f64) -> f64 {
        self.absolute + self.relative * a.abs().max(b.abs())
    }
}

impl Tolerances {
    /// From words as `1e-3`, `1e-3,1e-6` (relative, absolute), `value=0` or `effect.p=0.01,0.001`.
    ///
    /// # Errors
    /// When one is not of that form, or names no column of floats.
    pub fn parse(words: &[String]) -> Result<Self, CompareError> {
        let mut all = Self { default: Tolerance::default(), columns: Vec::new() };
        for word in words {
            let (name, numbers) = match word.split_once('=') {
                Some((name, numbers)) => (Some(name.trim()), numbers),
                None => (None, word.as_str()),
            };
            let tolerance = numbers_of(numbers).ok_or_else(|| CompareError::Tolerance {
                word: word.clone(),
                problem: "wants one number (relative) or two with a comma (relative, absolute), each 0 or \
                          more, as in 1e-3 or similarity.value=1e-3,1e-6"
                    .to_owned(),
            })?;
            match name {
                None => all.default = tolerance,
                Some(name) => all.columns.push(named(word, name, tolerance)?),
            }
        }
        Ok(all)
    }

    /// That of a column.
    pub fn of(&self, table: &str, column: &str) -> Tolerance {
        let is_it = |named: &&ColumnTolerance| {
            named.column == column && named.table.as_deref().is_none_or(|own| own == table)
        };
        self.columns.iter().rev().find(is_it).map_or(self.default, |named| named.tolerance)
    }
}

fn numbers_of(text: &str) -> Option<Tolerance> {
    let number = |text: &str| -> Option<f64> {
        text.trim().parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0)
    };
    let default = Tolerance::default();
    match text.split_once(',') {
        Some((relative, absolute)) => {
            Some(Tolerance { relative: number(relative)?, absolute: number(absolute)? })
        }
        // 0 asks for equal numbers.
        None => number(text).map(|relative| Tolerance {
            relative,
            absolute: if relative > 0.0 { default.absolute } else { 0.0 },
        }),
    }
}

fn named(word: &str, name: &str, tolerance: Tolerance) -> Result<ColumnTolerance, CompareError> {
    let (table, column) = match name.split_once('.') {
        Some((table, column)) => (Some(table), column),
        None => (None, name),
    };
    let has_it = ALL.iter().filter(|own| table.is_none_or(|table| table == own.name)).any(|own| {
        own.columns.iter().any(|own| own.name == column && !own.is_key && own.kind.is_of_floats())
    });
    if !has_it {
        let place = table.map_or("no table".to_owned(), |table| format!("no table '{table}' that"));
        return Err(CompareError::Tolerance {
            word: word.to_owned(),
            problem: format!(
                "{place} has a column '{column}' of floats (`aqlens schema` lists the columns; others are \
                 compared exactly)"
            ),
        });
    }
    Ok(ColumnTolerance { table: table.map(str::to_owned), column: column.to_owned(), tolerance })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Tolerances, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Tolerances::parse(&words).map_err(|error| error.to_string())
    }

    #[test]
    fn the_last_word_about_a_column_counts() {
        let all = parse(&["0", "value=0.5", "similarity.value=1e-3,1e-6"]).unwrap();
        assert_eq!(all.of("effect", "delta"), Tolerance { relative: 0.0, absolute: 0.0 });
        assert_eq!(all.of("geometry", "value"), Tolerance { relative: 0.5, absolute: 1e-5 });
        assert_eq!(all.of("similarity", "value"), Tolerance { relative: 1e-3, absolute: 1e-6 });
        assert_eq!(parse(&[]).unwrap().of("effect", "delta"), Tolerance::default());
    }

    #[test]
    fn what_is_no_tolerance_is_refused_with_its_form() {
        for (word, says) in [
            ("much", "wants one number"),
            ("-1", "wants one number"),
            ("inf", "wants one number"),
            ("1,", "wants one number"),
            ("value=", "wants one number"),
            ("similarity.n=1", "no table 'similarity' that has a column 'n' of floats"),
            ("layer=1", "no table has a column 'layer' of floats"),
            ("lost.value=1", "no table 'lost' that has"),
        ] {
            let error = parse(&[word]).unwrap_err();
            assert!(error.contains(says) && error.contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn the_allowed_difference_grows_with_the_numbers_and_never_is_below_the_absolute_part() {
        let own = Tolerance { relative: 0.1, absolute: 0.01 };
        assert!((own.allows(-20.0, 3.0) - 2.01).abs() < 1e-12);
        assert!((own.allows(0.0, 0.0) - 0.01).abs() < 1e-12);
    }
}
