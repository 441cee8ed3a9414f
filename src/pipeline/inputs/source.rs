//! The bytes of a text file: unpacked, hashed on the way, without the mark before UTF-8.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder;

use super::magic::{START, expect_text, refuse_pointer};
use super::problem::FileProblem;
use crate::store::HashingReader;

/// How a file is packed, by its ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

type Hashed = BufReader<HashingReader<File>>;

/// The text of a file, from behind the mark that some programs put before UTF-8.
pub(super) struct TextSource {
    bytes: BufReader<Chain<Cursor<Vec<u8>>, Unpacked>>,
    packing: Packing,
}

enum Unpacked {
    As(Hashed),
    // Decoders are large.
    Gzip(Box<MultiGzDecoder<Hashed>>),
    Zstd(Box<Decoder<'static, Hashed>>),
}

impl TextSource {
    /// Begins to read. A file that is empty, or by its first bytes something else than text, is
    /// refused.
    pub(super) fn new(file: File, packing: Packing) -> Result<Self, FileProblem> {
        const MARK: &[u8] = "\u{feff}".as_bytes();
        let mut hashed = BufReader::with_capacity(1 << 16, HashingReader::new(file));
        refuse_pointer(hashed.fill_buf().map_err(|error| FileProblem::unreadable(&error))?)?;
        let mut unpacked = match packing {
            Packing::None => Unpacked::As(hashed),
            Packing::Gzip => Unpacked::Gzip(Box::new(MultiGzDecoder::new(hashed))),
            Packing::Zstd => Unpacked::Zstd(Box::new(
                Decoder::with_buffer(hashed).map_err(|error| FileProblem::unreadable(&error))?,
            )),
        };
        let mut start = Vec::new();
        (&mut unpacked)
            .take(START)
            .read_to_end(&mut start)
            .map_err(|error| unreadable(packing, &error))?;
        if start.is_empty() {
            return Err(empty());
        }
        expect_text(&start)?;
        if start.starts_with(MARK) {
            start.drain(..MARK.len());
        }
        let bytes = BufReader::with_capacity(1 << 16, Cursor::new(start).chain(unpacked));
        Ok(Self { bytes, packing })
    }

    /// What an error of reading means.
    pub(super) fn problem(&self, error: &io::Error) -> FileProblem {
        unreadable(self.packing, error)
    }

    /// SHA-256 of the file as it lies on the disk; reads to its end.
    pub(super) fn sha256(&mut self) -> io::Result<String> {
        let (_, unpacked) = self.bytes.get_mut().get_mut();
        let hashed = match unpacked {
            Unpacked::As(hashed) => hashed,
            Unpacked::Gzip(decoder) => decoder.get_mut(),
            Unpacked::Zstd(decoder) => decoder.get_mut(),
        };
        hashed.get_mut().sha256()
    }
}

/// A file of no bytes.
pub(super) fn empty() -> FileProblem {
    FileProblem::new("it is empty", "it needs at least one row: one for each input or task")
}

fn unreadable(packing: Packing, error: &io::Error) -> FileProblem {
    let (kind, test) = match packing {
        _ if error.raw_os_error().is_some() => return FileProblem::unreadable(error),
        Packing::None => return FileProblem::unreadable(error),
        Packing::Gzip => ("gzip", "gzip -t"),
        Packing::Zstd => ("zstd", "zstd -t"),
    };
    FileProblem::new(
        format!("its {kind} data is damaged, cut off or not {kind} at all: {error}"),
        format!("fetch or pack it again; `{test}` tests it"),
    )
}

impl Read for Unpacked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::As(bytes) => bytes.read(buf),
            Self::Gzip(decoder) => decoder.read(buf),
            Self::Zstd(decoder) => decoder.read(buf),
        }
    }
}

impl Read for TextSource {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buf)
    }
}

impl BufRead for TextSource {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.bytes.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.bytes.consume(n);
    }
}
