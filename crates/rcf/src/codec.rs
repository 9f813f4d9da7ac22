//! Numbers as bytes and back, with every read checked.

use alloc::vec::Vec;

use crate::SnapshotError;

const CUT_SHORT: SnapshotError = SnapshotError::Damaged { what: "the bytes are cut short" };

/// Collects bytes.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn u64(&mut self, number: u64) {
        self.raw(&number.to_le_bytes());
    }

    pub(crate) fn f64(&mut self, number: f64) {
        self.raw(&number.to_le_bytes());
    }

    pub(crate) fn f32(&mut self, number: f32) {
        self.raw(&number.to_le_bytes());
    }

    /// A whole number in as few bytes as it needs, seven bits each.
    pub(crate) fn count(&mut self, mut number: u64) {
        while number > 0x7f {
            self.bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push((number & 0x7f) as u8);
    }
}

/// Takes bytes apart.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(CUT_SHORT)?;
        self.bytes = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, SnapshotError> {
        Ok(self.take::<1>()?[0])
    }

    pub(crate) fn u64(&mut self) -> Result<u64, SnapshotError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    pub(crate) fn f64(&mut self) -> Result<f64, SnapshotError> {
        Ok(f64::from_le_bytes(self.take()?))
    }

    pub(crate) fn f32(&mut self) -> Result<f32, SnapshotError> {
        let number = f32::from_le_bytes(self.take()?);
        if number.is_finite() {
            Ok(number)
        } else {
            Err(SnapshotError::Damaged { what: "a coordinate is not finite" })
        }
    }

    pub(crate) fn count(&mut self) -> Result<u64, SnapshotError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(SnapshotError::Damaged { what: "a count has too many bytes" })
    }

    /// A count of at most `most`.
    pub(crate) fn at_most(
        &mut self,
        most: usize,
        what: &'static str,
    ) -> Result<u32, SnapshotError> {
        let number = self.count()?;
        match u32::try_from(number) {
            Ok(small) if number <= most as u64 => Ok(small),
            _ => Err(SnapshotError::Damaged { what }),
        }
    }
}

/// FNV-1a over the bytes: finds accidents, not attacks.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
