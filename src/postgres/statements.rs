//! What is computed once for each prepared statement: the codecs of its parameters and columns, and the names that its rows share.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type as PgType};
use tokio_postgres::{Row, Statement};

use super::codec::{Codec, Unreadable, decode, encode, name_of};
use crate::flow::QueryErrorKind;
use crate::graph::{Column, ColumnType, Description};
use crate::types::{FieldName, Record, Value};

/// The codecs and names of one statement.
#[derive(Debug)]
pub(super) struct Plan {
    params: Box<[(PgType, Option<Codec>)]>,
    columns: Box<[PgType]>,
    names: Arc<[FieldName]>,
    /// A codec for each column, or the error of the first column that has none.
    codecs: Result<Box<[Codec]>, QueryErrorKind>,
}

impl Plan {
    /// The plan of `statement`. Returns `known` where it still fits.
    pub(super) fn of(statement: &Statement, known: Option<&Arc<Self>>) -> Arc<Self> {
        if let Some(known) = known.filter(|known| known.fits(statement)) {
            return Arc::clone(known);
        }
        let columns = statement.columns();
        let names: Arc<[FieldName]> = columns.iter().map(|column| FieldName::from(column.name())).collect();
        let columns: Box<[PgType]> = columns.iter().map(|column| column.type_().clone()).collect();
        let codecs = codecs(&names, &columns);
        let params = statement.params().iter().map(|ty| (ty.clone(), Codec::of(ty))).collect();
        Arc::new(Self { params, columns, names, codecs })
    }

    /// Whether this is the plan of `statement`.
    pub(super) fn fits(&self, statement: &Statement) -> bool {
        // Types of parameters are compared with their names, which a wrapped query contains: a type can be renamed.
        self.params.iter().map(|(ty, _)| ty).eq(statement.params()) && self.fits_columns(statement.columns())
    }

    /// Whether a row has the columns of the plan.
    pub(super) fn fits_row(&self, row: &Row) -> bool {
        self.fits_columns(row.columns())
    }

    fn fits_columns(&self, columns: &[tokio_postgres::Column]) -> bool {
        let found = columns.iter().map(|column| (column.name(), column.type_().oid()));
        self.columns().map(|(name, ty)| (name, ty.oid())).eq(found)
    }

    /// The parameters and columns of the statement.
    ///
    /// # Errors
    /// [`QueryErrorKind::Column`] for two columns of one name.
    pub(super) fn description(&self) -> Result<Description, QueryErrorKind> {
        distinct(&self.names, &self.columns)?;
        let described = |ty: &PgType| ColumnType { name: name_of(ty), ty: Codec::of(ty).as_ref().map(Codec::ty) };
        let columns = self.names.iter().zip(&self.columns);
        Ok(Description {
            params: self.params.iter().map(|(ty, _)| described(ty)).collect(),
            columns: columns.map(|(name, ty)| Column { name: name.to_string(), ty: described(ty) }).collect(),
        })
    }

    /// The types of its parameters.
    pub(super) fn param_types(&self) -> impl ExactSizeIterator<Item = &PgType> {
        self.params.iter().map(|(ty, _)| ty)
    }

    /// The names and types of its columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = (&str, &PgType)> {
        self.names.iter().map(|name| &**name).zip(&self.columns)
    }

    /// Encodes `values` as the statement's parameters.
    ///
    /// # Errors
    /// [`QueryErrorKind::ParameterCount`]; [`QueryErrorKind::Parameter`] for the first value that does not fit.
    pub(super) fn bind(&self, values: &[Value]) -> Result<Vec<Bound>, QueryErrorKind> {
        if values.len() != self.params.len() {
            return Err(QueryErrorKind::ParameterCount { expected: self.params.len(), given: values.len() });
        }
        let numbered = values.iter().zip(&self.params).enumerate();
        numbered.map(|(index, (value, (ty, codec)))| bind(index + 1, value, ty, codec.as_ref())).collect()
    }

    /// A reader for this statement's rows.
    ///
    /// # Errors
    /// [`QueryErrorKind::Column`] for a column whose type has no mapping, or for two columns of one name.
    pub(super) fn reader(&self) -> Result<Reader<'_>, QueryErrorKind> {
        let codecs = self.codecs.as_deref().map_err(Clone::clone)?;
        Ok(Reader { plan: self, codecs })
    }
}

