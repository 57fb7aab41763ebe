//! The names that types of values have elsewhere: in PostgreSQL, and in programming languages.

/// The type of this language that `name` means elsewhere, such as `decimal` for `numeric(10,2)` and `list of text` for `text[]`;
/// `None` for a name that is not known, and for a list of lists.
pub fn type_meant_by(name: &str) -> Option<String> {
    let name = name.trim().to_ascii_lowercase();
    if let Some(element) = name.strip_suffix("[]").or_else(|| name.strip_prefix("list of ")) {
        let element = type_meant_by(element).filter(|element| !element.starts_with("list"))?;
        return Some(format!("list of {element}"));
    }
    // `varchar(20)`, `numeric(10,2)`, `timestamp(3) with time zone`
    let bare = match (name.split_once('('), name.split_once(')')) {
        (Some((before, _)), Some((_, after))) => format!("{}{after}", before.trim_end()),
        _ => name,
    };
    let meant = match bare.as_str() {
        "text" | "varchar" | "character varying" | "char" | "character" | "bpchar" | "citext" | "name" | "string"
        | "str" => "text",
        "integer" | "int" | "int2" | "int4" | "int8" | "smallint" | "bigint" | "serial" | "bigserial" | "long" => {
            "integer"
        }
        "decimal" | "numeric" | "number" | "real" | "float" | "float4" | "float8" | "double" | "double precision"
        | "money" => "decimal",
        "boolean" | "bool" => "boolean",
        "date" => "date",
        "timestamp" | "timestamptz" | "datetime" | "timestamp with time zone" | "timestamp without time zone" => {
            "timestamp"
        }
        "uuid" => "uuid",
        "json" | "jsonb" => "any",
        _ => return None,
    };
    Some(meant.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_of_postgresql_has_its_own_name_here() {
        for (written, meant) in [
            ("text[]", Some("list of text")),
            ("list of int4", Some("list of integer")),
            ("VARCHAR(20)", Some("text")),
            ("numeric(10, 2)", Some("decimal")),
            ("timestamp(3) with time zone", Some("timestamp")),
            ("double precision", Some("decimal")),
            ("text[][]", None),
            ("colour", None),
        ] {
            assert_eq!(type_meant_by(written).as_deref(), meant, "{written}");
        }
    }
}
