//! A dithered version of an image.

use emporium_sdk::document::Document;
use serde::{Deserialize, Serialize};

use crate::pictures;

/// How errors are spread, as callers name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    FloydSteinberg,
    Bayer,
    Atkinson,
}

impl Method {
    /// The method of this name; Floyd-Steinberg if none is named.
    pub(crate) fn parse(name: Option<&str>) -> Option<Self> {
        match name {
            None => Some(Self::FloydSteinberg),
            Some(name) => [Self::FloydSteinberg, Self::Bayer, Self::Atkinson]
                .into_iter()
                .find(|method| method.name() == name),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FloydSteinberg => "floyd-steinberg",
            Self::Bayer => "bayer",
            Self::Atkinson => "atkinson",
        }
    }

    pub(crate) fn to_wit(self) -> pictures::Method {
        match self {
            Self::FloydSteinberg => pictures::Method::FloydSteinberg,
            Self::Bayer => pictures::Method::Bayer,
            Self::Atkinson => pictures::Method::Atkinson,
        }
    }
}

/// Levels per colour channel, from 2 to 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Levels(u32);

impl Levels {
    /// What every image gets: each channel on or off.
    pub(crate) const TWO: Self = Self(2);

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_plain = text.bytes().all(|b| b.is_ascii_digit());
        let levels = text.parse().ok().filter(|_| is_plain)?;
        Self::new(levels)
    }

    pub(crate) fn new(levels: u32) -> Option<Self> {
        (2..=256).contains(&levels).then_some(Self(levels))
    }

    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

/// Which version of which image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub(crate) uuid: String,
    pub(crate) levels: Levels,
    pub(crate) method: Method,
}

impl Recipe {
    /// The key of the result. Levels are padded so that keys order by them.
    pub(crate) fn key(&self) -> String {
        format!("{}/{:03}/{}", self.uuid, self.levels.0, self.method.name())
    }

    /// Where the result is served.
    pub(crate) fn path(&self) -> String {
        let path = format!("/dither/images/{}/{}/file", self.uuid, self.levels.0);
        match self.method {
            Method::FloydSteinberg => path,
            method => format!("{path}?method={}", method.name()),
        }
    }
}

/// A result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Dither {
    pub(crate) uuid: String,
    pub(crate) levels: Levels,
    pub(crate) method: Method,
    /// The SHA-256 of the PNG.
    pub(crate) digest: String,
    pub(crate) size_bytes: u64,
    /// The small version: the image made small, then dithered.
    pub(crate) preview: Preview,
    /// Pixels.
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// A small version of a result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Preview {
    pub(crate) digest: String,
    pub(crate) size_bytes: u64,
}

impl Dither {
    pub(crate) fn recipe(&self) -> Recipe {
        Recipe {
            uuid: self.uuid.clone(),
            levels: self.levels,
            method: self.method,
        }
    }
}

impl Document for Dither {
    const COLLECTION: &'static str = "dithers";

    fn key(&self) -> String {
        self.recipe().key()
    }

    fn blobs(&self) -> Vec<String> {
        vec![self.digest.clone(), self.preview.digest.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_from_2_to_256() {
        for (text, levels) in [
            ("2", Some(2)),
            ("256", Some(256)),
            ("1", None),
            ("257", None),
            ("-2", None),
            ("+2", None),
            ("2.0", None),
            ("", None),
            ("99999999999", None),
        ] {
            assert_eq!(Levels::parse(text).map(Levels::get), levels, "{text:?}");
        }
    }

    #[test]
    fn a_method_has_one_name() {
        for name in ["floyd-steinberg", "bayer", "atkinson"] {
            assert_eq!(Method::parse(Some(name)).map(Method::name), Some(name));
        }
        assert_eq!(Method::parse(None), Some(Method::FloydSteinberg));
        assert_eq!(Method::parse(Some("Bayer")), None);
    }

    #[test]
    fn the_usual_method_is_not_named_in_paths() {
        let recipe = |method| Recipe {
            uuid: "u".into(),
            levels: Levels::TWO,
            method,
        };
        assert_eq!(
            recipe(Method::FloydSteinberg).path(),
            "/dither/images/u/2/file"
        );
        assert_eq!(
            recipe(Method::Bayer).path(),
            "/dither/images/u/2/file?method=bayer"
        );
    }
}
