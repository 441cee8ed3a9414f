//! `aqlens schema`: what every table, status word and stage is, for people or as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::args::SchemaArgs;
use super::error::CliError;
use super::exit::Exit;
use crate::pipeline::config;
use crate::stage::{Description, Scope};
use crate::stages::DESCRIPTIONS;
use crate::table::schema::ALL;
use crate::table::{Column, Table, status};

pub(super) fn main(args: &SchemaArgs) -> Result<Exit, CliError> {
    let mut out = io::stdout().lock();
    if args.pipeline {
        write!(out, "{}", config::json_schema())?;
        return Ok(Exit::Done);
    }
    let table = args.table.as_deref().map(known).transpose()?;
    if args.json {
        writeln!(out, "{:#}", document(table))?;
        return Ok(Exit::Done);
    }
    if let Some(table) = table {
        print(&mut out, table)?;
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

/// The table of that name.
///
/// # Errors
/// When there is none, with the names that there are.
pub(super) fn known(name: &str) -> Result<&'static Table, CliError> {
    Table::named(name).ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|table| table.name).collect();
        CliError::Wrong(format!(
            "error: there is no table '{name}'; the tables are {}",
            names.join(", ")
        ))
    })
}

/// Everything as one document; of one table, only that table and the stages that read or write it.
fn document(only: Option<&Table>) -> Value {
    let is_asked = |table: &Table| only.is_none_or(|only| only.name == table.name);
    let tables = ALL.iter().filter(|table| is_asked(table)).map(|table| table_json(table));
    let has_part = |stage: &Description| {
        only.is_none_or(|only| {
            stage.writes(only) || stage.may_read().any(|table| table.name == only.name)
        })
    };
    let stages = DESCRIPTIONS.iter().filter(|stage| has_part(stage)).map(|stage| stage_json(stage));
    let statuses =
        status::ALL.iter().map(|(word, meaning)| json!({ "word": word, "meaning": meaning }));
    json!({
        "tables": tables.collect::<Vec<_>>(),
        "statuses": statuses.collect::<Vec<_>>(),
        "stages": stages.collect::<Vec<_>>(),
    })
}

fn table_json(table: &Table) -> Value {
    let keys = table.keys().map(|column| column.name);
    json!({
        "name": table.name,
        "version": table.version,
        "row": table.row,
        "by_layer": table.by_layer,
        "keys": keys.collect::<Vec<_>>(),
        "columns": table.columns.iter().map(column_json).collect::<Vec<_>>(),
    })
}

fn column_json(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": column.kind.name(),
        "nullable": column.nullable,
        "unit": column.unit,
        "key": column.is_key,
        "doc": column.doc,
    })
}

fn stage_json(stage: &Description) -> Value {
    let names = |tables: &[&Table]| tables.iter().map(|table| table.name).collect::<Vec<_>>();
    json!({
        "kind": stage.kind,
        "version": stage.version,
        "scope": match stage.scope {
            Scope::Before => "before",
            Scope::Shard => "shard",
            Scope::Run => "run",
        },
        "reads": names(stage.reads),
        "reads_if_there": names(stage.reads_if_there),
        "writes": names(stage.writes),
    })
}

fn print(out: &mut impl Write, table: &Table) -> io::Result<()> {
    writeln!(out, "{} (version {}): one row per {}", table.name, table.version, table.row)?;
    let file = if table.by_layer { "part-N-layer-L.parquet" } else { "part-N.parquet" };
    writeln!(out, "  RUN/tables/{}/{file}; columns marked * name a row", table.name)?;
    for column in table.columns {
        let kind = format!("{}{}", column.kind.name(), if column.nullable { "?" } else { "" });
        let unit = match column.unit {
            "" => String::new(),
            unit => format!(" [{unit}]"),
        };
        line(out, column.is_key, column.name, &kind, &format!("{}{unit}", column.doc))?;
    }
    Ok(())
}

fn line(out: &mut impl Write, is_key: bool, name: &str, kind: &str, doc: &str) -> io::Result<()> {
    let mark = if is_key { '*' } else { ' ' };
    writeln!(out, "{mark} {name:<14} {kind:<14} {doc}")
}
