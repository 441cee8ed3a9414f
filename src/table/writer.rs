//! Writes one part of a table as Parquet, under its final name only when it is whole.
//!
//! Settings are fixed, so equal rows give equal bytes: no timestamps, no statistics of floats, one
//! writer version string.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::TableError;
use super::column::{Dims, Kind, Table};
use super::row_groups::RowGroups;
use crate::run_dir::layout::older_table_file;
use crate::run_dir::made_by::THIS_VERSION;
use crate::run_dir::receipt::PartStats;
use crate::store::{PendingFile, Store};

/// Raised when equal rows come to be written in another way: each fingerprint has it, so that a run
/// writes every table again instead of keeping files that some readers refuse. 1: files of a layer lay in
/// a folder `layer=11` and had no such column, pages were compressed as LZ4 and had statistics, and the
/// order of floats was marked `IEEE_754_TOTAL_ORDER`, which stops polars below 1.43, `DataFusion` and Daft.
/// 2: as now.
pub const ENCODING: u32 = 2;

/// Where a part goes: its table, its layer for tables by layer, its number.
#[derive(Debug, Clone, Copy)]
pub struct PartAddress {
    /// The table.
    pub table: &'static Table,
    /// The layer, for tables that have one file a layer.
    pub layer: Option<i16>,
    /// The part's number: the shard's, or 0 for reduced tables.
    pub part: u32,
}

impl PartAddress {
    /// A part of a table that is not split by layer.
    pub fn new(table: &'static Table, part: u32) -> Self {
        Self { table, layer: None, part }
    }

    /// Name of the file, relative to the run directory.
    pub fn file(&self) -> String {
        self.table.file(self.layer, self.part)
    }

    /// The file that the run directory has of this part: of a layer, it may have its older name.
    pub(super) fn file_there(&self, store: &Store) -> String {
        let file = self.file();
        let older = self.layer.map(|layer| older_table_file(self.table.name, layer, self.part));
        match older {
            Some(older) if !store.exists(&file) && store.exists(&older) => older,
            _ => file,
        }
    }

    /// Whether the run directory has that file.
    pub fn is_there(&self, store: &Store) -> bool {
        store.exists(&self.file())
    }
}

/// Writes `columns`, in the order of the table's own, as one part. It lasts from when its
/// [receipt](crate::run_dir::receipt::Receipt::write) is written.
///
/// # Errors
/// When the columns do not fit the table or the file cannot be written.
pub fn write_part(
    store: &Store,
    address: PartAddress,
    dims: Dims,
    columns: Vec<ArrayRef>,
) -> Result<PartStats, TableError> {
    let mut part = PartWriter::begin(store, address, dims)?;
    part.write(columns)?;
    part.finish()
}

/// A part that is written some rows at a time, where all of them would not fit into memory: each
/// time a row group of its own.
pub(crate) struct PartWriter {
    path: PathBuf,
    schema: SchemaRef,
    groups: RowGroups<PendingFile>,
    rows: u64,
}

impl PartWriter {
    /// Begins a part; dropped before [`Self::finish`] it leaves nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn begin(
        store: &Store,
        address: PartAddress,
        dims: Dims,
    ) -> Result<Self, TableError> {
        let name = address.file();
        let path = store.path(&name);
        let schema = Arc::new(address.table.arrow_schema(dims));
        let (file, properties) = (store.begin(&name)?, properties(address.table));
        let groups = RowGroups::begin(file, Arc::clone(&schema), properties)
            .map_err(|source| parquet_error(&path, source))?;
        Ok(Self { path, schema, groups, rows: 0 })
    }

    /// Writes rows: `columns` in the order of the table's own.
    ///
    /// # Errors
    /// When the columns do not fit the table or the file cannot be written.
    pub(crate) fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), TableError> {
        let path = || self.path.clone();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|source| TableError::Arrow { action: "write", path: path(), source })?;
        self.rows += batch.num_rows() as u64;
        self.groups.write(&batch).map_err(|source| parquet_error(&self.path, source))
    }

    /// Gives the part its name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn finish(self) -> Result<PartStats, TableError> {
        let file = self.groups.finish().map_err(|source| parquet_error(&self.path, source))?;
        Ok(PartStats { file: file.commit_later()?, rows: self.rows })
    }
}

