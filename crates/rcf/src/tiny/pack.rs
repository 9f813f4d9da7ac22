//! From trees of the usual kind, and to them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::code;
use super::open::{OpenTree, small};
use super::{Head, Tiny, bits, place, room_for};
use crate::ForestSettings;
use crate::engine::{AnyTrees, with_trees};
use crate::layout::{Layout, key};
use crate::rebuild::Part;
use crate::trees::{Scratch, Trees};

impl Tiny {
    /// The same trees as bits.
    pub(crate) fn packed(trees: &AnyTrees) -> Self {
        let (mut bytes, mut words) = (Vec::new(), Vec::new());
        let heads: Box<[Head]> = with_trees!(trees, trees => {
            (0..trees.heads.len()).map(|tree| pack(trees, tree, &mut bytes, &mut words)).collect()
        });
        bytes.extend([0; bits::PAD]);
        bytes.shrink_to(room_for(bytes.len()));
        Self { heads, bytes }
    }

    /// The same trees as those of the usual kind.
    ///
    /// Cost: some microseconds a tree.
    pub(crate) fn unpacked(&self, settings: &ForestSettings) -> AnyTrees {
        let mut trees = AnyTrees::new(settings);
        with_trees!(&mut trees, trees => self.unpack(settings, trees));
        trees
    }

    fn unpack<L: Layout>(&self, settings: &ForestSettings, trees: &mut Trees<L>) {
        let sample_size = u32::try_from(settings.sample_size).expect("validated");
        let n_entries = self.heads.iter().map(|head| head.counts.n_entries).max().unwrap_or(0);
        trees.make_room(usize::from(n_entries), settings.sample_size);
        let mut slots: BTreeMap<u32, u32> = BTreeMap::new();
        let mut scratch = vec![0.0; 6];
        let mut scratch = Scratch::of(&mut scratch);
        for (tree, head) in self.heads.iter().enumerate() {
            let open = self.decoder(tree).open();
            let parts = open.to_parts(|x| match slots.get(&x.to_bits()) {
                Some(slot) => {
                    trees.points.retain(*slot);
                    *slot
                }
                None => *slots.entry(x.to_bits()).or_insert(trees.points.insert(&[x])),
            });
            let is_tree = trees.rebuild(tree, &parts, open.weights(), sample_size, &mut scratch);
            debug_assert!(is_tree);
            trees.heads[tree].random = head.random.clone();
            trees.heads[tree].largest = head.largest.into();
            trees.next[tree] = head.next;
        }
    }
}

fn pack<L: Layout>(
    trees: &Trees<L>,
    tree: usize,
    bytes: &mut Vec<u8>,
    words: &mut Vec<u64>,
) -> Head {
    let head = &trees.heads[tree];
    let parts: Vec<Part> = trees.preorder(tree);
    let weights = &trees.weights[tree * trees.room..][..head.n_entries as usize];
    let open = OpenTree::from_parts(&parts, weights, |slot| key(trees.points.get_one(slot)));
    let (counts, n_bytes) = code::write(&open, words);
    let start = bytes.len();
    bytes.resize(start + n_bytes, 0);
    bits::copy(words, &mut bytes[start..]);
    Head {
        random: head.random.clone(),
        next: trees.next[tree],
        end: place(bytes.len()),
        counts,
        largest: small(head.largest as usize),
    }
}
