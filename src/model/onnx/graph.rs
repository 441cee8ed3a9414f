//! The graph itself: prompts as token ids in, block outputs, attention and scores out.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use ort::session::{OutputSelector, RunOptions, Session, SessionInputValue, SessionOutputs};
use ort::value::{Outlet, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType};

use super::{cause, open};
use crate::model::backend::{Backend, Outputs, Take, Wanted};
use crate::model::options::EngineFacts;
use crate::model::{Batch, Cause, ModelCard, ModelError};

/// An open graph.
pub(crate) struct OnnxSession {
    session: Session,
    path: PathBuf,
    n_layer: i16,
    n_head: usize,
    n_kv_head: usize,
    d_head: usize,
    d_model: usize,
    vocab_size: usize,
    takes_past: bool,
    places_rows: bool,
}

impl OnnxSession {
    /// Loads the graph `path` of a model folder, to compute with that many threads, and checks its
    /// inputs and outputs.
    ///
    /// # Errors
    /// When ONNX Runtime refuses it, or it lacks something that the card promises.
    pub(crate) fn open(
        card: &ModelCard,
        path: &Path,
        facts: &EngineFacts,
        threads: usize,
    ) -> Result<Self, ModelError> {
        let session = open(facts, threads, path)?;
        let has = |name| session.inputs().iter().any(|input| input.name() == name);
        let (takes_past, places_rows) = (has(PAST_OF), has(FIRST_POSITION));
        check_graph(card, takes_past, session.inputs(), session.outputs())
            .map_err(|problem| ModelError::Graph { path: path.to_owned(), problem })?;
        Ok(Self {
            session,
            path: path.to_owned(),
            n_layer: card.n_layer,
            n_head: card.n_head as usize,
            n_kv_head: card.n_kv_head as usize,
            d_head: card.d_head,
            d_model: card.d_model,
            vocab_size: card.vocab_size,
            takes_past,
            places_rows,
        })
    }
}

const IDS: &str = "input_ids";
const MASK: &str = "attention_mask";
const PAST_OF: &str = "past_of";
const PAST_LENGTH: &str = "past_length";
/// Graphs of earlier exporters have no such input: their rows follow their past.
const FIRST_POSITION: &str = "first_position";
const KEYS_AND_VALUES: [&str; 2] = ["key", "value"];

/// Checks that a graph has the inputs and outputs of a model folder's graph, with or without a past.
fn check_graph(
    card: &ModelCard,
    takes_past: bool,
    inputs: &[Outlet],
    outputs: &[Outlet],
) -> Result<(), String> {
    let (float, int) = (TensorElementType::Float32, TensorElementType::Int64);
    let (heads, width) = (i64::from(card.n_head), card.d_model as i64);
    for name in [IDS, MASK] {
        check_outlet("input", inputs, name, int, &[-1, -1])?;
    }
    let mut known = vec![IDS.to_owned(), MASK.to_owned()];
    if takes_past {
        for name in [PAST_OF, PAST_LENGTH] {
            check_outlet("input", inputs, name, int, &[-1])?;
            known.push(name.to_owned());
        }
        if inputs.iter().any(|input| input.name() == FIRST_POSITION) {
            check_outlet("input", inputs, FIRST_POSITION, int, &[-1])?;
            known.push(FIRST_POSITION.to_owned());
        }
        let shape = [-1, i64::from(card.n_kv_head), -1, card.d_head as i64];
        for (past, present) in names_of_past("past", card.n_layer)
            .into_iter()
            .zip(names_of_past("present", card.n_layer))
        {
            check_outlet("input", inputs, &past, float, &shape)?;
            check_outlet("output", outputs, &present, float, &shape)?;
            known.push(past);
        }
    }
    check_no_other(inputs, &known)?;
    check_outlet("output", outputs, "logits", float, &[-1, card.vocab_size as i64])?;
    for layer in 0..card.n_layer {
        check_outlet("output", outputs, &hidden_name(layer), float, &[-1, -1, width])?;
        check_outlet("output", outputs, &attention_name(layer), float, &[-1, heads, -1, -1])?;
    }
    Ok(())
}

/// Checks that a graph has no inputs but these: it would not run without them.
pub(super) fn check_no_other(inputs: &[Outlet], known: &[String]) -> Result<(), String> {
    match inputs.iter().find(|input| !known.iter().any(|name| name == input.name())) {
        None => Ok(()),
        Some(other) => {
            let names = known.join("', '");
            Err(format!("has input '{}', and aqlens gives '{names}' only", other.name()))
        }
    }
}

fn hidden_name(layer: i16) -> String {
    format!("hidden.{layer}")
}

fn attention_name(layer: i16) -> String {
    format!("attention.{layer}")
}

/// `past_key.0, past_value.0, past_key.1, ...`: for every layer its keys, then its values.
fn names_of_past(when: &str, n_layer: i16) -> Vec<String> {
    let of_layer = |layer| KEYS_AND_VALUES.map(|kind| format!("{when}_{kind}.{layer}"));
    (0..n_layer).flat_map(of_layer).collect()
}

/// Names of inputs, and what they are given.
type Inputs<'v> = Vec<(Cow<'static, str>, SessionInputValue<'v>)>;

