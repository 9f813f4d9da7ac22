//! A restart at any place changes nothing.

use eddy_sql::Application;

use crate::cases::{Case, Lines, all, feed};

fn with_restart(case: &Case, at: usize) -> (String, String) {
    let mut out = Lines::default();
    let mut first = case.application();
    let (before, after) = case.steps.split_at(at);
    feed(&mut first, before, 3, &mut out);
    let saved = first.snapshot().expect("it can be saved");
    // What was saved goes on as well: saving changes nothing.
    drop(first);
    let mut options = case.options.clone();
    options.start_ms = 0;
    let mut second = Application::restore(&case.text, options, &saved)
        .unwrap_or_else(|error| panic!("{} at {at}: {error}", case.name));
    assert_eq!(second.snapshot().expect("it can be saved"), saved, "{} at {at}", case.name);
    feed(&mut second, after, 3, &mut out);
    out.take(second.finish().expect("it ends"));
    out.text()
}

#[test]
fn a_restart_in_the_middle_changes_nothing() {
    for case in all().iter().filter(|case| case.refused.is_none()) {
        let whole = case.run(3);
        let n_steps = case.steps.len();
        let every = n_steps.div_ceil(12).max(1);
        for at in (0..=n_steps).step_by(every) {
            assert_eq!(with_restart(case, at), whole, "{} at {at}", case.name);
        }
    }
}

#[test]
fn a_snapshot_of_another_application_or_a_damaged_one_is_refused() {
    let cases = all();
    let case = cases.iter().find(|case| case.name == "walkthrough").expect("it is there");
    let mut application = case.application();
    feed(&mut application, &case.steps, 100, &mut Lines::default());
    let saved = application.snapshot().expect("it can be saved");
    let restore = |text: &str, saved: &[u8]| {
        Application::restore(text, case.options.clone(), saved)
            .map(drop)
            .map_err(|it| it.to_string())
    };
    let changed = case.text.replace("DESC", "ASC");
    assert!(restore(&changed, &saved).is_err_and(|error| error.contains("another application")));
    for length in (0..saved.len()).step_by(saved.len() / 50 + 1) {
        assert!(restore(&case.text, &saved[..length]).is_err(), "cut at {length}");
    }
    assert!(restore(&case.text, b"OTHERBYTES").is_err_and(|it| it.contains("unknown format")));
}

#[test]
fn a_snapshot_of_another_version_is_refused_with_what_to_do() {
    let cases = all();
    let case = cases.iter().find(|case| case.name == "sum_out_of_range").expect("it is there");
    let mut application = case.application();
    feed(&mut application, &case.steps, 100, &mut Lines::default());
    let mut saved = application.snapshot().expect("it can be saved");
    assert_eq!(saved[..8], *b"EDDYSQL\x02");
    for version in [1, 3] {
        saved[7] = version;
        let refused = Application::restore(&case.text, case.options.clone(), &saved);
        let error = refused.map(drop).expect_err("refused").to_string();
        let expected = format!("it has version {version} of the format, this program reads 2");
        assert!(error.contains(&expected) && error.contains("start the application"), "{error}");
    }
}

#[test]
fn a_snapshot_taken_with_other_reference_data_is_refused() {
    let cases = all();
    let case = cases.iter().find(|case| case.name == "reference_join").expect("it is there");
    let saved = case.application().snapshot().expect("it can be saved");
    let restore = |options: &eddy_sql::Options| {
        Application::restore(&case.text, options.clone(), &saved).map(drop)
    };
    assert!(restore(&case.options).is_ok());
    let mut more = case.options.clone();
    let schema = crate::forests::schema(&[("k", "VARCHAR(4)")]);
    more.tables.push(eddy_sql::ReferenceTable::new("MORE", &schema, &[]));
    assert!(restore(&more).is_err_and(|error| error.to_string().contains("another application")));
}

#[test]
fn a_snapshot_taken_with_another_rowtime_or_lateness_is_refused() {
    let cases = all();
    let case = cases.iter().find(|case| case.name == "event_time_window").expect("it is there");
    let with = |rowtime: Option<&str>, lateness_ms| {
        let mut options = case.options.clone();
        options.rowtime = rowtime.map(str::to_owned);
        options.lateness_ms = lateness_ms;
        options
    };
    let first = with(Some("received_at"), Some(5000));
    let mut application = Application::new(&case.text, first.clone()).expect("it can run");
    let saved = application.snapshot().expect("it can be saved");
    let restore = |options| {
        Application::restore(&case.text, options, &saved).map(drop).map_err(|it| it.to_string())
    };
    assert_eq!(restore(first), Ok(()));
    for changed in [with(Some("measured_at"), Some(5000)), with(Some("received_at"), Some(6000))] {
        let error = restore(changed).expect_err("it differs");
        assert!(error.contains("rowtime or allowed lateness differ"), "{error}");
    }
}
