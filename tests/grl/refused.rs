//! Rule files that must be refused. Each `refused/*.grl` has its complaints beside it.

use tributary::diagnostics::{Place, Style, render_text};
use tributary::grl::{Limits, Ruleset};

use crate::purchasing::{file, repository, scope};

#[test]
fn every_refused_file_is_refused_with_place_and_reason() {
    let directory = repository("tests/grl/refused");
    let mut names: Vec<String> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".grl").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() >= 80, "{} files", names.len());
    insta::with_settings!({snapshot_path => "refused", prepend_module_to_snapshot => false, omit_expression => true}, {
        for name in names {
            let text = std::fs::read_to_string(directory.join(format!("{name}.grl"))).unwrap();
            let found = Ruleset::compile("node", &[file(&format!("{name}.grl"), &text)], &scope(), &[], &Limits::default());
            let found = found.expect_err(&name);
            assert!(found.iter().all(|complaint| matches!(&complaint.place, Place::Span(_))), "{name}: {found}");
            insta::assert_snapshot!(name, render_text(&found, Style::Plain));
        }
    });
}
