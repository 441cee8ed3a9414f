//! Opens the graph when it is first needed: a resumed run that only analyses never loads it.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use super::backend::{Backend, HeadBackend, PatchBackend, Scores, Streams, Take, Wanted};
use super::options::{EngineFacts, EngineOptions, Provider, ProviderChoice};
use super::sessions::{self, Sessions};
use super::{Batch, ModelCard, ModelError, batch, end_of, free_memory, onnx, probe};

/// Most scores that one call of the head should give: 64 MiB of them.
const HEAD_SCORES: usize = 1 << 24;

/// The model, ready to run: finds the runtime when its facts are asked for, loads and probes the
/// graph when the first batch comes.
pub struct Engine {
    model: Arc<Model>,
    calls: AtomicU64,
    head_calls: AtomicU64,
}

/// What engines that count for themselves share.
struct Model {
    card: ModelCard,
    options: EngineOptions,
    facts: OnceLock<EngineFacts>,
    sessions: OnceLock<Sessions>,
    /// Held by the thread that opens them.
    opening: Mutex<()>,
    head: Mutex<Option<Box<dyn HeadBackend>>>,
    head_rows: AtomicUsize,
    patch: Mutex<Option<Box<dyn PatchBackend>>>,
}

impl Engine {
    /// An engine for the model of `card`; opens nothing yet.
    pub fn new(card: ModelCard, options: EngineOptions) -> Self {
        let head_rows = (HEAD_SCORES / card.vocab_size).max(1).into();
        Self::of(Arc::new(Model {
            card,
            options,
            facts: OnceLock::new(),
            sessions: OnceLock::new(),
            opening: Mutex::new(()),
            head: Mutex::new(None),
            head_rows,
            patch: Mutex::new(None),
        }))
    }

    fn of(model: Arc<Model>) -> Self {
        Self { model, calls: AtomicU64::new(0), head_calls: AtomicU64::new(0) }
    }

    /// The same open model with a separate count, which begins at zero: how often one piece of work
    /// called the model while others use it too.
    #[must_use]
    pub fn counted(&self) -> Self {
        Self::of(Arc::clone(&self.model))
    }

    /// An engine that runs on `backends`, at least one, which stand in for ONNX Runtime, each for one
    /// batch at a time, and are not probed.
    pub fn with_backends(
        card: ModelCard,
        facts: EngineFacts,
        backends: Vec<Box<dyn Backend>>,
    ) -> Self {
        let engine = Self::new(card, EngineOptions::default());
        let _ = engine.model.facts.set(facts);
        let _ = engine.model.sessions.set(Sessions::new(backends));
        engine
    }

    /// The same engine with `head` in place of the head graph, to be given `rows` at a time; it is not
    /// probed.
    #[must_use]
    pub fn with_head(self, head: Box<dyn HeadBackend>, rows: usize) -> Self {
        self.model.head_rows.store(rows, Ordering::Relaxed);
        *self.model.head.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
        self
    }

    /// What the graph runs with. Finds and loads the runtime's library, but not the graph.
    ///
    /// # Errors
    /// When there is no usable ONNX Runtime, the GPU that was asked for is not available, or the model
    /// needs one and there is none.
    pub fn facts(&self) -> Result<&EngineFacts, ModelError> {
        if let Some(facts) = self.model.facts.get() {
            return Ok(facts);
        }
        self.refuse_cpu()?;
        let facts = onnx::facts(&self.model.options)?;
        if facts.provider == Provider::Cpu {
            self.model.card.runs_on_cpu()?;
        }
        Ok(self.model.facts.get_or_init(|| facts))
    }

    /// Refuses a model that a processor cannot run, where the processor was asked for: before the runtime
    /// is looked for or any file is read.
    ///
    /// # Errors
    /// When it cannot.
    pub fn refuse_cpu(&self) -> Result<(), ModelError> {
        match self.model.options.provider {
            ProviderChoice::Cpu => self.model.card.runs_on_cpu(),
            ProviderChoice::Cuda | ProviderChoice::Auto => Ok(()),
        }
    }

