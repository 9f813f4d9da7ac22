//! Scores have the golden distribution, over as many seeds as it was measured with.

use crate::compare::{SETS, compare};

const SEEDS: u64 = 100;

fn check(set: &str) {
    let (_, shingle_size) = SETS.into_iter().find(|(name, _)| *name == set).expect("a set");
    for report in compare(set, shingle_size, SEEDS) {
        assert!(report.passed, "{report}");
        println!("{report}");
    }
}

#[test]
fn sensor_readings_score_as_aws_java_does() {
    check("sensor");
}

#[test]
fn a_mixture_in_two_dimensions_scores_as_aws_java_does() {
    check("gauss2d");
}

#[test]
fn a_shingled_sine_scores_as_aws_java_does() {
    check("sine_s8");
}

#[test]
fn duplicates_score_as_aws_java_does() {
    check("dups");
}

#[test]
fn a_constant_stream_scores_as_aws_java_does() {
    check("constant");
}
