//! The card of one picture.

use maud::{Markup, html};

use crate::media::Image;

/// Render the card. While it is `data-pending`, `gallery.js` asks for it again.
pub(crate) fn card(image: &Image) -> Markup {
    let pending = matches!(image.status.as_str(), "PENDING" | "SCHEDULED_TO_DELETION");
    html! {
        li.card id=(image.uuid) data-status=(image.status) data-pending[pending] {
            (picture(image))
            div.caption {
                a.name href={ "/gallery/" (image.uuid) } title=(image.filename) { (image.filename) }
                p.facts { (facts(image)) }
                (state(image))
            }
        }
    }
}

/// Before and after: two layers and a handle where there are two pictures.
pub(crate) fn picture(image: &Image) -> Markup {
    let alt = format!("{}, as uploaded", image.filename);
    html! {
        div.frame {
            @match (image.status.as_str(), &image.url_dither) {
                ("FAILED", _) => { div.broken role="img" aria-label="A picture that cannot be shown" {} },
                (_, Some(dither)) => {
                    img.before src=(image.url_thumbnail) alt=(alt) loading="lazy";
                    img.after src={ (dither) "?preview=true" } alt={ (image.filename) ", dithered" } loading="lazy";
                    input.handle type="range" min="0" max="100" value="50" aria-label="How much of the dithered version to show";
                },
                _ => {
                    img.before src=(image.url_thumbnail) alt=(alt) loading="lazy";
                },
            }
        }
    }
}

fn facts(image: &Image) -> String {
    if image.width == 0 {
        return size(image.size_bytes);
    }
    format!(
        "{} × {} · {}",
        image.width,
        image.height,
        size(image.size_bytes)
    )
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

fn state(image: &Image) -> Markup {
    let (words, detail) = match image.status.as_str() {
        "PENDING" => ("dithering", None),
        "FINISHED" => ("dithered", None),
        "FAILED" => ("failed", image.reason.as_deref()),
        "SCHEDULED_TO_DELETION" => ("leaving", None),
        _ => ("original only", None),
    };
    html! {
        p.state data-status=(image.status) role="status" {
            span.dot aria-hidden="true" {}
            (words)
            @if let Some(detail) = detail { span.reason { (detail) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(status: &str) -> Image {
        Image {
            uuid: "0192".into(),
            filename: "<b>cat</b>.png".into(),
            status: status.into(),
            reason: Some("it ends early".into()),
            url: "/o".into(),
            url_thumbnail: "/t".into(),
            url_dither: (status == "FINISHED").then(|| "/d".into()),
            width: 4000,
            height: 3000,
            size_bytes: 2_340_000,
        }
    }

    #[test]
    fn a_file_name_is_text() {
        let html = card(&image("FINISHED")).into_string();
        assert!(!html.contains("<b>cat"));
        assert!(html.contains("&lt;b&gt;cat"));
    }

    #[test]
    fn only_what_will_change_is_asked_for_again() {
        for (status, asked) in [("PENDING", true), ("FINISHED", false), ("FAILED", false)] {
            let html = card(&image(status)).into_string();
            assert_eq!(html.contains("data-pending"), asked, "{status}");
        }
    }

    #[test]
    fn a_failure_says_why() {
        assert!(
            card(&image("FAILED"))
                .into_string()
                .contains("it ends early")
        );
    }

    #[test]
    fn sizes_are_rounded() {
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_999), "1 kB");
        assert_eq!(size(2_340_000), "2.3 MB");
    }
}