/// Rejects two columns of one name: a rule could not refer to either of them.
fn distinct(names: &[FieldName], columns: &[PgType]) -> Result<(), QueryErrorKind> {
    let mut seen = HashSet::new();
    match names.iter().zip(columns).find(|(name, _)| !seen.insert(&***name)) {
        Some((name, ty)) => Err(column_error(name, ty, "appears twice: name one of them with AS")),
        None => Ok(()),
    }
}

fn codecs(names: &[FieldName], columns: &[PgType]) -> Result<Box<[Codec]>, QueryErrorKind> {
    distinct(names, columns)?;
    let unmapped = "has no mapping: cast it in the query";
    let pairs = names.iter().zip(columns);
    pairs.map(|(name, ty)| Codec::of(ty).ok_or_else(|| column_error(name, ty, unmapped))).collect()
}

fn bind(number: usize, value: &Value, ty: &PgType, codec: Option<&Codec>) -> Result<Bound, QueryErrorKind> {
    let refused = |found: String| QueryErrorKind::Parameter { number, expected: name_of(ty), found };
    let codec = codec.ok_or_else(|| refused(format!("{}: the type has no mapping", value.type_name())))?;
    if value.is_null() {
        return Ok(Bound(None));
    }
    let mut bytes = BytesMut::new();
    encode(codec, value, &mut bytes).map_err(|unfit| refused(unfit.to_string()))?;
    Ok(Bound(Some(bytes)))
}

fn column_error(name: &str, ty: &PgType, reason: &str) -> QueryErrorKind {
    QueryErrorKind::Column { column: name.to_owned(), ty: name_of(ty), reason: reason.to_owned() }
}

/// Reads rows.
pub(super) struct Reader<'a> {
    plan: &'a Plan,
    codecs: &'a [Codec],
}

impl Reader<'_> {
    /// Reads a row as a map from column to value, without its first `skipped` columns.
    ///
    /// # Errors
    /// [`QueryErrorKind::Column`] for a value that cannot be represented.
    pub(super) fn read_from(&self, row: &Row, skipped: usize) -> Result<Value, QueryErrorKind> {
        let values = self.codecs.iter().enumerate().map(|(index, codec)| {
            field(row, skipped + index, codec).map_err(|unreadable| self.unreadable(index, unreadable))
        });
        let values = values.collect::<Result<Box<[Value]>, _>>()?;
        Ok(Value::Map(Arc::new(Record::new(Arc::clone(&self.plan.names), values))))
    }

    fn unreadable(&self, index: usize, unreadable: Unreadable) -> QueryErrorKind {
        let (name, ty) = self.plan.columns().nth(index).unwrap_or(("", &PgType::UNKNOWN));
        column_error(name, ty, &unreadable.to_string())
    }
}

fn field(row: &Row, index: usize, codec: &Codec) -> Result<Value, Unreadable> {
    match row.try_get(index) {
        Ok(Raw(Some(raw))) => decode(codec, raw),
        Ok(Raw(None)) => Ok(Value::Null),
        Err(_) => Err(Unreadable("is not in the row")),
    }
}

/// The bytes of a column.
struct Raw<'a>(Option<&'a [u8]>);

type DriverError = Box<dyn std::error::Error + Sync + Send>;

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &PgType, raw: &'a [u8]) -> Result<Self, DriverError> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &PgType) -> Result<Self, DriverError> {
        Ok(Self(None))
    }

    fn accepts(_: &PgType) -> bool {
        true
    }
}

/// An encoded parameter; `None` for NULL. Its `Debug` does not show the value, because the driver logs parameters.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Bound(Option<BytesMut>);

impl Bound {
    /// A value in its binary format.
    pub(super) fn of(bytes: BytesMut) -> Self {
        Self(Some(bytes))
    }

    /// NULL.
    #[cfg(test)]
    pub(super) fn null() -> Self {
        Self(None)
    }

    /// The value in its binary format; `None` for NULL.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

impl ToSql for Bound {
    fn to_sql(&self, _: &PgType, out: &mut BytesMut) -> Result<IsNull, DriverError> {
        match &self.0 {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &PgType) -> bool {
        true
    }

    fn to_sql_checked(&self, ty: &PgType, out: &mut BytesMut) -> Result<IsNull, DriverError> {
        self.to_sql(ty, out)
    }
}
