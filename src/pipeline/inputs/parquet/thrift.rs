//! Thrift's compact protocol, as far as headers of Parquet's pages need it.
//!
//! The library reads these headers too, but keeps the sizes in them to itself, and those must be known
//! before it makes room for what they say.
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>

use std::io::{self, Read};

/// How deep structures may lie in each other; a header needs three.
const DEEPEST: usize = 16;

/// A field of a structure: its number, and its type (4 bits).
pub(super) struct Field {
    pub(super) id: i16,
    pub(super) kind: u8,
}

pub(super) const STRUCT: u8 = 12;

/// A structure that is read field by field.
pub(super) struct Compact<R> {
    bytes: R,
    /// Bytes that were read.
    pub(super) read: u64,
}

impl<R: Read> Compact<R> {
    pub(super) fn new(bytes: R) -> Self {
        Self { bytes, read: 0 }
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.bytes.read_exact(&mut byte)?;
        self.read += 1;
        Ok(byte[0])
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(io::Error::other("a number in it never ends"))
    }

    /// A whole number.
    pub(super) fn int(&mut self) -> io::Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The next field behind number `last`; `None` at the structure's end.
    pub(super) fn field(&mut self, last: i16) -> io::Result<Option<Field>> {
        let head = self.byte()?;
        let (step, kind) = (i16::from(head >> 4), head & 0x0f);
        if kind == 0 {
            return Ok(None);
        }
        let id = match step {
            0 => self.int()? as i16,
            _ => last.wrapping_add(step),
        };
        Ok(Some(Field { id, kind }))
    }

    /// Passes over a field's value.
    pub(super) fn skip(&mut self, kind: u8) -> io::Result<()> {
        self.skip_at(kind, 0)
    }

    fn skip_at(&mut self, kind: u8, depth: usize) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(io::Error::other("it is nested too deeply"));
        }
        match kind {
            // True and false have no value behind them.
            1 | 2 => Ok(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.pass(8),
            8 => {
                let length = self.varint()?;
                self.pass(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let (short, kind) = (u64::from(head >> 4), head & 0x0f);
                let length = if short == 15 { self.varint()? } else { short };
                for _ in 0..length {
                    // In a list they have one: a byte each.
                    let kind = if matches!(kind, 1 | 2) { 3 } else { kind };
                    self.skip_at(kind, depth + 1)?;
                }
                Ok(())
            }
            STRUCT => {
                let mut last = 0;
                while let Some(field) = self.field(last)? {
                    last = field.id;
                    self.skip_at(field.kind, depth + 1)?;
                }
                Ok(())
            }
            _ => Err(io::Error::other("a value in it has a type that is not used there")),
        }
    }

    fn pass(&mut self, n: u64) -> io::Result<()> {
        let passed = io::copy(&mut (&mut self.bytes).take(n), &mut io::sink())?;
        self.read += passed;
        if passed == n { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}
