//! One line of JSON: what is asked for is found, and the rest is passed over.
//!
//! People's files have fields that are no JSON (`NaN`, half a surrogate pair, bytes in another
//! encoding, any depth). What nobody asked for does not matter, so here only strings and brackets are
//! followed; what is asked for is then read strictly.

/// What a line has under the keys that are asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found<'l> {
    /// The values as they stand.
    pub(super) values: [Option<&'l [u8]>; 3],
    /// Whether a key stands there more than once.
    pub(super) twice: [bool; 3],
}

/// Why a line is no object: the byte, from 1, and in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoObject {
    pub(super) column: usize,
    pub(super) why: String,
}

/// Finds up to three keys of the object in a line; every key goes to `see`.
pub(super) fn find<'l>(
    line: &'l [u8],
    keys: [Option<&str>; 3],
    see: &mut dyn FnMut(&[u8]),
) -> Result<Found<'l>, NoObject> {
    let mut scan = Scan { line, at: 0 };
    let mut found = Found::default();
    scan.blanks();
    if scan.peek() != Some(b'{') {
        let begins = scan.shown();
        return Err(scan.wrong(format!("it begins with {begins}, not with {{")));
    }
    scan.at += 1;
    scan.blanks();
    if scan.peek() == Some(b'}') {
        scan.at += 1;
    } else {
        loop {
            scan.blanks();
            let key = scan.key()?;
            scan.blanks();
            scan.expect(b':', "a colon behind the key")?;
            scan.blanks();
            let value = scan.value()?;
            see(key);
            for (i, wanted) in keys.into_iter().enumerate() {
                if wanted.is_some_and(|wanted| is_key(key, wanted)) {
                    found.twice[i] = found.values[i].is_some();
                    found.values[i] = Some(value);
                }
            }
            scan.blanks();
            if scan.peek() == Some(b'}') {
                scan.at += 1;
                break;
            }
            scan.expect(b',', "a comma or } behind the value")?;
        }
    }
    scan.blanks();
    if scan.peek().is_some() {
        let behind = scan.shown();
        return Err(scan.wrong(format!("{behind} stands behind its end")));
    }
    Ok(found)
}

/// The text that a JSON string stands for, quotes included.
pub(super) fn string(raw: &[u8]) -> Result<String, String> {
    serde_json::from_slice(raw).map_err(|error| {
        // The place that it names is that in the value alone.
        let words = error.to_string();
        words.split(" at line ").next().unwrap_or(&words).to_owned()
    })
}

/// Whether a key's string, quotes included, is the wanted one.
fn is_key(raw: &[u8], wanted: &str) -> bool {
    if raw.contains(&b'\\') {
        return string(raw).is_ok_and(|key| key == wanted);
    }
    &raw[1..raw.len() - 1] == wanted.as_bytes()
}

struct Scan<'l> {
    line: &'l [u8],
    at: usize,
}

impl<'l> Scan<'l> {
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn blanks(&mut self) {
        let rest = &self.line[self.at..];
        self.at += rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')).count();
    }

    /// What stands here, in words.
    fn shown(&self) -> String {
        match self.peek() {
            None => "nothing".to_owned(),
            Some(byte) if byte.is_ascii_graphic() => char::from(byte).to_string(),
            Some(byte) => format!("byte 0x{byte:02X}"),
        }
    }

    fn wrong(&self, why: String) -> NoObject {
        NoObject { column: self.at + 1, why }
    }

    fn missing(&self, what: &str) -> NoObject {
        match self.peek() {
            None => self.wrong("it does not end in this line".to_owned()),
            Some(_) => self.wrong(format!("{what} is missing, found {}", self.shown())),
        }
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), NoObject> {
        if self.peek() != Some(byte) {
            return Err(self.missing(what));
        }
        self.at += 1;
        Ok(())
    }

