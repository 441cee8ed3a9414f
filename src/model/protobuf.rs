//! The wire format of protocol buffers, as far as walking a file needs it: what is of no interest is
//! stepped over, however large it is.

use std::io::{self, BufReader, Read, Seek};

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) value: Value,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// An integer, a flag or one word of an enumeration.
    Number(u64),
    /// So many bytes, which the reader now stands in front of: a text, numbers, another message.
    Bytes(u64),
    /// Four or eight bytes, stepped over.
    Fixed,
}

/// A file that is walked from its start.
pub(super) struct Walker<R> {
    source: BufReader<R>,
    at: u64,
}

impl<R: Read + Seek> Walker<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source: BufReader::with_capacity(1 << 13, source), at: 0 }
    }

    /// How many bytes lie behind.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next field of a message that ends at byte `end`; `None` at its end.
    pub(super) fn field(&mut self, end: u64) -> Result<Option<Field>, String> {
        if self.at == end {
            return Ok(None);
        }
        let tag = self.varint(end)?;
        let (number, kind) = (tag >> 3, tag & 7);
        if number == 0 || tag > u64::from(u32::MAX) {
            return Err(self.damaged("no field has such a number"));
        }
        let value = match kind {
            0 => Value::Number(self.varint(end)?),
            1 => self.skip(8, end).map(|()| Value::Fixed)?,
            5 => self.skip(4, end).map(|()| Value::Fixed)?,
            2 => {
                let length = self.varint(end)?;
                if length > end - self.at {
                    return Err(self.damaged("it ends in the middle"));
                }
                Value::Bytes(length)
            }
            _ => return Err(self.damaged("no field is of such a kind")),
        };
        Ok(Some(Field { number, value }))
    }

    /// Steps over that many bytes.
    pub(super) fn skip(&mut self, bytes: u64, end: u64) -> Result<(), String> {
        let step = i64::try_from(bytes).ok().filter(|_| bytes <= end - self.at);
        let step = step.ok_or_else(|| self.damaged("it ends in the middle"))?;
        self.source.seek_relative(step).map_err(|e| Self::unread(&e))?;
        self.at += bytes;
        Ok(())
    }

    /// Reads a text of that many bytes, at most `most` of them; what is no UTF-8 as U+FFFD.
    pub(super) fn text(&mut self, bytes: u64, most: u64) -> Result<String, String> {
        if bytes > most {
            return Err(self.damaged(&format!("a name has {bytes} bytes")));
        }
        let mut text = vec![0; bytes as usize];
        self.source.read_exact(&mut text).map_err(|e| Self::unread(&e))?;
        self.at += bytes;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn varint(&mut self, end: u64) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            if self.at == end {
                return Err(self.damaged("it ends in the middle"));
            }
            let mut byte = [0];
            self.source.read_exact(&mut byte).map_err(|e| Self::unread(&e))?;
            self.at += 1;
            // The tenth byte has room for one bit.
            if shift == 63 && byte[0] > 1 {
                break;
            }
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(self.damaged("a number in it is too long"))
    }

    fn damaged(&self, how: &str) -> String {
        format!("is no ONNX graph, or a damaged one: {how}, near byte {}", self.at)
    }

    fn unread(error: &io::Error) -> String {
        format!("cannot be read: {error}")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn fields(bytes: &[u8]) -> Result<Vec<Field>, String> {
        let end = bytes.len() as u64;
        let mut walker = Walker::new(Cursor::new(bytes));
        let mut fields = Vec::new();
        while let Some(field) = walker.field(end)? {
            if let Value::Bytes(n) = field.value {
                walker.skip(n, end)?;
            }
            fields.push(field);
        }
        Ok(fields)
    }

    #[test]
    fn every_kind_of_field_is_walked() {
        let bytes = [8, 0x96, 1, 0x12, 2, 7, 7, 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8];
        let values = [Value::Number(150), Value::Bytes(2), Value::Fixed, Value::Fixed];
        let expected: Vec<Field> =
            (1..).zip(values).map(|(number, value)| Field { number, value }).collect();
        assert_eq!(fields(&bytes), Ok(expected));
    }

    #[test]
    fn what_is_cut_off_or_no_message_says_where() {
        let cases: [(&[u8], &str); 7] = [
            (&[8], "ends in the middle"),
            (&[0x12, 5, 1], "ends in the middle"),
            (&[0x1d, 1], "ends in the middle"),
            (&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "in the middle"),
            (&[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "too long"),
            (&[0], "such a number"),
            (&[0x0b], "such a kind"),
        ];
        for (bytes, reason) in cases {
            let problem = fields(bytes).unwrap_err();
            assert!(problem.contains(reason) && problem.contains("near byte"), "{problem}");
        }
    }
}
