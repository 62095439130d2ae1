//! One message as it comes over the wire, looked at before the library decodes it: the library believes each length and count in
//! a message, and goes past its end.
//!
//! ```text
//! kind, 1 byte │ length of all but the kind, 4 bytes │ body: texts that end with a zero, numbers, counted lists
//! ```

/// Bytes of the kind and the length.
pub(super) const HEAD_BYTES: usize = 5;
/// The longest that a message may say of itself to be, as in PostgreSQL; past it the length is none.
const LENGTH_MAX: i32 = 0x3fff_ffff;
/// Kinds of messages that a client sends once it has said who it is.
const KINDS: &[u8] = b"BCDEFHPQSXcdfp";

/// What has come of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// Not as much as its length.
    Head,
    /// So many bytes it will have, all together.
    Of(usize),
    /// It is none.
    Wrong(String),
}

impl Begun {
    /// Of these bytes, of which more may be there than one message.
    pub(super) fn of(begun: &[u8]) -> Self {
        let Some((kind, rest)) = begun.split_first() else { return Self::Head };
        if !KINDS.contains(kind) {
            return Self::Wrong(format!("there is no message of kind {kind:#04x}"));
        }
        let Some(length) = rest.first_chunk::<4>() else { return Self::Head };
        let length = i32::from_be_bytes(*length);
        match usize::try_from(length) {
            Ok(bytes) if (4..=LENGTH_MAX).contains(&length) => Self::Of(bytes + 1),
            _ => Self::Wrong(format!("a message cannot have {length} bytes")),
        }
    }
}

/// What is wrong with a whole message; `None` where its body is as its kind has it, to its last byte.
pub(super) fn wrong(message: &[u8]) -> Option<String> {
    let (head, body) = message.split_at_checked(HEAD_BYTES)?;
    let kind = *head.first()?;
    let mut body = Body(body);
    let told = match kind {
        b'Q' => body.text(),
        b'P' => parse(&mut body),
        b'B' => return bind(&mut body).err(),
        b'C' | b'D' => body.target().and_then(|()| body.text()),
        b'E' => body.text().and_then(|()| body.skip(4)),
        b'f' => body.text(),
        b'H' | b'S' | b'X' | b'c' => Some(()),
        // Bytes as they are.
        _ => return None,
    };
    let kind = char::from(kind);
    match told {
        None => Some(format!("a message of kind {kind} breaks off, or has no end of a text")),
        Some(()) if !body.0.is_empty() => {
            Some(format!("a message of kind {kind} has {} bytes too many", body.0.len()))
        }
        Some(()) => None,
    }
}

/// Whether the first words of who proves a key are whole: the way of proving it, and a counted answer.
pub(super) fn is_first_proof(body: &[u8]) -> bool {
    let mut body = Body(body);
    body.text().and_then(|()| body.value()).is_some() && body.0.is_empty()
}

fn parse(body: &mut Body<'_>) -> Option<()> {
    body.text()?;
    body.text()?;
    let types = body.count()?;
    body.skip(types * 4)
}

fn bind(body: &mut Body<'_>) -> Result<(), String> {
    let broken = || "a message of kind B breaks off, or has no end of a text".to_owned();
    let read = |body: &mut Body<'_>| {
        body.text()?;
        body.text()?;
        let formats = body.count()?;
        body.skip(formats * 2)?;
        let values = body.count()?;
        (0..values).try_for_each(|_| body.value())?;
        let columns = body.count()?;
        body.skip(columns * 2)?;
        Some((formats, values))
    };
    let (formats, values) = read(body).ok_or_else(broken)?;
    if !body.0.is_empty() {
        return Err(format!("a message of kind B has {} bytes too many", body.0.len()));
    }
    // None is text for all, one is for all; else each value has its own.
    if formats > 1 && formats != values {
        return Err(format!("a message of kind B has {formats} formats for {values} values"));
    }
    Ok(())
}

