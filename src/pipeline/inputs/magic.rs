//! What a file is by its first bytes, where it is not the text that its name promises.

use super::problem::FileProblem;

/// First bytes that tell what a file is.
pub(super) const START: u64 = 1024;

/// What is said of a file that is something else: what it is, and what to do.
type Kind = (&'static str, &'static str);

const UTF_16: &str = "convert it: `iconv -f UTF-16 -t UTF-8 OLD > NEW`, or save it as UTF-8 (in Excel \
                      \"CSV UTF-8\")";
const UTF_32: &str = "convert it: `iconv -f UTF-32 -t UTF-8 OLD > NEW`";

/// By first bytes, the longer of two that begin alike first.
const KINDS: [(&[u8], Kind); 13] = [
    (
        b"\x1f\x8b",
        (
            "gzip-compressed",
            "let its name end in .gz, as in inputs.jsonl.gz, or unpack it: `gunzip`",
        ),
    ),
    (
        b"\x28\xb5\x2f\xfd",
        (
            "zstd-compressed",
            "let its name end in .zst, as in inputs.jsonl.zst, or unpack it: `unzstd`",
        ),
    ),
    (
        b"BZh91AY&SY",
        ("bzip2-compressed", "unpack it: `bunzip2`; .gz and .zst are read as they are"),
    ),
    (b"\xfd7zXZ\0", ("xz-compressed", "unpack it: `unxz`; .gz and .zst are read as they are")),
    (
        b"PK\x03\x04",
        (
            "a ZIP archive, as Excel's workbooks are too",
            "unpack it, or save the sheet as \"CSV UTF-8\"",
        ),
    ),
    (b"PAR1\x15", ("a Parquet file", "let its name end in .parquet")),
    (b"ARROW1\0", ("an Arrow (Feather) file", "write it as Parquet, CSV or JSON lines")),
    (b"SQLite format 3\0", ("an SQLite database", "write its table as CSV or JSON lines")),
    (b"\xd0\xcf\x11\xe0", ("an old Excel workbook", "save the sheet as \"CSV UTF-8\"")),
    (b"\xff\xfe\0\0", ("UTF-32 by its mark (FF FE 00 00)", UTF_32)),
    (b"\0\0\xfe\xff", ("UTF-32 by its mark (00 00 FE FF)", UTF_32)),
    (b"\xff\xfe", ("UTF-16 by its mark (FF FE)", UTF_16)),
    (b"\xfe\xff", ("UTF-16 by its mark (FE FF)", UTF_16)),
];

/// What git leaves in the place of a large file that was not fetched.
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Refuses a file that begins as no text in UTF-8 does.
pub(super) fn expect_text(start: &[u8]) -> Result<(), FileProblem> {
    refuse_pointer(start)?;
    match kind(start) {
        None => Ok(()),
        Some((what, help)) => Err(FileProblem::new(format!("it is {what}"), help)),
    }
}

/// Refuses what begins as no Parquet file does.
pub(super) fn expect_parquet(start: &[u8]) -> Result<(), FileProblem> {
    refuse_pointer(start)?;
    if start.starts_with(b"PAR1") {
        return Ok(());
    }
    Err(match kind(start) {
        Some((what, _)) => FileProblem::new(
            format!("it is {what} and not a Parquet file"),
            "let its name end as its format asks for, or write it as Parquet",
        ),
        None if start.starts_with(b"PARE") => FileProblem::new(
            "it is an encrypted Parquet file",
            "write it without encryption: nothing here has its key",
        ),
        None => FileProblem::new(
            "it is not a Parquet file: that begins with PAR1",
            "let its name end as its format asks for (.jsonl, .csv, .tsv), or write it as Parquet",
        ),
    })
}

/// Refuses what git leaves in the place of a file that it did not fetch.
pub(super) fn refuse_pointer(start: &[u8]) -> Result<(), FileProblem> {
    if !start.starts_with(LFS) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(start);
    let size = text.lines().find_map(|line| line.strip_prefix("size ")?.parse::<u64>().ok());
    let size = size.map(|size| format!(" of {size} bytes")).unwrap_or_default();
    Err(FileProblem::new(
        format!("it is a Git LFS pointer, and the file itself{size} is not here"),
        "fetch it: `git lfs pull` in its repository",
    ))
}

fn kind(start: &[u8]) -> Option<Kind> {
    let known = KINDS.iter().find(|(first, _)| start.starts_with(first)).map(|(_, kind)| *kind);
    known.or_else(|| {
        let half = |odd: usize| start.iter().skip(odd).step_by(2).take(32);
        let is_all = |odd, null: bool| half(odd).all(|byte| (*byte == 0) == null);
        let is_utf_16 = start.len() >= 4
            && ((is_all(0, false) && is_all(1, true)) || (is_all(0, true) && is_all(1, false)));
        is_utf_16.then_some((
            "UTF-16 without a mark, as it looks",
            "convert it: `iconv -f UTF-16LE -t UTF-8 OLD > NEW` (or UTF-16BE)",
        ))
    })
}