impl OnnxSession {
    /// The inputs of a batch; `zeros`, one a row, say that it has no past.
    fn inputs<'v>(&self, batch: &'v Batch, zeros: &'v [i64]) -> Result<Inputs<'v>, Cause> {
        let (rows, seq) = (batch.lengths.len(), batch.seq);
        let mut inputs: Inputs<'v> = vec![
            (IDS.into(), tensor(&[rows, seq], &batch.ids)?),
            (MASK.into(), tensor(&[rows, seq], &batch.mask)?),
        ];
        if !self.takes_past {
            return match &batch.past {
                None => Ok(inputs),
                Some(_) => Err("the graph takes whole prompts only".into()),
            };
        }
        let (of, lengths) = match &batch.past {
            Some(past) => (past.of.as_slice(), past.lengths.as_slice()),
            None => (zeros, zeros),
        };
        inputs.push((PAST_OF.into(), tensor(&[rows], of)?));
        inputs.push((PAST_LENGTH.into(), tensor(&[rows], lengths)?));
        match &batch.first {
            Some(_) if !self.places_rows => return Err("the graph takes no first_position".into()),
            _ if !self.places_rows => {}
            first => {
                let first = first.as_deref().unwrap_or(lengths);
                inputs.push((FIRST_POSITION.into(), tensor(&[rows], first)?));
            }
        }
        let prefixes = batch.past.as_ref().map(|past| &past.prefixes);
        let (count, past) = prefixes.map_or((1, 0), |prefixes| (prefixes.count, prefixes.past));
        let shape = [count, self.n_kv_head, past, self.d_head];
        for (i, name) in names_of_past("past", self.n_layer).into_iter().enumerate() {
            let values = prefixes.map_or(&[][..], |prefixes| &prefixes.keys_values[i]);
            inputs.push((name.into(), tensor(&shape, values)?));
        }
        Ok(inputs)
    }
}

fn tensor<'v, T>(shape: &[usize], values: &'v [T]) -> Result<SessionInputValue<'v>, Cause>
where
    T: PrimitiveTensorElementType + fmt::Debug + Clone + 'static,
{
    let tensor = TensorRef::from_array_view((shape.to_vec(), values)).map_err(|e| cause(&e))?;
    Ok(tensor.into())
}

impl Backend for OnnxSession {
    fn run(
        &mut self,
        batch: &Batch,
        wanted: &Wanted,
        take: &mut Take<'_>,
    ) -> Result<(), ModelError> {
        let (rows, seq) = (batch.lengths.len(), batch.seq);
        let past = batch.past.as_ref().map_or(0, |past| past.prefixes.past);
        let (heads, width, vocab) = (self.n_head, self.d_model, self.vocab_size);
        let (kv_heads, d_head) = (self.n_kv_head, self.d_head);
        let failed = |source| ModelError::Run { batch: rows, seq, source };
        let hidden: Vec<String> = wanted.hidden.iter().map(|l| hidden_name(*l)).collect();
        let attention: Vec<String> = wanted.attention.iter().map(|l| attention_name(*l)).collect();
        let n_layer = if wanted.keys_values { self.n_layer } else { 0 };
        let keys_values = names_of_past("present", n_layer);
        // Only what is asked for is fetched: on a GPU nothing else is copied.
        let selected = hidden
            .iter()
            .chain(&attention)
            .chain(&keys_values)
            .fold(OutputSelector::no_default().with("logits"), OutputSelector::with);
        let options = RunOptions::new().map_err(|e| failed(cause(&e)))?.with_outputs(selected);
        let zeros = vec![0; rows];
        let inputs = self.inputs(batch, &zeros).map_err(failed)?;
        let outputs =
            self.session.run_with_options(inputs, &options).map_err(|e| failed(cause(&e)))?;
        let borrow = |name: &str, shape: &[usize]| {
            borrow(&outputs, name, shape)
                .map_err(|problem| ModelError::Graph { path: self.path.clone(), problem })
        };
        let borrow_all = |names: &[String], shape: &[usize]| -> Result<Vec<&[f32]>, ModelError> {
            names.iter().map(|name| borrow(name, shape)).collect()
        };
        take(&Outputs {
            logits: borrow("logits", &[rows, vocab])?,
            hidden: borrow_all(&hidden, &[rows, seq, width])?,
            attention: borrow_all(&attention, &[rows, heads, seq, past + seq])?,
            keys_values: borrow_all(&keys_values, &[rows, kv_heads, seq, d_head])?,
        });
        Ok(())
    }

    fn takes_past(&self) -> bool {
        self.takes_past
    }

    fn places_rows(&self) -> bool {
        self.places_rows
    }
}

/// Checks one input or output; -1 stands for any size, on either side.
pub(super) fn check_outlet(
    what: &str,
    outlets: &[Outlet],
    name: &str,
    kind: TensorElementType,
    shape: &[i64],
) -> Result<(), String> {
    let sizes = shape.iter().map(|n| if *n < 0 { "any".to_owned() } else { n.to_string() });
    let expected = format!("{kind} [{}]", sizes.collect::<Vec<_>>().join(", "));
    let Some(outlet) = outlets.iter().find(|outlet| outlet.name() == name) else {
        return Err(format!("lacks {what} '{name}', {expected}"));
    };
    let fits = match outlet.dtype() {
        ValueType::Tensor { ty, shape: found, .. } => {
            let same = |(a, b): (&i64, &i64)| *a == -1 || *b == -1 || a == b;
            *ty == kind && found.len() == shape.len() && found.iter().zip(shape).all(same)
        }
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(format!("has {what} '{name}' of type {}, expected {expected}", outlet.dtype()))
}

/// Borrows one output's numbers from ONNX Runtime's buffer, after checking its shape.
pub(super) fn borrow<'o>(
    outputs: &'o SessionOutputs<'_>,
    name: &str,
    shape: &[usize],
) -> Result<&'o [f32], String> {
    let (found, values) =
        outputs[name].try_extract_tensor::<f32>().map_err(|e| format!("gives no {name}: {e}"))?;
    if found.iter().map(|n| *n as usize).eq(shape.iter().copied()) {
        return Ok(values);
    }
    Err(format!("gives output '{name}' of shape {:?}, expected {shape:?}", &found[..]))
}
