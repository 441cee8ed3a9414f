//! Whether a model's weights fit into memory, asked before a file of it is opened or hashed.

use std::fs;

use super::{ModelCard, ModelError};

impl ModelCard {
    /// Bytes of the weights of one open copy: those of the files, and the unembedding once more, which
    /// ONNX Runtime keeps beside the embedding in the order in which it multiplies.
    pub fn open_bytes(&self) -> u64 {
        self.weights_bytes().saturating_add(self.unembedding_bytes())
    }

    /// Bytes of the unembedding alone, as float32.
    pub fn unembedding_bytes(&self) -> u64 {
        let numbers = (self.vocab_size as u64).saturating_mul(self.d_model as u64);
        numbers.saturating_mul(size_of::<f32>() as u64)
    }

    /// Refuses weights that are larger than `free` bytes of memory; `None` refuses nothing.
    ///
    /// # Errors
    /// When they are.
    pub(super) fn fits(&self, free: Option<u64>) -> Result<(), ModelError> {
        let weights = self.open_bytes();
        match free {
            Some(free) if weights > free => {
                Err(ModelError::TooLarge { model: self.source.name.clone(), weights, free })
            }
            _ => Ok(()),
        }
    }
}

/// How many bytes this process can have: what the machine has free, or its container or `ulimit -v` grants,
/// whichever is least; `None` where the system does not say.
pub fn free_memory() -> Option<u64> {
    let kib = |text: &str| text.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10);
    let line = |file: &str, name: &str| {
        let text = fs::read_to_string(file).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned))
    };
    let free = line("/proc/meminfo", "MemAvailable:").and_then(|text| kib(&text));
    let limit = line("/proc/self/limits", "Max address space");
    let limit = limit.and_then(|text| text.split_whitespace().next()?.parse().ok());
    let granted = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let granted =
        granted.iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    granted.chain(free).chain(limit).min()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::FileFacts;

    #[test]
    fn weights_are_compared_with_what_there_is_by_what_the_card_says() {
        let mut card = ModelCard::load(Path::new("tests/fixtures/tiny")).unwrap();
        (card.d_model, card.vocab_size) = (4096, 128_256);
        let sha256 = card.files["model.onnx"].sha256.clone();
        let bytes = 8_030_261_248 * size_of::<f32>() as u64;
        card.files.insert("model.onnx.data".to_owned(), FileFacts { sha256, bytes });
        let words = card.fits(Some(24 << 30)).unwrap_err().to_string();
        assert!(words.contains("take about 31.87 GiB in memory as float32"), "{words}");
        assert!(words.contains("this process can have 24.00 GiB: nothing was opened"), "{words}");
        assert!(card.fits(Some(64 << 30)).is_ok());
        assert!(card.fits(None).is_ok(), "the system does not say what there is");
    }
}
