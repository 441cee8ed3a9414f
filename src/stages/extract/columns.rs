//! The tables of a shard as Arrow columns, and their writing.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, Float32Array, Int16Array, ListArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::Field;
use rayon::prelude::*;

use super::rows::Row;
use super::{Context, StageError};
use crate::model::Wanted;
use crate::run_dir::receipt::PartStats;
use crate::stage::model::gather::Gathered;
use crate::table::WriteRow;
use crate::table::raw::{fixed_lists, with_layer};
use crate::table::schema::{ACTIVATIONS, ATTENTION, LOGITS, PromptsRow, SkippedRow};
use crate::table::writer::{PartAddress, write_part};

/// Writes the five tables of a shard; files are encoded side by side.
pub(super) fn write_tables(
    context: &Context<'_>,
    rows: &[Row],
    wanted: &Wanted,
    gathered: Gathered,
) -> Result<Vec<PartStats>, StageError> {
    let heads = context.card.n_head;
    let Gathered { hidden, attention: weights, logits, lease, .. } = gathered;
    let hidden: Vec<ScalarBuffer<f32>> = hidden.into_iter().map(ScalarBuffer::from).collect();
    let [weights, logits] = [weights, logits].map(ScalarBuffer::from);
    let kept: Vec<&Row> = rows.iter().filter(|row| row.refusal.is_none()).collect();
    let mut parts = vec![
        small(context, &rows.iter().map(prompt).collect::<Vec<_>>()),
        small(context, &rows.iter().filter_map(skipped).collect::<Vec<_>>()),
        (
            PartAddress::new(&ATTENTION, context.part),
            attention(&kept, &wanted.attention, heads, weights.clone()),
        ),
        (
            PartAddress::new(&LOGITS, context.part),
            with_values(keys(&kept, |_| 1), logits.clone(), context.card.vocab_size),
        ),
    ];
    let (keys, tokens) = (keys(&kept, |row| row.encoded.ids.len()), tokens(&kept));
    for (layer, values) in wanted.hidden.iter().zip(&hidden) {
        let address = PartAddress { table: &ACTIVATIONS, layer: Some(*layer), part: context.part };
        let columns = with_layer(&keys, *layer, &tokens);
        parts.push((address, with_values(columns, values.clone(), context.card.d_model)));
    }
    let dims = context.dims();
    let written: Vec<_> = parts
        .into_par_iter()
        .map(|(address, columns)| write_part(context.store, address, dims, columns))
        .collect();
    let written = written.into_iter().collect::<Result<_, _>>()?;
    lease.give_back(hidden.into_iter().chain([weights, logits]));
    Ok(written)
}

/// A part of a small table.
fn small<R: WriteRow>(context: &Context<'_>, rows: &[R]) -> (PartAddress, Vec<ArrayRef>) {
    (PartAddress::new(R::TABLE, context.part), R::columns(rows))
}

/// `scenario, input, task, wording`, each prompt's as often as `times` says.
fn keys(rows: &[&Row], times: impl Fn(&Row) -> usize) -> Vec<ArrayRef> {
    let times: Vec<usize> = rows.iter().map(|row| times(row)).collect();
    let total = times.iter().sum();
    let text = |of: fn(&Row) -> Arc<str>| -> ArrayRef {
        let mut texts = StringBuilder::with_capacity(total, 0);
        for (row, n) in rows.iter().zip(&times) {
            let text = of(row);
            (0..*n).for_each(|_| texts.append_value(&text));
        }
        Arc::new(texts.finish())
    };
    let mut wordings = Vec::with_capacity(total);
    for (row, n) in rows.iter().zip(&times) {
        wordings.extend(std::iter::repeat_n(row.prompt.key.wording, *n));
    }
    vec![
        text(|row| Arc::clone(&row.prompt.key.scenario)),
        text(|row| Arc::clone(&row.prompt.key.input)),
        text(|row| Arc::clone(&row.prompt.key.task)),
        Arc::new(Int16Array::from(wordings)),
    ]
}

/// The row of a prompt in table `prompts`.
fn prompt(row: &Row) -> PromptsRow<'_> {
    let Row { prompt, encoded, input_sha256, .. } = row;
    let span = encoded.input.as_ref();
    PromptsRow {
        scenario: &prompt.key.scenario,
        input: &prompt.key.input,
        task: &prompt.key.task,
        wording: prompt.key.wording,
        role: prompt.role().name(),
        base_wording: prompt.base_wording,
        source_input: &prompt.source_input,
        cluster: prompt.cluster.as_deref(),
        input_sha256,
        form: &prompt.form,
        text: &prompt.text,
        n_tokens: encoded.ids.len() as i32,
        token_ids: &encoded.ids,
        input_start: span.map(|span| span.start as i32),
        input_tokens: span.map_or(0, |span| span.len() as i32),
        segments: &encoded.segments,
        edge_tokens: encoded.edge_tokens as i32,
        status: row.status(),
    }
}

/// The row of a prompt in table `skipped`; `None` when it has numbers.
fn skipped(row: &Row) -> Option<SkippedRow<'_>> {
    let (key, refusal) = (&row.prompt.key, row.refusal.as_ref()?);
    Some(SkippedRow {
        scenario: &key.scenario,
        input: &key.input,
        task: &key.task,
        wording: key.wording,
        reason: refusal.reason,
        detail: &refusal.detail,
    })
}

/// `position` and `token_id` of every token: the same for every layer.
fn tokens(kept: &[&Row]) -> [ArrayRef; 2] {
    [
        int32s(kept.iter().flat_map(|row| 0..row.encoded.ids.len() as i32)),
        int32s(kept.iter().flat_map(|row| row.encoded.ids.iter().copied())),
    ]
}

fn attention(
    kept: &[&Row],
    layers: &[i16],
    heads: i16,
    weights: ScalarBuffer<f32>,
) -> Vec<ArrayRef> {
    let rows = layers.len() * heads as usize;
    let mut columns = keys(kept, |_| rows);
    let of_prompt = || layers.iter().flat_map(|layer| (0..heads).map(move |head| (*layer, head)));
    let each = || kept.iter().flat_map(|row| of_prompt().map(move |of| (row, of)));
    columns.extend([
        Arc::new(Int16Array::from_iter_values(each().map(|(_, (layer, _))| layer))) as ArrayRef,
        Arc::new(Int16Array::from_iter_values(each().map(|(_, (_, head))| head))),
        int32s(each().map(|(row, _)| row.encoded.ids.len() as i32 - 1)),
        list(
            Arc::new(Float32Array::new(weights, None)),
            each().map(|(row, _)| row.encoded.ids.len()),
        ),
    ]);
    columns
}

fn int32s(values: impl Iterator<Item = i32>) -> ArrayRef {
    Arc::new(values.collect::<arrow_array::PrimitiveArray<Int32Type>>())
}

/// Cuts `values` into lists of the given lengths.
fn list(values: ArrayRef, lengths: impl Iterator<Item = usize>) -> ArrayRef {
    let item = Arc::new(Field::new("item", values.data_type().clone(), false));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), values, None))
}

/// Puts vectors of `width` numbers beside the other columns, without a copy.
fn with_values(
    mut columns: Vec<ArrayRef>,
    values: ScalarBuffer<f32>,
    width: usize,
) -> Vec<ArrayRef> {
    columns.push(fixed_lists(values, width));
    columns
}
