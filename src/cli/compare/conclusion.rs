//! A comparison in one sentence.

use super::count;
use crate::compare::Comparison;

/// What differs at all.
pub(super) fn sentence(found: &Comparison) -> String {
    let tables = || found.pairs.iter().flat_map(|pair| &pair.tables);
    if !found.differs.anything {
        let by_bytes = if tables().any(|table| table.files.is_some()) {
            ", and the files of raw tables have the same checksums"
        } else {
            ""
        };
        return format!(
            "no difference: the runs come from the same, have the same rows, verdicts and, within the \
             tolerance, values{by_bytes}"
        );
    }
    let mut parts = Vec::new();
    let lineage: usize =
        found.pairs.iter().map(|pair| pair.lineage.len() + pair.more_lineage).sum();
    parts.extend(some(
        lineage as u64,
        "difference in what the numbers depend on",
        "differences in what the numbers depend on",
    ));
    if found.pairs.iter().any(|pair| pair.roster.differs()) {
        parts.push("other scenarios, tasks or inputs".to_owned());
    }
    let rows = tables().filter_map(|table| table.rows.as_ref());
    let only: u64 = rows.clone().map(|rows| rows.only_base + rows.only_other).sum();
    parts.extend(some(only, "row of one run only", "rows of one run only"));
    let changed: u64 = rows.map(|rows| rows.changed).sum();
    let n = tables().filter(|table| table.has_changed_values()).count() as u64;
    if changed > 0 {
        parts.push(format!(
            "{} with changed values in {}",
            count(changed, "row"),
            count(n, "table")
        ));
    }
    let one_sided = tables().filter(|table| table.rows.is_none() && table.files.is_none());
    let one_sided = one_sided.filter(|table| table.differs()).count() as u64;
    parts.extend(some(one_sided, "table of one run only", "tables of one run only"));
    let bytes = tables().filter(|table| table.files.is_some_and(|files| files.differ()));
    parts.extend(some(
        bytes.count() as u64,
        "raw table of other bytes",
        "raw tables of other bytes",
    ));
    let verdicts = found.verdicts.iter().filter(|row| row.changed).count() as u64;
    parts.extend(some(verdicts, "changed verdict", "changed verdicts"));
    format!("different: {}", parts.join("; "))
}

fn some(n: u64, one: &str, many: &str) -> Option<String> {
    match n {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    }
}
