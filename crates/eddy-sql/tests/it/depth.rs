//! Expressions as deep as they may be run; deeper ones are refused, not a crash.

use eddy_sql::{Application, Options};

fn planned(n_operators: usize, operator: &str) -> Result<(), String> {
    let schema = crate::forests::schema(&[("v", "DOUBLE")]);
    let chain = vec!["v > 1"; n_operators + 1].join(operator);
    let text = format!(
        "CREATE STREAM \"OUT\" (v DOUBLE); CREATE PUMP \"P\" AS INSERT INTO \"OUT\" \
         SELECT STREAM v FROM \"SOURCE_SQL_STREAM_001\" WHERE {chain} GROUP BY v, FLOOR(ROWTIME TO MINUTE)"
    );
    Application::new(&text, Options::new(schema)).map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_chain_of_ten_thousand_operators_is_refused_and_one_of_two_hundred_is_not() {
    assert_eq!(planned(200, " OR "), Ok(()));
    assert_eq!(planned(200, " AND "), Ok(()));
    for operator in [" OR ", " AND "] {
        let refused = planned(10_000, operator).expect_err("it is too deep");
        assert!(refused.contains("more than 200 operators"), "{refused}");
    }
}
