//! Columns: whatever bytes a server sends for a type, they are a value or an error; and a value that can be a parameter comes
//! back from its bytes as itself.

use tokio_postgres::types::Type;
use tributary::postgres::round_trip;

const TYPES: [Type; 29] = [
    Type::BOOL,
    Type::INT2,
    Type::INT4,
    Type::INT8,
    Type::OID,
    Type::FLOAT4,
    Type::FLOAT8,
    Type::NUMERIC,
    Type::TEXT,
    Type::VARCHAR,
    Type::NAME,
    Type::CHAR,
    Type::UUID,
    Type::DATE,
    Type::TIME,
    Type::TIMETZ,
    Type::TIMESTAMP,
    Type::TIMESTAMPTZ,
    Type::INTERVAL,
    Type::JSON,
    Type::JSONB,
    Type::BOOL_ARRAY,
    Type::INT4_ARRAY,
    Type::NUMERIC_ARRAY,
    Type::TEXT_ARRAY,
    Type::FLOAT8_ARRAY,
    Type::DATE_ARRAY,
    Type::JSONB_ARRAY,
    Type::BYTEA,
];

/// One input.
pub fn run(bytes: &[u8]) {
    let Some((kind, raw)) = bytes.split_first() else { return };
    let ty = &TYPES[usize::from(*kind) % TYPES.len()];
    let Ok((value, written)) = round_trip(ty, raw) else { return };
    if let Some(written) = written {
        let (again, _) = round_trip(ty, &written).expect("what we write can be read");
        assert_eq!(value.to_string(), again.to_string(), "{ty}");
    }
}
