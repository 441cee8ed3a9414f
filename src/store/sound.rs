//! Reading what is still what was written.

use std::collections::BTreeSet;
use std::fs::File;

use super::known::Ask;
use super::stats::FileStats;
use super::{Store, StoreError, open_file, place};

impl Store {
    /// Remembers what a receipt says of a file: [`Self::open_sound`] and [`Self::read_sound`] give
    /// nothing else.
    pub(crate) fn expect(&self, stats: &FileStats) {
        self.shared.known.expect(stats);
    }

    /// From now on those two refuse files of which no receipt says anything: a run makes no numbers
    /// from them.
    pub(crate) fn refuse_strangers(&self) {
        self.shared.known.refuse_strangers();
    }

    /// From now on `ask` is asked what a file holds of which nothing is known yet; it gives what is
    /// recorded of that file and of any others.
    pub(crate) fn ask_of_strangers(&self, ask: Ask) {
        self.shared.known.ask_of_strangers(ask);
    }

    /// Asks, if nothing is known of the file and there is somebody to ask.
    fn get_to_know(&self, name: &str) {
        if let Some(ask) = self.shared.known.whom_to_ask(name) {
            for stats in ask(self, name) {
                self.expect(&stats);
            }
        }
    }

    /// Names of the files that those two refused because they hold something else than was written,
    /// since this was asked last.
    pub(crate) fn take_changed(&self) -> BTreeSet<String> {
        self.shared.known.take_changed()
    }

    /// Opens a file and sees that it holds what was written, as far as that is known: by its receipt,
    /// or because this process wrote it.
    ///
    /// # Errors
    /// When the file cannot be read, or is not the one that was written.
    pub fn open_sound(&self, name: &str) -> Result<File, StoreError> {
        let path = place::named(self.root(), name)?;
        let error = |e| StoreError::io("read", &path, e);
        let file = open_file(&path).map_err(error)?;
        self.get_to_know(name);
        let verdict = self.shared.known.look(name, &file).map_err(error)?;
        verdict.allow(&path)?;
        Ok(file)
    }

    /// Reads a whole file, likewise.
    ///
    /// # Errors
    /// As [`Self::open_sound`].
    pub fn read_sound(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let bytes = self.read(name)?;
        self.get_to_know(name);
        self.shared.known.look_at(name, &bytes).allow(&self.path(name))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

    use super::*;

    const NAME: &str = "tables/t/part";

    /// What is read under the name; the message of the error otherwise.
    fn read(store: &Store) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let file = store.open_sound(NAME).map_err(|error| error.to_string())?;
        (&file).read_to_end(&mut bytes).unwrap();
        assert_eq!(store.read_sound(NAME).unwrap(), bytes);
        Ok(bytes)
    }

    fn put(store: &Store, at: u64, byte: u8) {
        let mut file = OpenOptions::new().write(true).open(store.path(NAME)).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[byte]).unwrap();
    }

    #[test]
    fn a_file_that_changed_since_this_process_wrote_it_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        store.write_later(NAME, b"numbers").unwrap();
        assert_eq!(read(&store).unwrap(), b"numbers");
        std::thread::sleep(std::time::Duration::from_millis(20));
        put(&store, 2, b'n');
        let message = read(&store).unwrap_err();
        assert!(message.contains("changed") && message.contains("--recheck"), "{message}");
        assert!(store.read_sound(NAME).is_err());
        assert_eq!(store.take_changed(), BTreeSet::from([NAME.to_owned()]));
        assert!(store.take_changed().is_empty(), "they are told once");
        put(&store, 2, b'm');
        assert_eq!(read(&store).unwrap(), b"numbers", "it is what was written again");
        fs::remove_file(store.path(NAME)).unwrap();
        assert!(read(&store).unwrap_err().contains("cannot read"));
        store.write(NAME, b"others").unwrap();
        assert_eq!(read(&store).unwrap(), b"others");
    }

    #[test]
    fn what_a_receipt_says_is_compared_by_whichever_sum_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let stats = Store::create(dir.path()).unwrap().write(NAME, b"numbers").unwrap();
        let older = FileStats { xxh3: None, ..stats.clone() };
        for stats in [stats, older] {
            let store = Store::open(dir.path());
            assert!(read(&store).is_ok(), "nothing is known of it");
            store.expect(&stats);
            assert!(read(&store).is_ok() && read(&store).is_ok());
            put(&store, 6, b'S');
            assert!(read(&store).is_err());
            put(&store, 6, b's');
            assert!(read(&store).is_ok());
            store.expect(&FileStats { bytes: 6, ..stats });
            assert!(read(&store).is_err(), "another receipt says something else");
        }
    }

    #[test]
    fn a_stranger_is_refused_where_that_is_asked_for_and_asked_about_where_somebody_knows() {
        let dir = tempfile::tempdir().unwrap();
        Store::create(dir.path()).unwrap().write(NAME, b"numbers").unwrap();
        let store = Store::open(dir.path());
        store.refuse_strangers();
        let message = read(&store).unwrap_err();
        assert!(message.contains("belongs to no stage"), "{message}");
        assert!(store.take_changed().is_empty() && store.read_sound(NAME).is_err());
        store.ask_of_strangers(|store, name| {
            let (path, sha256) = (name.to_owned(), crate::store::hex_sha256(b"numbers"));
            let bytes = store.bytes(name).unwrap();
            vec![FileStats { path, bytes, sha256, xxh3: None }]
        });
        assert!(read(&store).is_ok());
    }
}