    /// Refuses a model whose weights alone are larger than what this process can have, by what its card
    /// says: before a file of it is opened or hashed. A GPU holds them itself, and says so when it cannot.
    ///
    /// # Errors
    /// When they are; or as [`Engine::facts`], which are asked for only then.
    pub fn refuse_too_large(&self) -> Result<(), ModelError> {
        match self.model.card.fits(free_memory()) {
            Err(_) if self.facts()?.provider != Provider::Cpu => Ok(()),
            fits => fits,
        }
    }

    /// Padded tokens a batch should hold on this engine's provider.
    ///
    /// # Errors
    /// As [`Engine::facts`].
    pub fn batch_budget(&self) -> Result<usize, ModelError> {
        Ok(match self.facts()?.provider {
            Provider::Cpu => batch::cpu_budget(self.model.card.d_ff),
            Provider::Cuda => batch::CUDA_BUDGET,
        })
    }

    /// How far apart the numbers of one prompt may be when it ran twice, beside other prompts.
    ///
    /// # Errors
    /// As [`Engine::facts`].
    pub fn tolerance(&self) -> Result<probe::Tolerance, ModelError> {
        Ok(probe::Tolerance::of(&self.model.card, self.facts()?))
    }

    /// Computes one batch and hands the wanted outputs to `take`, once. The first call loads the
    /// graph, checks the hashes of the model folder's files and runs the probe.
    ///
    /// # Errors
    /// When the model cannot be used, or fails on the batch.
    pub fn run(
        &self,
        batch: &Batch,
        wanted: &Wanted,
        take: &mut Take<'_>,
    ) -> Result<(), ModelError> {
        let sessions = self.sessions()?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        sessions.with(|backend| backend.run(batch, wanted, take))
    }

    /// Loads and probes the graph now, so that a model that cannot be used is refused early.
    ///
    /// # Errors
    /// When the model cannot be used.
    pub fn open(&self) -> Result<(), ModelError> {
        self.sessions().map(drop)
    }

    /// How many batches are computed at once when as many threads call [`Engine::run`]; the first
    /// call opens the model.
    ///
    /// # Errors
    /// When the model cannot be used.
    pub fn at_once(&self) -> Result<usize, ModelError> {
        Ok(self.sessions()?.count())
    }

    /// How many copies of the graph it opens, as [`Engine::at_once`] finds them open; opens nothing.
    ///
    /// # Errors
    /// As [`Engine::facts`].
    pub fn copies(&self) -> Result<usize, ModelError> {
        let facts = self.facts()?;
        Ok(match facts.provider {
            Provider::Cpu => sessions::count(facts.threads, self.model.card.weights_bytes()),
            Provider::Cuda => 1,
        })
    }

