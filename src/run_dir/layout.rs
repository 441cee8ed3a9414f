//! The names of all files and folders of a run directory, relative to it and with `/`: the one place
//! that spells them.

/// The run's record: where its numbers come from, and how far it is.
pub const RECORD: &str = "run.json";

/// The pipeline as resolved.
pub const PIPELINE: &str = "pipeline.yml";

/// The verdicts and headline numbers.
pub const SUMMARY: &str = "summary.json";

/// The report.
pub const REPORT: &str = "report.html";

/// Folder of the tables.
pub const TABLES: &str = "tables";

/// Folder of the receipts.
pub const RECEIPTS: &str = "receipts";

pub use crate::store::{LOCK, LOCKS, PENDING};

/// What the name of a table's file or a receipt begins with.
const PART: &str = "part-";
/// What stands between the part and the layer in the name of a file of one layer.
const LAYER: &str = "-layer-";
/// What a folder's name began with that held the files of one layer, in older run directories.
const OLDER_LAYER: &str = "layer=";
const TABLE_ENDING: &str = ".parquet";
const RECEIPT_ENDING: &str = ".json";

/// The folder of a table. All its files lie directly in it, so that one pattern names them, and no
/// part of a name has the form `key=value`: many readers make a column of that.
pub fn table_folder(table: &str) -> String {
    format!("{TABLES}/{table}")
}

/// The file of one part of a table, or of one of its layers. Layers have three digits, so that names
/// sort as layers do.
pub fn table_file(table: &str, layer: Option<i16>, part: u32) -> String {
    format!("{}/{}{TABLE_ENDING}", table_folder(table), stem(part, layer))
}

fn stem(part: u32, layer: Option<i16>) -> String {
    let layer = layer.map(|layer| format!("{LAYER}{layer:03}")).unwrap_or_default();
    part_name(part) + &layer
}

/// The name that [`table_file`] gave a layer's file in older run directories.
pub fn older_table_file(table: &str, layer: i16, part: u32) -> String {
    format!("{}/{OLDER_LAYER}{layer}/{}{TABLE_ENDING}", table_folder(table), part_name(part))
}

/// The receipt of a stage on a part.
pub fn receipt_file(stage: &str, part: u32) -> String {
    format!("{RECEIPTS}/{stage}/{}{RECEIPT_ENDING}", part_name(part))
}

/// The name of a part: of its files, without their ending, and of its lock.
pub fn part_name(part: u32) -> String {
    format!("{PART}{part:05}")
}

/// The layer in a file's name, today's or an older one.
pub fn layer_of(file: &str) -> Option<i16> {
    match place_of(file)? {
        Place::Table(_, layer, _) => layer,
        _ => None,
    }
}

/// Number of the part in a file's name.
pub fn part_of(file: &str) -> Option<u32> {
    let name = file.rsplit('/').next()?.split('.').next()?;
    Some(numbers_of(name)?.0)
}

/// Part and layer in a name without its ending. No other spelling than [`table_file`]'s, such as `+3`
/// or `3`, is one.
fn numbers_of(name: &str) -> Option<(u32, Option<i16>)> {
    let (part, layer) = match name.split_once(LAYER) {
        Some((part, layer)) => (part, Some(layer.parse().ok().filter(|layer| *layer >= 0)?)),
        None => (name, None),
    };
    let part = part.strip_prefix(PART)?.parse().ok()?;
    (name == stem(part, layer)).then_some((part, layer))
}

/// The layer whose files are in a folder of that name, in older run directories.
fn older_layer_of(folder: &str) -> Option<i16> {
    let layer: i16 = folder.strip_prefix(OLDER_LAYER)?.parse().ok()?;
    (layer >= 0 && folder == format!("{OLDER_LAYER}{layer}")).then_some(layer)
}

/// Whether a file is of a layer and has the name of older run directories.
pub fn is_older(file: &str) -> bool {
    let folder = file.rsplit('/').nth(1);
    folder.is_some_and(|folder| older_layer_of(folder).is_some())
}

/// The table whose folder a file is in.
pub fn table_of(file: &str) -> Option<&str> {
    file.strip_prefix(TABLES)?.strip_prefix('/')?.split('/').next()
}

