//! The four answers to a question.

/// Whether something holds, as far as the interval says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    Undecided,
    NotTestable,
}

impl Answer {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Undecided => "undecided",
            Self::NotTestable => "not_testable",
        }
    }

    /// Of questions of which one `yes` is enough, and `no` takes all: those that cannot be tested say
    /// nothing.
    pub(super) fn any(answers: impl Iterator<Item = Self>) -> Self {
        let testable: Vec<Self> = answers.filter(|answer| *answer != Self::NotTestable).collect();
        if testable.is_empty() {
            return Self::NotTestable;
        }
        if testable.contains(&Self::Yes) {
            return Self::Yes;
        }
        if testable.iter().all(|answer| *answer == Self::No) { Self::No } else { Self::Undecided }
    }
}

#[cfg(test)]
mod tests {
    use super::Answer::{self, No, NotTestable, Undecided, Yes};

    #[test]
    fn one_yes_is_enough_and_no_takes_all_that_can_be_tested() {
        for (answers, expected) in [
            (vec![], NotTestable),
            (vec![NotTestable, NotTestable], NotTestable),
            (vec![No, NotTestable], No),
            (vec![No, Undecided], Undecided),
            (vec![No, Undecided, Yes], Yes),
            (vec![No, No], No),
        ] {
            assert_eq!(Answer::any(answers.into_iter()), expected);
        }
    }
}
