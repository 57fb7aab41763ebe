//! Cuts a stream of bytes into the elements of a JSON array, or into lines.
//!
//! Elements are found by brackets and quotes only. Each is parsed later.

use std::collections::VecDeque;

/// What the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON array.
    Array,
    /// A JSON value a line; empty lines are passed over.
    Lines,
}

/// Why there is no element, or no further one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// One element is longer than it may be. Those behind it can be read.
    #[error("the element is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The body is not an array. Nothing more can be read.
    #[error("the body is not a JSON array: {what}")]
    NotAnArray {
        /// What is wrong with it.
        what: &'static str,
    },
}

impl SplitError {
    /// Whether what stands behind can still be read.
    pub fn goes_on(&self) -> bool {
        matches!(self, Self::TooLong { .. })
    }
}

/// An element, or why it cannot be read.
pub type Element = Result<Vec<u8>, SplitError>;

/// Where the splitter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the bracket that opens the array.
    Start,
    /// Where an element, or the end of an empty array, may stand.
    First,
    /// Where an element must stand.
    Next,
    /// In an element.
    Inside,
    /// Behind the bracket that closes the array.
    End,
    /// Behind an error.
    Broken,
}

/// Cuts bytes into elements as they come.
pub struct Splitter {
    form: Form,
    limit: usize,
    place: Place,
    element: Vec<u8>,
    too_long: bool,
    depth: usize,
    in_text: bool,
    escaped: bool,
    ready: VecDeque<Element>,
    /// The bytes of a byte order mark that the body has begun with so far; `None` behind it.
    mark: Option<usize>,
}

/// The byte order mark of UTF-8.
const MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

impl Splitter {
    /// A splitter of elements of at most `limit` bytes.
    pub fn new(form: Form, limit: usize) -> Self {
        let place = if form == Form::Array { Place::Start } else { Place::Next };
        Self {
            form,
            limit,
            place,
            element: Vec::new(),
            too_long: false,
            depth: 0,
            in_text: false,
            escaped: false,
            ready: VecDeque::new(),
            mark: Some(0),
        }
    }

