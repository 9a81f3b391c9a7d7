//! Where an input is cut: by its own bytes, so that it is cut there again when it is run again.

/// One byte at a time, and three ways in which a network might have it.
pub(crate) fn cuts(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut state = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut all = vec![bytes.chunks(1).collect()];
    for pieces in [2, 3, 6] {
        let mut at = vec![0, bytes.len()];
        for _ in 1..pieces {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            at.push((state >> 33) as usize % (bytes.len() + 1));
        }
        at.sort_unstable();
        all.push(at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect());
    }
    all
}
