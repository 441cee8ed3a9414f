//! Files as other programs write them, and as they should not be.

mod clusters;
mod csv;
mod jsonl;
mod packed;
mod parquet;
mod several;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::problem::name;
use super::{FileProblem, Input, Inputs, InputsFile, Wanted, read_texts};

type Texts = Vec<(String, String)>;

fn file(ending: &str, bytes: &[u8]) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(ending).tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn wanted(paths: &[&Path], id: &str) -> Wanted {
    Wanted {
        paths: paths.iter().map(PathBuf::from).collect(),
        is_list: paths.len() > 1,
        id: id.to_owned(),
        text: "text".to_owned(),
        cluster: None,
    }
}

/// The texts of files, read whole and as a stream, or all that is reported about them.
fn read_all(wanted: &Wanted) -> Result<Texts, Vec<FileProblem>> {
    let streamed = InputsFile::check(wanted).map(|inputs| {
        for file in &inputs.source().files {
            assert_eq!(file.sha256, crate::store::sha256_of_file(&file.path).unwrap());
        }
        let inputs = Inputs::File(inputs);
        let texts: Texts =
            inputs.read().map(|i| i.map(|Input { id, text, .. }| (id, text)).unwrap()).collect();
        assert_eq!((inputs.len(), &inputs.first().id), (texts.len() as u64, &texts[0].0));
        texts
    });
    if let Ok(texts) = &streamed {
        let (whole, source) = read_texts(wanted).unwrap();
        let one = |(id, texts): (String, Vec<String>)| (id, texts.into_iter().next().unwrap());
        assert_eq!(&whole.into_iter().map(one).collect::<Texts>(), texts);
        assert_eq!(source.files.len(), wanted.paths.len());
    }
    streamed
}

/// The texts of a file, or message and help of all that is reported about it.
fn read(file: &NamedTempFile) -> Result<Texts, Vec<(String, String)>> {
    let here = |text: &str| text.replace(&name(file.path()), "FILE");
    let words = |p: &FileProblem| (here(&p.message), here(&p.help));
    read_all(&wanted(&[file.path()], "id")).map_err(|list| list.iter().map(words).collect())
}

fn texts(ending: &str, bytes: &[u8]) -> Result<Texts, Vec<String>> {
    read(&file(ending, bytes))
        .map_err(|problems| problems.into_iter().map(|(message, _)| message).collect())
}

/// The only problem of a file: message and help.
fn problem(ending: &str, bytes: &[u8]) -> (String, String) {
    let mut problems = read(&file(ending, bytes)).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

fn pairs(list: &[(&str, &str)]) -> Texts {
    list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}
