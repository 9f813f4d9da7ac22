//! Numbers of any width, one bit after the other.
//!
//! The first bit is the lowest of the first byte. What is read ends at least [`PAD`] bytes before
//! the end of the bytes, so that every read is one of eight whole bytes.

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

/// Writes bits into bytes, which grow.
pub(super) struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    // Bits that are not in the bytes yet, fewer than eight of them between two calls.
    last: u64,
    n_last: u32,
}

impl<'a> Writer<'a> {
    /// Goes on behind the last byte.
    pub(super) fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, last: 0, n_last: 0 }
    }

    /// The lowest bits of a number that has no others; 32 at most.
    #[inline(always)]
    pub(super) fn put(&mut self, number: u32, n_bits: u32) {
        debug_assert!(n_bits <= 32 && width(number) <= n_bits);
        self.last |= u64::from(number) << self.n_last;
        self.n_last += n_bits;
        while self.n_last >= 8 {
            self.bytes.push((self.last & 0xff) as u8);
            self.last >>= 8;
            self.n_last -= 8;
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
    pub(super) fn put_block(&mut self, numbers: &[u32]) {
        let n_bits = width(numbers.iter().fold(0, |all, number| all | number));
        self.put(n_bits, WIDTH_BITS);
        numbers.iter().for_each(|number| self.put(*number, n_bits));
    }

    /// Fills the last byte with zeros.
    pub(super) fn end(mut self) {
        self.put(0, (8 - self.n_last) % 8);
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
        let byte = at / 8;
        let word = self.bytes[byte..byte + 8].first_chunk().map_or(0, |x| u64::from_le_bytes(*x));
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
        let mut bytes = vec![7];
        let mut out = Writer::new(&mut bytes);
        let numbers = [0, 1, 5, u32::MAX, 1 << 20, 3, 0, 9];
        numbers.iter().for_each(|number| out.put(*number, width(*number)));
        [0, 1, 30, 31, 62, 200].iter().for_each(|n_zeros| out.put_unary(*n_zeros));
        out.put_block(&numbers);
        out.put_block(&numbers[4..5]);
        out.put_block(&[0, 0]);
        out.end();
        bytes.extend([0xff; PAD]);
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