    /// A key, quotes included.
    fn key(&mut self) -> Result<&'l [u8], NoObject> {
        if self.peek() != Some(b'"') {
            return Err(self.missing("a key in double quotes"));
        }
        self.string()
    }

    /// A string, quotes included; stands on its first quote.
    fn string(&mut self) -> Result<&'l [u8], NoObject> {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return Ok(&self.line[start..self.at]),
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        self.at = start;
        Err(self.wrong("a double quote is not closed in this line".to_owned()))
    }

    /// Any value, as it stands.
    fn value(&mut self) -> Result<&'l [u8], NoObject> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                self.string()?;
            }
            Some(b'{' | b'[') => self.nested()?,
            _ => {
                let is_end =
                    |b: &u8| matches!(b, b',' | b'}' | b']' | b'"' | b' ' | b'\t' | b'\r' | b'\n');
                let rest = &self.line[start..];
                self.at += rest.iter().position(is_end).unwrap_or(rest.len());
            }
        }
        if self.at == start {
            return Err(self.missing("a value"));
        }
        Ok(&self.line[start..self.at])
    }

    /// Lists and objects, however deep, without recursion.
    fn nested(&mut self) -> Result<(), NoObject> {
        let start = self.at;
        let mut open = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' => open.push(b'}'),
                b'[' => open.push(b']'),
                b'}' | b']' if open.pop() != Some(byte) => {
                    return Err(self.wrong(format!("{} closes nothing", char::from(byte))));
                }
                _ => {}
            }
            self.at += 1;
            if open.is_empty() {
                return Ok(());
            }
        }
        self.at = start;
        Err(self.wrong("a bracket is not closed in this line".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [Option<&str>; 3] = [Some("id"), Some("text"), None];

    fn values(line: &str) -> [Option<String>; 2] {
        let found = find(line.as_bytes(), KEYS, &mut |_| {}).unwrap();
        let [id, text, none] = found.values;
        assert_eq!(none, None);
        [id, text].map(|value| value.map(|raw| String::from_utf8_lossy(raw).into_owned()))
    }

    fn why(line: &str) -> String {
        let wrong = find(line.as_bytes(), KEYS, &mut |_| {}).unwrap_err();
        format!("{}: {}", wrong.column, wrong.why)
    }

    #[test]
    fn what_is_asked_for_is_found_among_anything() {
        let some = |a: &str, b: &str| [Some(a.to_owned()), Some(b.to_owned())];
        let expected = some("7", r#""x \" }""#);
        assert_eq!(values(r#"{"id":7,"text":"x \" }"}"#), expected);
        assert_eq!(values(r#" { "text" : "x \" }" , "n": -Infinity, "id" : 7 } "#), expected);
        let nested = r#"{"o":{"id":[1,{"text":"}]\\"}]},"id":7,"s":"\udcb2","text":"x \" }"}"#;
        assert_eq!(values(nested), expected);
        assert_eq!(values(r#"{"i\u0064": 1, "te\udcb2xt": 2}"#), [Some("1".to_owned()), None]);
        let deep = format!(
            r#"{{"d":{}{},"id":7,"text":"x \" }}"}}"#,
            "[".repeat(1 << 20),
            "]".repeat(1 << 20)
        );
        assert_eq!(values(&deep), expected);
        assert_eq!(values("{}"), [None, None]);
    }

    #[test]
    fn a_key_given_twice_is_told() {
        let keys = [Some("id"), Some("text"), Some("x")];
        let twice = |line: &str| find(line.as_bytes(), keys, &mut |_| {}).unwrap().twice;
        assert_eq!(
            twice(r#"{"id": 1, "text": "a", "text": "b", "x": 1, "y": 2}"#),
            [false, true, false]
        );
        assert_eq!(twice(r#"{"id": 1, "\u0069d": 1}"#), [true, false, false]);
        assert_eq!(twice(r#"{"x": 1, "id": 1, "x": null}"#), [false, false, true]);
    }

    #[test]
    fn what_is_no_object_is_told_with_its_place() {
        assert_eq!(why("[1, 2]"), "1: it begins with [, not with {");
        assert_eq!(why(r#"{"id": 2,}"#), "10: a key in double quotes is missing, found }");
        assert_eq!(why(r#"{"id" 2}"#), "7: a colon behind the key is missing, found 2");
        assert_eq!(why(r#"{"id": }"#), "8: a value is missing, found }");
        assert_eq!(
            why(r#"{"id": 1 "text": 2}"#),
            "10: a comma or } behind the value is missing, found \""
        );
        assert_eq!(why("{"), "2: it does not end in this line");
        assert_eq!(why(r#"{"id": "a}"#), "8: a double quote is not closed in this line");
        assert_eq!(why(r#"{"id": [1, }"#), "12: } closes nothing");
        assert_eq!(why(r#"{"id": [1, "#), "8: a bracket is not closed in this line");
        assert_eq!(why(r#"{"id": 1}{"id": 2}"#), "10: { stands behind its end");
        assert_eq!(why(r"{'id': 1}"), "2: a key in double quotes is missing, found '");
        assert_eq!(why("{\"a\\"), "2: a double quote is not closed in this line");
    }
}
