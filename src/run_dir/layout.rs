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

/// What a folder's name begins with that holds the files of one layer.
const LAYER: &str = "layer=";
/// What the name of a table's file or a receipt begins with.
const PART: &str = "part-";
const TABLE_ENDING: &str = ".parquet";
const RECEIPT_ENDING: &str = ".json";

/// The folder of a table, or of one of its layers.
pub fn table_folder(table: &str, layer: Option<i16>) -> String {
    match layer {
        Some(layer) => format!("{TABLES}/{table}/{LAYER}{layer}"),
        None => format!("{TABLES}/{table}"),
    }
}

/// The file of one part of a table.
pub fn table_file(table: &str, layer: Option<i16>, part: u32) -> String {
    format!("{}/{}{TABLE_ENDING}", table_folder(table, layer), part_name(part))
}

/// The receipt of a stage on a part.
pub fn receipt_file(stage: &str, part: u32) -> String {
    format!("{RECEIPTS}/{stage}/{}{RECEIPT_ENDING}", part_name(part))
}

/// The name of a part: of its files, without their ending, and of its lock.
pub fn part_name(part: u32) -> String {
    format!("{PART}{part:05}")
}

/// The layer whose files are in a folder of that name.
pub fn layer_of(folder: &str) -> Option<i16> {
    let layer: i16 = folder.strip_prefix(LAYER)?.parse().ok()?;
    // No other spelling, such as `+3` or `003`.
    (layer >= 0 && folder == format!("{LAYER}{layer}")).then_some(layer)
}

/// Number of the part in a file's name.
pub fn part_of(file: &str) -> Option<u32> {
    let name = file.rsplit('/').next()?.split('.').next()?;
    let part = name.strip_prefix(PART)?.parse().ok()?;
    (name == part_name(part)).then_some(part)
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
    let part = |name: &str, ending: &str| {
        let part = part_of(name)?;
        (name == format!("{}{ending}", part_name(part))).then_some(part)
    };
    let steps: Vec<&str> = file.split('/').collect();
    match *steps.as_slice() {
        [SUMMARY] => Some(Place::Summary),
        [REPORT] => Some(Place::Report),
        [RECEIPTS, stage, name] => Some(Place::Receipt(stage, part(name, RECEIPT_ENDING)?)),
        [TABLES, table, name] => Some(Place::Table(table, None, part(name, TABLE_ENDING)?)),
        [TABLES, table, layer, name] => {
            Some(Place::Table(table, Some(layer_of(layer)?), part(name, TABLE_ENDING)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_given() {
        let file = table_file("activations", Some(11), 3);
        assert_eq!(file, "tables/activations/layer=11/part-00003.parquet");
        assert_eq!(place_of(&file), Some(Place::Table("activations", Some(11), 3)));
        assert_eq!((table_of(&file), part_of(&file)), (Some("activations"), Some(3)));
        assert_eq!(layer_of("layer=11"), Some(11));
        let receipt = receipt_file("extract", 123_456);
        assert_eq!(receipt, "receipts/extract/part-123456.json");
        assert_eq!(place_of(&receipt), Some(Place::Receipt("extract", 123_456)));
        assert!(is_receipt(&receipt) && !is_receipt("receipts.txt"));
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
