//! The fuzz targets' bodies over a fixed number of seeded inputs, without a fuzzer: about ten
//! seconds of each. `fuzz/` holds the targets for cargo-fuzz.

#[expect(unreachable_pub, reason = "a library of its own")]
#[path = "../../fuzz/src/lib.rs"]
mod bodies;

use rand_core::{Rng as _, SeedableRng as _};
use rand_xoshiro::SplitMix64;

/// Runs a body on inputs of seeds 1..=n, of up to `most` bytes; says which seed it fails for.
fn drive(body: fn(&[u8]), n: u64, most: u64) {
    for seed in 1..=n {
        let mut random = SplitMix64::seed_from_u64(seed);
        let length = random.next_u64() % (most + 1);
        let mut input = vec![0; usize::try_from(length).expect("small")];
        random.fill_bytes(&mut input);
        if std::panic::catch_unwind(|| body(&input)).is_err() {
            panic!("seed {seed} of {length} bytes breaks a promise, as said above");
        }
    }
}

#[test]
fn any_stream_of_learning_and_questions_keeps_the_promises() {
    drive(bodies::stream, 6000, 1500);
}

#[test]
fn any_bytes_are_an_error_or_a_sound_forest() {
    drive(bodies::snapshot, 200_000, 400);
}

#[test]
fn what_the_fuzzer_found_stays_mended() {
    // A nightly compiler let a cut between denormal numbers be -0.0.
    bodies::stream(&[0, 188, 61, 255, 44, 255, 42, 0, 11, 41, 115, 115, 131, 140, 169, 48, 175]);
}
