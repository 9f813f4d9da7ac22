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
    assert_eq!(saved[..8], *b"EDDYSQL\x03");
    for version in [1, 4] {
        saved[7] = version;
        let refused = Application::restore(&case.text, case.options.clone(), &saved);
        let error = refused.map(drop).expect_err("refused").to_string();
        let expected =
            format!("it has version {version} of the format, this program reads 2 and 3");
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

#[test]
fn a_snapshot_of_the_version_before_checksums_is_read() {
    for case in all().iter().filter(|case| case.refused.is_none()) {
        let mut application = case.application();
        let (before, _) = case.steps.split_at(case.steps.len() / 2);
        feed(&mut application, before, 3, &mut Lines::default());
        let saved = application.snapshot().expect("it can be saved");
        let older = [b"EDDYSQL\x02", &saved[12..]].concat();
        let mut restored = Application::restore(&case.text, case.options.clone(), &older)
            .unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(restored.snapshot().expect("it can be saved"), saved, "{}", case.name);
    }
}

#[test]
fn every_damaged_byte_of_a_snapshot_is_an_error() {
    let cases = all();
    let case = cases.iter().find(|case| case.name == "full_join_window").expect("it is there");
    let mut application = case.application();
    let (before, _) = case.steps.split_at(case.steps.len() / 2);
    feed(&mut application, before, 3, &mut Lines::default());
    let mut saved = application.snapshot().expect("it can be saved");
    for at in 0..saved.len() {
        for flipped in [0x01, 0x80, 0xff] {
            saved[at] ^= flipped;
            let restored = Application::restore(&case.text, case.options.clone(), &saved);
            assert!(restored.is_err(), "byte {at} ^ {flipped:#x}");
            saved[at] ^= flipped;
        }
    }
    assert!(Application::restore(&case.text, case.options.clone(), &saved).is_ok());
}

proptest::proptest! {
    #[test]
    fn damage_at_several_places_is_an_error_and_no_panic(
        which in proptest::prelude::any::<proptest::sample::Index>(),
        places in proptest::collection::vec(
            (proptest::prelude::any::<proptest::sample::Index>(), 1..=u8::MAX), 1..6),
    ) {
        static SAVED: std::sync::OnceLock<Vec<(Case, Vec<u8>)>> = std::sync::OnceLock::new();
        let saved = SAVED.get_or_init(|| {
            let cases = all().into_iter().filter(|case| case.refused.is_none());
            let saved = cases.map(|case| {
                let mut application = case.application();
                let (before, _) = case.steps.split_at(case.steps.len() / 2);
                feed(&mut application, before, 3, &mut Lines::default());
                let saved = application.snapshot().expect("it can be saved");
                (case, saved)
            });
            saved.collect()
        });
        let (case, intact) = &saved[which.index(saved.len())];
        let mut damaged = intact.clone();
        for (place, flipped) in places {
            let at = place.index(damaged.len());
            damaged[at] ^= flipped;
        }
        proptest::prop_assume!(damaged != *intact);
        proptest::prop_assert!(Application::restore(&case.text, case.options.clone(), &damaged).is_err());
    }
}
