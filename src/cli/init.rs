//! `aqlens init`: a commented pipeline to start from, on a model that is there.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::args::InitArgs;
use super::error::CliError;
use super::exit::Exit;
use super::{grid, shipped};
use crate::pipeline::config::{NAME_RULE, is_name};
use crate::prompt::visible;
use crate::store::write_new;

/// The pipeline, with `PIPELINE_NAME` and `MODEL_FOLDER` where these go.
const PIPELINE: &str = include_str!("init.yml");

/// The folder beside the pipeline that the demo model goes to.
const DEMO_MODEL: &str = "demo-model";

pub(super) fn main(args: &InitArgs) -> Result<Exit, CliError> {
    let name = args.name.strip_suffix(".yml").unwrap_or(&args.name);
    if !is_name(name) {
        let name = visible(name);
        return Err(CliError::Wrong(format!(
            "error: '{name}' cannot name a pipeline: {NAME_RULE}"
        )));
    }
    let file = PathBuf::from(format!("{name}.yml"));
    if file.symlink_metadata().is_ok() {
        let file = file.display();
        return Err(CliError::Wrong(format!(
            "error: {file} is there already and stays as it is: give another name (`aqlens init \
             NAME`), or move it away"
        )));
    }
    let model = if let Some(model) = &args.model {
        checked(model)?
    } else {
        shipped::unpack(shipped::MODEL, Path::new(DEMO_MODEL))?;
        DEMO_MODEL.to_owned()
    };
    // JSON's text is YAML's too, whatever it holds.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let text = PIPELINE.replacen("PIPELINE_NAME", &quoted(name), 1).replacen(
        "MODEL_FOLDER",
        &quoted(&model),
        1,
    );
    write_new(&file, text.as_bytes()).map_err(|error| CliError::failed(&error))?;
    let mut out = io::stdout().lock();
    writeln!(out, "wrote {} (model: {})", file.display(), visible(&model))?;
    let next = format!(
        "next: put your inputs, tasks and wordings in, then `aqlens check {0}` (what is wrong, what it \
         can decide, what it costs) and `aqlens run {0}`",
        file.display()
    );
    grid::write_sentence(&mut out, 0, &next)?;
    Ok(Exit::Done)
}

/// The model folder as the pipeline names it.
///
/// # Errors
/// When it is none, or its path is no text, which YAML could not hold.
fn checked(model: &Path) -> Result<String, CliError> {
    let shown = visible(&model.display().to_string());
    if !model.join("model.json").is_file() {
        return Err(CliError::Wrong(format!(
            "error: {shown} is no model folder: it has no model.json; make one with aqlens-export, or \
             leave --model out to start with the demo model"
        )));
    }
    model.to_str().map(str::to_owned).ok_or_else(|| {
        CliError::Wrong(format!(
            "error: the path {shown} is not UTF-8, so a pipeline cannot name it"
        ))
    })
}