fn parquet_error(path: &Path, source: ParquetError) -> TableError {
    TableError::Parquet { action: "write", path: path.to_owned(), source }
}

fn properties(table: &Table) -> WriterProperties {
    let metadata = table
        .arrow_schema(Dims { d_model: 0, vocab_size: 0 })
        .metadata
        .into_iter()
        .map(|(key, value)| KeyValue::new(key, value));
    let mut metadata: Vec<KeyValue> = metadata.collect();
    metadata.sort_by(|a, b| a.key.cmp(&b.key));
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("aqlens {THIS_VERSION}"))
        .set_key_value_metadata(Some(metadata))
        // Every reader knows it. LZ4 saves 1 % more of a run, and DuckDB 0.10.0 does not.
        .set_compression(Compression::SNAPPY)
        // Not by page: DataFusion up to 45 cannot read the index that crate `parquet` makes of them,
        // and refuses every query with a filter.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(1 << 20));
    for column in table.columns {
        let path = |parts: &[&str]| {
            ColumnPath::from(parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>())
        };
        // Measures and activations do not repeat: a dictionary costs time and saves nothing.
        builder = match column.kind {
            Kind::ModelVector | Kind::VocabVector | Kind::ListFloat32 | Kind::ListFloat64 => {
                let path = path(&[column.name, "list", "item"]);
                // Nor does compression save more than some percent of a vector.
                if matches!(column.kind, Kind::ModelVector | Kind::VocabVector) {
                    builder =
                        builder.set_column_compression(path.clone(), Compression::UNCOMPRESSED);
                }
                builder
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_statistics_enabled(path, EnabledStatistics::None)
            }
            Kind::Float64 => builder.set_column_dictionary_enabled(path(&[column.name]), false),
            _ => builder,
        };
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use parquet::basic::ColumnOrder;
    use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
    use parquet::file::statistics::Statistics;

    use super::*;
    use crate::prompt::PromptKey;
    use crate::table::raw;
    use crate::table::schema::VECTORS;

    /// What `make test-readers` sees of it with the readers themselves.
    #[test]
    fn old_readers_know_all_that_is_in_a_file_and_can_tell_its_layer_without_reading_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let key =
            PromptKey { scenario: "s".into(), input: "i".into(), task: "t".into(), wording: 0 };
        let (keys, texts) = (raw::keys([&key, &key].into_iter()), raw::cells(["x"; 2].into_iter()));
        let others = [Arc::clone(&texts), raw::fixed_lists(vec![0.5; 6], 3), texts];
        let columns = raw::with_layer(&keys, 11, &others);
        let address = PartAddress { table: &VECTORS, layer: Some(11), part: 0 };
        write_part(&store, address, Dims { d_model: 3, vocab_size: 0 }, columns).unwrap();

        let file = std::fs::File::open(store.path(&address.file())).unwrap();
        let mut reader =
            ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        reader.try_parse(&file).unwrap();
        let found = reader.finish().unwrap();
        let orders = found.file_metadata().column_orders().unwrap();
        let is_old = |order: &ColumnOrder| matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_));
        assert!(orders.iter().all(is_old), "{orders:?}");
        let columns = found.row_group(0).columns();
        for column in columns {
            let known = [Compression::SNAPPY, Compression::UNCOMPRESSED];
            assert!(known.contains(&column.compression()), "{column:?}");
            assert_eq!(column.column_index_offset(), None, "statistics of pages");
        }
        let layer = columns.iter().find(|column| column.column_path().string() == "layer").unwrap();
        let Some(Statistics::Int32(layers)) = layer.statistics() else { panic!("{layer:?}") };
        assert_eq!((layers.min_opt(), layers.max_opt()), (Some(&11), Some(&11)));
    }
}
