//! The boundaries of requests in the bytes of a client (RFC 9112), found while the bytes pass.
//!
//! This has two uses: the deadline of a client depends on whether it sends a head or a body, and a request to change the protocol
//! must be ignored (RFC 9110, section 7.8), which actix-http does not do. Nothing is refused or delayed here: malformed bytes are
//! passed on, and the parser of actix-http refuses them and ends the connection.

/// Where in a message a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between two requests.
    Idle,
    /// Within a head.
    Head,
    /// Within a body.
    Body,
}

/// The message that is being read.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: State,
    head: Head,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Idle,
    RequestLine,
    Field(Field),
    /// So many bytes of a body follow.
    Sized(u64),
    /// The line before a chunk, whose first digits say its size.
    ChunkSize {
        size: u64,
        ended: bool,
    },
    Chunk(u64),
    /// The line break behind a chunk.
    ChunkEnd,
    /// A line of the trailer; the empty one ends it.
    Trailer {
        empty: bool,
    },
}

/// A field line, up to what has been read of it.
#[derive(Debug, Clone, Copy)]
enum Field {
    Name,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Other,
}

/// The framing of the body as the head declares it, and the state of the current line.
#[derive(Debug, Default)]
struct Head {
    length: u64,
    chunked: bool,
    /// The current name, or the current word of a value, in lower case and cut to its limit.
    word: Word,
}

#[derive(Debug, Default)]
struct Word {
    bytes: [u8; LONGEST],
    length: usize,
}

/// The length of the longest word that is compared: `transfer-encoding`.
const LONGEST: usize = 17;

impl Word {
    fn clear(&mut self) {
        self.length = 0;
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte.to_ascii_lowercase();
        }
        self.length = self.length.saturating_add(1);
    }

    fn is(&self, word: &str) -> bool {
        self.bytes.get(..self.length) == Some(word.as_bytes())
    }
}

impl Framing {
    /// Where the client is.
    pub(super) fn phase(&self) -> Phase {
        match self.state {
            State::Idle => Phase::Idle,
            State::RequestLine | State::Field(_) => Phase::Head,
            _ => Phase::Body,
        }
    }

    /// Reads along, and makes unknown what asks for another protocol. Whether a head or a body began or ended.
    pub(super) fn pass(&mut self, mut bytes: &mut [u8]) -> bool {
        let (before, mut passed) = (self.phase(), false);
        while !bytes.is_empty() {
            let taken = self.step(bytes);
            passed |= self.phase() != before;
            bytes = bytes.get_mut(taken..).unwrap_or_default();
        }
        passed
    }

    /// Goes on by at least one byte; by how many.
    fn step(&mut self, bytes: &mut [u8]) -> usize {
        let Some(&first) = bytes.first() else { return 0 };
        match self.state {
            State::Idle => {
                if !matches!(first, b'\r' | b'\n') {
                    self.head = Head::default();
                    self.state = State::RequestLine;
                }
                1
            }
            State::RequestLine | State::Field(Field::Other) => self.line(bytes, State::Field(Field::Name)),
            State::Field(field) => {
                self.state = self.field(field, bytes);
                1
            }
            State::Sized(left) => self.data(bytes, left, State::Idle, State::Sized),
            State::Chunk(left) => self.data(bytes, left, State::ChunkEnd, State::Chunk),
            State::ChunkEnd => self.line(bytes, State::ChunkSize { size: 0, ended: false }),
            State::ChunkSize { size, ended } => {
                self.state = chunk_size(first, size, ended);
                1
            }
            State::Trailer { empty } => {
                self.state = match first {
                    b'\n' if empty => State::Idle,
                    b'\n' => State::Trailer { empty: true },
                    b'\r' => self.state,
                    _ => State::Trailer { empty: false },
                };
                1
            }
        }
    }

    /// Passes over the rest of a line.
    fn line(&mut self, bytes: &[u8], next: State) -> usize {
        match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                self.state = next;
                self.head.word.clear();
                end + 1
            }
            None => bytes.len(),
        }
    }

    /// Passes over `left` bytes.
    fn data(&mut self, bytes: &[u8], left: u64, next: State, within: fn(u64) -> State) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left.saturating_sub(taken as u64);
        self.state = if left == 0 { next } else { within(left) };
        taken
    }

    /// The state behind the first of `bytes`, which belongs to a field line.
    fn field(&mut self, field: Field, bytes: &mut [u8]) -> State {
        let Some(byte) = bytes.first_mut().filter(|byte| **byte != b'\r') else { return self.state };
        let word = &mut self.head.word;
        let next = match (field, *byte) {
            (Field::Name, b'\n') if word.length == 0 => return self.body(),
            (_, b'\n') => {
                self.end_of_value(field);
                Field::Name
            }
            (Field::Name, b':') => {
                let field = word.field();
                word.clear();
                field
            }
            (Field::Name | Field::TransferEncoding, byte) if !matches!(byte, b' ' | b'\t') => {
                word.push(byte);
                field
            }
            (Field::ContentLength, digit @ b'0'..=b'9') => {
                self.head.length = self.head.length.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
                field
            }
            (Field::Connection, b',' | b' ' | b'\t') => {
                word.clear();
                field
            }
            (Field::Connection, _) => {
                word.push(*byte);
                if word.is("upgrade") {
                    *byte = UNKNOWN;
                }
                field
            }
            (Field::Upgrade, visible) if !matches!(visible, b' ' | b'\t') => {
                *byte = UNKNOWN;
                field
            }
            _ => field,
        };
        State::Field(next)
    }

    fn end_of_value(&mut self, field: Field) {
        if matches!(field, Field::TransferEncoding) {
            self.head.chunked = self.head.word.is("chunked");
        }
        self.head.word.clear();
    }

    /// What follows a head.
    fn body(&self) -> State {
        match (self.head.chunked, self.head.length) {
            (true, _) => State::ChunkSize { size: 0, ended: false },
            (false, 0) => State::Idle,
            (false, length) => State::Sized(length),
        }
    }
}