    fn sessions(&self) -> Result<&Sessions, ModelError> {
        if let Some(sessions) = self.model.sessions.get() {
            return Ok(sessions);
        }
        let facts = self.facts()?;
        let _opening = self.model.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sessions) = self.model.sessions.get() {
            return Ok(sessions);
        }
        let sessions = self.open_sessions(facts)?;
        Ok(self.model.sessions.get_or_init(|| sessions))
    }

    /// Opens the graph as often as batches are to run at once, side by side, and probes each; the
    /// files are hashed meanwhile, and nothing is made of them when they are not the exported ones.
    fn open_sessions(&self, facts: &EngineFacts) -> Result<Sessions, ModelError> {
        let card = &self.model.card;
        self.refuse_too_large()?;
        card.verify_sizes()?;
        let count = self.copies()?;
        let path = self.graph_path();
        let open = || -> Result<Box<dyn Backend>, ModelError> {
            let threads = facts.threads / count;
            let mut session = onnx::OnnxSession::open(card, &path, facts, threads)?;
            probe::check(card, &path, facts, &mut session)?;
            Ok(Box::new(session))
        };
        let (verified, opened) = thread::scope(|scope| {
            let opening: Vec<_> = (0..count).map(|_| scope.spawn(open)).collect();
            let verified = card.verify_files();
            (verified, opening.into_iter().map(end_of).collect::<Vec<_>>())
        });
        verified?;
        let opened = opened.into_iter().collect::<Result<_, _>>()?;
        card.verify_loaded()?;
        Ok(Sessions::new(opened))
    }

    /// The graph that takes a past where the folder has one, as it computes whole prompts too.
    fn graph_path(&self) -> PathBuf {
        let card = &self.model.card;
        let whole = self.model.options.whole_prompts;
        card.past_path().filter(|_| !whole).unwrap_or_else(|| card.graph_path())
    }

    /// Whether batches may have a past; the first call opens the model.
    ///
    /// # Errors
    /// When the model cannot be used.
    pub fn takes_past(&self) -> Result<bool, ModelError> {
        Ok(self.sessions()?.takes_past())
    }

    /// Whether batches may say where their rows' positions begin; the first call opens the model.
    ///
    /// # Errors
    /// When the model cannot be used.
    pub fn places_rows(&self) -> Result<bool, ModelError> {
        Ok(self.sessions()?.places_rows())
    }

    /// How many batches were computed for callers; the probe does not count.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// What the whole model would say next if the blocks after these outputs did nothing: the final
    /// layer norm and the unembedding, put to `hidden`, `[rows, d_model]` outputs of any block as
    /// they are stored, before the final layer norm. Gives `[rows, vocab_size]` scores; those of the
    /// last block are the model's own. A caller keeps to [`Engine::head_rows`] rows at a time.
    ///
    /// The first call loads the head, and the graph to probe it with.
    ///
    /// # Errors
    /// When the model folder has no head, the head cannot be used, or it fails.
    pub fn run_head(&self, hidden: &[f32]) -> Result<Scores, ModelError> {
        self.open_head()?;
        let mut guard = self.model.head.lock().unwrap_or_else(PoisonError::into_inner);
        let head = guard.as_mut().expect("the head was opened above, and is never closed");
        self.head_calls.fetch_add(1, Ordering::Relaxed);
        head.run(hidden)
    }

    /// How many rows to give the head at once, at least 1, so that memory stays small.
    pub fn head_rows(&self) -> usize {
        self.model.head_rows.load(Ordering::Relaxed)
    }

    /// Loads and probes the head now, and the graph with it.
    ///
    /// # Errors
    /// When the model folder has no head, or the head cannot be used.
    pub fn open_head(&self) -> Result<(), ModelError> {
        let is_open = || self.model.head.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if is_open() {
            return Ok(());
        }
        // Loaded without the lock: hashing works in parallel, and a thread that waits for it may
        // meanwhile be given other work that needs the head.
        let head = self.load_head()?;
        self.model.head.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(head);
        Ok(())
    }

    /// How many times the head ran for callers; its probe does not count.
    pub fn head_calls(&self) -> u64 {
        self.head_calls.load(Ordering::Relaxed)
    }

    fn load_head(&self) -> Result<Box<dyn HeadBackend>, ModelError> {
        let facts = self.facts()?;
        self.model.card.verify_files()?;
        let mut head = onnx::HeadSession::open(&self.model.card, facts)?;
        self.model.card.verify_loaded()?;
        self.sessions()?
            .with(|graph| probe::check_head(&self.model.card, facts, graph, &mut head))?;
        Ok(Box::new(head))
    }
}

impl Engine {
    /// What the model says when it goes on from these residual streams: `[rows, vocab_size]` scores at each
    /// row's last token. One call at a time, on all threads. The first call loads the graph for it, and the
    /// model's own graph to probe it with.
    ///
    /// # Errors
    /// When the model folder has no patch.onnx, or it cannot be used, or fails.
    pub fn run_patch(&self, streams: &Streams) -> Result<Vec<f32>, ModelError> {
        let is_open = || self.model.patch.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if !is_open() {
            // Loaded without the lock, as the head is.
            let facts = self.facts()?;
            self.model.card.verify_files()?;
            let mut patch = onnx::PatchSession::open(&self.model.card, facts)?;
            self.model.card.verify_loaded()?;
            self.sessions()?
                .with(|graph| probe::check_patch(&self.model.card, facts, graph, &mut patch))?;
            let mut guard = self.model.patch.lock().unwrap_or_else(PoisonError::into_inner);
            guard.get_or_insert(Box::new(patch));
        }
        let mut guard = self.model.patch.lock().unwrap_or_else(PoisonError::into_inner);
        let patch = guard.as_mut().expect("it was opened above, and is never closed");
        self.calls.fetch_add(1, Ordering::Relaxed);
        patch.run(streams)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("model", &self.model.card.folder)
            .field("options", &self.model.options)
            .field("facts", &self.model.facts.get())
            .finish_non_exhaustive()
    }
}
