//! Reads a part row group after row group, those alone that can hold what is looked for: for a small
//! table whose part is written so because it may be large.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchReader as _};
use arrow_select::concat::concat_batches;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use super::TableError;
use super::guard::{guarded, refuse_rows};
use super::reader::Part;
use crate::store::StoreError;

/// Passes the named columns of each row group of an open part to `take`, in order. With `wanted`, a
/// text column and values of it, row groups without any of the values are left out.
///
/// # Errors
/// When the file is no Parquet or lacks a column, or `take` fails.
pub(crate) fn each_group(
    file: &File,
    path: &Path,
    columns: &[&str],
    wanted: Option<(&str, &BTreeSet<&str>)>,
    take: &mut dyn FnMut(&Part) -> Result<(), TableError>,
) -> Result<(), TableError> {
    let bytes = file.metadata().map_err(|e| StoreError::io("read", path, e))?.len();
    let metadata = guarded(path, || {
        let options = ArrowReaderOptions::new();
        let metadata = ArrowReaderMetadata::load(file, options).map_err(|source| {
            TableError::Parquet { action: "read", path: path.to_owned(), source }
        })?;
        for group in metadata.metadata().row_groups() {
            refuse_rows(path, bytes, usize::try_from(group.num_rows()).unwrap_or(usize::MAX))?;
        }
        Ok(metadata)
    })?;
    for (number, group) in metadata.metadata().row_groups().iter().enumerate() {
        if wanted.is_none_or(|(column, values)| may_hold(group, column, values)) {
            let part = guarded(path, || read_group(file, path, &metadata, number, columns))?;
            take(&part)?;
        }
    }
    Ok(())
}

fn read_group(
    file: &File,
    path: &Path,
    metadata: &ArrowReaderMetadata,
    group: usize,
    columns: &[&str],
) -> Result<Part, TableError> {
    let rows = metadata.metadata().row_group(group).num_rows();
    let file = file.try_clone().map_err(|e| StoreError::io("read", path, e))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let reader = builder
        .with_row_groups(vec![group])
        .with_projection(mask)
        .with_batch_size(usize::try_from(rows).unwrap_or(0).max(1))
        .build()
        .map_err(|source| TableError::Parquet { action: "read", path: path.to_owned(), source })?;
    let error = |source| TableError::Arrow { action: "read", path: path.to_owned(), source };
    let schema = reader.schema();
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().map_err(error)?;
    let batch = concat_batches(&schema, &batches).map_err(error)?;
    Part::of(batch, path, columns)
}

/// Whether the row group can hold one of these values of a text column: unless its statistics say
/// that all its values lie before or behind them.
fn may_hold(group: &RowGroupMetaData, column: &str, values: &BTreeSet<&str>) -> bool {
    let of_column = |chunk: &&parquet::file::metadata::ColumnChunkMetaData| {
        chunk.column_path().parts() == [column.to_owned()]
    };
    let chunk = group.columns().iter().find(of_column);
    let Some(Statistics::ByteArray(found)) = chunk.and_then(|chunk| chunk.statistics()) else {
        return true;
    };
    // Long ones are cut, to what is not above the least and not below the greatest.
    let (Some(least), Some(greatest)) = (found.min_opt(), found.max_opt()) else { return true };
    let is_between = |value: &&&str| (least.data()..=greatest.data()).contains(&value.as_bytes());
    values.iter().any(|value| is_between(&value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::table::schema::{REFERENCE, ReferenceRow};
    use crate::table::writer::{PartAddress, PartWriter};
    use crate::table::{Dims, ReadRow as _, WriteRow as _, status};

    fn row(scenario: &str, dimension: i32) -> ReferenceRow<'_> {
        ReferenceRow {
            scenario,
            layer: 0,
            dimension,
            mean: Some(0.5),
            sd: None,
            n_tokens: 300,
            n_prompts: 20,
            status: status::OK,
        }
    }

    #[test]
    fn row_groups_that_cannot_hold_what_is_looked_for_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let address = PartAddress::new(&REFERENCE, 0);
        let dims = Dims { d_model: 0, vocab_size: 0 };
        let mut writer = PartWriter::begin(&store, address, dims).unwrap();
        let (long, longer) = ("n".repeat(200), "n".repeat(300));
        let groups: [&[&str]; 4] = [&["b", "d"], &["m"], &[&long, &longer], &["c"]];
        for (dimension, scenarios) in (0..).zip(groups) {
            let rows: Vec<_> = scenarios.iter().map(|name| row(name, dimension)).collect();
            writer.write(ReferenceRow::columns(&rows)).unwrap();
        }
        assert_eq!(writer.finish().unwrap().rows, 6);
        let read = |wanted: Option<&[&str]>| {
            let names: Option<BTreeSet<&str>> = wanted.map(|names| names.iter().copied().collect());
            let file = store.open_sound(&address.file()).unwrap();
            let (path, mut found) = (store.path(&address.file()), Vec::new());
            let columns = crate::table::declare::names(ReferenceRow::FIELDS);
            let wanted = names.as_ref().map(|names| ("scenario", names));
            each_group(&file, &path, &columns, wanted, &mut |part| {
                found.extend(ReferenceRow::rows(part)?.iter().map(|row| row.dimension));
                Ok(())
            })
            .unwrap();
            found
        };
        assert_eq!(read(None), [0, 0, 1, 2, 2, 3]);
        assert_eq!(read(Some(&["c"])), [0, 0, 3], "a group from b to d may hold c");
        assert_eq!(read(Some(&["m", "z"])), [1]);
        assert_eq!(read(Some(&[&longer])), [2, 2], "whose statistics are cut");
        assert!(read(Some(&["a"])).is_empty());
    }
}
