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
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The levels that this machine has, the best last.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let more = {
            // Without `std` nobody can be asked: what it is compiled for is there.
            #[cfg(feature = "std")]
            macro_rules! has { ($($name:tt),*) => { $(is_x86_feature_detected!($name))&&* } }
            #[cfg(not(feature = "std"))]
            macro_rules! has { ($($name:tt),*) => { cfg!(all($(target_feature = $name),*)) } }
            let avx2 = has!("avx2", "bmi1", "bmi2", "popcnt", "lzcnt");
            let avx512 = avx2 && has!("avx512f", "avx512vl", "avx512dq");
            [avx2.then_some(Self::Avx2), avx512.then_some(Self::Avx512)]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let more = [None];
        core::iter::once(Self::Portable).chain(more.into_iter().flatten())
    }

    /// AVX2 instead of AVX-512: for work that has no use for the latter, and whose loops the compiler
    /// makes slower with it (scores of one dimension by half).
    pub(crate) fn narrow(self) -> Self {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Self::Avx2,
            other => other,
        }
    }

    pub(crate) fn best() -> Self {
        Self::available().last().unwrap_or(Self::Portable)
    }
}
