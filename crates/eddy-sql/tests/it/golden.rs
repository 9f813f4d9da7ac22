//! Every case gives what it must. With `UPDATE_GOLDEN=1` what a case gives is written into its folder:
//! look at it before it is committed.

use std::fmt::Write as _;

use eddy_sql::Application;

use crate::cases::all;

#[test]
fn every_case_gives_what_it_must() {
    let mut wrong = String::new();
    let cases = all();
    for case in &cases {
        let name = &case.name;
        if let Some(expected) = &case.refused {
            let found = match Application::new(&case.text, case.options.clone()) {
                Err(error) => error.to_string(),
                Ok(_) => "(it was accepted)".to_owned(),
            };
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                case.write_refused(&found);
            } else if found != expected.trim_end() {
                writeln!(wrong, "== {name}\n-- expected\n{expected}\n-- found\n{found}")
                    .expect("a String takes everything");
            }
            continue;
        }
        let Ok(_) = Application::new(&case.text, case.options.clone()).map_err(|error| {
            writeln!(wrong, "== {name}\n{error}").expect("a String takes everything");
        }) else {
            continue;
        };
        let (rows, errors) = case.run(7);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            case.write(&rows, &errors);
            continue;
        }
        let expected = case.expected.clone().unwrap_or_default();
        if rows != expected {
            writeln!(
                wrong,
                "== {name}\n-- expected\n{expected}\n-- found\n{rows}\n-- errors\n{errors}"
            )
            .expect("a String takes everything");
        }
        if case.expected_errors.as_ref().is_some_and(|expected| *expected != errors) {
            writeln!(wrong, "== {name}: error stream\n-- found\n{errors}")
                .expect("a String takes everything");
        }
        if case.expected_errors.is_none() && !errors.is_empty() && case.options.outputs.is_none() {
            writeln!(wrong, "== {name}: unexpected error stream\n{errors}")
                .expect("a String takes everything");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
