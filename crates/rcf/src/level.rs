//! Which instructions the machine has.
//!
//! The walks and the loops over dimensions are compiled once for every level. They are the same
//! code in the same order of operations, without fused ones, so that every level gives the same
//! bits; the levels differ in how many operations one instruction does.

/// A set of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Those of every machine of the architecture.
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Level {
    /// The levels that this machine has, the best last.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        #[cfg(all(target_arch = "x86_64", feature = "std"))]
        let more = {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("popcnt")
                && is_x86_feature_detected!("lzcnt");
            avx2.then_some(Self::Avx2)
        };
        // Without `std` nobody can be asked: what it is compiled for is there.
        #[cfg(all(target_arch = "x86_64", not(feature = "std")))]
        let more = cfg!(all(
            target_feature = "avx2",
            target_feature = "bmi1",
            target_feature = "bmi2",
            target_feature = "popcnt",
            target_feature = "lzcnt"
        ))
        .then_some(Self::Avx2);
        #[cfg(not(target_arch = "x86_64"))]
        let more = None;
        core::iter::once(Self::Portable).chain(more)
    }

    pub(crate) fn best() -> Self {
        Self::available().last().unwrap_or(Self::Portable)
    }
}
