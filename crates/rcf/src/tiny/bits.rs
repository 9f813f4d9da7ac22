//! Numbers of any width, one bit after the other.
//!
//! The first bit is the lowest of the first byte. What is read ends at least [`PAD`] bytes before
//! the end of the bytes, so that every read is one of eight whole bytes.

use alloc::vec::Vec;

/// Bytes that must follow what is read.
pub(super) const PAD: usize = 8;
/// Numbers of a [`Reader::block`] share one width.
pub(super) const BLOCK: usize = 8;
/// Bits that tell a width of 0 to 32.
const WIDTH_BITS: u32 = 6;

/// How many bits a number needs.
#[inline(always)]
pub(super) fn width(number: u32) -> u32 {
    u32::BITS - number.leading_zeros()
}

/// Writes bits into words.
pub(super) struct Writer<'a> {
    words: &'a mut Vec<u64>,
    // Bits that are not in the words yet, fewer than 64.
    last: u64,
    n_last: u32,
}

impl<'a> Writer<'a> {
    /// Begins anew.
    #[inline(always)]
    pub(super) fn new(words: &'a mut Vec<u64>) -> Self {
        words.clear();
        // One allocation for most trees.
        words.reserve(128);
        Self { words, last: 0, n_last: 0 }
    }

    /// The lowest bits of a number that has no others; 32 at most.
    #[inline(always)]
    pub(super) fn put(&mut self, number: u32, n_bits: u32) {
        debug_assert!(n_bits <= 32 && width(number) <= n_bits);
        let number = u64::from(number);
        self.last |= number << self.n_last;
        self.n_last += n_bits;
        if self.n_last >= u64::BITS {
            self.words.push(self.last);
            self.n_last -= u64::BITS;
            self.last = number >> (n_bits - self.n_last);
        }
    }

    /// So many zeros, and a one.
    #[inline(always)]
    pub(super) fn put_unary(&mut self, mut n_zeros: u32) {
        while n_zeros >= 31 {
            self.put(0, 31);
            n_zeros -= 31;
        }
        self.put(1 << n_zeros, n_zeros + 1);
    }

    /// Up to [`BLOCK`] numbers, with their width.
    #[inline(always)]
    pub(super) fn put_block(&mut self, numbers: &[u32]) {
        let n_bits = width(numbers.iter().fold(0, |all, number| all | number));
        self.put(n_bits, WIDTH_BITS);
        numbers.iter().for_each(|number| self.put(*number, n_bits));
    }

    /// How many bytes there are, the last filled with zeros.
    #[inline(always)]
    pub(super) fn end(self) -> usize {
        self.words.push(self.last);
        8 * (self.words.len() - 1) + self.n_last.div_ceil(8) as usize
    }
}

/// Copies the first bytes of words.
pub(super) fn copy(words: &[u64], bytes: &mut [u8]) {
    for (to, word) in bytes.chunks_mut(8).zip(words) {
        to.copy_from_slice(&word.to_le_bytes()[..to.len()]);
    }
}

/// Reads bits from a place on.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From a byte on.
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], byte: usize) -> Self {
        Self { bytes, at: 8 * byte }
    }

    /// At least 57 bits from a place on.
    #[inline(always)]
    fn peek(&self, at: usize) -> u64 {
        let word = self.bytes[at / 8..].first_chunk().map_or(0, |x| u64::from_le_bytes(*x));
        word >> (at % 8)
    }

    #[inline(always)]
    pub(super) fn skip(&mut self, n_bits: usize) {
        self.at += n_bits;
    }

    /// A number of 0 to 32 bits.
    #[inline(always)]
    pub(super) fn take(&mut self, n_bits: u32) -> u32 {
        let number = self.peek(self.at) & ((1 << n_bits) - 1);
        self.at += n_bits as usize;
        (number & 0xffff_ffff) as u32
    }

    /// How many zeros stand before a one.
    #[inline(always)]
    pub(super) fn take_unary(&mut self) -> u32 {
        let mut n_zeros = 0;
        loop {
            let next = self.peek(self.at) & ((1 << 56) - 1);
            if next != 0 {
                n_zeros += next.trailing_zeros();
                self.at += next.trailing_zeros() as usize + 1;
                return n_zeros;
            }
            n_zeros += 56;
            self.at += 56;
        }
    }

    /// What stands before each of the next ones: to the nth, from 0 on, comes 2 n less its place.
    ///
    /// With so many zeros before each one as nodes are taken off a pile, onto which one is put then,
    /// that is how many are on the pile before.
    #[inline(always)]
    pub(super) fn piles(&mut self, piles: &mut [u8]) {
        const AT_ONCE: u32 = 56;
        let (mut n, mut first) = (0, 0);
        while n < piles.len() {
            let mut ones = self.peek(self.at) & ((1 << AT_ONCE) - 1);
            let mut n_read = AT_ONCE;
            while ones != 0 {
                let place = first + ones.trailing_zeros();
                piles[n] = ((2 * n as u64).wrapping_sub(u64::from(place)) & 0xff) as u8;
                n += 1;
                if n == piles.len() {
                    n_read = place + 1 - first;
                    break;
                }
                ones &= ones - 1;
            }
            first += n_read;
            self.at += n_read as usize;
        }
    }

    /// Passes over so many numbers that were put as a block.
    #[inline(always)]
    pub(super) fn skip_block(&mut self, n_numbers: usize) {
        let n_bits = self.take(WIDTH_BITS);
        self.at += n_numbers * n_bits as usize;
    }

    /// So many numbers that were put as a block.
    #[inline(always)]
    pub(super) fn block(&mut self, numbers: &mut [u32]) {
        let n_bits = self.take(WIDTH_BITS);
        for (number, to) in numbers.iter_mut().enumerate() {
            let from = self.at + number * n_bits as usize;
            *to = (self.peek(from) & ((1 << n_bits) - 1) & 0xffff_ffff) as u32;
        }
        self.at += numbers.len() * n_bits as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_taken() {
        let mut words = Vec::new();
        let mut out = Writer::new(&mut words);
        let numbers = [0, 1, 5, u32::MAX, 1 << 20, 3, 0, 9];
        numbers.iter().for_each(|number| out.put(*number, width(*number)));
        [0, 1, 30, 31, 62, 200].iter().for_each(|n_zeros| out.put_unary(*n_zeros));
        out.put_block(&numbers);
        out.put_block(&numbers[4..5]);
        out.put_block(&[0, 0]);
        let mut bytes = vec![0xff; 1 + out.end() + PAD];
        let end = bytes.len() - PAD;
        copy(&words, &mut bytes[1..end]);
        let mut input = Reader::new(&bytes, 1);
        numbers.iter().for_each(|number| assert_eq!(input.take(width(*number)), *number));
        [0, 1, 30, 31, 62, 200].iter().for_each(|n_zeros| {
            assert_eq!(input.take_unary(), *n_zeros);
        });
        let mut found = [0; BLOCK];
        input.block(&mut found);
        assert_eq!(found, numbers);
        input.block(&mut found[..1]);
        input.block(&mut found[1..3]);
        assert_eq!(found[..3], [1 << 20, 0, 0]);
    }
}