/// What is left of a message.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    fn text(&mut self) -> Option<()> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        self.skip(end + 1)
    }

    fn target(&mut self) -> Option<()> {
        let is_known = matches!(self.0.first()?, b'S' | b'P');
        if is_known { self.skip(1) } else { None }
    }

    fn count(&mut self) -> Option<usize> {
        let count = self.0.first_chunk::<2>().map(|count| u16::from_be_bytes(*count))?;
        self.skip(2)?;
        Some(usize::from(count))
    }

    /// A length and as many bytes; -1 is NULL.
    fn value(&mut self) -> Option<()> {
        let length = self.0.first_chunk::<4>().map(|length| i32::from_be_bytes(*length))?;
        self.skip(4)?;
        if length == -1 { Some(()) } else { self.skip(usize::try_from(length).ok()?) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = i32::try_from(body.len() + 4).expect("short").to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    #[test]
    fn a_message_begins_with_a_kind_and_a_length_that_can_be() {
        let begun = |kind: u8, length: i32| [&[kind][..], &length.to_be_bytes()].concat();
        assert_eq!(Begun::of(b""), Begun::Head);
        assert_eq!(Begun::of(b"Q\x7f\xff\xff"), Begun::Head);
        assert_eq!(Begun::of(&begun(b'Q', 4)), Begun::Of(5));
        for wrong in [begun(b'Q', 3), begun(b'Q', -1), begun(b'B', i32::MAX), b"\xff".to_vec()] {
            assert!(matches!(Begun::of(&wrong), Begun::Wrong(_)), "{wrong:?}");
        }
    }

    #[test]
    fn a_body_is_as_its_kind_has_it_to_its_last_byte() {
        for (kind, body) in [
            (b'Q', &b"SELECT 1\0"[..]),
            (b'P', b"s\0SELECT $1\0\0\x01\0\0\0\x17"),
            (b'B', b"\0s\0\0\0\0\0\0\0"),
            (b'B', b"\0s\0\0\x01\0\x01\0\x02\xff\xff\xff\xff\0\0\0\x01x\0\x01\0\x01"),
            (b'D', b"S\0"),
            (b'C', b"Pp\0"),
            (b'E', b"\0\0\0\0\0"),
            (b'S', b""),
            (b'd', b"\0\xff"),
        ] {
            assert_eq!(wrong(&message(kind, body)), None, "{} {body:?}", char::from(kind));
        }
        for (kind, body) in [
            (b'Q', &b"SELECT 1"[..]),
            (b'Q', b"SELECT 1\0\0"),
            (b'P', b""),
            (b'P', b"s\0SELECT 1\0"),
            (b'P', b"s\0SELECT 1\0\0\x02\0\0\0\x17"),
            (b'P', b"s\0SELECT 1\0\xff\xff"),
            (b'B', b""),
            (b'B', b"\0s"),
            (b'B', b"\0s\0\0\0\xff\xff"),
            (b'B', b"\0s\0\0\0\0\x01\0\0\0\x09x\0\0"),
            (b'B', b"\0s\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
            (b'B', b"\0s\0\0\0\0\0\xff\xff"),
            (b'B', b"\0s\0\0\x02\0\x01\0\x01\0\x01\0\0\0\x01x\0\0"),
            (b'B', b"\0s\0\0\0\0\0\0\0\0"),
            (b'D', b"X\0"),
            (b'D', b""),
            (b'E', b"\0\0\0"),
            (b'S', b"\0"),
        ] {
            assert!(wrong(&message(kind, body)).is_some(), "{} {body:?}", char::from(kind));
        }
        assert!(is_first_proof(b"SCRAM-SHA-256\0\0\0\0\x02ab"));
        assert!(is_first_proof(b"SCRAM-SHA-256\0\xff\xff\xff\xff"));
        for wrong in
            [&b""[..], b"SCRAM", b"SCRAM\0\0\0", b"SCRAM\0\0\0\0\x03ab", b"SCRAM\0\0\0\0\0a"]
        {
            assert!(!is_first_proof(wrong), "{wrong:?}");
        }
    }
}
