//! The special tokens that a tokenizer puts around a text, such as a first one that stands for the
//! beginning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokenizers::{Encoding, PostProcessor as _, PostProcessorWrapper, Token};

/// Which special tokens prompts get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SpecialTokens {
    /// Those that the model's own tokenizer adds, as the model was trained.
    #[default]
    #[serde(alias = "tokenizer")]
    Auto,
    /// None: the text alone.
    None,
}

/// Special tokens around every text; none for GPT-2's tokenizer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Specials {
    /// Ids in front of the text's first token.
    pub before: Vec<i32>,
    /// Ids behind its last token: the last of them is the prompt's last token.
    pub after: Vec<i32>,
}

impl Specials {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What `processor` puts around two tokens. Its other work, trimming blanks off the places of
    /// tokens, is not wanted.
    ///
    /// # Errors
    /// When it does anything else with them, in words that follow the tokenizer's name.
    pub(super) fn of(processor: Option<&PostProcessorWrapper>) -> Result<Self, String> {
        let Some(processor) = processor else { return Ok(Self::default()) };
        let tokens = [(0, "a", 0), (1, "b", 1)];
        let tokens = tokens.map(|(id, text, at)| Token::new(id, text.to_owned(), (at, at + 1)));
        let encoding = processor
            .process(Encoding::from_tokens(tokens.to_vec(), 0), None, true)
            .map_err(|e| format!("has a post-processor that fails: {e}"))?;
        let marks = encoding.get_special_tokens_mask();
        let texts: Vec<usize> = (0..marks.len()).filter(|at| marks[*at] == 0).collect();
        let ids = encoding.get_ids();
        match texts.as_slice() {
            [first, second] if first + 1 == *second && ids[*first..=*second] == [0, 1] => {
                Ok(Self { before: signed(&ids[..*first])?, after: signed(&ids[second + 1..])? })
            }
            _ => Err("has a post-processor that does more than put special tokens before and \
                      after a text"
                .to_owned()),
        }
    }
}

fn signed(ids: &[u32]) -> Result<Vec<i32>, String> {
    let signed = |id: &u32| {
        let problem = || format!("adds special token {id}, which no model has");
        i32::try_from(*id).ok().ok_or_else(problem)
    };
    ids.iter().map(signed).collect()
}