/// What a byte becomes of which the word must not be understood.
const UNKNOWN: u8 = b'-';

impl Word {
    fn field(&self) -> Field {
        match self.bytes.get(..self.length) {
            Some(b"content-length") => Field::ContentLength,
            Some(b"transfer-encoding") => Field::TransferEncoding,
            Some(b"connection") => Field::Connection,
            Some(b"upgrade") => Field::Upgrade,
            _ => Field::Other,
        }
    }
}

fn chunk_size(byte: u8, size: u64, ended: bool) -> State {
    let digit = char::from(byte).to_digit(16).filter(|_| !ended);
    match (byte, digit) {
        (b'\n', _) if size == 0 => State::Trailer { empty: true },
        (b'\n', _) => State::Chunk(size),
        (_, Some(digit)) => State::ChunkSize { size: size.saturating_mul(16).saturating_add(u64::from(digit)), ended },
        (_, None) => State::ChunkSize { size, ended: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes `text` in pieces of `size` bytes; what came out, and the phase at its end.
    fn passed(text: &str, size: usize) -> (String, Phase) {
        let (mut framing, mut bytes) = (Framing::default(), text.as_bytes().to_vec());
        for piece in bytes.chunks_mut(size) {
            framing.pass(piece);
        }
        (String::from_utf8(bytes).expect("text"), framing.phase())
    }

    const PLAIN: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn requests_to_change_the_protocol_are_made_unknown_and_nothing_else_is_touched() {
        for (sent, right) in [
            ("Connection: Upgrade, HTTP2-Settings", "Connection: Upgrad-, HTTP2-Settings"),
            ("connection: keep-alive,upgrade", "connection: keep-alive,upgrad-"),
            ("Connection: close", "Connection: close"),
            ("Upgrade: h2c", "Upgrade: ---"),
            ("UPGRADE:\twebsocket", "UPGRADE:\t---------"),
            ("Upgrade-Insecure-Requests: 1", "Upgrade-Insecure-Requests: 1"),
            ("X-Connection: upgrade", "X-Connection: upgrade"),
            ("X: Connection: upgrade", "X: Connection: upgrade"),
        ] {
            let request = |line: &str| {
                let body = "Connection: upgrade\nUpgrade: h2c";
                format!("POST /upgrade HTTP/1.1\r\nHost: a\r\n{line}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            };
            let texts = (request(sent).repeat(2), request(right).repeat(2));
            for size in [1, 2, 3, 7, 1_000] {
                assert_eq!(passed(&texts.0, size), (texts.1.clone(), Phase::Idle), "{size}");
            }
        }
    }

    #[test]
    fn bodies_end_where_they_say_they_do() {
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked \r\n\r\n";
        for (body, phase) in [
            ("0\r\n\r\n", Phase::Idle),
            ("5;a=b\r\nhello\r\n0\r\n\r\n", Phase::Idle),
            ("A \r\n0\r\n\r\n0\r\n\r\n\r\n0\r\nTrailer: x\r\n\r\n", Phase::Idle),
            ("5\r\nhello\r\n0\r\nTrailer: x\r\n", Phase::Body),
            ("5\r\nhello\r\n", Phase::Body),
            ("5\r\nhell", Phase::Body),
            ("", Phase::Body),
        ] {
            for size in [1, 2, 5, 1_000] {
                assert_eq!(passed(&format!("{chunked}{body}"), size).1, phase, "{body:?} in pieces of {size}");
            }
        }
        for (text, phase) in [
            ("", Phase::Idle),
            ("\r\n\r\n", Phase::Idle),
            ("G", Phase::Head),
            ("GET / HTTP/1.1\r\nHost: a\r\n", Phase::Head),
            (PLAIN, Phase::Idle),
            ("GET / HTTP/1.1\nHost: a\n\n", Phase::Idle),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", Phase::Body),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", Phase::Idle),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcd", Phase::Head),
        ] {
            for size in [1, 3, 1_000] {
                assert_eq!(passed(text, size).1, phase, "{text:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_begins_and_ends_within_one_piece_is_noticed() {
        let mut framing = Framing::default();
        assert!(framing.pass(&mut PLAIN.as_bytes().to_vec()));
        assert!(!framing.pass(&mut b"\r\n".to_vec()));
        assert!(framing.pass(&mut b"GET".to_vec()));
        assert!(!framing.pass(&mut b" / ".to_vec()), "a head that goes on has no more time");
    }
}
