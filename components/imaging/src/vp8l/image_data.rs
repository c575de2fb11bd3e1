//! Pixels as prefix codes: literals, remembered colours and references.

use super::Pixel;
use super::bits::BitWriter;
use super::prefix_code::PrefixCode;
use super::references::{self, Reference};

/// Green literals and lengths of references share a code, then come the colours.
const LENGTHS_FROM: usize = 256;
const COLOURS_FROM: usize = LENGTHS_FROM + 24;

/// Codes of references: 120 stand for near pixels in two dimensions. Used are the
/// two that are frequent, and those after the 120, which count pixels.
const PIXEL_ABOVE: usize = 1;
const PIXEL_BEFORE: usize = 2;
const NEAR_CODES: usize = 120;

/// Colours that are remembered.
const CACHE_LOG2: u32 = 10;

/// Of how many rows one is asked whether it is worth to remember colours.
const SAMPLED_ROWS: usize = 8;

/// What pixels are for. The picture itself has one bit more in its header.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Role {
    Picture,
    Modes,
}

/// Write pixels, with the codes they need before them.
pub(super) fn write(bits: &mut BitWriter, pixels: &[Pixel], width: usize, role: Role) {
    let references = references::find(pixels, width);
    let cache_log2 = match role {
        Role::Picture if repeats_colours(pixels, width) => CACHE_LOG2,
        Role::Picture | Role::Modes => 0,
    };
    let symbols = Symbols {
        pixels,
        references: &references,
        width,
        cache_log2,
    };
    let histogram = Histogram::of(&symbols);

    bits.put(u32::from(cache_log2 > 0), 1);
    if cache_log2 > 0 {
        bits.put(cache_log2, 4);
    }
    if role == Role::Picture {
        // One set of codes for all of the picture.
        bits.put(0, 1);
    }
    let codes = histogram.declare(bits);
    symbols.walk(|symbol| codes.put(bits, symbol));
}

/// Whether remembered colours make the picture smaller, by a sample of its rows.
fn repeats_colours(pixels: &[Pixel], width: usize) -> bool {
    let sample: Vec<Pixel> = pixels
        .chunks(width * 16)
        .step_by(SAMPLED_ROWS)
        .flatten()
        .copied()
        .collect();
    let entropy = |cache_log2| {
        Histogram::of(&Symbols {
            pixels: &sample,
            references: &[],
            width,
            cache_log2,
        })
        .entropy()
    };
    entropy(CACHE_LOG2) < entropy(0)
}

enum Symbol {
    Literal(Pixel),
    Remembered(usize),
    Reference { length: usize, distance: usize },
}

/// What is written, the same for counting and for writing.
struct Symbols<'a> {
    pixels: &'a [Pixel],
    references: &'a [Reference],
    width: usize,
    /// 0 if no colours are remembered.
    cache_log2: u32,
}

impl Symbols<'_> {
    fn walk(&self, take: impl FnMut(Symbol)) {
        if self.cache_log2 > 0 {
            self.walk_as::<true>(take);
        } else {
            self.walk_as::<false>(take);
        }
    }

    #[inline(always)]
    fn walk_as<const CACHED: bool>(&self, mut take: impl FnMut(Symbol)) {
        let mut colours = Colours::new(self.cache_log2);
        let end = Reference {
            at: self.pixels.len(),
            length: 0,
            distance: 0,
        };
        let mut from = 0;
        for &Reference {
            at,
            length,
            distance,
        } in self.references.iter().chain([&end])
        {
            for &pixel in self.pixels.get(from..at).unwrap_or_default() {
                let place = if CACHED {
                    colours.remember(pixel)
                } else {
                    None
                };
                take(place.map_or(Symbol::Literal(pixel), Symbol::Remembered));
            }
            from = at + length;
            if length > 0 {
                take(Symbol::Reference {
                    length,
                    distance: self.distance_code(distance),
                });
            }
            if CACHED {
                for &pixel in self.pixels.get(at..from).unwrap_or_default() {
                    colours.remember(pixel);
                }
            }
        }
    }

    fn distance_code(&self, distance: usize) -> usize {
        match distance {
            1 => PIXEL_BEFORE,
            distance if distance == self.width => PIXEL_ABOVE,
            distance => distance + NEAR_CODES,
        }
    }
}

/// A number as its prefix, and the bits that tell it from others of that prefix.
struct Prefixed {
    prefix: usize,
    extra: u32,
    extra_bits: u32,
}

/// RFC 9649, section 5.2.2: numbers from 1.
fn prefixed(number: usize) -> Prefixed {
    let value = number as u32 - 1;
    if value < 2 {
        return Prefixed {
            prefix: value as usize,
            extra: 0,
            extra_bits: 0,
        };
    }
    let highest = value.ilog2();
    let extra_bits = highest - 1;
    let prefix = (2 * highest + (value >> extra_bits & 1)) as usize;
    Prefixed {
        prefix,
        extra: value & ((1 << extra_bits) - 1),
        extra_bits,
    }
}

/// The colours seen last, each at the place its hash gives it.
struct Colours {
    /// As the format wants it, all are transparent black at first.
    places: Vec<u32>,
    shift: u32,
}

