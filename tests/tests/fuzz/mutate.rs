//! Changing an input a little: bytes, stretches, words of the language, parts of another input.

use crate::simulation::random::Random;

/// The most changes of one input.
const CHANGES_MAX: u64 = 6;
/// The longest stretch that is moved at once.
const STRETCH_BYTES_MAX: usize = 64;
/// Inputs do not grow beyond this.
const INPUT_BYTES_MAX: usize = 64 * 1024;
/// How often a stretch may be repeated in a row.
const REPEATS_MAX: u64 = 300;

/// An input of the corpus, changed.
pub fn changed(corpus: &[Vec<u8>], words: &[&str], random: &mut Random) -> Vec<u8> {
    let mut input = random.pick(corpus).clone();
    for _ in 0..=random.below(CHANGES_MAX) {
        change(&mut input, corpus, words, random);
        input.truncate(INPUT_BYTES_MAX);
    }
    input
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str], random: &mut Random) {
    let at = random.index(input.len() + 1);
    match random.below(8) {
        0 if at < input.len() => input[at] = byte(random),
        1 if at < input.len() => input[at] ^= 1 << random.below(8),
        2 => drop(input.drain(at..end(at, input.len(), random))),
        3 => {
            let stretch = input[at..end(at, input.len(), random)].to_vec();
            let to = random.index(input.len() + 1);
            input.splice(to..to, stretch);
        }
        4 => {
            let stretch = input[at..end(at, input.len(), random)].to_vec();
            let times = usize::try_from(random.below(REPEATS_MAX)).expect("few");
            let room = INPUT_BYTES_MAX / stretch.len().max(1);
            input.splice(at..at, stretch.repeat(times.min(room)));
        }
        5 => {
            let other = random.pick(corpus);
            let from = random.index(other.len() + 1);
            let stretch = other[from..end(from, other.len(), random)].to_vec();
            input.splice(at..at, stretch);
        }
        _ if words.is_empty() => input.insert(at, byte(random)),
        _ => {
            let word = random.pick(words).as_bytes().to_vec();
            input.splice(at..at, word);
        }
    }
}

fn end(from: usize, length: usize, random: &mut Random) -> usize {
    from + random.index(STRETCH_BYTES_MAX.min(length - from) + 1)
}

fn byte(random: &mut Random) -> u8 {
    match random.chance(20) {
        true => *random.pick(&[0, 0xff, 0x80, b'"', b'{', b'}', b'[', b'\n', b'\\', b'-', b'9']),
        false => u8::try_from(random.below(256)).expect("a byte"),
    }
}
