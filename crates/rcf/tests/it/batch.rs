//! Many forests at once.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use rcf::{Forest, ForestSettings, PointError, Reading, score_and_update_many, score_many};

const N_THREADS: [usize; 4] = [1, 2, 3, 8];

fn threads(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("not zero")
}

/// Forests of different kinds.
fn fleet(n_models: usize) -> Vec<Forest> {
    (0..n_models)
        .map(|model| {
            let mut settings = ForestSettings::new(1 + model % 2);
            (settings.n_trees, settings.sample_size) = (4, 16);
            (settings.seed, settings.compact) = (model as u64, model.is_multiple_of(4));
            settings.output_after = Some(2);
            settings.build().expect("valid")
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn results_do_not_depend_on_the_number_of_threads(
        n_models in 1..12_usize,
        // Models that there are and a few that there are not; numbers, few of them not finite.
        numbers in prop::collection::vec((0..14_usize, prop_oneof![
            9 => -9.0_f32..9.0,
            1 => Just(f32::NAN),
        ]), 0..300),
    ) {
        let observations: Vec<Vec<f32>> =
            numbers.iter().map(|(model, x)| vec![*x; 1 + model % 2]).collect();
        let readings: Vec<Reading<'_>> = numbers
            .iter()
            .zip(&observations)
            .map(|((model, _), observation)| Reading { model: *model, observation })
            .collect();
        let mut one_by_one = fleet(n_models);
        let expected: Vec<Result<f64, PointError>> = readings
            .iter()
            .map(|reading| match one_by_one.get_mut(reading.model) {
                Some(forest) => forest.score_and_update(reading.observation),
                None => Err(PointError::NoSuchModel { index: reading.model, n_models }),
            })
            .collect();
        // NaN in an error does not equal itself.
        let text = |results: &[Result<f64, PointError>]| format!("{results:?}");
        let bytes = |forests: &[Forest]| -> Vec<Vec<u8>> {
            forests.iter().map(Forest::to_bytes).collect()
        };
        for n_threads in N_THREADS {
            let mut forests = fleet(n_models);
            let (early, late) = readings.split_at(readings.len() / 3);
            let mut found = score_and_update_many(&mut forests, early, threads(n_threads));
            found.extend(score_and_update_many(&mut forests, late, threads(n_threads)));
            prop_assert_eq!(text(&found), text(&expected));
            prop_assert_eq!(bytes(&forests), bytes(&one_by_one));
            let scored = score_many(&forests, &readings, threads(n_threads));
            let expected: Vec<Result<f64, PointError>> = readings
                .iter()
                .map(|reading| match one_by_one.get(reading.model) {
                    Some(forest) => forest.score(reading.observation),
                    None => Err(PointError::NoSuchModel { index: reading.model, n_models }),
                })
                .collect();
            prop_assert_eq!(text(&scored), text(&expected));
        }
    }
}

#[test]
fn no_readings_or_no_forests_are_no_trouble() {
    let mut forests = fleet(3);
    for n_threads in N_THREADS {
        assert_eq!(score_many(&forests, &[], threads(n_threads)), []);
        assert_eq!(score_and_update_many(&mut forests, &[], threads(n_threads)), []);
        let reading = Reading { model: usize::MAX, observation: &[1.0] };
        let missing = PointError::NoSuchModel { index: usize::MAX, n_models: 0 };
        assert_eq!(score_many(&[], &[reading], threads(n_threads)), [Err(missing.clone())]);
        assert_eq!(score_and_update_many(&mut [], &[reading], threads(n_threads)), [Err(missing)]);
    }
}