impl Colours {
    fn new(log2: u32) -> Self {
        Self {
            places: vec![0; 1 << log2],
            shift: 32 - log2,
        }
    }

    /// Remember a colour. Returns its place if it was there already.
    #[inline(always)]
    fn remember(&mut self, [red, green, blue, alpha]: Pixel) -> Option<usize> {
        let argb = u32::from_be_bytes([alpha, red, green, blue]);
        let place = (argb.wrapping_mul(0x1e35_a7bd) >> self.shift) as usize;
        let seen = std::mem::replace(self.places.get_mut(place)?, argb);
        (seen == argb).then_some(place)
    }
}

/// How often each symbol occurs, by the code it is written in.
struct Histogram {
    green: [u32; COLOURS_FROM + (1 << CACHE_LOG2)],
    red: [u32; 256],
    blue: [u32; 256],
    alpha: [u32; 256],
    distance: [u32; 40],
    greens: usize,
}

impl Histogram {
    fn of(symbols: &Symbols) -> Self {
        let mut histogram = Self {
            green: [0; COLOURS_FROM + (1 << CACHE_LOG2)],
            red: [0; 256],
            blue: [0; 256],
            alpha: [0; 256],
            distance: [0; 40],
            greens: if symbols.cache_log2 > 0 {
                COLOURS_FROM + (1 << CACHE_LOG2)
            } else {
                COLOURS_FROM
            },
        };
        symbols.walk(|symbol| histogram.count(symbol));
        histogram
    }

    #[inline(always)]
    fn count(&mut self, symbol: Symbol) {
        match symbol {
            Symbol::Literal([red, green, blue, alpha]) => {
                count(&mut self.green, green.into());
                count(&mut self.red, red.into());
                count(&mut self.blue, blue.into());
                count(&mut self.alpha, alpha.into());
            }
            Symbol::Remembered(place) => count(&mut self.green, COLOURS_FROM + place),
            Symbol::Reference { length, distance } => {
                count(&mut self.green, LENGTHS_FROM + prefixed(length).prefix);
                count(&mut self.distance, prefixed(distance).prefix);
            }
        }
    }

    fn counts(&self) -> [&[u32]; 5] {
        let green = self.green.get(..self.greens).unwrap_or(&self.green);
        [green, &self.red, &self.blue, &self.alpha, &self.distance]
    }

    /// About how many bits the symbols will take.
    fn entropy(&self) -> f32 {
        self.counts().into_iter().map(entropy).sum()
    }

    fn declare(&self, bits: &mut BitWriter) -> Codes {
        let [green, red, blue, alpha, distance] = self
            .counts()
            .map(|counts| PrefixCode::declare(bits, counts));
        Codes {
            green,
            red,
            blue,
            alpha,
            distance,
        }
    }
}

#[inline(always)]
fn count(counts: &mut [u32], symbol: usize) {
    if let Some(count) = counts.get_mut(symbol) {
        *count += 1;
    }
}

fn entropy(counts: &[u32]) -> f32 {
    let total: u32 = counts.iter().sum();
    let used = counts.iter().filter(|&&count| count > 0);
    used.map(|&count| count as f32 * (total as f32 / count as f32).log2())
        .sum()
}

/// The five codes of a set.
struct Codes {
    green: PrefixCode,
    red: PrefixCode,
    blue: PrefixCode,
    alpha: PrefixCode,
    distance: PrefixCode,
}

impl Codes {
    #[inline(always)]
    fn put(&self, bits: &mut BitWriter, symbol: Symbol) {
        match symbol {
            Symbol::Literal([red, green, blue, alpha]) => {
                self.green.put(bits, green.into());
                self.red.put(bits, red.into());
                self.blue.put(bits, blue.into());
                self.alpha.put(bits, alpha.into());
            }
            Symbol::Remembered(place) => self.green.put(bits, COLOURS_FROM + place),
            Symbol::Reference { length, distance } => {
                let length = prefixed(length);
                self.green.put(bits, LENGTHS_FROM + length.prefix);
                bits.put(length.extra, length.extra_bits);
                let distance = prefixed(distance);
                self.distance.put(bits, distance.prefix);
                bits.put(distance.extra, distance.extra_bits);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_apart_by_prefix_and_extra_bits() {
        let mut seen = std::collections::HashSet::new();
        for number in 1..=5_000 {
            let Prefixed {
                prefix,
                extra,
                extra_bits,
            } = prefixed(number);
            assert!(extra < 1 << extra_bits);
            assert!(seen.insert((prefix, extra)), "{number}");
        }
    }

    #[test]
    fn the_farthest_reference_has_a_prefix() {
        assert_eq!(prefixed(1 << 20).prefix, 39);
    }

    #[test]
    fn a_colour_is_remembered_until_another_takes_its_place() {
        let mut colours = Colours::new(1);
        let place = (0..=255).map(|grey| [grey; 4]).find(|&pixel| {
            colours.remember([1, 2, 3, 4]);
            colours.remember(pixel);
            colours.remember([1, 2, 3, 4]).is_none()
        });
        assert!(place.is_some());
        assert!(colours.remember([1, 2, 3, 4]).is_some());
    }
}