/// Whether a file is in the folder of receipts.
pub fn is_receipt(file: &str) -> bool {
    file.strip_prefix(RECEIPTS).is_some_and(|rest| rest.starts_with('/'))
}

/// What a file of a run directory is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'f> {
    /// The document of stage `summary`.
    Summary,
    /// The page of stage `report`.
    Report,
    /// The receipt of that stage on that part.
    Receipt(&'f str, u32),
    /// That part of that table, or of one of its layers.
    Table(&'f str, Option<i16>, u32),
}

/// What the file of that name is; `None` for a name that no stage gives.
pub fn place_of(file: &str) -> Option<Place<'_>> {
    let numbers = |name: &str, ending| name.strip_suffix(ending).and_then(numbers_of);
    let steps: Vec<&str> = file.split('/').collect();
    match *steps.as_slice() {
        [SUMMARY] => Some(Place::Summary),
        [REPORT] => Some(Place::Report),
        [RECEIPTS, stage, name] => match numbers(name, RECEIPT_ENDING)? {
            (part, None) => Some(Place::Receipt(stage, part)),
            _ => None,
        },
        [TABLES, table, name] => {
            let (part, layer) = numbers(name, TABLE_ENDING)?;
            Some(Place::Table(table, layer, part))
        }
        [TABLES, table, folder, name] => match numbers(name, TABLE_ENDING)? {
            (part, None) => Some(Place::Table(table, Some(older_layer_of(folder)?), part)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_given() {
        let file = table_file("activations", Some(11), 3);
        assert_eq!(file, "tables/activations/part-00003-layer-011.parquet");
        let older = older_table_file("activations", 11, 3);
        assert_eq!(older, "tables/activations/layer=11/part-00003.parquet");
        for (file, is) in [(&file, false), (&older, true)] {
            assert_eq!(place_of(file), Some(Place::Table("activations", Some(11), 3)));
            assert_eq!((table_of(file), part_of(file)), (Some("activations"), Some(3)));
            assert_eq!((layer_of(file), is_older(file)), (Some(11), is));
        }
        let plain = table_file("prompts", None, 3);
        assert_eq!((part_of(&plain), layer_of(&plain)), (Some(3), None));
        let receipt = receipt_file("extract", 123_456);
        assert_eq!(receipt, "receipts/extract/part-123456.json");
        assert_eq!((part_of(&receipt), layer_of(&receipt)), (Some(123_456), None));
        assert_eq!(place_of(&receipt), Some(Place::Receipt("extract", 123_456)));
        assert!(is_receipt(&receipt) && !is_receipt("receipts.txt"));
    }

    #[test]
    fn names_sort_as_parts_and_layers_do() {
        let places = [(0, 2), (0, 10), (0, 100), (1, 0), (1, 11)];
        let names = places.map(|(part, layer)| table_file("vectors", Some(layer), part));
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn other_names_are_no_files_of_a_run() {
        let others = [
            "notes.txt",
            "tables/similarity/notes.txt",
            "tables/similarity/a/part-00000.parquet",
            "tables/part-00000.parquet",
            "receipts/extract/part-00000.parquet",
            "receipts/part-00000.json",
            "elsewhere/summary.json",
            "tables/similarity/part-mine.parquet",
            "tables/similarity/part-3.parquet",
            "tables/similarity/part-+0003.parquet",
            "tables/similarity/part-00000.copy.parquet",
            "tables/similarity/../part-00000.parquet",
            "tables/activations/layer=03/part-00000.parquet",
            "tables/activations/layer=3/part-00000-layer-003.parquet",
            "tables/activations/part-00000-layer-3.parquet",
            "tables/activations/part-00000-layer--03.parquet",
            "receipts/extract/part-00000-layer-003.json",
            "tables/activations/layer=-1/part-00000.parquet",
            "tables/activations/layer=32768/part-00000.parquet",
            "receipts/extract/part-4294967296.json",
            "/tables/similarity/part-00000.parquet",
        ];
        for file in others {
            assert_eq!(place_of(file), None, "{file}");
        }
    }
}
