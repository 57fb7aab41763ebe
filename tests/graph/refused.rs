//! Graphs that must be refused, and graphs that must be warned of, each with what is said of it.

use std::path::PathBuf;

use crate::reading::{here, read};

fn graphs(directory: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(here().join(directory)).expect("the directory is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut graphs: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    graphs.sort();
    graphs
}

#[test]
fn every_refused_graph_is_refused_with_place_reason_and_remedy() {
    let graphs = graphs("refused");
    assert!(graphs.len() >= 40, "{} graphs", graphs.len());
    for path in graphs {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let text = std::fs::read_to_string(&path).expect("readable");
        let found = read(&here().join("refused"), "graph.yaml", &text).err();
        let found = found.unwrap_or_else(|| panic!("{name} was not refused"));
        assert!(found.has_errors(), "{name}");
        insta::with_settings!({ snapshot_path => "refused", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, found.to_string());
        });
    }
}

#[test]
fn every_graph_of_which_nothing_wrong_can_be_proved_compiles_without_a_warning() {
    let graphs = graphs("silent");
    assert!(graphs.len() >= 9, "{} graphs", graphs.len());
    for path in graphs {
        let text = std::fs::read_to_string(&path).expect("readable");
        let (_, warnings) = read(&here().join("silent"), "graph.yaml", &text)
            .unwrap_or_else(|found| panic!("{}: {found}", path.display()));
        assert!(warnings.is_empty(), "{}: {warnings}", path.display());
    }
}

#[test]
fn every_suspicious_graph_compiles_with_a_warning() {
    for path in graphs("warned") {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let text = std::fs::read_to_string(&path).expect("readable");
        let (_, warnings) =
            read(&here().join("warned"), "graph.yaml", &text).unwrap_or_else(|found| panic!("{name}: {found}"));
        assert!(!warnings.is_empty(), "{name}");
        insta::with_settings!({ snapshot_path => "warned", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, warnings.to_string());
        });
    }
}
