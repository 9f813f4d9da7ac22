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

#[test]
fn thirty_thousand_unions_of_a_statement_are_refused_and_two_hundred_are_not() {
    let planned = |n_unions: usize| {
        let select = "SELECT STREAM v FROM \"SOURCE_SQL_STREAM_001\"";
        let all = vec![select; n_unions + 1].join(" UNION ALL ");
        let text = format!(
            "CREATE STREAM \"OUT\" (v DOUBLE); CREATE PUMP \"P\" AS INSERT INTO \"OUT\" {all}"
        );
        let schema = crate::forests::schema(&[("v", "DOUBLE")]);
        Application::new(&text, Options::new(schema)).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(planned(200), Ok(()));
    let refused = planned(30_000).expect_err("it is too deep");
    assert!(refused.contains("UNION ALL: more than 200 of them"), "{refused}");
}