    /// Takes more of the body.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match self.mark.filter(|seen| MARK.get(*seen) == Some(byte)) {
                Some(seen) => self.mark = Some(seen + 1),
                None => {
                    self.leave_mark();
                    self.byte(*byte);
                }
            }
        }
    }

    /// A beginning of a mark that is none is part of the body.
    fn leave_mark(&mut self) {
        let seen = self.mark.take().filter(|seen| *seen < MARK.len()).unwrap_or(0);
        MARK.iter().take(seen).for_each(|byte| self.byte(*byte));
    }

    fn byte(&mut self, byte: u8) {
        match self.form {
            Form::Lines => self.line_byte(byte),
            Form::Array => self.array_byte(byte),
        }
    }

    /// The body has ended.
    pub fn finish(&mut self) {
        self.leave_mark();
        match (self.form, self.place) {
            (Form::Lines, _) => self.line_byte(b'\n'),
            (Form::Array, Place::End | Place::Broken) => {}
            (Form::Array, Place::Start) => self.break_off("it is empty"),
            (Form::Array, _) => self.break_off("it ends before its `]`"),
        }
    }

    /// The next element that is complete.
    pub fn pop(&mut self) -> Option<Element> {
        self.ready.pop_front()
    }

    fn line_byte(&mut self, byte: u8) {
        if byte != b'\n' {
            self.keep(byte);
        } else if self.too_long || self.element.iter().any(|byte| !byte.is_ascii_whitespace()) {
            self.complete();
        } else {
            self.element.clear();
        }
    }

    fn array_byte(&mut self, byte: u8) {
        match self.place {
            Place::Broken => {}
            Place::Inside => self.inside(byte),
            _ if byte.is_ascii_whitespace() => {}
            Place::Start if byte == b'[' => self.place = Place::First,
            Place::Start => self.break_off("it does not begin with `[`"),
            Place::First if byte == b']' => self.place = Place::End,
            Place::First | Place::Next if byte == b',' || byte == b']' => self.break_off("an element is missing"),
            Place::First | Place::Next => {
                self.place = Place::Inside;
                self.inside(byte);
            }
            Place::End => self.break_off("something stands behind its `]`"),
        }
    }

    fn inside(&mut self, byte: u8) {
        if self.in_text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                _ => {}
            }
            return self.keep(byte);
        }
        match byte {
            b',' | b']' if self.depth == 0 => {
                self.complete();
                self.place = if byte == b',' { Place::Next } else { Place::End };
                return;
            }
            b'"' => self.in_text = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.keep(byte);
    }

    fn keep(&mut self, byte: u8) {
        if self.element.len() < self.limit {
            self.element.push(byte);
        } else {
            self.too_long = true;
        }
    }

    fn complete(&mut self) {
        let element = std::mem::take(&mut self.element);
        let too_long = std::mem::take(&mut self.too_long);
        self.ready.push_back(if too_long { Err(SplitError::TooLong { limit: self.limit }) } else { Ok(element) });
    }

    fn break_off(&mut self, what: &'static str) {
        self.place = Place::Broken;
        self.element = Vec::new();
        self.ready.push_back(Err(SplitError::NotAnArray { what }));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(form: Form, body: &[u8], chunk: usize) -> Vec<Result<String, String>> {
        let mut splitter = Splitter::new(form, 40);
        let mut found = Vec::new();
        for part in body.chunks(chunk.max(1)) {
            splitter.push(part);
            while let Some(element) = splitter.pop() {
                found.push(element);
            }
        }
        splitter.finish();
        while let Some(element) = splitter.pop() {
            found.push(element);
        }
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
        found.into_iter().map(|element| element.map(text).map_err(|error| error.to_string())).collect()
    }

    #[test]
    fn elements_are_cut_wherever_the_chunks_end() {
        let array = br#" [ {"a": "],\"}"} , [1, [2]], "x" ,3 ] "#;
        let lines = b"{\"a\":1}\n\n  \r\n[2]\r\n3";
        for chunk in 1..12 {
            let expected = [r#"{"a": "],\"}"}"#, "[1, [2]]", r#""x""#, "3"].map(|text| Ok(text.to_owned()));
            assert_eq!(split(Form::Array, array, chunk), expected);
            assert_eq!(split(Form::Lines, lines, chunk), ["{\"a\":1}", "[2]", "3"].map(|text| Ok(text.to_owned())));
        }
        for chunk in 1..5 {
            assert_eq!(split(Form::Array, b"\xEF\xBB\xBF[1]", chunk), [Ok("1".to_owned())]);
            assert_eq!(split(Form::Lines, b"\xEF\xBB\xBF1\n2", chunk), ["1", "2"].map(|text| Ok(text.to_owned())));
        }
        assert_eq!(split(Form::Array, b"[]", 1), []);
        assert_eq!(split(Form::Lines, b"", 1), []);
    }

    #[test]
    fn what_is_no_array_ends_with_the_reason() {
        for (body, what) in [
            ("", "it is empty"),
            ("{}", "does not begin with `[`"),
            ("[1", "ends before its `]`"),
            ("[1,]", "an element is missing"),
            ("[,1]", "an element is missing"),
            ("[1] 2", "stands behind its `]`"),
            ("[\"a", "ends before its `]`"),
        ] {
            let found = split(Form::Array, body.as_bytes(), 3);
            let last = found.last().unwrap().clone().unwrap_err();
            assert!(last.contains(what), "{body}: {last}");
        }
    }

    #[test]
    fn an_element_that_is_too_long_costs_itself_alone() {
        let body = format!("[1,\"{}\",3]", "x".repeat(100));
        let found = split(Form::Array, body.as_bytes(), 7);
        assert_eq!((found[0].clone(), found[2].clone()), (Ok("1".to_owned()), Ok("3".to_owned())));
        assert!(found[1].as_ref().unwrap_err().contains("longer than 40 bytes"));
        let lines = split(Form::Lines, format!("1\n{}\n3", "y".repeat(100)).as_bytes(), 7);
        assert!(lines[1].is_err() && lines[2] == Ok("3".to_owned()));
    }

    proptest! {
        #[test]
        fn any_array_comes_out_as_it_went_in(
            texts in proptest::collection::vec("[ -~é€]{0,12}", 0..8), nested in any::<bool>(), chunk in 1usize..9
        ) {
            let value = |text: &String| if nested { serde_json::json!({ "k": [text] }) } else { serde_json::json!(text) };
            let elements: Vec<serde_json::Value> = texts.iter().map(value).collect();
            let body = serde_json::to_string(&elements).unwrap();
            let mut splitter = Splitter::new(Form::Array, 1000);
            body.as_bytes().chunks(chunk).for_each(|part| splitter.push(part));
            splitter.finish();
            let found: Vec<serde_json::Value> =
                std::iter::from_fn(|| splitter.pop()).map(|element| serde_json::from_slice(&element.unwrap()).unwrap()).collect();
            prop_assert_eq!(found, elements);
        }
    }
}
