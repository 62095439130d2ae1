//! Which partition a key belongs to: the rule of Kafka's own clients, so that every producer agrees.
//!
//! The partition is always computed here and handed to the log explicitly. librdkafka's default
//! (CRC32) differs from the Java client's (murmur2), and a stream's `partition.key` check has to
//! know one rule.

use crate::model::PartitionId;

/// The partition of `key` among `partitions`, as Kafka's Java client chooses it.
///
/// 0 when `partitions` is 0.
#[must_use]
pub fn partition_for_key(key: &[u8], partitions: u32) -> PartitionId {
    (murmur2(key) & 0x7fff_ffff).checked_rem(partitions).unwrap_or(0)
}

/// MurmurHash2 with the seed and the byte order of Kafka's clients.
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MULTIPLIER: u32 = 0x5bd1_e995;
    // Kafka's hash takes the length modulo 2^32, as this cast does.
    let mut hash = SEED ^ u32::try_from(data.len() & 0xffff_ffff).unwrap_or(0);
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed.wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_of_kafkas_java_client() {
        // The values in the tests of the Java client (UtilsTest.testMurmur2).
        let known: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (text, expected) in known {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), expected, "{text}");
        }
    }

    #[test]
    fn no_partitions_is_partition_zero() {
        assert_eq!(partition_for_key(b"k", 0), 0);
        assert!((0..1_000_u32).all(|n| partition_for_key(&n.to_le_bytes(), 7) < 7));
    }
}
