//! Puts rows into the order of ORDER BY's terms.

use std::cmp::Ordering;

use arrow::array::{Array as _, ArrayRef, AsArray, DynComparator, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::Float64Type;

use crate::error::RunError;

/// Compares rows by one term.
enum Term<'a> {
    /// The usual score: numbers without a NULL, in the total order of floats.
    Doubles(&'a [f64], bool),
    Any(DynComparator),
}

impl<'a> Term<'a> {
    fn new(values: &'a ArrayRef, options: SortOptions) -> Result<Self, RunError> {
        if let Some(numbers) = values.as_primitive_opt::<Float64Type>()
            && numbers.null_count() == 0
        {
            return Ok(Self::Doubles(numbers.values(), options.descending));
        }
        Ok(Self::Any(make_comparator(values, values, options)?))
    }

    fn compare(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (a as usize, b as usize);
        match self {
            Self::Doubles(numbers, false) => numbers[a].total_cmp(&numbers[b]),
            Self::Doubles(numbers, true) => numbers[b].total_cmp(&numbers[a]),
            Self::Any(compare) => compare(a, b),
        }
    }
}

/// Sorts rows by when they leave, and those that leave together by the terms; what is equal stays in
/// the order in which it came.
pub(super) fn sort_rows<K: Ord>(
    rows: &mut [u32],
    leaves: impl Fn(u32) -> K,
    terms: &[ArrayRef],
    options: &[SortOptions],
) -> Result<(), RunError> {
    let terms: Vec<Term<'_>> = terms
        .iter()
        .zip(options)
        .map(|(values, options)| Term::new(values, *options))
        .collect::<Result<_, _>>()?;
    // Time comes in order: mostly there is nothing to do.
    rows.sort_by_key(|row| leaves(*row));
    for together in rows.chunk_by_mut(|a, b| leaves(*a) == leaves(*b)) {
        together.sort_by(|a, b| {
            let orders = terms.iter().map(|term| term.compare(*a, *b));
            orders.fold(Ordering::Equal, Ordering::then)
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray, UInt32Array};
    use arrow::compute::{SortColumn, lexsort_to_indices};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_sorted_as_arrow_sorts_columns(
            rows in prop::collection::vec((0..3_i64, prop::option::of(-2..3_i8), 0..3_u8), 0..60),
            descending: (bool, bool),
            with_nulls: bool,
        ) {
            let number = |number: Option<i8>| match number {
                Some(2) => Some(f64::NAN),
                Some(0) => Some(-0.0),
                Some(other) => Some(f64::from(other)),
                None if with_nulls => None,
                None => Some(0.0),
            };
            let numbers: Float64Array = rows.iter().map(|row| number(row.1)).collect();
            let texts: StringArray = rows.iter().map(|row| Some(row.2.to_string())).collect();
            let terms: [ArrayRef; 2] = [Arc::new(numbers), Arc::new(texts)];
            let by = |descending| SortOptions { descending, nulls_first: true };
            let options = [by(descending.0), by(descending.1)];
            let n_rows = u32::try_from(rows.len()).expect("few");
            let mut found: Vec<u32> = (0..n_rows).collect();
            sort_rows(&mut found, |row| rows[row as usize].0, &terms, &options).expect("sorts");

            let times: Int64Array = rows.iter().map(|row| Some(row.0)).collect();
            let column = |values: ArrayRef, options| SortColumn { values, options };
            let columns = [
                column(Arc::new(times), None),
                column(Arc::clone(&terms[0]), Some(options[0])),
                column(Arc::clone(&terms[1]), Some(options[1])),
                column(Arc::new(UInt32Array::from_iter_values(0..n_rows)), None),
            ];
            let expected = lexsort_to_indices(&columns, None).expect("sorts");
            prop_assert_eq!(found.as_slice(), expected.values().as_ref());
        }
    }
}
