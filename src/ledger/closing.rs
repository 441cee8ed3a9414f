//! The end of a shard: its raw tables are deleted, then the receipts of the stages that wrote them
//! are written.
//!
//! Raw tables that the pipeline does not retain are the largest by far and exist for seconds, so
//! nothing waits until they are on the disk. Their stage's receipt must not say that they are: it is
//! written when they are gone for good. If the process is killed in between, the stage is done again
//! on that one shard.

use std::panic;
use std::thread::{self, JoinHandle};

use crate::run_dir::receipt::Receipt;
use crate::store::{PieceLock, Store};
use crate::table::TableError;

/// What is left to do for a shard whose stages are done.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) store: Store,
    /// Files of raw tables that are deleted.
    pub(crate) released: Vec<String>,
    /// Files of raw tables that are kept: no stage reads them again, and they grow with the run.
    pub(crate) retained: Vec<String>,
    /// Receipts of the stages that wrote what is deleted.
    pub(crate) held_back: Vec<Receipt>,
    /// Held until then where other processes share the run.
    pub(crate) piece: Option<PieceLock>,
}

impl Closing {
    fn close(self) -> Result<(), TableError> {
        let Self { store, released, retained, held_back, piece } = self;
        // What was made of the raw tables is on the disk before they are deleted.
        Receipt::settle(&store)?;
        store.remove_all(released.iter().map(String::as_str))?;
        held_back.iter().try_for_each(|receipt| receipt.write(&store))?;
        Receipt::settle(&store)?;
        store.let_go(retained.iter().map(String::as_str));
        drop(piece);
        Ok(())
    }

    /// Does it in a separate thread: freeing the memory of large files takes the system a while.
    pub(crate) fn begin(self) -> Underway {
        Underway(Some(thread::spawn(|| self.close())))
    }
}

/// The end of a shard while it is being closed. Dropping it waits for it: nothing happens in the run
/// directory after the run has ended.
#[derive(Debug)]
pub(crate) struct Underway(Option<JoinHandle<Result<(), TableError>>>);

impl Underway {
    /// Waits until it is done.
    pub(crate) fn wait(mut self) -> Result<(), TableError> {
        let thread = self.0.take().expect("it is taken here alone, and self is gone then");
        thread.join().unwrap_or_else(|reason| panic::resume_unwind(reason))
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // Something else failed first, and that is reported.
            let _ = thread.join();
        }
    }
}
