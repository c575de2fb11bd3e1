//! Four numbers calculated with at once.
//!
//! The compiler does not find the vector instructions for error diffusion by
//! itself: the loop waits for its own results.

#[cfg(not(target_arch = "wasm32"))]
pub(super) use plain::Lanes;
#[cfg(target_arch = "wasm32")]
pub(super) use vector::Lanes;

#[cfg(target_arch = "wasm32")]
mod vector {
    use core::arch::wasm32::{
        f32x4_add, f32x4_convert_i32x4, f32x4_floor, f32x4_mul, f32x4_pmax, f32x4_pmin,
        f32x4_splat, f32x4_sub, i8x16_shuffle, i32x4_extract_lane, u16x8_extend_low_u8x16, u32x4,
        u32x4_extend_low_u16x8, v128,
    };

    /// One vector register.
    #[derive(Clone, Copy)]
    pub(crate) struct Lanes(v128);

    impl Lanes {
        #[inline(always)]
        pub(crate) fn splat(number: f32) -> Self {
            Self(f32x4_splat(number))
        }

        #[inline(always)]
        pub(crate) fn from_samples(samples: [u8; 4]) -> Self {
            let samples = u32x4(u32::from_le_bytes(samples), 0, 0, 0);
            Self(f32x4_convert_i32x4(u32x4_extend_low_u16x8(
                u16x8_extend_low_u8x16(samples),
            )))
        }

        /// The nearest samples. The numbers are from 0 to 255.
        #[inline(always)]
        pub(crate) fn to_samples(self) -> [u8; 4] {
            // At this size a number has no bits for a fraction, and its lowest
            // are those of the sample.
            const SHIFT: f32 = (1 << 23) as f32;
            let bits = f32x4_add(self.0, f32x4_splat(SHIFT));
            let packed =
                i8x16_shuffle::<0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0>(bits, bits);
            i32x4_extract_lane::<0>(packed).to_le_bytes()
        }

        #[inline(always)]
        pub(crate) fn plus(self, other: Self) -> Self {
            Self(f32x4_add(self.0, other.0))
        }

        #[inline(always)]
        pub(crate) fn minus(self, other: Self) -> Self {
            Self(f32x4_sub(self.0, other.0))
        }

        #[inline(always)]
        pub(crate) fn times(self, factor: f32) -> Self {
            Self(f32x4_mul(self.0, f32x4_splat(factor)))
        }

        #[inline(always)]
        pub(crate) fn floor(self) -> Self {
            Self(f32x4_floor(self.0))
        }

        #[inline(always)]
        pub(crate) fn clamp(self, least: Self, most: Self) -> Self {
            Self(f32x4_pmin(f32x4_pmax(self.0, least.0), most.0))
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod plain {
    /// What the tests calculate with.
    #[derive(Clone, Copy)]
    pub(crate) struct Lanes([f32; 4]);

    impl Lanes {
        pub(crate) fn splat(number: f32) -> Self {
            Self([number; 4])
        }

        pub(crate) fn from_samples(samples: [u8; 4]) -> Self {
            Self(samples.map(f32::from))
        }

        /// The nearest samples. The numbers are from 0 to 255.
        pub(crate) fn to_samples(self) -> [u8; 4] {
            self.0.map(|number| number.round_ties_even() as u8)
        }

        pub(crate) fn plus(self, Self([e, f, g, h]): Self) -> Self {
            let Self([a, b, c, d]) = self;
            Self([a + e, b + f, c + g, d + h])
        }

        pub(crate) fn minus(self, other: Self) -> Self {
            self.plus(other.times(-1.0))
        }

        pub(crate) fn times(self, factor: f32) -> Self {
            Self(self.0.map(|number| number * factor))
        }

        pub(crate) fn floor(self) -> Self {
            Self(self.0.map(f32::floor))
        }

        pub(crate) fn clamp(self, least: Self, most: Self) -> Self {
            let ([a, b, c, d], [e, f, g, h], [i, j, k, l]) = (self.0, least.0, most.0);
            Self([
                a.max(e).min(i),
                b.max(f).min(j),
                c.max(g).min(k),
                d.max(h).min(l),
            ])
        }
    }
}
