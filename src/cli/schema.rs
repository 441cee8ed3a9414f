//! `aqlens schema`

use std::io::{self, Write};

use super::args::SchemaArgs;
use super::{CliError, Exit};
use crate::pipeline::config;
use crate::table::Table;
use crate::table::schema::ALL;
use crate::table::status;

pub(super) fn main(args: &SchemaArgs) -> Result<Exit, CliError> {
    let mut out = io::stdout().lock();
    if args.pipeline {
        write!(out, "{}", config::json_schema())?;
        return Ok(Exit::Done);
    }
    if let Some(name) = &args.table {
        print(&mut out, known(name)?)?;
        return Ok(Exit::Done);
    }
    for table in ALL {
        print(&mut out, table)?;
        writeln!(out)?;
    }
    writeln!(out, "status")?;
    for (word, meaning) in status::ALL {
        writeln!(out, "  {word:<14} {meaning}")?;
    }
    Ok(Exit::Done)
}

/// The table of that name, or all the names.
pub(super) fn known(name: &str) -> Result<&'static Table, CliError> {
    Table::named(name).ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|table| table.name).collect();
        CliError::Wrong(format!(
            "error: there is no table '{name}'; the tables are {}",
            names.join(", ")
        ))
    })
}

fn print(out: &mut impl Write, table: &Table) -> io::Result<()> {
    writeln!(out, "{} (version {}): one row per {}", table.name, table.version, table.row)?;
    let file = if table.by_layer { "layer=L/part-N.parquet" } else { "part-N.parquet" };
    writeln!(out, "  RUN/tables/{}/{file}", table.name)?;
    if table.by_layer {
        line(out, "layer", "(path)", "index", "transformer block, 0-based, in the folder's name")?;
    }
    for column in table.columns {
        let kind = format!("{}{}", column.kind.name(), if column.nullable { "?" } else { "" });
        line(out, column.name, &kind, column.unit, column.doc)?;
    }
    Ok(())
}

fn line(out: &mut impl Write, name: &str, kind: &str, unit: &str, doc: &str) -> io::Result<()> {
    let unit = if unit.is_empty() { String::new() } else { format!(" [{unit}]") };
    writeln!(out, "  {name:<14} {kind:<14} {doc}{unit}")
}
