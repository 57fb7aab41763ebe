//! Arrays: a header of dimensions, then the elements in row-major order. Source: `array_send` in PostgreSQL's
//! `src/backend/utils/adt/arrayfuncs.c`. Lower bounds other than one are not kept.

use bytes::{BufMut, BytesMut};

use super::Codec;
use super::format::{Cursor, MALFORMED, Unfit, Unreadable};
use crate::types::Value;

/// PostgreSQL's own limit.
const MAX_DIMENSIONS: usize = 6;

/// Decodes an array as a list, and one of several dimensions as a list of lists.
pub(super) fn decode(element: &Codec, raw: &[u8]) -> Result<Value, Unreadable> {
    let mut cursor = Cursor::new(raw);
    let dimensions = usize::try_from(i32::from_be_bytes(cursor.take()?)).map_err(|_| MALFORMED)?;
    let _has_nulls: [u8; 4] = cursor.take()?;
    let _element_oid: [u8; 4] = cursor.take()?;
    if dimensions > MAX_DIMENSIONS {
        return Err(MALFORMED);
    }
    let mut lengths = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        lengths.push(i32::from_be_bytes(cursor.take()?));
        let _lower_bound: [u8; 4] = cursor.take()?;
    }
    match lengths.as_slice() {
        // `array_send` writes no dimension for an empty array. Vectors of the catalogue have one of length 0.
        [] | [0] => Ok(Value::list([])),
        lengths if fit(lengths, cursor.remaining()) => list(element, lengths, &mut cursor),
        _ => Err(MALFORMED),
    }
}

/// Whether `bytes` can contain this many elements, each with its length. Checked before any list is allocated.
fn fit(lengths: &[i32], bytes: usize) -> bool {
    let elements = lengths.iter().try_fold(1_usize, |elements, length| {
        let length = usize::try_from(*length).ok().filter(|length| *length > 0)?;
        elements.checked_mul(length)
    });
    elements.and_then(|elements| elements.checked_mul(size_of::<i32>())).is_some_and(|least| least <= bytes)
}

fn list(element: &Codec, lengths: &[i32], cursor: &mut Cursor<'_>) -> Result<Value, Unreadable> {
    let Some((length, inner)) = lengths.split_first() else { return scalar(element, cursor) };
    let elements = (0..*length).map(|_| list(element, inner, cursor)).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::list(elements))
}

fn scalar(element: &Codec, cursor: &mut Cursor<'_>) -> Result<Value, Unreadable> {
    match i32::from_be_bytes(cursor.take()?) {
        -1 => Ok(Value::Null),
        length => super::decode(element, cursor.slice(usize::try_from(length).map_err(|_| MALFORMED)?)?),
    }
}

/// Encodes `elements` as an array. Lists of equal length within them become further dimensions.
pub(super) fn encode(element: &Codec, oid: u32, elements: &[Value], out: &mut BytesMut) -> Result<(), Unfit> {
    let lengths = dimensions(element, elements)?;
    out.put_i32(i32::try_from(lengths.len()).map_err(|_| too_long())?);
    // The flag for nulls is informational: `array_recv` checks the elements.
    out.put_i32(1);
    out.put_u32(oid);
    for length in &lengths {
        out.put_i32(i32::try_from(*length).map_err(|_| too_long())?);
        out.put_i32(1);
    }
    write(element, &lengths, elements, out)
}

fn too_long() -> Unfit {
    Unfit::because("a list that is too long")
}

/// The length of each dimension, by the first element of each. An empty list has none.
fn dimensions(element: &Codec, elements: &[Value]) -> Result<Vec<usize>, Unfit> {
    // A list within an array of JSON documents is itself a document.
    let nests = !matches!(element, Codec::Json | Codec::Jsonb);
    let mut lengths = Vec::new();
    let mut level = elements;
    while !level.is_empty() {
        lengths.push(level.len());
        match level.first() {
            Some(Value::List(inner)) if nests => level = inner,
            _ => break,
        }
    }
    if lengths.len() > MAX_DIMENSIONS { Err(Unfit::because("a list nested too deeply")) } else { Ok(lengths) }
}

