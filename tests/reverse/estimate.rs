//! From bits sent and numbers measured to bits per slot.

/// A balanced pseudo-random sequence, another one for every seed.
pub(crate) fn bits(seed: u64, count: usize) -> Vec<bool> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
    let mut bits: Vec<bool> = (0..count).map(|at| at % 2 == 0).collect();
    // Fisher and Yates, with a generator of Marsaglia's kind.
    for at in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bits.swap(at, (state % (at as u64 + 1)) as usize);
    }
    bits
}

/// Mutual information, in bits per slot, between the bit and whether the sample of its slot is
/// above the best threshold.
pub(crate) fn information(bits: &[bool], samples: &[f64]) -> f64 {
    assert_eq!(bits.len(), samples.len());
    let mut ordered: Vec<(f64, bool)> = samples.iter().copied().zip(bits.iter().copied()).collect();
    ordered.sort_by(|left, right| left.0.total_cmp(&right.0));
    let ones = bits.iter().filter(|bit| **bit).count();
    let mut ones_below = 0;
    let mut best: f64 = 0.0;
    for (at, pair) in ordered.windows(2).enumerate() {
        ones_below += usize::from(pair[0].1);
        // A threshold lies between two different samples.
        if pair[0].0 < pair[1].0 {
            best = best.max(of_table(ones_below, at + 1, ones, bits.len()));
        }
    }
    best
}

/// Mutual information of a two by two table: `ones_below` of the `below` samples under the
/// threshold, and `ones` of all `total`, belong to a one.
fn of_table(ones_below: usize, below: usize, ones: usize, total: usize) -> f64 {
    let counts = [
        [below - ones_below, ones_below],
        [total - below - (ones - ones_below), ones - ones_below],
    ];
    let total = total as f64;
    let rows = [below as f64, total - below as f64];
    let columns = [total - ones as f64, ones as f64];
    let mut sum = 0.0;
    for (row, cells) in counts.iter().enumerate() {
        for (column, count) in cells.iter().enumerate() {
            let count = *count as f64;
            if count > 0.0 {
                sum += count / total * (count * total / (rows[row] * columns[column])).log2();
            }
        }
    }
    sum
}
