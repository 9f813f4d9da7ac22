//! Scores have the golden distribution, over as many seeds as it was measured with.

use crate::compare::{Report, SETS, compare, compare_more};

const SEEDS: u64 = 100;
/// Displacement and density are judged over fewer seeds, with the wider bounds on the ratio of
/// deviations that go with them; the example `golden` takes all.
const SEEDS_OF_MORE: u64 = 24;

fn check(set: &str, compare: fn(&str, usize, u64) -> Vec<Report>, n_seeds: u64) {
    let (_, shingle_size) = SETS.into_iter().find(|(name, _)| *name == set).expect("a set");
    println!("seeds 1..={n_seeds}");
    let reports = compare(set, shingle_size, n_seeds);
    assert!(!reports.is_empty(), "nothing to compare {set} with");
    for report in reports {
        assert!(report.passed, "{report}");
        println!("{report}");
    }
}

#[test]
fn sensor_readings_score_as_aws_java_does() {
    check("sensor", compare, SEEDS);
}

#[test]
fn a_mixture_in_two_dimensions_scores_as_aws_java_does() {
    check("gauss2d", compare, SEEDS);
}

#[test]
fn a_shingled_sine_scores_as_aws_java_does() {
    check("sine_s8", compare, SEEDS);
}

#[test]
fn duplicates_score_as_aws_java_does() {
    check("dups", compare, SEEDS);
}

#[test]
fn a_constant_stream_scores_as_aws_java_does() {
    check("constant", compare, SEEDS);
}

#[test]
fn displacement_and_density_of_a_mixture_are_those_of_aws() {
    check("gauss2d", compare_more, SEEDS_OF_MORE);
}

#[test]
fn displacement_and_density_of_a_shingled_sine_are_those_of_aws() {
    check("sine_s8", compare_more, SEEDS_OF_MORE);
}
