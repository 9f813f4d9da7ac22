//! Results do not depend on how rows come in batches.

use crate::cases::all;

#[test]
fn batches_of_1_of_7_and_of_8192_rows_give_the_same() {
    for case in all().iter().filter(|case| case.refused.is_none()) {
        let one = case.run(1);
        for most in [2, 7, 8192] {
            assert_eq!(case.run(most), one, "{} in batches of {most}", case.name);
        }
    }
}
