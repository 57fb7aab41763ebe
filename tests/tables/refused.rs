//! Tables that must be refused. Each `refused/*.csv` has its complaints beside it.

use std::path::Path;

use tributary::diagnostics::{Style, render_text};
use tributary::grl::Limits;
use tributary::grl::{HitPolicy, Ruleset, Table};

use crate::reading::{hit, scope};

#[test]
fn every_refused_table_is_refused_with_place_and_remedy() {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tables/refused"));
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|ending| ending != "snap" && ending != "new"))
        .collect();
    names.sort();
    assert!(names.len() >= 30, "{} files", names.len());
    insta::with_settings!({snapshot_path => "refused", prepend_module_to_snapshot => false, omit_expression => true}, {
        for name in names {
            let bytes = std::fs::read(directory.join(&name)).unwrap();
            let limits = Limits::default();
            let policy = if name.starts_with("sum") { HitPolicy::Sum } else { HitPolicy::Unique };
            let found = Table::read(&name, None, &bytes, &limits)
                .and_then(|table| Ruleset::from_table("rates", &table, &hit(policy), &scope(), &[], &limits));
            let found = found.map(|_| ()).expect_err(&name);
            let bare = found.iter().find(|error| error.code.starts_with("bad-") && error.help.is_none());
            assert!(bare.is_none(), "{name}: {bare:?} has no remedy");
            insta::assert_snapshot!(name, render_text(&found, Style::Plain));
        }
    });
}
