//! Sets that are joined until no more belong together (union-find): whatever is joined to one of a set
//! is joined to all of it.

/// Elements, each in one set. A set is known by its first element.
#[derive(Debug, Clone, Default)]
pub struct DisjointSets {
    /// Of each element one of its set that stands no later; itself for the first.
    parents: Vec<u32>,
}

impl DisjointSets {
    /// `n` elements, each in a set of its own.
    ///
    /// # Panics
    /// When there are more than 2^32.
    pub fn new(n: usize) -> Self {
        Self { parents: (0..n).map(number).collect() }
    }

    /// One more element in a set of its own; its place, from 0.
    ///
    /// # Panics
    /// When there are more than 2^32.
    pub fn add(&mut self) -> usize {
        let place = self.parents.len();
        self.parents.push(number(place));
        place
    }

    /// Makes one set of those of two elements.
    ///
    /// # Panics
    /// When one of the elements is not there.
    pub fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        self.parents[a.max(b)] = number(a.min(b));
    }

    /// The first element of an element's set; shortens the way there for the next time.
    fn first(&mut self, mut at: usize) -> usize {
        while self.parents[at] as usize != at {
            let parent = self.parents[at] as usize;
            self.parents[at] = self.parents[parent];
            at = self.parents[at] as usize;
        }
        at
    }

    /// Of each element the number of its set, and how many sets there are. They are numbered from 0
    /// in the order of their first elements.
    pub fn numbers(mut self) -> (Vec<u32>, usize) {
        let mut sets = 0;
        for place in 0..self.parents.len() {
            // A parent stands before its children, and has its set's number already.
            let parent = self.parents[place] as usize;
            self.parents[place] = if parent == place {
                sets += 1;
                number(sets - 1)
            } else {
                self.parents[parent]
            };
        }
        (self.parents, sets)
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).expect("at most 2^32 elements")
}

#[cfg(test)]
mod tests {
    use super::super::Stream;
    use super::*;

    #[test]
    fn what_is_joined_to_one_of_a_set_is_joined_to_all_of_it() {
        let mut sets = DisjointSets::new(5);
        assert_eq!(sets.add(), 5);
        for (a, b) in [(4, 1), (5, 3), (1, 3), (2, 2)] {
            sets.join(a, b);
        }
        assert_eq!(sets.numbers(), (vec![0, 1, 2, 1, 1, 1], 3));
        assert_eq!(DisjointSets::default().numbers(), (vec![], 0));
    }

    /// Against the definition: labels are made equal until no pair has two.
    #[test]
    fn sets_are_those_that_pairs_connect() {
        let mut stream = Stream::new(1, "disjoint", 0);
        for n in 1..40_usize {
            let mut draw = || stream.below(n);
            let pairs: Vec<(usize, usize)> = (0..n / 2).map(|_| (draw(), draw())).collect();
            let mut labels: Vec<usize> = (0..n).collect();
            for &(a, b) in pairs.iter().cycle().take(pairs.len() * n) {
                let least = labels[a].min(labels[b]);
                (labels[a], labels[b]) = (least, least);
            }
            let mut firsts = labels.clone();
            firsts.sort_unstable();
            firsts.dedup();
            let number = |label: &usize| firsts.binary_search(label).unwrap() as u32;
            let mut sets = DisjointSets::new(n);
            for (a, b) in &pairs {
                sets.join(*a, *b);
            }
            assert_eq!(sets.numbers(), (labels.iter().map(number).collect(), firsts.len()));
        }
    }
}
