//! What a caller wants of a variant: size, fit, format. Parsing only.

use http::{HeaderMap, header};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::pictures::{Bounds, Encoding, Error, Fit};

/// The longest side of a variant: a larger one is the original's business.
const LONGEST_SIDE: u32 = 4096;
const DEFAULT_QUALITY: u8 = 80;

/// The query parameters of a variant.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wish {
    /// Pixels, from 1 to 4096.
    w: Option<u32>,
    /// Pixels, from 1 to 4096.
    h: Option<u32>,
    /// `contain`, `cover` or `fill`; `contain` if absent.
    fit: Option<String>,
    /// `webp`, `png` or `jpeg`; by `Accept` and the original if absent.
    format: Option<String>,
    /// JPEG quality, from 1 to 100; 80 if absent.
    q: Option<u8>,
}

/// A well-formed wish.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) bounds: Option<Bounds>,
    pub(crate) encoding: Encoding,
}

/// The member of a wish that is not well-formed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidWish(pub(crate) &'static str);

impl Wish {
    /// A version of this width.
    pub(crate) fn width(width: u32) -> Self {
        Self {
            w: Some(width),
            ..Self::default()
        }
    }

    /// Decide the shape, for a caller that accepts what `headers` say, of an
    /// original of type `content_type`.
    pub(crate) fn parse(
        &self,
        headers: &HeaderMap,
        content_type: &str,
    ) -> Result<Shape, InvalidWish> {
        let side = |side: Option<u32>, name| match side {
            Some(length) if !(1..=LONGEST_SIDE).contains(&length) => Err(InvalidWish(name)),
            _ => Ok(side),
        };
        let (width, height) = (side(self.w, "w")?, side(self.h, "h")?);
        let fit = match self.fit.as_deref() {
            None | Some("contain") => Fit::Contain,
            Some("cover") => Fit::Cover,
            Some("fill") => Fit::Fill,
            Some(_) => return Err(InvalidWish("fit")),
        };
        let quality = match self.q.unwrap_or(DEFAULT_QUALITY) {
            quality @ 1..=100 => quality,
            _ => return Err(InvalidWish("q")),
        };
        let encoding = match self.format.as_deref() {
            Some("webp") => Encoding::Webp,
            Some("png") => Encoding::Png,
            Some("jpeg") => Encoding::Jpeg(quality),
            Some(_) => return Err(InvalidWish("format")),
            // Our WebP is lossless: it would only make a photograph larger.
            None if content_type == "image/jpeg" => Encoding::Jpeg(quality),
            None if accepts_webp(headers) => Encoding::Webp,
            None => Encoding::Png,
        };
        let bounded = width.is_some() || height.is_some();
        Ok(Shape {
            bounds: bounded.then_some(Bounds { width, height, fit }),
            encoding,
        })
    }
}

impl Shape {
    /// A name for the shape: equal shapes have equal names.
    pub(crate) fn name(&self) -> String {
        let size = match &self.bounds {
            None => "full".to_owned(),
            Some(bounds) => {
                let side = |side: Option<u32>| side.map_or("-".to_owned(), |n| n.to_string());
                let fit = match bounds.fit {
                    Fit::Contain => "contain",
                    Fit::Cover => "cover",
                    Fit::Fill => "fill",
                };
                format!("{}x{}-{fit}", side(bounds.width), side(bounds.height))
            }
        };
        match self.encoding {
            Encoding::Jpeg(quality) => format!("{size}.q{quality}.jpg"),
            Encoding::Png => format!("{size}.png"),
            Encoding::Webp => format!("{size}.webp"),
        }
    }

    /// The media type of the variant.
    pub(crate) fn content_type(&self) -> &'static str {
        match self.encoding {
            Encoding::Png => "image/png",
            Encoding::Jpeg(_) => "image/jpeg",
            Encoding::Webp => "image/webp",
        }
    }

    /// Make the variant.
    pub(crate) fn apply(&self, original: &[u8]) -> Result<Vec<u8>, Error> {
        let picture = match self.bounds {
            Some(bounds) => crate::pictures::resize(original, bounds, self.encoding),
            None => crate::pictures::convert(original, self.encoding),
        }?;
        Ok(picture.content)
    }
}

fn accepts_webp(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_webp = parts.next() == Some("image/webp");
            is_webp && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0"))
        })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn name(wish: &Wish, accept: &'static str, original: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        wish.parse(&headers, original)
            .ok()
            .map(|shape| shape.name())
    }

    #[test]
    fn the_format_is_negotiated() {
        let wish = Wish::width(10);
        for (accept, original, expected) in [
            (
                "image/avif,image/webp,*/*",
                "image/png",
                "10x--contain.webp",
            ),
            ("*/*", "image/png", "10x--contain.png"),
            ("image/webp;q=0, */*", "image/png", "10x--contain.png"),
            ("image/webp", "image/jpeg", "10x--contain.q80.jpg"),
        ] {
            assert_eq!(name(&wish, accept, original).as_deref(), Some(expected));
        }
    }

    #[test]
    fn the_member_that_is_wrong_is_named() {
        let text = |text: &str| Some(text.to_owned());
        let wish = Wish::default;
        for (wish, member) in [
            (
                Wish {
                    w: Some(0),
                    ..wish()
                },
                "w",
            ),
            (
                Wish {
                    h: Some(4097),
                    ..wish()
                },
                "h",
            ),
            (
                Wish {
                    fit: text("squeeze"),
                    ..wish()
                },
                "fit",
            ),
            (
                Wish {
                    format: text("bmp"),
                    ..wish()
                },
                "format",
            ),
            (
                Wish {
                    q: Some(0),
                    ..wish()
                },
                "q",
            ),
        ] {
            let parsed = wish.parse(&HeaderMap::new(), "image/png");
            assert_eq!(parsed.err(), Some(InvalidWish(member)));
        }
    }
}
