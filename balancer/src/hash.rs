//! Bytes to a number.

const PRIME_1: u64 = 0x9e37_79b1_85eb_ca87;
const PRIME_2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const PRIME_3: u64 = 0x1656_67b1_9e37_79f9;
const PRIME_4: u64 = 0x85eb_ca77_c2b2_ae63;
const PRIME_5: u64 = 0x27d4_eb2f_1656_67c5;

/// XXH64 with a seed of 0 (Collet, "xxHash fast digest algorithm", version 0.1.1): the key of a request for
/// [`Policy::Hash`](crate::Policy::Hash), and the identity of an endpoint, from bytes: an address, a path, a
/// field's value, a cookie's.
///
/// The same bytes give the same number on every machine and in every version, and `xxhsum -H64` prints it. It is
/// no secret: whoever chooses the bytes can choose the number, and with it the endpoint.
///
/// ```
/// assert_eq!(corelane_balancer::hash_bytes(b"10.0.0.1:8080"), 0xcb97_2177_068e_b685);
/// ```
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let (stripes, rest) = bytes.as_chunks();
    let start = if stripes.is_empty() { PRIME_5 } else { hash_stripes(stripes) };
    let mut hash = start.wrapping_add(bytes.len() as u64);

    let (words, rest) = rest.as_chunks();
    for word in words {
        hash ^= round(0, u64::from_le_bytes(*word));
        hash = hash.rotate_left(27).wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
    }
    let (halves, rest) = rest.as_chunks();
    for half in halves {
        hash ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIME_1);
        hash = hash.rotate_left(23).wrapping_mul(PRIME_2).wrapping_add(PRIME_3);
    }
    for &byte in rest {
        hash ^= u64::from(byte).wrapping_mul(PRIME_5);
        hash = hash.rotate_left(11).wrapping_mul(PRIME_1);
    }

    hash = (hash ^ (hash >> 33)).wrapping_mul(PRIME_2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(PRIME_3);
    hash ^ (hash >> 32)
}

/// Four words at a time, each into a sum of its own.
fn hash_stripes(stripes: &[[u8; 32]]) -> u64 {
    let mut sums = [PRIME_1.wrapping_add(PRIME_2), PRIME_2, 0, PRIME_1.wrapping_neg()];
    for stripe in stripes {
        let (words, _) = stripe.as_chunks();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = round(*sum, u64::from_le_bytes(*word));
        }
    }
    let rotated = sums.iter().zip([1, 7, 12, 18]).map(|(sum, by)| sum.rotate_left(by));
    let hash = rotated.fold(0_u64, u64::wrapping_add);
    sums.iter().fold(hash, |hash, sum| (hash ^ round(0, *sum)).wrapping_mul(PRIME_1).wrapping_add(PRIME_4))
}

const fn round(sum: u64, word: u64) -> u64 {
    sum.wrapping_add(word.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_numbers_of_the_reference_implementation() {
        let hundred: Vec<u8> = (0..100).collect();
        let published: [(&[u8], u64); 6] = [
            (b"", 0xef46_db37_51d8_e999),
            (b"a", 0xd24e_c4f1_a98c_6e5b),
            (b"abc", 0x44bc_2cf5_ad77_0999),
            (b"asdf", 0x4158_72f5_99ce_a71e),
            (b"Call me Ishmael. Some years ago--never mind how long precisely-", 0x02a2_e854_70d6_fd96),
            (&hundred, 0x6ac1_e580_3216_6597),
        ];
        for (bytes, hash) in published {
            assert_eq!(hash_bytes(bytes), hash, "{bytes:?}");
        }
    }
}