fn write(element: &Codec, lengths: &[usize], elements: &[Value], out: &mut BytesMut) -> Result<(), Unfit> {
    let Some((length, inner)) = lengths.split_first() else { return Ok(()) };
    if elements.len() != *length {
        return Err(ragged());
    }
    for value in elements {
        match value {
            _ if inner.is_empty() => write_scalar(element, value, out)?,
            Value::List(nested) => write(element, inner, nested, out)?,
            _ => return Err(ragged()),
        }
    }
    Ok(())
}

fn ragged() -> Unfit {
    Unfit::because("a list of lists of different lengths")
}

fn write_scalar(element: &Codec, value: &Value, out: &mut BytesMut) -> Result<(), Unfit> {
    if value.is_null() {
        out.put_i32(-1);
        return Ok(());
    }
    let mut bytes = BytesMut::new();
    super::encode(element, value, &mut bytes).map_err(|Unfit(what)| Unfit(format!("a list with {what}").into()))?;
    out.put_i32(i32::try_from(bytes.len()).map_err(|_| too_long())?);
    out.put_slice(&bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzzing: a dimension of hundreds of millions followed by an empty one made that many empty lists.
    #[test]
    fn dimensions_that_exceed_the_bytes_are_rejected_before_any_list_is_allocated() {
        let array = |lengths: &[i32], elements: &[u8]| {
            let mut raw = Vec::new();
            for number in [i32::try_from(lengths.len()).expect("few"), 0, 23] {
                raw.extend_from_slice(&number.to_be_bytes());
            }
            for length in lengths {
                raw.extend_from_slice(&length.to_be_bytes());
                raw.extend_from_slice(&1_i32.to_be_bytes());
            }
            raw.extend_from_slice(elements);
            decode(&Codec::Int4, &raw).map(|value| value.to_string()).map_err(|unreadable| unreadable.0)
        };
        let one = [0, 0, 0, 4, 0, 0, 0, 7];
        assert_eq!(array(&[1], &one), Ok("[7]".to_owned()));
        assert_eq!(array(&[1, 1], &one), Ok("[[7]]".to_owned()));
        assert_eq!(array(&[0], &[]), Ok("[]".to_owned()));
        for lengths in [&[755_000_001, 0, 1024][..], &[-1], &[1, 0], &[3], &[i32::MAX; 6]] {
            assert_eq!(array(lengths, &one), Err(MALFORMED.0), "{lengths:?}");
        }
    }

    #[test]
    fn lists_come_back_and_ragged_ones_are_refused() {
        for (element, given, expected) in [
            (Codec::Int4, "[]", "[]"),
            (Codec::Int4, "[1,null,3]", "[1,null,3]"),
            (Codec::Text, "[\"a,b\",\"{}\",\"\"]", "[\"a,b\",\"{}\",\"\"]"),
            (Codec::Numeric, "[1.50,2]", "[1.50,2]"),
            (Codec::Int2, "[[1,2],[3,4]]", "[[1,2],[3,4]]"),
            (Codec::Jsonb, "[[1,2],{\"a\":null}]", "[[1,2],{\"a\":null}]"),
            (Codec::Int2, "[[1,2],[3]]", "not a list of lists of different lengths"),
            (Codec::Int2, "[[1,2],3]", "not a list of lists of different lengths"),
            (Codec::Int2, "[1,[2]]", "not a list with list"),
            (Codec::Int2, "[1,\"2\"]", "not a list with text"),
            (Codec::Int2, "[[[[[[[1]]]]]]]", "not a list nested too deeply"),
        ] {
            let value = Value::from_json(&serde_json::from_str(given).unwrap()).unwrap();
            let Value::List(elements) = &value else { panic!("{given} is no list") };
            let mut out = BytesMut::new();
            let shown = match encode(&element, 0, elements, &mut out) {
                Ok(()) => decode(&element, &out).unwrap().to_string(),
                Err(unfit) => format!("not {unfit}"),
            };
            assert_eq!(shown, expected, "{given}");
        }
    }

    #[test]
    fn a_wrong_element_count_is_rejected() {
        let mut raw = Vec::new();
        for word in [1_i32, 0, 23, 1_000_000, 1] {
            raw.extend_from_slice(&word.to_be_bytes());
        }
        assert_eq!(decode(&Codec::Int4, &raw), Err(MALFORMED));
    }
}
